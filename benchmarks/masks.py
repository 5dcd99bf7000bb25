"""Both attention masks as a share of a training step: `python benchmarks/masks.py`.

A step is forward and backward over both views of a labelled and an unlabelled batch, with all
losses of Eqs. 7 to 9. The small detector has the demo's settings (4 + 4 clips of 8 frames of 48 x
48), the paper's those of `step.py` (1 + 1 clips of 8 frames of 224 x 224). The masks are computed
on maps of that step's size: the variance on the ring of both views (Eq. 4) and the gradient (Eq.
6). Steps and masks take turns; medians. The aim is a share under 2%.
"""

import argparse
import statistics
import time
from functools import partial

import torch

from vad_ssl.coherence import variance_mask
from vad_ssl.detector import paper_detector, small_detector
from vad_ssl.objective import Progress, semi_supervised_step
from vad_ssl.smoothness import gradient_mask

DETECTORS = {"small": (small_detector, 4, 48), "paper": (paper_detector, 1, 224)}


def batches(n, size):
    "`n` labelled clips and as many unlabelled ones."
    clips = torch.rand(2, n, 3, 8, size, size)
    mask = (torch.rand(n, 1, 8, size, size) > 0.7).float()
    return {"clip": clips[0], "mask": mask, "label": torch.arange(n) % 24}, {"clip": clips[1]}


def step(model, lab, unl):
    "All losses, forward and backward."
    losses = semi_supervised_step(model, lab, unl, Progress(20.0, 100), attention="none")
    sum(losses.values()).backward()


def masks(view1, view2):
    "What a step with both masks computes besides."
    variance_mask(view1, view2)
    gradient_mask(view1)


def medians(runs, repeats):
    "Median seconds of every run; they take turns, and the first turn does not count."
    times = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def report(name, repeats):
    "Measure and print one detector."
    build, n, size = DETECTORS[name]
    torch.manual_seed(0)
    maps = torch.rand(2, 2 * n, 1, 8, size, size)
    work = partial(step, build(24).train(), *batches(n, size))
    took = medians({"step": work, "masks": partial(masks, *maps)}, repeats)
    share = took["masks"] / (took["step"] + took["masks"])
    print(
        f"{name} detector, {n} + {n} clips of 8 x {size} x {size}: step {took['step']:.3f} s, "
        f"both masks {1000 * took['masks']:.2f} ms, {share:.2%} of step and masks",
        flush=True,
    )


def main():
    "Measure and print."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(f"{torch.get_num_threads()} threads")
    for name in DETECTORS:
        report(name, args.repeats)


if __name__ == "__main__":
    main()
