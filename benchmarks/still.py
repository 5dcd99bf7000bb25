"""The floor of object segmentation on a data set: the given mask, repeated for ever.

python benchmarks/still.py --data ROOT [--study real-objects] [--out nbs/results/real/still.csv]
"""

import argparse
from pathlib import Path

import pandas as pd

from vad_ssl.files import write_csv
from vad_ssl.studies import STUDIES
from vad_ssl.vos_scores import Still, score_video, table5, vos_parts

ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ask.add_argument("--data", required=True)
ask.add_argument("--study", default="real-objects")
ask.add_argument("--out", type=Path, default=Path("nbs/results/real/still.csv"))
given = ask.parse_args()

parts = vos_parts(given.data)
size = STUDIES[given.study].base.clip.size
frames = pd.concat(score_video(Still(), video, size) for video in parts["test"])
seen = {tube.label for video in parts["train"] for tube in video.tubes}
floor = pd.DataFrame([{"row": "still", **table5(frames, seen).round(2)}])
floor["train"], floor["test"] = len(parts["train"]), len(parts["test"])
floor["frames"] = len(frames)
write_csv(floor, given.out)
print(floor.to_string(index=False))
