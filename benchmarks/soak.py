"""Does training leak? `python benchmarks/soak.py [--minutes 60]`.

Trains and evaluates short demo runs in one process, again and again, with loader workers, and
prints memory, processes and open files after each. The first third of the rounds is compared with
the last: exit status 1 if anything grew.
"""

import argparse
import gc
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil

from vad_ssl.config import Run, vary
from vad_ssl.run import do

SLACK = {"MiB": 30, "processes": 0, "files": 0}  # what the median of the last third may have more


def round_of(k):
    "One short run: both methods in turn, a worker for each loader, then all test videos."
    method = ("supervised", "semi-supervised")[k % 2]
    run = vary(Run(), method=method, seed=k, epochs=2, steps=20, workers=1, keep=1, save_every=10)
    with tempfile.TemporaryDirectory() as out:
        do(run, Path(out), bar=False)


def state():
    "Memory, processes, open files."
    gc.collect()
    me = psutil.Process()
    processes = 1 + len(me.children(recursive=True))
    return {"MiB": me.memory_info().rss / 2**20, "processes": processes, "files": me.num_fds()}


def grown(table):
    "What grew from the first third to the last: name -> by how much."
    third = max(1, len(table) // 3)
    more = table[list(SLACK)].tail(third).median() - table[list(SLACK)].head(third).median()
    return {name: value for name, value in more.items() if value > SLACK[name]}


def main():
    "Run, print, judge."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    args = parser.parse_args()
    began, rows = time.perf_counter(), []
    while not rows or rows[-1]["minutes"] < args.minutes:
        round_of(len(rows))
        rows.append(
            {"round": len(rows) + 1, "minutes": (time.perf_counter() - began) / 60, **state()}
        )
        print(
            "  ".join(
                f"{k} {v:.1f}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items()
            ),
            flush=True,
        )
    table = pd.DataFrame(rows).iloc[1:]  # the first round fills caches
    leaks = grown(table) if len(table) > 2 else {}
    print(f"{len(rows)} rounds; grew: {leaks or 'nothing'}")
    sys.exit(bool(leaks))


if __name__ == "__main__":
    main()
