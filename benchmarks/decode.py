"""Speed of decoding: `python benchmarks/decode.py [--video FILE ...]`.

A random clip (8 frames, stride 2) by `read_frames` against decoding the whole video with the same
decoder and picking the frames, in the same run and on the same files; then the same for longer
videos; then clips a second by number of workers. The files are drawn: moving texture and noise,
320 x 240, in the encodings that the data sets use. `jump` files are entered at a keyframe, `walk`
files (see `vad_ssl.video.can_jump`) are decoded from the start. Give real files with --video.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import av
import numpy as np
import pandas as pd
from tqdm import tqdm

from vad_ssl.records import Video
from vad_ssl.split import Clips, loaders
from vad_ssl.video import clip_indices, decode, fetch, probe, probe_file, read_frames


def texture(n, seed=0, h=240, w=320):
    "Blocks that drift, a square that crosses, noise: `n` frames."
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 255, (h // 8, w // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    for i in range(n):
        frame = np.roll(ground, (i // 3, i), (0, 1)).astype(np.int16)
        frame[60 + i % 80 : 140 + i % 80, 3 * i % 240 : 3 * i % 240 + 60] = (200, 40, 60)
        yield np.clip(frame + rng.integers(-6, 7, frame.shape), 0, 255).astype(np.uint8)


def encode(path, n, codec, gop, b_frames, seed=0):
    "One file."
    with av.open(str(path), "w") as container:
        s = container.add_stream(codec, rate=25)
        s.height, s.width, s.pix_fmt = 240, 320, "yuv420p"
        s.codec_context.gop_size, s.codec_context.max_b_frames = gop, b_frames
        if codec == "mpeg4":
            s.bit_rate = 10**6
        for f in texture(n, seed):
            container.mux(
                s.encode(av.VideoFrame.from_ndarray(f, format="rgb24").reformat(format="yuv420p"))
            )
        container.mux(s.encode())
    return path


def timed(call, repeats):
    "Median milliseconds."
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return 1000 * np.median(taken)


def compare(name, path, repeats):
    "A clip against the whole video, by the same decoder."
    warnings.simplefilter("ignore")
    probe_file.cache_clear()
    first = timed(lambda: probe(path), 1)
    info, rng = probe(path), np.random.default_rng(0)

    def clip():
        return clip_indices(int(rng.integers(info.frames)), info.frames)

    def part():
        return read_frames(path, clip())

    def whole():
        frames = fetch(path, range(info.frames)) if info.seekable else np.stack(list(decode(path)))
        return frames[clip()]

    whole()  # warm the disk's cache
    part()
    ours, theirs = timed(part, 3 * repeats), timed(whole, repeats)
    return {
        "file": name,
        "frames": info.frames,
        "way": "jump" if info.seekable else "walk",
        "first look, ms": first,
        "clip, ms": ours,
        "whole video, ms": theirs,
        "times faster": theirs / ours,
    }


def show(rows):
    "A table."
    print(pd.DataFrame(rows).round(1).to_string(index=False), "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", nargs="*", default=[], help="real files to time as well")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2, 4])
    args = parser.parse_args()
    kinds = {
        "MPEG-4 avi, keyframe every 12 (as UCF101)": ("a.avi", "mpeg4", 12, 0),
        "H.264 mp4, keyframe every 12": ("b.mp4", "libx264", 12, 0),
        "H.264 mp4, B-frames, keyframe every 250": ("c.mp4", "libx264", 250, 3),
        "MPEG-4 avi, B-frames": ("d.avi", "mpeg4", 12, 2),
    }
    with tempfile.TemporaryDirectory() as box:
        print("A random clip of 8 frames against the whole video, 150 frames")
        files = {
            name: encode(Path(box, how[0]), 150, *how[1:])
            for name, how in tqdm(kinds.items(), disable=None)
        }
        show(
            [
                compare(name, path, args.repeats)
                for name, path in (files | {v: Path(v) for v in args.video}).items()
            ]
        )

        print("The same as videos grow (MPEG-4 avi): the clip's time should stay flat")
        longer = {
            n: encode(Path(box, f"long{n}.avi"), n, "mpeg4", 12, 0)
            for n in (75, 150, 300, 600, 1200)
        }
        show([compare(f"{n} frames", path, args.repeats) for n, path in longer.items()])

        print("Clips a second by number of loader processes (batches of 8, crops of 112 x 112)")
        paths = [
            encode(Path(box, f"v{i}.avi"), 150, "mpeg4", 12, 0, i)
            for i in tqdm(range(8), disable=None)
        ]
        clips, rows = Clips([Video(p.stem, p, n_frames=150) for p in paths], labelled=False), []
        for workers in args.workers:
            pairs = loaders(clips, None, 8, 0, 40, workers)
            next(iter(pairs))  # start the processes
            start = time.perf_counter()
            n = sum(len(batch["clip"]) for batch, _ in pairs)
            rows.append({"workers": workers, "clips a second": n / (time.perf_counter() - start)})
        show(
            [
                row | {"times one process": row["clips a second"] / rows[0]["clips a second"]}
                for row in rows
            ]
        )


if __name__ == "__main__":
    main()
