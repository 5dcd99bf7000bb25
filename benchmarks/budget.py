"""The gradient of every term of the paper's objective, by part of the small detector, in training.

python benchmarks/budget.py [--steps 300] [--every 30] [--out nbs/results/budget.csv]

The paper's weights (lambda 0.1, 0.3, 0.7; gradient through both views), once from random weights
and once from the packaged pretrained encoder. A row: start, step, term, part, norm of the gradient.
"""

import argparse

import pandas as pd
import torch

from vad_ssl.actors import actors
from vad_ssl.data import read_data
from vad_ssl.detector import small_detector
from vad_ssl.objective import Progress, semi_supervised_step
from vad_ssl.pretrain import drawn_weights
from vad_ssl.split import Clips, batch_to, loaders, split_labelled


def norms(net, loss) -> dict:  # part -> norm
    "Size of one term's gradient in every part of the detector."
    grads = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True, allow_unused=True)
    squares = {}
    for (name, _), grad in zip(net.named_parameters(), grads):
        part = name.split(".")[0]
        squares[part] = squares.get(part, 0) + (0 if grad is None else grad.square().sum().item())
    return {part: square**0.5 for part, square in squares.items()}


def budget(start: str, steps: int, every: int) -> list:  # of rows
    "Train once and write down the gradients on the way."
    torch.manual_seed(0)
    net = small_detector(8)
    if start == "drawn":
        net.encoder.load_state_dict(drawn_weights()[0])
    videos = [v for v in read_data(actors()) if v.split == "train"]
    parts = zip(split_labelled(videos, 0.2, seed=0), (True, False))
    clips = [Clips(v, known, size=(48, 48), short=52, cache=True) for v, known in parts]
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    rows = []
    for step, (lab, unl) in enumerate(loaders(*clips, 4, 4, steps + 1)):
        progress = Progress(12 * step / steps, 12)
        losses = semi_supervised_step(net, batch_to(lab, "cpu"), batch_to(unl, "cpu"), progress)
        if step % every == 0:
            for term, loss in losses.items():
                for part, norm in norms(net, loss).items():
                    rows.append((start, step, term, part, float(f"{norm:.4g}")))
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=30)
    parser.add_argument("--out", default="nbs/results/budget.csv")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [r for start in ("random", "drawn") for r in budget(start, args.steps, args.every)]
    columns = ["start", "step", "term", "part", "norm"]
    pd.DataFrame(rows, columns=columns).to_csv(args.out, index=False)
