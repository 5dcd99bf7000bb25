"Generated from nbs/82_studies.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import make_actors
from vad_ssl.report import arms
from vad_ssl.study import Run
import matplotlib
import pandas as pd
import pytest
import tempfile

from vad_ssl.studies import STUDIES, figure, grid, paired, study, table


def test_every_row_of_every_study_is_a_run_that_could_be_trained():
    for name, rows in STUDIES.items():
        if name in ("extra", "further"):  # draw their videos
            continue
        runs = [run for _, run in grid(name, Run(data="somewhere"), [0, 1])]
        assert len(runs) == 2 * len(rows) + 8 * (name == "labels") and len(set(runs)) == len(runs)
    assert {run.label_fraction for _, run in grid("labels", Run(data="somewhere"), [0])} == {
        0.05,
        0.1,
        0.15,
        0.2,
        1.0,
    }
    assert dict(grid("controls", Run(epochs=3), [0]))["twice the steps"].epochs == 6
    from vad_ssl.report import (
        arms,
    )  # the demo's third arm is the best configuration, and its first two are rows of the comparison

    first, second, third = arms(Run())
    assert third == dict(grid("best", Run(), [0]))["mean teacher"]
    assert (first, second) == tuple(
        dict(grid("comparison", Run(), [0]))[row] for row in ("supervised", "ours")
    )
    with pytest.raises(ValueError, match="choose consistency, comparison"):
        grid("everything", Run(), [0])
    with pytest.raises(ValueError, match="--extra"):
        grid("extra", Run(data="somewhere"), [0])


@pytest.fixture(scope="module")
def setup_1():
    data = make_actors(Path(tempfile.mkdtemp()) / "actors", train=5, test=1, workers=1)
    tiny = Run(data=str(data), width=8, batch_labelled=2, batch_unlabelled=2, epochs=1, steps=1)
    out = Path(tempfile.mkdtemp())
    scores = study("unlabelled", out, seeds=1, base=tiny, bar=False)
    return SimpleNamespace(data=data, tiny=tiny, out=out, scores=scores)


def test_a_study_has_one_row_a_run_and_a_second_call_trains_nothing(setup_1):
    tiny = setup_1.tiny
    out = setup_1.out
    scores = setup_1.scores
    assert scores.row.tolist() == ["supervised", "1x", "2x", "3x", "all"] and scores.run.nunique() == 5
    before = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/*") if p.is_file()}
    again = study("unlabelled", out, seeds=1, base=tiny, bar=False)
    pd.testing.assert_frame_equal(again, scores)
    with pytest.raises(ValueError, match="seeds=0, jobs=1: give at least 1"):
        study("controls", out, seeds=0)
    assert {p: p.stat().st_mtime_ns for p in out.glob("runs/*/*") if p.is_file()} == before


@pytest.fixture
def setup_2():
    toy = pd.DataFrame(
        {"row": ["a"] * 3 + ["b"] * 3, "seed": [0, 1, 2] * 2, "score": [30, 40, 35, 38, 50, 47]}
    )
    return SimpleNamespace(toy=toy)


def test_the_interval_worked_by_hand(setup_2):
    toy = setup_2.toy
    b = paired(toy, "score", "a").loc["b"]
    assert (b["mean"], b.n, b.gain, b.positive) == (45, 3, 10, 3)
    assert b.low == pytest.approx(10 - 4.9683, abs=1e-3) and b.high == pytest.approx(
        10 + 4.9683, abs=1e-3
    )
    assert paired(toy, "score", "a").loc["a", "gain"] == 0


def test_the_table_says_mean_spread_gain_and_interval(setup_2):
    toy = setup_2.toy
    text = table(toy, ("score",)).loc["b"]
    with_study = table(
        toy.assign(study="consistency", row=toy.row.replace({"a": "supervised", "b": "CC"})), ("score",)
    )
    assert with_study.loc["CC", "paper: f"] == 65.0 and "paper: f" not in table(toy, ("score",))
    assert text["score"] == "45.0 ± 6.2" and text["gain in s"] == "+10.0 [+5.0, +15.0], 3 of 3"


def test_the_figure_has_a_panel_a_metric_and_a_dot_a_run(setup_1):
    scores = setup_1.scores
    import matplotlib

    matplotlib.use("agg")
    fig = figure(scores, ("f_map_20", "v_map_20"))
    assert len(fig.axes) == 2 and sum(len(line.get_xdata()) for line in fig.axes[0].lines) >= len(
        scores
    )
