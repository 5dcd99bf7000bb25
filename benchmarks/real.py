"""Floors and pictures of the study on real video.

python benchmarks/real.py --data UCF101_24 --runs FOLDER [--seed 0] [--out nbs/results/real]

FOLDER is that of `vad-ssl study real`. Writes `floors.csv`, the scores of two detectors that know
nothing (every pixel; a box of half the height and width in the middle), and of
the runs of one seed `nine.csv` and `nine.png`: the first test video of every class by name, its
middle annotated frame, the overlap in it and the class each arm names; `confusion.csv`; and
`overlaps.csv`, by class: videos, those named rightly, mean overlap of all and of the latter.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image

from vad_ssl.config import vary
from vad_ssl.evaluate import cut
from vad_ssl.predict import load_detector, localise, sight
from vad_ssl.protocol import confusion, summarise, video_record
from vad_ssl.run import about_of, parts_of, run_folder
from vad_ssl.studies import STUDIES, grid

ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ask.add_argument("--data", required=True)
ask.add_argument("--runs", type=Path, required=True)
ask.add_argument("--seed", type=int, default=0)
ask.add_argument("--out", type=Path, default=Path("nbs/results/real"))
given = ask.parse_args()
given.out.mkdir(parents=True, exist_ok=True)

runs = dict(grid("real", [given.seed], vary(STUDIES["real"].base, root=given.data)))
parts = {row: parts_of(run) for row, run in runs.items()}
found = {row: run_folder(given.runs, run, parts[row]) for row, run in runs.items()}
found = {row: path for row, path in found.items() if list(path.glob("row-*.json"))}
test, classes = parts["supervised"].test, parts["supervised"].classes
how = sight(about_of(runs["supervised"], classes))


def floors() -> pd.DataFrame:  # a row a floor
    "Scores of detectors that know nothing."
    records = {"every pixel": [], "a box in the middle": []}
    for video in test:
        _, truth, _ = cut(video, how)
        h, w = truth.shape[1:]
        box = torch.zeros_like(truth)
        box[:, h // 4 : h - h // 4, w // 4 : w - w // 4] = True
        for name, probs in zip(records, (torch.ones_like(truth), box)):
            record = video_record(probs.float().numpy(), truth.numpy(), video.label)
            records[name].append(record)
    scores = {name: summarise(x, len(classes)) for name, x in records.items()}
    return pd.DataFrame(
        {"row": name, "f_map_50": 100 * x.f_map[10], "v_map_50": 100 * x.v_map[10]}
        for name, x in scores.items()
    )


def nine() -> tuple:  # table, figure
    "One video a class, one frame, every arm."
    chosen = [next(v for v in test if v.label == k) for k in range(len(classes))]
    lines = []
    fig, axes = plt.subplots(len(found) + 1, 9, figsize=(18, 2.1 * (len(found) + 1)))
    for column, video in zip(axes.T, chosen):
        pixels, truth, _ = cut(video, how)
        shown = np.flatnonzero(truth.any((1, 2)))
        k = int(shown[len(shown) // 2])
        for ax, row in zip(column, ("", *found)):
            ax.imshow(pixels[:, k].permute(1, 2, 0))
            ax.contour(truth[k], [0.5], colors="white", linewidths=1)
            ax.set(xticks=[], yticks=[])
            if not row:
                ax.set_title(video.action)
                continue
            probs, scores = localise(models[row], pixels, how)
            on = probs[k] >= 0.5
            iou = float((on & truth[k]).sum() / (on | truth[k]).sum())
            named = classes[int(scores.mean(0).argmax())]
            lines.append({"row": row, "video": video.name, "frame": k, "iou": iou, "named": named})
            ax.contour(probs[k], [0.5], colors="orange", linewidths=2)
            ax.set_xlabel(f"{iou:.2f} {named}", color="black" if named == video.action else "C3")
    for ax, row in zip(axes[:, 0], ("truth", *found)):
        ax.set_ylabel(row)
    fig.tight_layout()
    return pd.DataFrame(lines), fig


def confusions() -> pd.DataFrame:  # row, true class, named class, videos
    "Who is taken for whom."
    lines = []
    for row, path in found.items():
        details = pd.read_csv(next(path.glob("details-*.csv")))
        counts = confusion(details.to_dict("records"), len(classes))
        for (true, named), n in np.ndenumerate(counts):
            lines.append({"row": row, "true": classes[true], "named": classes[named], "videos": n})
    return pd.DataFrame(lines)


def overlaps() -> pd.DataFrame:  # a row an arm and a class
    "How well places are found, also where the name is right."
    lines = []
    for row, path in found.items():
        details = pd.read_csv(next(path.glob("details-*.csv")))
        for k, videos in details.groupby("label"):
            right = videos[videos.predicted == k].iou
            line = {"row": row, "action": classes[k], "videos": len(videos), "right": len(right)}
            lines.append(line | {"iou": videos.iou.mean(), "iou_right": right.mean()})
    return pd.DataFrame(lines)


models = {row: load_detector(path / "model.safetensors")[0] for row, path in found.items()}
floors().to_csv(given.out / "floors.csv", index=False)
confusions().to_csv(given.out / "confusion.csv", index=False)
overlaps().round(3).to_csv(given.out / "overlaps.csv", index=False)
table, figure = nine()
table.round(3).to_csv(given.out / "nine.csv", index=False)
figure.savefig(given.out / "nine.png", dpi=80)
picture = Image.open(given.out / "nine.png").convert("RGB").quantize(200)
picture.save(given.out / "nine.png", optimize=True)
print(table.pivot(index="video", columns="row", values="iou").round(2).to_string())
