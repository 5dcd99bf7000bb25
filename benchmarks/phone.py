"""Seconds that `vad-ssl predict` takes for a video as telephones film it, with all that it writes.

python benchmarks/phone.py [--seconds 30] [--height 1080] [--fps 30]

The street film that everyone can fetch, enlarged and repeated, in H.264; in the same run, for
comparison, what any program must do: decode every frame once.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image

from vad_ssl.video import bikes, decode, probe, read_frames, write_video

ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ask.add_argument("--seconds", type=int, default=30)
ask.add_argument("--height", type=int, default=1080)
ask.add_argument("--fps", type=int, default=30)
given = ask.parse_args()

home = Path(tempfile.mkdtemp())
street = read_frames(bikes(), range(probe(bikes()).frames))
size = given.height * 16 // 9, given.height
large = (np.asarray(Image.fromarray(frame).resize(size)) for frame in cycle(street))
film = write_video(home / "phone.mp4", islice(large, given.seconds * given.fps), given.fps)

began = time.perf_counter()
count = sum(1 for _ in decode(film))
decoding = time.perf_counter() - began

command = [Path(sys.executable).with_name("vad-ssl"), "predict", film, "--out", home / "out"]
began = time.perf_counter()
subprocess.run(list(map(str, command)), check=True)
whole = time.perf_counter() - began
print(f"{count} frames of {size}: predict {whole:.0f} s, {whole / decoding:.1f} times decoding")
