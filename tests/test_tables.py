"Generated from nbs/83_tables.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.config import PRESETS
from vad_ssl.config import vary
from vad_ssl.objects import objects
from vad_ssl.studies import study
import matplotlib
import numpy as np
import pandas as pd
import pytest
import tempfile

from vad_ssl.tables import PICTURED, _telling, details, figure, metric_name, paired, read_details, table


@pytest.fixture
def setup_1():
    toy = pd.DataFrame(
        {"row": ["a"] * 3 + ["b"] * 3, "seed": [0, 1, 2] * 2, "score": [30, 40, 35, 38, 50, 47]}
    )
    return SimpleNamespace(toy=toy)


def test_the_interval_worked_by_hand(setup_1):
    toy = setup_1.toy
    b = paired(toy, "score", "a").loc["b"]
    assert (b["mean"], b.n, b.gain, b.positive) == (45, 3, 10, 3)
    assert (b.low, b.high) == pytest.approx((10 - 4.9683, 10 + 4.9683), abs=1e-3)
    assert paired(toy, "score", "a").loc["a", "gain"] == 0
    two = paired(toy, "score", "a", shared=2).loc["b"]
    assert (two.low, two.high) == pytest.approx((10 - 7.1655, 10 + 7.1655), abs=1e-3)
    level = paired(toy.assign(score=toy.row.map({"a": 1, "b": 3})), "score", "a").loc["b"]
    assert (level.low, level.gain, level.high) == (2, 2, 2)  # the same gain on every seed


def test_the_table_says_mean_spread_gain_and_interval(setup_1):
    toy = setup_1.toy
    text = table(toy, ("score",)).loc["b"]
    names = toy.row.replace({"a": "supervised", "b": "CC"})
    with_study = table(toy.assign(study="consistency", row=names), ("score",))
    assert metric_name("strict_v_map_50") == "strict v-mAP@0.5"
    assert with_study.loc["CC", "paper: f"] == 65.0 and "paper: f" not in table(toy, ("score",))
    lonely = toy[(toy.row == "b") | (toy.seed == toy.seed.min())]  # a pair of one seed only
    assert table(lonely, ("score",), "a").loc["b", "gain in s"].count("[") == 0
    both = table(toy.assign(f_map_20=toy.score, f_map_50=2 * toy.score), ("f_map_20", "f_map_50"))
    assert [c for c in both if "gain" in c] == ["gain in f-mAP@0.2", "gain in f-mAP@0.5"]
    assert text["score"] == "45.0 ± 6.2" and text["gain in s"] == "+10.0 [+5.0, +15.0], 3 of 3"


def test_the_figure_has_a_panel_a_metric_and_a_dot_a_run():
    import matplotlib

    matplotlib.use("agg")
    made = pd.DataFrame({"row": list("aabb"), "seed": [0, 1, 0, 1], "x": range(4), "y": range(4)})
    fig = figure(made, ("x", "y"))
    dots = sum(len(line.get_xdata()) for line in fig.axes[0].lines)
    assert len(fig.axes) == 2 and dots >= len(made)


@pytest.fixture(scope="module")
def setup_2():
    root = objects(train=4, valid=1)
    small = dict(width=4, batch_labelled=2, batch_unlabelled=2, epochs=2, steps=1)
    tiny = vary(PRESETS["vos"], root=str(root), **small)
    out = Path(tempfile.mkdtemp())
    creatures = study("vos", out, 1, tiny, bar=False)
    return SimpleNamespace(root=root, small=small, tiny=tiny, out=out, creatures=creatures)


def test_details_are_those_of_the_rows_and_the_picked_objects_follow_the_rule(setup_2):
    out = setup_2.out
    creatures = setup_2.creatures
    lines = details(creatures, out)
    assert set(lines.row) == set(creatures.row) and {"video", "object", "J", "F"} <= set(lines.columns)
    assert len(details(creatures, Path(tempfile.mkdtemp()))) == 0  # a table without its runs
    assert len(details(creatures.assign(data="other-videos"), out)) == 0
    for earlier in (creatures.drop(columns="data"), creatures.assign(data=np.nan)):
        assert len(details(earlier, out)) == 0
    odd = Path(tempfile.mkdtemp()) / "odd.csv"
    odd.write_text("video,iou\n007,0.5\nNA,\n")
    assert read_details(odd).video.tolist() == ["007", "NA"] and read_details(odd).iou.isna().sum() == 1
    first = lines[(lines.row == creatures.row[0])]
    mean = first.groupby(["video", "object"])[["J", "F"]].mean()
    assert len(mean) == creatures.objects[0]
    picks = _telling(lines, PICTURED["vos"])
    assert [caption.split(":")[0] for caption in picks] == [
        "gains most",
        "loses most",
        "followed worst",
    ]
