"""Speed of the metrics: `python benchmarks/metrics.py`.

Frame-AP and video-AP run against direct loops over detections, in the same run and on the same
tables. `plain` uses nothing but Python numbers, box by box; `numpy` makes one small numpy call a
detection (for tubes: a pair of tubes), as published evaluators do. The input imitates a detector on
UCF101-24's test set before suppression: 24 classes, 910 videos of 150 frames.
"""

import argparse
import time
from functools import partial

import numpy as np
import pandas as pd
import torch

from vad_ssl.ap import BOX, FRAME, TUBE, average_precision, frame_ap, video_ap
from vad_ssl.detector import small_detector
from vad_ssl.files import box_iou
from vad_ssl.predict import localise
from vad_ssl.protocol import video_record


def actors(rng, videos, classes, length=150):
    "Truth: one or two actors a video, random walks of boxes; columns of TUBE, frame, BOX."
    tables = []
    for v in range(videos):
        for k in range(1 + (rng.random() < 0.25)):
            xy = np.cumsum(rng.normal(0, 2, (length, 2)), 0) + rng.uniform(20, 160, 2)
            boxes = np.c_[xy, xy + rng.uniform(30, 90, 2)]
            keys = dict(video=f"v_{v:04d}", label=v % classes, tube=k, frame=np.arange(length))
            tables.append(pd.DataFrame(keys | dict(zip(BOX, boxes.T))))
    return pd.concat(tables, ignore_index=True)


def detections(rng, truth, n, classes):
    "`n` boxes near true ones, one in five of another class."
    table = (
        truth.iloc[rng.integers(0, len(truth), n)]
        .reset_index(drop=True)
        .assign(score=rng.random(n))
    )
    table[BOX] += rng.normal(0, 8, (n, 4))
    return table.assign(
        label=np.where(rng.random(n) < 0.2, rng.integers(0, classes, n), table.label)
    )


def tubes(rng, truth, n):
    "`n` tubes that follow a true one for a while, several to an actor."
    actor = list(truth.groupby(TUBE))
    tables = []
    for k in range(n):
        (_, boxes) = actor[rng.integers(len(actor))]
        boxes = boxes.iloc[rng.integers(0, 8) : len(boxes) - rng.integers(0, 8)]
        boxes = boxes.assign(tube=k, score=rng.random())
        boxes[BOX] += rng.normal(0, 12, 4) + rng.normal(0, 2, (len(boxes), 4))
        tables.append(boxes)
    return pd.concat(tables, ignore_index=True)


def plain_iou(a, b):
    "Overlap of two boxes."
    w, h = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
    if w <= 0 or h <= 0:
        return 0.0
    return (
        w
        * h
        / ((a[2] - a[0] + 1) * (a[3] - a[1] + 1) + (b[2] - b[0] + 1) * (b[3] - b[1] + 1) - w * h)
    )


def greedy(ranked, truth, overlaps, threshold):
    "AP of every class, a detection at a time; `ranked`: (class, place, thing), best first."
    hits, n = {}, {}
    for (label, _), things in truth.items():
        n[label] = n.get(label, 0) + len(things)
    for label, place, thing in ranked:
        left = truth.get((label, place))
        found = overlaps(thing, left) if left else [-1.0]
        best = max(found)
        hits.setdefault(label, []).append(best >= threshold)
        if best >= threshold:
            left.pop(list(found).index(best))
    return pd.Series({c: average_precision(hits.get(c, []), n[c]) for c in sorted(n)})


def frame_ap_loop(found, truth, threshold=0.5, numpy=False):
    "Frame-AP by a loop over boxes."
    boxes = {}
    for v, c, f, *box in truth[[*FRAME, *BOX]].itertuples(index=False, name=None):
        boxes.setdefault((c, (v, f)), []).append(np.array(box) if numpy else box)
    rows = sorted(
        found[["score", *FRAME, *BOX]].itertuples(index=False, name=None), key=lambda row: -row[0]
    )

    def plain(box, left):
        return [plain_iou(box, x) for x in left]

    def small(box, left):
        return box_iou(np.array(box), np.array(left))

    ranked = ((c, (v, f), box) for _, v, c, f, *box in rows)
    return greedy(ranked, boxes, small if numpy else plain, threshold)


