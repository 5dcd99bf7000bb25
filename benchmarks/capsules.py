"""What the class capsules of a trained detector say about the drawn test clips.

python benchmarks/capsules.py [--seed 0] [--out nbs/results]

Trains the small detector with all labels from the packaged pretrained encoder (weak
views, 600 steps), then looks at one clip of every test video. Writes `capsules.csv`: a row
a clip, with its class, the score of every class, and the overlap with the truth when the decoder
is given that class's pose; and `capsules.npz`: of the first clip of every class the middle frame,
its truth, the activations at every place, and the map decoded through every pose.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vad_ssl.actors import ACTIONS
from vad_ssl.config import Run, vary
from vad_ssl.predict import load_detector
from vad_ssl.run import do, parts_of, run_folder
from vad_ssl.split import Clips


@torch.no_grad()
def look(model, clip) -> tuple:  # scores (j,), activations (j, h', w'), maps (j, t, h, w)
    "One clip, decoded through the pose of every class."
    classes = model.n_classes
    out = model(clip.expand(classes, -1, -1, -1, -1), torch.eye(classes).bool())
    grid = out.features[0].view(clip.shape[-2] // 8, clip.shape[-1] // 8, classes)
    return out.activations[0], grid.movedim(-1, 0), out.logits[:, 0].sigmoid()


def overlap(maps, truth) -> np.ndarray:  # (j,)
    "IoU over the clip of every map with the truth."
    found = maps >= 0.5
    either = (found | truth).sum((1, 2, 3))
    return ((found & truth).sum((1, 2, 3)) / either).numpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="nbs/results", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    run = vary(Run(), weights="drawn", seed=args.seed, label_fraction=1.0)
    parts, folder = parts_of(run), Path(tempfile.mkdtemp())
    scores = do(run, folder, bar=False)
    print({name: scores[name] for name in ("f_map_50", "v_map_50", "accuracy")})
    model, _ = load_detector(run_folder(folder, run, parts) / "model.safetensors")
    torch.manual_seed(args.seed)
    clips = Clips(parts.test, True, size=(48, 48), short=52)
    rows, pictures = [], {}
    for item in (clips[k] for k in range(len(clips))):
        clip = item["clip"][None].float() / 255
        score, grid, maps = look(model, clip)
        truth = item["mask"][0] > 0
        label = int(item["label"])
        rows.append([ACTIONS[label], *score.tolist(), *overlap(maps, truth)])
        if label not in pictures:
            middle = clip[0, :, 4].movedim(0, -1), truth[4], grid, maps[:, 4]
            pictures[label] = [np.asarray(x * 255).astype("uint8") for x in middle]
    columns = ["action", *(f"score {a}" for a in ACTIONS), *(f"IoU {a}" for a in ACTIONS)]
    table = pd.DataFrame(rows, columns=columns).round(3)
    table.to_csv(args.out / "capsules.csv", index=False)
    stacked = (np.stack(x) for x in zip(*(pictures[k] for k in range(len(ACTIONS)))))
    names = "frame", "truth", "grid", "maps"
    np.savez_compressed(args.out / "capsules.npz", **dict(zip(names, stacked)))
