"""How fast the inspector answers: `python benchmarks/inspector.py [--size 224]`.

The first computation (a forward pass over both views, all masks, packing) happens once, in Python.
After that a frame is redrawn by the browser alone: nine panels, curves and formulas. With Chromium
and Playwright present the time of each redraw is measured there.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch

from vad_ssl.detector import small_detector
from vad_ssl.inspector import Inspector


def redraws(page: Path, frames: int, rounds: int = 5) -> list:
    "Milliseconds of every redraw while the frame slider moves, as the page itself measures them."
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(page.as_uri())
        tab.wait_for_function("typeof window.viewer.move === 'function'")
        times = [
            tab.evaluate(f"viewer.move({k}), Number(viewer.root.dataset.milliseconds)")
            for _ in range(rounds)
            for k in range(frames)
        ]
        browser.close()
    return times[frames:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--frames", type=int, default=8)
    args = parser.parse_args()
    torch.manual_seed(0)
    clip, model = torch.rand(3, args.frames, args.size, args.size), small_detector(24)
    began = time.perf_counter()
    inspector = Inspector(clip, model)
    looked = time.perf_counter()
    page = inspector.to_html(Path(tempfile.mkdtemp()) / "page.html")
    packed = time.perf_counter()
    shape = f"{args.frames}x{args.size}x{args.size}"
    print(
        f"{shape}, {torch.get_num_threads()} threads: first computation {looked - began:.2f} s, "
        f"page {packed - looked:.2f} s, {page.stat().st_size / 1e6:.1f} MB"
    )
    try:
        times = redraws(page, args.frames)
    except Exception as error:
        return print(f"redraws not measured: {str(error).splitlines()[0]}")
    print(
        f"a frame is redrawn in {statistics.median(times):.0f} ms (median of {len(times)}), "
        f"{max(times):.0f} ms at most"
    )


if __name__ == "__main__":
    main()
