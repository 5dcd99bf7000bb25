"Generated from nbs/94_report.ipynb: change the notebook, then `make export`."
from PIL import Image
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import make_actors
from vad_ssl.config import PRESETS
from vad_ssl.config import Run
from vad_ssl.config import vary
from vad_ssl.studies import grid
import pandas as pd
import pytest
import re
import tempfile
import time

from vad_ssl.report import arms, demo, page, pick, verdict


def test_picking_is_evenly_spaced_and_never_too_much():
    assert pick(list(range(9))) == [0, 3, 6] and pick([1, 2]) == [1, 2] and pick([]) == []


def test_a_page_is_self_contained_and_escapes_what_it_is_given():
    text = page("a < b", ["x & y", pd.DataFrame({"f": [1.25]}), (b"png", "a picture")])
    assert (
        "a &lt; b" in text
        and "x &amp; y" in text
        and "<td>1.2</td>" in text
        and 'alt="a picture"' in text
    )
    assert "http" not in text and "<script" not in text


def test_the_verdict_compares_every_arm_with_the_first():
    table = pd.DataFrame(
        {
            "method": ["a", "b"],
            "seed": [0, 0],
            "f_map_50": [40.0, 50.0],
            "v_map_50": [30.0, 20.0],
            "videos": [8, 8],
        }
    )
    assert "f-mAP@0.5: a 40.0, b 50.0 (+10.0); v-mAP@0.5: a 30.0, b 20.0 (-10.0)" in verdict(table)
    twice = pd.concat([table, table.assign(seed=1)])
    assert "One seed" in verdict(table) and "Means of 2 seeds" in verdict(twice)


def test_the_arms_of_the_demo_are_rows_of_the_studies():
    first, second, third = arms(PRESETS["demo"])
    assert third == dict(grid("best", [0]))["mean teacher"]
    rows = dict(grid("comparison", [0]))
    assert (first, second) == (rows["supervised"], rows["ours"])


@pytest.fixture(scope="module")
def setup_1():
    data = make_actors(Path(tempfile.mkdtemp()) / "actors", train=5, test=1, workers=1)
    out = Path(tempfile.mkdtemp())
    small = dict(width=8, batch_labelled=2, batch_unlabelled=2, epochs=1, steps=2)
    base = vary(Run(), root=str(data), **small)
    scores = demo(out, base=base, bar=False)
    return SimpleNamespace(data=data, out=out, small=small, base=base, scores=scores)


def test_the_demo_writes_everything_it_promises(setup_1):
    out = setup_1.out
    promised = {"scores.csv", "curves.png", "demo.webp", "inspector.html", "report.html"}
    assert promised <= {p.name for p in out.iterdir()}
    table = pd.read_csv(out / "scores.csv")
    assert table.method.tolist() == ["supervised", "semi-supervised", "mean-teacher"]
    assert table.steps.tolist() == [2, 2, 8]
    text = (out / "report.html").read_text()
    assert text.count("<img") == text.count('src="data:image/') == 2 + 3 * 3
    assert Image.open(out / "demo.webp").n_frames > 8 and (out / "demo.webp").stat().st_size < 400_000
    assert not re.search(r"<script|<link|https?:", re.sub(r'src="data:[^"]*"', "", text))


def test_a_second_demo_reuses_the_first(setup_1):
    out = setup_1.out
    base = setup_1.base
    scores = setup_1.scores
    import time

    began = time.perf_counter()
    assert demo(out, base=base, bar=False).equals(scores)
    assert time.perf_counter() - began < 60
