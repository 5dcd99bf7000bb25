"""How well does the packaged detector know that a video shows none of its actions?

python benchmarks/doubt.py --data UCF101_24 --others FOLDER [--out nbs/results/real/doubt.csv]

FOLDER holds videos of other actions. Writes a row a video, with the score of every class, and
prints for several numbers made of these scores how often one of its own test videos has a higher
one than a foreign video (AUROC: 0.5 is chance, 1 never errs).
"""

import argparse
from pathlib import Path

import pandas as pd

from vad_ssl.config import vary
from vad_ssl.data import folder
from vad_ssl.files import write_csv
from vad_ssl.predict import load_detector, localise_file, sight
from vad_ssl.run import parts_of
from vad_ssl.studies import STUDIES

ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ask.add_argument("--data", required=True)
ask.add_argument("--others", type=Path, required=True)
ask.add_argument("--out", type=Path, default=Path("nbs/results/real/doubt.csv"))
given = ask.parse_args()

model, about = load_detector()
classes = about["classes"]
known = parts_of(vary(STUDIES["real"].base, root=given.data)).test
rows = []
for video, truth in [(v, classes[v.label]) for v in known] + [
    (v, "") for v in folder(given.others)
]:
    found = localise_file(model, video.path, sight(about))[1].mean(0).tolist()
    rows.append({"video": video.name, "true": truth} | dict(zip(classes, found)))
    if len(rows) % 10 == 0:
        print(len(rows), flush=True)
scores = pd.DataFrame(rows).round(4)
write_csv(scores, given.out)

first, second = (
    scores[classes].apply(lambda x: x.nlargest(2).tolist(), axis=1, result_type="expand").T.values
)
for name, number in {
    "best score": first,
    "best minus second": first - second,
    "best over the sum": first / scores[classes].sum(axis=1).values,
}.items():
    own, foreign = number[scores.true != ""], number[scores.true == ""]
    higher = (own[:, None] > foreign).mean() + (own[:, None] == foreign).mean() / 2
    print(f"{name:20} AUROC {higher:.3f}")
