"Generated from nbs/94_report.ipynb: change the notebook, then `make export`."
from PIL import Image
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import actors
from vad_ssl.config import PRESETS
from vad_ssl.config import Run
from vad_ssl.config import vary
import numpy as np
import pandas as pd
import pytest
import re
import tempfile
import time

from vad_ssl.report import _about, _filled, arms, demo, gap_closed, page, quartiles, verdict


def test_the_quartiles_of_nine():
    assert quartiles(pd.Series(range(9), index=list("abcdefghi"))) == ["e", "c", "g"]
    assert quartiles(pd.Series([2.0, 1.0], index=["x", "y"])) == ["y", "y", "x"]


def test_films_of_several_sizes_stand_in_one_picture():
    cells = [np.full((2, 4, wide, 3), 7, np.uint8) for wide in (3, 5)]
    narrow, broad = (_filled(cell, 5) for cell in cells)
    assert narrow.shape == broad.shape and (broad == cells[1]).all()
    assert (narrow[:, :, :3] == 7).all() and (narrow[:, :, 3:] == 255).all()


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


def test_half_of_a_gap():
    three = pd.DataFrame({"method": list("abc"), "f_map_50": [40.0, 50.0, 60.0]})
    assert gap_closed(three, "f_map_50").tolist() == [0, 50, 100]
    assert gap_closed(three.assign(f_map_50=[60.0, 70.0, 60.0]), "f_map_50").isna().all()  # no gap
    three = three.assign(f_map_50=[10.0, 9.9, 90.0])
    assert [f"{x:.0f}" for x in gap_closed(three, "f_map_50")] == ["0", "0", "100"]


def test_what_the_report_says_of_its_runs_is_what_they_were():
    usual = vary(PRESETS["pretrained"], method="supervised")
    told = _about(usual, [0])
    assert "seed 0)" in told and "name other drawn motions. Settings were chosen" in told
    assert "Settings" not in _about(vary(usual, epochs=1), [0])
    told = _about(vary(PRESETS["demo"], root="/my/films"), [3, 4])
    assert "training videos in films,\nseeds 3, 4)" in told and "random weights. Scores" in told


def test_the_arms_of_the_demo_share_all_but_what_makes_them():
    four = arms(PRESETS["pretrained"])
    assert {run.network.weights for run in four.values()} == {"drawn"}
    assert len({run.training for run in four.values()}) == 1
    assert [run.data.label_fraction for run in four.values()] == [0.2, 0.2, 0.2, 1.0]
    for preset in PRESETS.values():
        assert len(arms(preset)) == 4
    for name, value in (("method", "mixmatch"), ("attention", "gradient"), ("lam", 5.0)):
        with pytest.raises(ValueError, match=f"{name}={value}: every arm"):
            arms(vary(PRESETS["pretrained"], **{name: value}))


@pytest.fixture(scope="module")
def setup_1():
    data = actors(train=5, test=1)
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
    names = ["supervised", "semi-supervised", "teacher", "supervised, all labels"]
    assert table.method.tolist() == names
    assert table.steps.tolist() == [2] * 4
    text = (out / "report.html").read_text()
    assert text.count("<img") == text.count('src="data:image/') == 2 + 4
    assert text.index("data:image/webp") < text.index("<table")
    moving = Image.open(out / "demo.webp")
    assert moving.n_frames > 8 and moving.height == 3 * 150 + 20
    assert (out / "demo.webp").stat().st_size < 600_000
    assert not re.search(r"<script|<link|https?:", re.sub(r'src="data:[^"]*"', "", text))


def test_a_second_demo_reuses_the_first(setup_1):
    out = setup_1.out
    base = setup_1.base
    scores = setup_1.scores
    import time

    began = time.perf_counter()
    assert demo(out, base=base, bar=False).equals(scores)
    assert time.perf_counter() - began < 60
