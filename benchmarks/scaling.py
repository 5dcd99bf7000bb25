"""What an update costs as work grows: `python benchmarks/scaling.py` writes benchmarks/scaling.csv.

One update is both views of a batch (half of it labelled) forward and backward, and Adam. One factor
is varied at a time: frames of a clip, side of the frame, clips a batch, processes (that share the
batch). Every point runs in processes of its own, one thread each; median wall and CPU seconds (of a
process) of the updates after the first, and peak memory. The small detector covers the whole range,
the paper's a few points. On a GPU: not measured.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from vad_ssl.detector import paper_detector, small_detector
from vad_ssl.objective import Progress, semi_supervised_step
from vad_ssl.parallel import engine
from vad_ssl.train import _Engine, _prepared, _update

BASE = {
    "small": dict(frames=8, size=112, batch=4, processes=1),
    "paper": dict(frames=8, size=112, batch=4, processes=1),
}
GRID = {
    "small": dict(
        frames=(8, 16, 24, 32), size=(112, 160, 224, 320), batch=(2, 4, 8, 16), processes=(2,)
    ),
    "paper": dict(frames=(8, 16), size=(112, 160, 224), batch=(2, 4), processes=(2,)),
}


def batch_of(frames, size, batch, processes):
    "This process's share of a labelled and of an unlabelled batch, as bytes."
    n = batch // 2 // processes
    one, two = torch.randint(0, 256, (2, n, 3, frames, size, size), dtype=torch.uint8)
    mask = torch.rand(n, 1, frames, size, size) > 0.7
    return {"clip": one, "mask": mask, "label": torch.arange(n) % 24}, {"clip": two}


def measure(detector, updates, **point):
    "Median seconds of an update, wall and CPU, and peak MiB."
    torch.set_num_threads(1)
    torch.manual_seed(0)
    accelerator = engine()
    net = {"small": small_detector, "paper": paper_detector}[detector](24)
    adam = torch.optim.Adam(net.parameters(), 1e-4)
    model, optimiser = _prepared(net.train(), adam, accelerator, False)
    work = _Engine(model, semi_supervised_step, optimiser, accelerator, None, None)
    pair, taken = batch_of(**point), []
    for k in range(updates + 1):
        began = time.perf_counter(), time.process_time()
        _update(work, [(k, *pair, Progress(5.0, 10))], 0)
        taken.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )
    if accelerator.is_main_process:
        wall, cpu = (round(statistics.median(each), 3) for each in zip(*taken[1:]))
        print(json.dumps({"seconds": wall, "cpu": cpu, "MiB": round(peak)}))


def run(detector, updates, port, **point):
    "One point in processes of its own."
    start = [sys.executable]
    if point["processes"] > 1:
        start += [
            "-m",
            "torch.distributed.run",
            "--nproc_per_node",
            str(point["processes"]),
            "--master_port",
            str(port),
        ]
    words = [str(word) for name, value in point.items() for word in (f"--{name}", value)]
    job = [*start, __file__, "--detector", detector, "--updates", str(updates), *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    out = subprocess.run(job, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
    return json.loads(next(line for line in out.splitlines() if line.startswith("{")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--port", type=int, default=29871, help="for two processes to meet")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    for name in ("detector", "frames", "size", "batch", "processes"):
        parser.add_argument(
            f"--{name}", type=str if name == "detector" else int, help=argparse.SUPPRESS
        )
    args = parser.parse_args()
    if args.detector:
        point = {name: getattr(args, name) for name in ("frames", "size", "batch", "processes")}
        return measure(args.detector, args.updates, **point)
    points = [
        (d, f, {**BASE[d], f: v})
        for d, grid in GRID.items()
        for f, values in grid.items()
        for v in values
    ]
    known, rows = {}, []
    for d, f, point in tqdm(points):  # the base is measured once
        key = (d, *point.values())
        known[key] = known.get(key) or run(d, args.updates, args.port, **point)
        rows.append({"detector": d, "varied": f, **point, **known[key]})
        pd.DataFrame(rows).to_csv(args.out, index=False)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
