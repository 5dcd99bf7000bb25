"""How long the paper's preset would take on a GPU: operations, counted, over assumed speeds.

python benchmarks/gpu_hours.py [--videos 1826] [--epochs 100]
"""

import argparse

import torch
from torch.utils.flop_counter import FlopCounterMode

from vad_ssl.config import PRESETS
from vad_ssl.detector import paper_detector

run = PRESETS["ucf101_24"]
ask = argparse.ArgumentParser(description=__doc__)
ask.add_argument("--videos", type=int, default=1826, help="unlabelled training videos")
ask.add_argument("--epochs", type=int, default=run.training.epochs)
given = ask.parse_args()

lab, unl = run.training.batch_labelled, run.training.batch_unlabelled
with torch.device("meta"):
    model = paper_detector(24)
    clips = torch.empty(1, 3, run.clip.clip_len, *run.clip.size)
    with FlopCounterMode(display=False) as count:
        out = model(clips)
        (out.logits.sum() + out.activations.sum()).backward()
each = count.get_total_flops() / 1e12
steps = given.epochs * -(-given.videos // unl)
total = each * 2 * (lab + unl) * steps
print(f"one clip, forward and backward: {each:.2f} * 10^12 operations")
print(f"{steps:,} steps of {lab} + {unl} clips in two views: {total / 1e3:,.0f} * 10^15 operations")
for speed in (5, 10, 20):  # of the 20 to 400 that data sheets promise, a part is reached
    print(f"if {speed:2d} * 10^12 a second are reached: {total / speed / 3600:.1f} hours")
