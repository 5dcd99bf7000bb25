"""Does error recovery mend the teacher's maps? Overlap with the truth before and after it.

python benchmarks/recovery.py [--row recovery] [--seeds 5] [--runs study] [--out nbs/results/drawn]

Takes trained runs of `vad-ssl study teachers` from the folder `--runs` (and trains those that are
not there), loads the last teacher with its corrector, and lets both answer on one clip of each
drawn video: labelled, unlabelled (whose annotations only this script looks at) and test. Adds
to `recovery.csv`, for every row, seed and part: mean IoU of the maps at one half, and mean squared
error, each as told and as corrected.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

from vad_ssl.checkpoint import checkpoints, load_weights
from vad_ssl.config import vary
from vad_ssl.detector import small_detector
from vad_ssl.files import write_csv
from vad_ssl.run import do, parts_of, run_folder
from vad_ssl.split import Clips
from vad_ssl.stable_mean_teacher import stable_teacher
from vad_ssl.studies import grid


def overlap(probs, truth) -> float:
    "Mean IoU over clips."
    found, truth = probs.flatten(1) >= 0.5, truth.flatten(1) > 0
    return ((found & truth).sum(1) / (found | truth).sum(1).clamp_min(1)).mean().item()


@torch.no_grad()
def look(teacher, videos, seed) -> dict:
    "What the teacher tells of one clip a video, and what recovery makes of it."
    torch.manual_seed(seed)
    clips = Clips(videos, True, size=(48, 48), short=52)
    items = [clips[k] for k in range(len(clips))]
    pixels = torch.stack([x["clip"] for x in items]).float() / 255
    truth = torch.stack([x["mask"] for x in items]).float()
    told = torch.cat([teacher(x).logits.sigmoid() for x in pixels.split(8)])
    fixed = torch.cat([teacher.corrected(*x) for x in zip(pixels.split(8), told.split(8))])
    found = {"clips": len(items)}
    for name, probs in {"told": told, "corrected": fixed}.items():
        found[f"IoU {name}"] = round(100 * overlap(probs, truth), 2)
        found[f"square {name}"] = round((probs - truth).square().mean().item(), 4)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", default="recovery")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", default="study", type=Path)
    parser.add_argument("--out", default="nbs/results/drawn", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for _, run in grid("teachers", range(args.seeds), only=(args.row,)):
        do(run, args.runs, bar=False)
        parts = parts_of(run)
        last = checkpoints(run_folder(args.runs, run, parts))[0]
        teacher = stable_teacher(small_detector(8)).eval()
        teacher.load_state_dict(load_weights(last / "teacher.safetensors")[0])
        hidden = {v.name for v in parts.unlabelled}
        answers = parts_of(vary(run, label_fraction=1.0)).labelled
        groups = {
            "labelled": parts.labelled,
            "unlabelled": [v for v in answers if v.name in hidden],
            "test": parts.test,
        }
        for part, videos in groups.items():
            rows.append({"row": args.row, "seed": run.seed, "part": part})
            rows[-1] |= look(teacher, videos, run.seed)
            print(rows[-1], flush=True)
    file = args.out / "recovery.csv"
    old = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["row"])
    write_csv(pd.concat([old[old.row != args.row], pd.DataFrame(rows)]), file)
