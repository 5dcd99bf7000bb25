"""Which layer of I3D knows the names? Linear probes of its features on real video.

python benchmarks/naming.py --data UCF101_24 [--seeds 3] [--out nbs/results/real]

Videos of the training part alone: labelled ones teach (20% or all), those of the validation part
are named. Four clips of 16 frames a video (three where it is named) at 112 pixels go through the
fixed encoder; features are pooled over places and moments, a video has the mean of its clips'
logits. Writes `naming.csv`: a row a layer, share of labels and seed. Then `self_training.csv`: can
the videos without labels teach names? The probe of Mixed_4f names them, and those of which it is
sure teach the next one, three times over.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from vad_ssl.config import vary
from vad_ssl.files import write_csv
from vad_ssl.i3d import kinetics_weights
from vad_ssl.inception import I3D, normalise
from vad_ssl.records import length, read
from vad_ssl.run import parts_of
from vad_ssl.studies import STUDIES
from vad_ssl.window import window

LAYERS = "Mixed_3c", "Mixed_4f", "Mixed_5c"

ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ask.add_argument("--data", required=True)
ask.add_argument("--seeds", type=int, default=3)
ask.add_argument("--out", type=Path, default=Path("nbs/results/real"))
given = ask.parse_args()
base = vary(STUDIES["real"].base, root=given.data, part="validation")


def clips(video, n: int) -> torch.Tensor:  # (n, 3, 16, 112, 112) in [0, 1]
    "Clips evenly spread over a video, cut from the middle."
    last = length(video) - 1
    starts = np.linspace(0, max(0, last - 30), n).astype(int)
    index = np.minimum(starts[:, None] + 2 * np.arange(16), last)
    pixels = torch.from_numpy(read(video, np.unique(index))).permute(3, 0, 1, 2)
    frames = window(tuple(pixels.shape[2:]), (112, 112), 120).frames(pixels)
    picked = np.searchsorted(np.unique(index), index)
    return torch.stack([frames[:, k] for k in picked]).float() / 255


@torch.no_grad()
def features(videos: list, n: int) -> dict:  # name of the video -> layer -> (n, channels)
    "Pooled features of every layer."
    net = I3D(until="Mixed_5c").eval().to(memory_format=torch.channels_last_3d)
    net.take(kinetics_weights())
    found = {}
    for video in tqdm(videos, "encoding"):
        x = normalise(clips(video, n)).contiguous(memory_format=torch.channels_last_3d)
        maps = net.endpoints(x, *LAYERS)
        found[video.name] = {k: m.mean((2, 3, 4)) for k, m in zip(LAYERS, maps)}
    return found


def probe(x, y, tests, steps=300) -> torch.Tensor:  # (videos, classes) logits
    "A linear layer on (clips, channels), asked about (videos, clips, channels)."
    mean, spread = x.mean(0), x.std(0) + 1e-5
    model = nn.Linear(x.shape[1], int(y.max()) + 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(model((x - mean) / spread), y).backward()
        optimiser.step()
    return model((tests - mean) / spread).mean(1).detach()


def accuracy(named: torch.Tensor, true: torch.Tensor) -> float:  # percent
    "How many are right."
    return 100 * float((named == true).float().mean())


everyone = parts_of(vary(base, label_fraction=1.0))
taught = features(everyone.labelled, 4)
asked = features(everyone.test, 3)
truth = torch.tensor([v.label for v in everyone.test])
rows = []
for share in (0.2, 1.0):
    for seed in range(given.seeds if share < 1 else 1):
        known = parts_of(vary(base, label_fraction=share, seed=seed)).labelled
        y = torch.tensor([v.label for v in known]).repeat_interleave(4)
        for layers in (*((k,) for k in LAYERS), LAYERS[1:]):

            def of(found, videos, layers=layers):
                every = ([found[v.name][k] for k in layers] for v in videos)
                return torch.stack([torch.cat(x, 1) for x in every])

            torch.manual_seed(seed)
            named = probe(of(taught, known).flatten(0, 1), y, of(asked, everyone.test))
            right = accuracy(named.argmax(1), truth)
            row = {"layers": " + ".join(layers), "labels": share, "seed": seed}
            rows.append(row | {"labelled": len(known), "named": len(truth), "accuracy": right})
table = pd.DataFrame(rows).round(1)
given.out.mkdir(parents=True, exist_ok=True)
write_csv(table, given.out / "naming.csv")
print(table.groupby(["labels", "layers"]).accuracy.agg(["mean", "min", "max"]).round(1))

rows = []
all_names = [v.name for v in everyone.labelled]
x = torch.stack([taught[name]["Mixed_4f"] for name in all_names])  # (videos, clips, channels)
y = torch.tensor([v.label for v in everyone.labelled])
tests = torch.stack([asked[v.name]["Mixed_4f"] for v in everyone.test])
for seed in range(max(given.seeds, 5)):
    known = {v.name for v in parts_of(vary(base, label_fraction=0.2, seed=seed)).labelled}
    mine = torch.tensor([name in known for name in all_names])
    believed = torch.where(mine, y, -1)  # no truth about the others
    for times in range(4):
        teach = believed >= 0
        torch.manual_seed(seed)
        both = torch.cat([tests.mean(1), x[~mine].mean(1)])[:, None]  # the probe is linear
        logits = probe(x[teach].flatten(0, 1), believed[teach].repeat_interleave(4), both)
        named, others = logits.softmax(1).split([len(tests), int((~mine).sum())])
        row = {"seed": seed, "times": times, "taught": int(teach.sum())}
        row["of those rightly"] = int((believed == y)[teach].sum())
        rows.append(row | {"accuracy": accuracy(named.argmax(1), truth)})
        sure, name = others.max(1)
        believed[~mine] = torch.where(sure > 0.8, name, -1)
table = pd.DataFrame(rows).round(1)
write_csv(table, given.out / "self_training.csv")
print(table.groupby("times")[["taught", "of those rightly", "accuracy"]].mean().round(1))
