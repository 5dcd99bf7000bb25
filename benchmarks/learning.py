"""The small detector while it learns: the same clips through eight runs, at every 50 steps.

python benchmarks/learning.py [--seed 0] [--runs FOLDER] [--out nbs/results]

Trains the rows of the study `ablation` and a mean teacher (packaged encoder, weak views, 400
steps), and supervision from random weights; looks at the middle clip of test videos. Writes

- `learning.csv`: a row a run and checkpoint, with the losses of its 50 steps and, over 32 videos
  (4 of each class, evenly picked by name), the IoU with the truth, the width of the unsure band
  (pixels between 0.1 and 0.9 for each of the truth's boundary), and the share of both masks that
  lies within two pixels of that boundary (`chance`: of the area that does);
- `learning.npz`: of three videos (evenly picked by name from all) the middle frame, its truth, and
  prediction, variance and gradient mask of three runs after 0, 50, 150 and 400 steps;
- `ablation_maps.npz`: the predictions of the six runs of the ablation at the end.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from vad_ssl.config import Run, vary
from vad_ssl.detection import evenly
from vad_ssl.inspector import run_steps
from vad_ssl.panels import look, panels, read_clip
from vad_ssl.predict import sight
from vad_ssl.run import parts_of, train_run
from vad_ssl.studies import STUDIES

ROWS = STUDIES["ablation"].rows | {
    "mean teacher": {"method": "mean-teacher"},
    "supervised, random weights": {"weights": ""},
}
WATCHED = "supervised", "V, cyclic", "mean teacher"
STEPS = 0, 50, 150, 400
MAPS = "prediction", "variance mask, ring", "gradient mask"
MIDDLE = 4  # frame of the clip that is stored


def grown(x, by: int) -> torch.Tensor:  # (t, h, w) bool
    "The region and everything within some pixels of it."
    return F.max_pool2d(x[:, None].float(), 2 * by + 1, 1, by)[:, 0] > 0


def measures(seen: dict) -> dict:  # name -> number
    "What one clip says, from its panels."
    found, truth = (torch.as_tensor(seen[k]) for k in ("prediction", "truth"))
    truth = truth > 0
    edge = truth & grown(~truth, 1)
    rim = grown(truth, 2) & grown(~truth, 2)
    unsure = (found > 0.1) & (found < 0.9)
    marked = found >= 0.5
    masks = {name.split()[0]: torch.as_tensor(seen[name]) for name in MAPS[1:]}
    return {
        "IoU": ((marked & truth).sum() / (marked | truth).sum()).item(),
        "band": (unsure.sum() / edge.sum()).item(),
        **{name: (x[rim].sum() / x.sum()).item() for name, x in masks.items()},
        "chance": rim.float().mean().item(),
    }


def looks(model, clips: list) -> list:  # of panels
    "What a detector says about clips."
    return [panels(frames, *look(model, x)[:3], truth) for x, frames, truth in clips]


def clips_of(videos: list, how) -> list:  # of (clip, frames, truth)
    "The middle clip of every video, as the detector sees it."
    read = (read_clip(v, how)[:2] for v in videos)
    return [(x, (255 * x).byte().permute(1, 2, 3, 0).numpy(), truth) for x, truth in read]


def small(x) -> np.ndarray:  # uint8
    "A map in bytes."
    return np.asarray(x * 255).round().astype("uint8")


def watch(run, parts, runs: Path, three: list) -> tuple:  # a row a checkpoint, and their panels
    "Train a run, or find it trained, and look at it after every epoch."
    folder = train_run(run, runs, bar=False, parts=parts).parent
    models, about = run_steps(folder)
    shown, scored = (clips_of(x, sight(about)) for x in (three, evenly(parts.test, 4)))
    log = pd.read_csv(folder / "log.csv").drop(columns=["epoch", "seconds", "lr"])
    log.index = (log.index + 1) * run.training.steps
    rows, pictures = [], {}
    for name, model in models.items():
        step = int(name.removeprefix("step "))
        pictures[step] = looks(model, shown)
        mean = pd.DataFrame(map(measures, looks(model, scored))).mean().to_dict()
        each = {f"IoU {k}": measures(x)["IoU"] for k, x in enumerate(pictures[step], 1)}
        rows.append({"step": step, **mean, **each, **(log.loc[step].to_dict() if step else {})})
    return rows, pictures


def middles(pictures: list, name: str) -> list:  # of uint8
    "One panel's middle frame of every clip."
    return [small(x[name][MIDDLE]) for x in pictures]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=None, help="where runs are kept, and resumed")
    parser.add_argument("--out", type=Path, default="nbs/results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = args.runs or Path(tempfile.mkdtemp())
    base = vary(Run(), weights="drawn", seed=args.seed, epochs=8, keep=20)
    parts, tables, pictures = parts_of(base), [], {}
    names = sorted(parts.test, key=lambda v: v.name)
    three = [names[int(k)] for k in np.linspace(0, len(names) - 1, 3).round()]
    for row, fields in sorted(ROWS.items(), key=lambda x: x[0] not in WATCHED):
        rows, pictures[row] = watch(vary(base, **fields), parts, runs, three)
        tables += [{"row": row, **x} for x in rows]
        print(row, *(round(x["IoU"], 3) for x in rows), flush=True)
    pd.DataFrame(tables).round(4).to_csv(args.out / "learning.csv", index=False)
    last = pictures["supervised"][max(STEPS)]
    views = {
        "videos": [v.name for v in three],
        "frame": [x["frame"][MIDDLE] for x in last],
        "truth": [small(x["truth"][MIDDLE] > 0) for x in last],
    }
    watched = [[[middles(pictures[r][k], m) for m in MAPS] for k in STEPS] for r in WATCHED]
    ablated = [middles(pictures[r][max(STEPS)], MAPS[0]) for r in STUDIES["ablation"].rows]
    np.savez_compressed(args.out / "learning.npz", **views, maps=watched)
    np.savez_compressed(args.out / "ablation_maps.npz", **views, maps=ablated)
