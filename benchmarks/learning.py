"""The small detector while it learns: the same clips through seven runs, at every 50 steps.

python benchmarks/learning.py [--seed 0] [--runs FOLDER] [--out nbs/results]

Trains the rows of the study `ablation` and a mean teacher (preset `pretrained`, 600 steps) and
looks at the middle clip of test videos. Writes `learning.csv`: a row a run and checkpoint, with the
losses of its 50 steps and, over 32 videos (4 of each class, evenly picked by name), the IoU with
the truth, the width of the unsure band in pixels (0.1 to 0.9, a pixel of the truth's boundary), and
the share of both masks that lies within two pixels of that boundary (`chance`: of the area that
does); `learning.npz`: of three videos (evenly picked by name from all) the middle frame, its truth,
and prediction, variance and gradient mask of three runs after 0, 50, 150 and 400 steps; and
`ablation_maps.npz`: the prediction of the six runs of the ablation after 600.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from vad_ssl.config import PRESETS, vary
from vad_ssl.detection import evenly
from vad_ssl.inspector import run_steps
from vad_ssl.panels import look, panels, read_clip
from vad_ssl.predict import sight
from vad_ssl.run import parts_of, train_run
from vad_ssl.studies import STUDIES

ABLATION = STUDIES["ablation"].rows
ROWS = ABLATION | {"mean teacher": {"method": "mean-teacher"}}
WATCHED = {"supervised": "supervised", "V, cyclic": "ours", "mean teacher": "mean teacher"}
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=None, help="where runs are kept, and resumed")
    parser.add_argument("--out", type=Path, default="nbs/results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = args.runs or Path(tempfile.mkdtemp())
    base = vary(PRESETS["pretrained"], seed=args.seed, keep=20)
    parts, tables, watched, ablated = parts_of(base), [], [], []
    names = sorted(parts.test, key=lambda v: v.name)
    three = [names[int(k)] for k in np.linspace(0, len(names) - 1, 3).round()]
    for row, fields in ROWS.items():
        folder = train_run(vary(base, **fields), runs, bar=False, parts=parts).parent
        models, about = run_steps(folder)
        shown, scored = (clips_of(x, sight(about)) for x in (three, evenly(parts.test, 4)))
        log = pd.read_csv(folder / "log.csv").drop(columns=["epoch", "seconds", "lr"])
        log.index = (log.index + 1) * base.training.steps
        for name, model in models.items():
            step, pictures = int(name[5:]), looks(model, shown)
            table = pd.DataFrame(map(measures, looks(model, scored))).mean().to_dict()
            each = {f"IoU {k}": measures(x)["IoU"] for k, x in enumerate(pictures, 1)}
            losses = log.loc[step].to_dict() if step else {}
            tables.append({"row": row, "step": step, **table, **each, **losses})
            if row in WATCHED and step in STEPS:
                watched.append([[small(x[m][MIDDLE]) for x in pictures] for m in MAPS])
        if row in ABLATION:
            ablated.append([small(x["prediction"][MIDDLE]) for x in pictures])
        print(row, tables[-1]["IoU"], flush=True)
    table = pd.DataFrame(tables).round(4)
    table.to_csv(args.out / "learning.csv", index=False)
    views = {
        "frame": [frames[MIDDLE] for _, frames, _ in shown],
        "truth": [small(truth[MIDDLE]) for *_, truth in shown],
    }
    h, w = views["truth"][0].shape
    watched = np.reshape(watched, (len(WATCHED), len(STEPS), len(MAPS), 3, h, w))
    videos = [v.name for v in three]
    np.savez_compressed(args.out / "learning.npz", **views, maps=watched, videos=videos)
    np.savez_compressed(args.out / "ablation_maps.npz", **views, maps=ablated, videos=videos)
