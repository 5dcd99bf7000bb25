"Generated from nbs/80_config.ipynb: change the notebook, then `make export`."
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated
from typing import Literal
from typing import get_args
from typing import get_origin
from typing import get_type_hints
import numpy as np
import pytest
import re
import tempfile

from vad_ssl.config import (
    Machine,
    Odd,
    PRESETS,
    Run,
    _Count,
    _LATER,
    _Share,
    _sections,
    fingerprint,
    read_config,
    record,
    settings,
    vary,
    weight,
    write_config,
)


@pytest.fixture(scope="module")
def setup_1():
    @record
    class Cake:
        layers: _Count = 2
        sugar: _Share = 0.5
        icing: Literal["none", "lemon"] = "none"
        candles: int | None = None
        tiers: tuple[int, int] = (2, 1)
        window: Annotated[int, Odd(1)] = 5
    return SimpleNamespace(Cake=Cake)


def test_a_record_refuses_by_field(setup_1):
    Cake = setup_1.Cake
    assert Cake(sugar=1, candles=3) == Cake(sugar=1.0, candles=3)
    wrong = {"layers": 0, "sugar": float("nan"), "icing": "mint", "candles": "three", "window": 4}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"{name}="):
            Cake(**{name: value})
    with pytest.raises(ValueError, match="window=4: give an odd number of at least 1"):
        Cake(window=4)
    with pytest.raises(ValueError, match="layers=2.0: give a whole number"):
        Cake(layers=2.0)
    for tiers in (112, (48,), (0, 48), ("a", "b")):
        with pytest.raises(ValueError, match="tiers=.*give 2 whole numbers above 0"):
            Cake(tiers=tiers)


def test_a_number_is_kept_in_the_type_of_its_field_however_it_was_given(setup_1):
    Cake = setup_1.Cake
    for sugar in (1, 1.0, np.float64(1), np.float32(1), np.int64(1)):
        assert type(Cake(sugar=sugar).sugar) is float and Cake(sugar=sugar) == Cake(sugar=1.0)
    cake = Cake(layers=np.int64(3), candles=np.uint8(2))
    assert (type(cake.layers), type(cake.candles)) == (int, int)
    for name in ("sugar", "layers", "candles"):
        with pytest.raises(ValueError, match=f"{name}=True: give a"):
            Cake(**{name: True})


def test_a_variant_keeps_the_rest_and_another_method_takes_its_own_weight():
    run = vary(Run(), lr=3e-3, method="mean-teacher", strength=1.6)
    assert (run.training.lr, run.clip.strength, run.method) == (3e-3, 1.6, "mean-teacher")
    assert run.training.epochs == Run().training.epochs and vary(run, **settings(run)) == run
    assert len(settings(run)) == len(fields(Run)) - 6 + sum(
        len(fields(p)) for p in _sections(run).values()
    )
    paper = vary(Run(), method="semi-supervised", lam=0.1, warmup=0.0)
    assert vary(paper, method="mean-teacher").consistency.lam is None
    assert vary(paper, method="mean-teacher").consistency.warmup == 0.4
    assert vary(paper, method="mean-teacher", lam=3.0).consistency.lam == 3
    assert vary(paper, seed=1).consistency.lam == 0.1


def test_a_run_that_could_not_be_trained_is_refused_by_field():
    wrong = dict(
        epochs=0,
        steps=-1,
        batch_unlabelled=0,
        seed=-1,
        lam=float("nan"),
        architecture="foo",
        clip_len=2.0,
        hold=1,
        root=3,
        method="foo",
        window=4,
        validation=5.0,
    )
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"{name}="):
            vary(Run(), **{name: value})
    with pytest.raises(ValueError, match="no field 'epoch'; the nearest is 'epochs'"):
        vary(Run(), epoch=3)


