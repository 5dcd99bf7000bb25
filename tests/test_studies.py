"Generated from nbs/82_studies.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
from vad_ssl import studies
from vad_ssl.actors import actors
from vad_ssl.config import PRESETS
from vad_ssl.config import Run
from vad_ssl.config import Run as Imported
from vad_ssl.config import vary
from vad_ssl.run import check_taken
import pandas as pd
import pytest
import shutil
import tempfile

from vad_ssl.studies import STUDIES, Study, _OURS, _alone, _table, file_name, grid, pretrained, study


def test_results_from_scratch_and_pretrained_have_files_of_their_own():
    assert file_name("comparison", Run()) == "comparison"
    assert file_name("comparison", pretrained(Run())) == "comparison-drawn"
    assert pretrained(Run()) == PRESETS["pretrained"]
    objects_run = PRESETS["vos"]
    assert pretrained(objects_run) == vary(objects_run, architecture="flat", weights="drawn")


def test_every_row_of_every_study_is_a_run_that_could_be_trained():
    for name, study in STUDIES.items():
        if study.draws:
            continue
        yours = dict(root="somewhere", extra="elsewhere" * (name == "real-videos"))
        mine = vary(study.base, **yours)
        runs = [run for _, run in grid(name, [0, 1], mine)]
        assert len(set(runs)) == len(runs) == 2 * len(study.yours or study.rows)
        drawn = grid(name, [0], vary(pretrained(study.base), **yours))
        for run in (*runs, *(run for _, run in drawn)):
            check_taken(run)
    shares = {run.data.label_fraction for _, run in grid("labels", [0], vary(Run(), root="my"))}
    assert shares == {0.05, 0.1, 0.15, 0.2, 1.0}
    assert dict(grid("controls", [0], vary(Run(), epochs=3)))["twice the steps"].training.epochs == 6
    with pytest.raises(ValueError, match="choose consistency, comparison"):
        grid("everything", [0])
    with pytest.raises(ValueError, match="--extra"):
        grid("extra", [0], vary(Run(), root="somewhere"))
    with pytest.raises(ValueError, match="needs --extra"):
        grid("real-videos", [0], vary(Run(), root="somewhere"))
    mine = vary(Run(), root="somewhere", extra="elsewhere")
    used = {row: run.data.extra for row, run in grid("real-videos", [0], mine)}
    assert used.pop("other actions") == "elsewhere" and set(used.values()) == {""}


@pytest.fixture(scope="module")
def setup_1():
    data = actors(train=5, test=1)
    small = dict(width=8, batch_labelled=2, batch_unlabelled=2, epochs=1, steps=1)
    tiny = vary(Run(), root=str(data), **small)
    out = Path(tempfile.mkdtemp())
    scores = study("unlabelled", out, seeds=1, base=tiny, bar=False)
    return SimpleNamespace(data=data, small=small, tiny=tiny, out=out, scores=scores)


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


def test_runs_side_by_side_give_the_same_table(setup_1):
    data = setup_1.data
    small = setup_1.small
    scores = setup_1.scores
    from vad_ssl import studies  # processes of their own import the package, they do not know this page
    from vad_ssl.config import Run as Imported

    base = studies.vary(Imported(), root=str(data), **small)
    both = studies.study("unlabelled", Path(tempfile.mkdtemp()), 1, base, jobs=2, bar=False)
    pd.testing.assert_frame_equal(both.drop(columns="seconds"), scores.drop(columns="seconds"))


@pytest.fixture
def setup_2():
    done = []


    def noted(todo, *_):
        "No run is done; that it was asked for is noted."
        done.extend(run for _, run in todo)
        yield from ((k, {"row": row, "seed": run.seed}) for k, (row, run) in enumerate(todo))
    return SimpleNamespace(done=done, noted=noted)


def test_rows_that_are_one_run_are_done_once(setup_1, setup_2):
    tiny = setup_1.tiny
    done = setup_2.done
    noted = setup_2.noted
    done.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study.__globals__, "results", noted)
        rows = {"a": {}, "b": {"lr": 1e-3}, "c": {**_OURS, "lam": 30.0}, "d": _OURS, "e": {"lr": 0.5}}
        patch.setitem(STUDIES, "twins", Study(rows))
        found = study("twins", Path(tempfile.mkdtemp()), 2, tiny, bar=False)
    assert found.row.tolist() == 2 * list(rows) and len(done) == 6
    assert found.seed.tolist() == [0] * 5 + [1] * 5


