"""A real film through the packaged detector: the picture of the landing page.

python benchmarks/street.py [--frame 122] [--out docs/_static/street.png]

One clip of the street film that everyone can fetch, around one frame: what the detector of the
package marks on the clip (above) and on its mirror image, carried back (below).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from vad_ssl.panels import look, read_clip
from vad_ssl.predict import load_detector, overlay, sight
from vad_ssl.video import bikes

ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ask.add_argument("--frame", type=int, default=122)
ask.add_argument("--out", type=Path, default=Path("docs/_static/street.png"))
given = ask.parse_args()

model, about = load_detector()
clip, _, _ = read_clip(bikes(), sight(about), given.frame)
seen = look(model, clip)
frames = (clip.permute(1, 2, 3, 0).numpy() * 255).round().astype(np.uint8)
shown = np.linspace(0, len(frames) - 1, 4).round().astype(int)
rows = [np.concatenate(overlay(frames, x.numpy())[shown], 1) for x in (seen.loc1, seen.loc2)]
Image.fromarray(np.concatenate(rows)).save(given.out, optimize=True)
best = seen.activations.topk(3)
print(
    [
        (about["classes"][k], round(a, 2))
        for k, a in zip(best.indices.tolist(), best.values.tolist())
    ]
)
