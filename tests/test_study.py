"Generated from nbs/22_study.ipynb: change the notebook, then `make export`."
from dataclasses import asdict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import make_actors
from vad_ssl.predict import build
from vad_ssl.split import split_labelled
from vad_ssl.train import fit
import pytest
import tempfile
import torch

from vad_ssl.study import METHODS, Run, batches_of, do, fingerprint, run_folder, videos_of


def test_the_fingerprint_changes_with_every_field():
    base = Run()
    assert fingerprint(base) == fingerprint(Run())
    texts = dict(method="semi-supervised", data="elsewhere", detector="paper", schedule="plateau")
    others = [replace(base, **{name: texts.get(name, value) if isinstance(value, str) else value + 1})
              for name, value in asdict(base).items()]
    assert len({fingerprint(r) for r in [base, *others]}) == len(others) + 1


def test_a_run_that_could_not_be_trained_is_refused_by_field():
    for name, value in dict(epochs=0, steps=-1, batch_unlabelled=0, seed=-1, lam=float("nan"), detector="foo").items():
        with pytest.raises(ValueError, match=name):
            Run(**{name: value})


@pytest.fixture(scope="module")
def setup_1():
    data = make_actors(Path(tempfile.mkdtemp()) / "actors", train=5, test=1, workers=1)
    out = Path(tempfile.mkdtemp())
    tiny = Run(data=str(data), width=8, batch_labelled=2, batch_unlabelled=2, epochs=2, steps=2)
    rows = [do(replace(tiny, method=method), out, bar=False) for method in METHODS]
    return SimpleNamespace(data=data, out=out, tiny=tiny, rows=rows)


def test_a_row_has_the_promised_columns_and_plausible_values(setup_1):
    rows = setup_1.rows
    need = ["method", "seed", "label_fraction", "f_map_20", "f_map_50", "v_map_20", "v_map_50", "accuracy", "steps", "seconds"]
    assert [row["method"] for row in rows] == ["supervised", "semi-supervised"]
    for row in rows:
        assert set(need) <= set(row) and row["steps"] == 4 and row["videos"] == 8
        assert 0 <= row["f_map_50"] <= row["f_map_20"] <= 100 and row["strict_f_map_50"] <= row["f_map_50"]


def test_a_run_is_not_done_twice_and_a_new_one_does_not_find_the_old(setup_1):
    out = setup_1.out
    tiny = setup_1.tiny
    rows = setup_1.rows
    folder = run_folder(out, tiny)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert do(tiny, out, bar=False) == rows[0]
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert run_folder(out, replace(tiny, lr=0.5)) != folder


def test_the_same_run_in_another_folder_gives_the_same_scores(setup_1):
    tiny = setup_1.tiny
    rows = setup_1.rows
    again = do(tiny, Path(tempfile.mkdtemp()), bar=False)
    drop = lambda row: {k: v for k, v in row.items() if k != "seconds"}
    assert drop(again) == drop(rows[0])


def test_corrupting_unlabelled_annotations_leaves_trained_weights_bit_identical(setup_1):
    tiny = setup_1.tiny
    semi = replace(tiny, method="semi-supervised", epochs=1)
    train, _, classes = videos_of(semi)
    keep = {v.name for v in split_labelled(train, semi.label_fraction, semi.seed)[0]}
    spoilt = [v if v.name in keep else replace(v, tubes=v.tubes[:0], action="nonsense") for v in train]
    trained = []
    for videos in (train, spoilt):
        torch.manual_seed(0)
        model = build({"detector": "small", "width": 8, "classes": classes})
        fit(model, METHODS["semi-supervised"](semi), batches_of(semi, videos), 1, Path(tempfile.mkdtemp()), bar=False)
        trained.append(model.state_dict())
    assert len(keep) == 8 < len(train)
    assert all(torch.equal(trained[0][k], trained[1][k]) for k in trained[0])