def video_ap_loop(found, truth, threshold=0.5, nms=0.3, numpy=False):
    "Video-AP by a loop over tubes, and (`plain`) over the frames of each."

    def group(table, columns):
        out = {}
        for v, c, k, f, *rest in table[[*TUBE, "frame", *columns]].itertuples(
            index=False, name=None
        ):
            out.setdefault((c, v), {}).setdefault(k, {})[f] = rest
        if not numpy:
            return out
        return {key: {k: as_array(tube) for k, tube in tubes.items()} for key, tubes in out.items()}

    def as_array(tube):
        return min(tube), max(tube), np.array(list(tube.values()))

    def plain(a, b):
        return sum(plain_iou(a[f], b[f]) for f in a if f in b) / len(a.keys() | b.keys())

    def small(a, b):
        low, high = max(a[0], b[0]), min(a[1], b[1])
        if high < low:
            return 0.0
        shared = [boxes[low - start : high + 1 - start, :4] for start, _, boxes in (a, b)]
        return box_iou(*shared).sum() / (max(a[1], b[1]) - min(a[0], b[0]) + 1)

    def score(tube):
        if numpy:
            return tube[2][:, 4].mean()
        return sum(box[4] for box in tube.values()) / len(tube)

    overlap = small if numpy else plain
    ranked = []
    for (label, video), things in group(found, [*BOX, "score"]).items():
        kept = []
        for tube in sorted(things.values(), key=score, reverse=True):
            if all(overlap(tube, other) <= nms for other in kept):
                kept.append(tube)
        ranked += [(label, video, tube) for tube in kept]
    ranked.sort(key=lambda x: -score(x[2]))
    true = {k: list(v.values()) for k, v in group(truth, BOX).items()}
    return greedy(ranked, true, lambda tube, left: [overlap(tube, x) for x in left], threshold)


def seconds(run, repeat):
    "Best of `repeat` runs, and what the last one returned."
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        out = run()
        times.append(time.perf_counter() - start)
    return min(times), out


def main():
    "Print one line a measure."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detections", type=int, default=200_000)
    parser.add_argument("--tubes", type=int, default=5_000)
    parser.add_argument("--classes", type=int, default=24)
    parser.add_argument("--videos", type=int, default=910)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    truth = actors(rng, args.videos, args.classes)
    some = truth[truth.video < f"v_{min(args.videos, max(args.tubes // 20, args.classes)):04d}"]
    work = [
        (
            "frame-AP",
            frame_ap,
            frame_ap_loop,
            detections(rng, truth, args.detections, args.classes),
            truth,
        ),
        ("video-AP", video_ap, video_ap_loop, tubes(rng, some, args.tubes), some),
    ]
    for name, fast, loop, found, true in work:
        t_fast, ours = seconds(partial(fast, found, true), 5)
        print(
            f"{name}: {len(found)} boxes, {len(true)} true ones, {len(ours)} classes, "
            f"mAP {100 * ours.mean():.1f}: {t_fast:.3f} s"
        )
        for kind in ("plain", "numpy"):
            t_loop, slow = seconds(partial(loop, found, true, numpy=kind == "numpy"), 2)
            print(
                f"  {kind} loop {t_loop:.2f} s, {t_loop / t_fast:.1f} times slower, "
                f"largest difference {np.abs(ours - slow).max():.0e}"
            )
    prob = rng.random((160, 112, 112), dtype=np.float32)
    t_record, _ = seconds(
        lambda: video_record(prob, prob > 0.7, 0, np.ones((20, args.classes))), 20
    )
    model, frames = (
        small_detector(args.classes),
        torch.randint(0, 256, (3, 160, 112, 112), dtype=torch.uint8),
    )
    t_forward, _ = seconds(lambda: localise(model, frames), 3)
    print(
        f"paper's protocol: {1000 * t_record:.2f} ms for 160 frames of 112 x 112, "
        f"{t_record / t_forward:.2%} of the {1000 * t_forward:.0f} ms that the small detector "
        "takes for them"
    )


if __name__ == "__main__":
    main()