def test_the_presets_have_the_settings_of_the_paper():
    p = PRESETS["ucf101_24"]
    assert (p.clip.size, p.clip.clip_len, p.clip.stride) == ((224, 224), 8, 2)
    assert (p.training.batch_labelled, p.training.batch_unlabelled) == (4, 4)
    assert (p.training.lr, p.training.schedule, p.training.epochs) == (1e-4, "plateau", 100)
    assert (p.consistency.lam, p.consistency.lam1, p.consistency.lam2) == (0.1, 0.3, 0.7)
    trusted = [
        PRESETS[k].consistency.trust * PRESETS[k].training.epochs for k in ("ucf101_24", "jhmdb21")
    ]
    assert [round(x, 6) for x in trusted] == [10, 10]
    j = PRESETS["jhmdb21"]
    assert (j.training.epochs, j.data.label_fraction) == (50, 0.3)
    assert p.data.trimmed and not Run().data.trimmed


def test_a_file_describes_a_run_and_every_preset_survives_being_written():
    home = Path(tempfile.mkdtemp())
    (home / "a.yaml").write_text("preset: jhmdb21\nlr: 1e-5\ntraining: {epochs: 3}\nhold: true\n")
    assert read_config(home / "a.yaml") == vary(PRESETS["jhmdb21"], lr=1e-5, epochs=3, hold=True)
    for run in (*PRESETS.values(), vary(Run(), root="a: b # c", lr=1e-7)):
        write_config(home / "b.yaml", run)
        assert read_config(home / "b.yaml") == run


def test_a_wrong_file_is_answered_by_one_line_that_names_file_and_field_and_remedy():
    file = Path(tempfile.mkdtemp()) / "run.yaml"
    cases = {
        "epoch: 3": "no field 'epoch'; the nearest is 'epochs'",
        "trainng: {epochs: 3}": "no section 'trainng'; choose data, clip",
        "training:": "training is a section; give its fields below it",
        "data: {lr: 0.1}": "section data has no field 'lr'",
        "epochs: ten": "epochs='ten': give a whole number",
        "lr: fast": "lr='fast': give a number",
        "hold: 1": "hold=1: give true or false",
        "preset: ucf": "choose demo or",
        "architecture: big": "choose 'small' or 'i3d' or 'paper' or 'flat'",
        "- 3": "give lines such as",
        "a: [": "cannot be read as YAML",
    }
    for text, reason in cases.items():
        file.write_text(text)
        with pytest.raises(ValueError, match="run.yaml: .*" + re.escape(reason)) as caught:
            read_config(file)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="none.yaml"):
        read_config(file.with_name("none.yaml"))


def test_the_fingerprint_changes_with_every_field_but_those_of_the_machine():
    def other(name, value):
        "Another value of a field."
        hints = [
            get_type_hints(type(r), include_extras=True) for r in (base, *_sections(base).values())
        ]
        kind = next(h[name] for h in hints if name in h)
        if get_origin(kind) is Literal:
            return next(c for c in get_args(kind) if c != value)
        if isinstance(value, bool):
            return not value
        if isinstance(value, str):
            return value + "other"
        if isinstance(value, tuple):
            return (7, 7)
        if isinstance(value, int):
            return value + 2
        return value / 2 if value else 0.5


    base = vary(Run(), method="semi-supervised")
    runs = {name: vary(base, **{name: other(name, x)}) for name, x in settings(base).items()}
    same = [name for name, run in runs.items() if fingerprint(run) == fingerprint(base)]
    places = {"root", "csv", "manifest", "extra", "part", "actions", "test_videos"}
    places |= {"bad_files", "on_nan"}
    assert set(same) == places | {f.name for f in fields(Machine)}
    assert len({fingerprint(run) for run in runs.values()}) == len(runs) - len(same) + 1
    assert fingerprint(vary(base, lam=weight(base))) == fingerprint(base)  # said in two ways
    assert fingerprint(vary(base, lam=30)) == fingerprint(vary(base, lam=30.0))
    assert fingerprint(vary(Run(), lr=np.float64(1e-3))) == fingerprint(Run())
    file = Path(tempfile.mkdtemp()) / "run.yaml"
    file.write_text("strength: 2\n")
    assert fingerprint(read_config(file)) == fingerprint(vary(Run(), strength=2.0))


def test_runs_from_before_a_field_was_added_keep_their_names():
    assert fingerprint(Run()) == "023fa69aee"
    assert fingerprint(vary(Run(), method="mean-teacher", strength=1.6, seed=3)) == "f75af70039"
    assert fingerprint(PRESETS["ucf101_24"]) == "0c21a0ac9f"
    assert _LATER.keys() <= settings(Run()).keys()