def test_a_study_with_a_row_from_scratch_has_one_table_named_after_its_base(setup_1, setup_2):
    tiny = setup_1.tiny
    noted = setup_2.noted
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study.__globals__, "results", noted)
        for first in ("a", "b"):
            rows = {row: {"weights": "" if row == first else "drawn"} for row in ("a", "b")}
            patch.setitem(STUDIES, "mixed", Study(rows))
            folder = Path(tempfile.mkdtemp())
            study("mixed", folder, 2, vary(tiny, weights="drawn", width=16), bar=False)
            assert [p.name for p in folder.glob("*.csv")] == ["mixed-drawn.csv"]


def test_a_name_that_looks_like_a_number_is_read_as_a_name():
    file = Path(tempfile.mkdtemp()) / "a.csv"
    names = {
        "run": ["12e4567890", "0012345678"],
        "data": ["1e9", "2"],
        "commit": ["12e4567", "0123456"],
    }
    pd.DataFrame(names).to_csv(file, index=False)
    assert _table(file).to_dict("list") == names


def test_a_table_goes_on_without_the_folder_of_its_runs_and_other_data_start_anew(setup_1):
    tiny = setup_1.tiny
    out = setup_1.out
    scores = setup_1.scores
    elsewhere = Path(tempfile.mkdtemp())
    shutil.copy(out / "unlabelled.csv", elsewhere)
    pd.testing.assert_frame_equal(study("unlabelled", elsewhere, 1, tiny, bar=False), scores)
    assert not (elsewhere / "runs").exists()
    table = pd.read_csv(elsewhere / "unlabelled.csv").assign(data="others")
    table.to_csv(elsewhere / "unlabelled.csv", index=False)
    anew = study("unlabelled", elsewhere, 1, tiny, bar=False)
    assert len(list(elsewhere.glob("runs/*"))) == 5 and (anew.data == scores.data).all()


def test_rows_and_seeds_that_are_not_asked_for_stay_and_settings_that_are_not_these_go(setup_1):
    tiny = setup_1.tiny
    out = setup_1.out
    scores = setup_1.scores
    grown = study("unlabelled", out, 2, tiny, bar=False, only=("1x",))
    assert grown[["row", "seed"]].values.tolist() == [[row, 0] for row in scores.row] + [["1x", 1]]
    kept = study("unlabelled", out, 1, tiny, bar=False, only=("2x",))
    pd.testing.assert_frame_equal(kept, grown)
    written = pd.read_csv(out / "unlabelled.csv", dtype={"run": str, "commit": str})  # not 6362e77
    pd.testing.assert_frame_equal(written, grown)
    shorter = study("unlabelled", out, 1, vary(tiny, clip_len=4), bar=False, only=("1x",))
    assert shorter.row.tolist() == ["1x"] and not set(shorter.run) & set(grown.run)
    assert len(pd.read_csv(out / "unlabelled-1.csv")) == len(grown)  # set aside, and found again:
    again = study("unlabelled", out, 2, tiny, bar=False, only=("1x",))
    assert again.run.tolist() == grown.run[grown.row == "1x"].tolist()
    with pytest.raises(ValueError, match="no row '4x': choose supervised; 1x"):
        study("unlabelled", out, 1, tiny, only=("4x",))


def test_a_table_of_something_else_is_refused_and_so_are_a_folder_that_no_row_takes_and_a_second_process(setup_1):
    tiny = setup_1.tiny
    out = setup_1.out
    other = Path(tempfile.mkdtemp()) / "controls.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="not the table of a study"):
        study("controls", other.parent, 1, tiny, bar=False)
    other.write_text("")
    with pytest.raises(ValueError, match="controls.csv: not the table of a study"):
        study("controls", other.parent, 1, tiny, bar=False)
    other.rename(out / "notes.csv")  # beside the table of a study it is in nobody's way
    assert "1x" in set(study("unlabelled", out, 1, tiny, bar=False, only=("1x",)).row)
    with pytest.raises(ValueError, match="no row takes --extra"):
        grid("comparison", [0], vary(Run(), extra="videos"))
    with _alone(out / "unlabelled.csv"), pytest.raises(ValueError, match="another process"):
        study("unlabelled", out, 1, tiny, bar=False)
