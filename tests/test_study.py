"Generated from nbs/81_run.ipynb: change the notebook, then `make export`."
from dataclasses import fields
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import make_actors
from vad_ssl.checkpoint import load_weights
from vad_ssl.parallel import processes
from vad_ssl.predict import build
from vad_ssl.split import split_labelled
from vad_ssl.split import write_manifest
from vad_ssl.train import fit
import math
import os
import pandas as pd
import pytest
import shutil
import socket
import subprocess
import sys
import tempfile
import torch

from vad_ssl.study import (
    METHODS,
    PRESETS,
    ROUTINGS,
    Run,
    WEIGHTS,
    about_of,
    batches_of,
    do,
    fingerprint,
    parts_of,
    read_config,
    resolved,
    run_folder,
    step_of,
    train_run,
    varied,
    videos_of,
    weight,
    write_config,
)


def test_the_fingerprint_changes_with_every_field_but_those_of_the_machine():
    def other(f):
        "Another value of a field."
        if f.metadata["choices"]:
            return next(c for c in f.metadata["choices"] if c != getattr(base, f.name))
        return {bool: not f.default, str: "other"}.get(
            f.type, f.default if f.type in (bool, str) else f.default + 1
        )


    base = Run(method="semi-supervised")
    runs = {f.name: replace(base, **{f.name: other(f)}) for f in fields(Run)}
    assert len({fingerprint(run) for run in runs.values()}) == len(runs) - 3
    same = [name for name, run in runs.items() if fingerprint(run) == fingerprint(base)]
    assert same == ["workers", "keep", "save_every", "tensorboard"]
    assert fingerprint(replace(base, lam=WEIGHTS["semi-supervised"])) == fingerprint(
        base
    )  # the same weight, said in two ways


def test_a_run_that_could_not_be_trained_is_refused_by_field():
    wrong = dict(
        epochs=0,
        steps=-1,
        batch_unlabelled=0,
        seed=-1,
        lam=float("nan"),
        detector="foo",
        frames=2.0,
        hold=1,
        data=3,
    )
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=name):
            Run(**{name: value})


def test_another_method_does_not_inherit_the_weight_of_a_preset():
    assert varied(PRESETS["ucf101_24"], {"method": "mean-teacher"}).lam == -1
    assert varied(PRESETS["ucf101_24"], {"method": "mean-teacher", "lam": 3.0}).lam == 3
    assert varied(PRESETS["ucf101_24"], {"seed": 1}).lam == 0.1
    with pytest.raises(ValueError, match="lam=-0.5: give -1"):
        Run(lam=-0.5)
    with pytest.raises(ValueError, match="method='foo': choose supervised or"):
        Run(method="foo")


def test_a_file_describes_a_run_and_every_preset_survives_being_written():
    home = Path(tempfile.mkdtemp())
    (home / "a.yaml").write_text("preset: jhmdb21\nlr: 1e-5\nepochs: 3\nhold: true\n")
    assert read_config(home / "a.yaml") == replace(PRESETS["jhmdb21"], lr=1e-5, epochs=3, hold=True)
    for run in (*PRESETS.values(), Run(data="a: b # c", lr=1e-7)):
        write_config(home / "b.yaml", run)
        assert read_config(home / "b.yaml") == run


def test_a_wrong_file_is_answered_by_one_line_that_names_file_and_field_and_remedy():
    file = Path(tempfile.mkdtemp()) / "run.yaml"
    cases = {
        "epoch: 3": "no field 'epoch'; the nearest is 'epochs'",
        "epochs: ten": "epochs='ten': give a whole number",
        "lr: fast": "lr='fast': give a number",
        "hold: 1": "hold=1: give true or false",
        "preset: ucf": "choose demo or",
        "detector: big": "choose small or paper",
        "- 3": "give lines such as",
        "a: [": "cannot be read as YAML",
    }
    for text, reason in cases.items():
        file.write_text(text)
        with pytest.raises(ValueError, match="run.yaml: .*" + reason.replace("[", "\\[")) as caught:
            read_config(file)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="none.yaml"):
        read_config(file.with_name("none.yaml"))


def test_the_presets_have_the_settings_of_the_paper():
    p = PRESETS["ucf101_24"]
    assert (p.size, p.frames, p.stride, p.batch_labelled, p.batch_unlabelled) == (224, 8, 2, 4, 4)
    assert (p.lr, p.schedule, p.epochs, p.lam, p.lam1, p.lam2) == (1e-4, "plateau", 100, 0.1, 0.3, 0.7)
    assert [round(p.trust * p.epochs, 6) for p in (PRESETS["ucf101_24"], PRESETS["jhmdb21"])] == [
        10,
        10,
    ]
    assert (PRESETS["jhmdb21"].epochs, PRESETS["jhmdb21"].label_fraction) == (50, 0.3)
    assert p.trimmed and not Run().trimmed


def test_a_run_without_a_weight_takes_its_method_s():
    assert (
        weight(Run(method="semi-supervised")) == WEIGHTS["semi-supervised"] > 0
        and weight(Run(method="semi-supervised", lam=0.0)) == 0
    )
    assert set(WEIGHTS) == set(METHODS) and PRESETS["ucf101_24"].lam == 0.1
    quirky = step_of(Run(method="semi-supervised", attention="logits", window=3, lam=0.1)).keywords
    assert {k: v for k, v in quirky.items() if k != "views"} == dict(
        quirk="logits", lam=0.1, warmup=0.4, trust=0.11, frames=3
    )
    for method in METHODS:  # every step takes the views of the run
        weak, strong = step_of(Run(method=method, strength=2.0)).keywords["views"]
        far = strong(500, 48)
        assert (
            far.by.abs().max() == 12
            and 0.25 < (far.factor - 1).abs().max() < 0.3
            and (weak(3).factor == 1).all()
        )
    for other in ({"lam1": 0.3}, {"lam2": 0.5}, {"hold": False}, {"cyclic": False}):
        with pytest.raises(ValueError, match="attention='logits': one quirk at a time"):
            Run(attention="logits", **other)


@pytest.fixture(scope="module")
def setup_1():
    data = make_actors(Path(tempfile.mkdtemp()) / "actors", train=5, test=1, workers=1)
    out = Path(tempfile.mkdtemp())
    tiny = Run(data=str(data), width=8, batch_labelled=2, batch_unlabelled=2, epochs=2, steps=2)
    rows = [do(replace(tiny, method=method), out, bar=False) for method in METHODS]
    return SimpleNamespace(data=data, out=out, tiny=tiny, rows=rows)


def test_fewer_unlabelled_videos_and_further_ones(setup_1):
    data = setup_1.data
    tiny = setup_1.tiny
    train, _, _ = videos_of(tiny)
    lab, everything, _ = parts_of(tiny, train)
    _, few, _ = parts_of(replace(tiny, unlabelled=2.0), train)
    assert len(few) == 2 * len(lab) < len(everything) and {v.name for v in few} < {
        v.name for v in everything
    }
    assert len({v.name.split("/")[0] for v in few}) > 3  # drawn from all classes
    _, more, _ = parts_of(replace(tiny, extra=str(data)), train)
    assert len(more) > len(everything) and all(v.label < 0 and not v.tubes for v in more)


def test_trimmed_unlabelled_videos_begin_with_their_action_and_tell_nothing_else(setup_1):
    tiny = setup_1.tiny
    train, _, _ = videos_of(tiny)
    (_, as_they_are, _), (_, cut, _) = (
        parts_of(tiny, train),
        parts_of(replace(tiny, trimmed=True), train),
    )
    begin = {v.name: min(t.start for t in v.tubes) for v in train}
    assert [v.name for v in cut] == [v.name for v in as_they_are] and any(begin[v.name] for v in cut)
    assert all(
        v.offset == begin[v.name] and v.n_frames < 32 + 1 and v.label < 0 and not v.tubes for v in cut
    )


def test_a_checkpoint_says_how_its_capsules_are_routed(setup_1):
    tiny = setup_1.tiny
    for routing in ROUTINGS:
        run = replace(tiny, routing=routing, iters=2)
        capsules = build(about_of(run, list("ab"))).capsules
        assert (capsules.routing, capsules.iters) == (ROUTINGS[routing].get("routing", "em"), 2)
    assert build(about_of(replace(tiny, routing="em, plain"), list("ab"))).capsules.em == {
        "tau": 1.0,
        "relative": False,
    }


def test_a_row_has_the_promised_columns_and_plausible_values(setup_1):
    rows = setup_1.rows
    need = [
        "method",
        "seed",
        "label_fraction",
        "f_map_20",
        "f_map_50",
        "v_map_20",
        "v_map_50",
        "accuracy",
        "steps",
        "seconds",
    ]
    assert [row["method"] for row in rows] == list(METHODS)
    for row in rows:
        assert set(need) <= set(row) and row["steps"] == 4 and row["videos"] == 8
        assert (
            0 <= row["f_map_50"] <= row["f_map_20"] <= 100 and row["strict_f_map_50"] <= row["f_map_50"]
        )


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
        fit(
            model,
            METHODS["semi-supervised"](semi),
            batches_of(semi, videos),
            1,
            Path(tempfile.mkdtemp()),
            bar=False,
        )
        trained.append(model.state_dict())
    assert len(keep) == 8 < len(train)
    assert all(torch.equal(trained[0][k], trained[1][k]) for k in trained[0])


@pytest.fixture(scope="module")
def setup_2(setup_1):
    tiny = setup_1.tiny
    import shutil

    own = Path(tempfile.mkdtemp())
    boxes = []
    for v in videos_of(tiny)[0][::10]:
        shutil.copy(v.path, own / v.path.name)
        boxes += [
            (v.path.name, k, v.action, tube.start + i, *map(int, box))
            for k, tube in enumerate(v.tubes)
            for i, box in enumerate(tube.boxes)
        ]
    pd.DataFrame(boxes, columns=["video", "tube", "label", "frame", "x1", "y1", "x2", "y2"]).to_csv(
        own / "boxes.csv", index=False
    )
    (own / "broken.avi").write_text("not a video")
    mine = replace(
        tiny,
        data=str(own),
        csv=str(own / "boxes.csv"),
        label_fraction=1.0,
        epochs=1,
        method="semi-supervised",
    )
    return SimpleNamespace(shutil=shutil, own=own, boxes=boxes, v=v, mine=mine)


def test_own_videos_and_one_table_are_enough_and_a_broken_file_is_skipped_and_named_or_stops_training(setup_2):
    own = setup_2.own
    boxes = setup_2.boxes
    v = setup_2.v
    mine = setup_2.mine
    shutil.copy(next(own.glob("v_*.avi")), own / "more.avi")  # a video without boxes
    with pytest.warns(UserWarning, match="skipped broken"):
        path = train_run(replace(mine, bad_files=1), Path(tempfile.mkdtemp()), bar=False)
    assert load_weights(path)[1]["classes"] == sorted({row[2] for row in boxes})
    assert {v.name for v in parts_of(mine, videos_of(mine)[0])[1]} == {"broken", "more"}
    with pytest.raises(ValueError, match="broken"):
        train_run(replace(mine, bad_files=0), Path(tempfile.mkdtemp()), bar=False)
    with pytest.raises(ValueError, match="csv=.*give the folder"):
        videos_of(Run(csv="boxes.csv"))


def test_a_manifest_decides_the_split(setup_1, setup_2):
    tiny = setup_1.tiny
    v = setup_2.v
    train = videos_of(tiny)[0]
    labelled, unlabelled = split_labelled(train, 0.5, seed=7)
    file = Path(tempfile.mkdtemp()) / "split.csv"
    write_manifest(file, labelled[1:], unlabelled)  # one video is in neither part
    parts = parts_of(replace(tiny, manifest=str(file)), train)
    assert [v.name for v in parts[0]] == sorted(v.name for v in labelled[1:]) and len(parts[1]) == len(
        unlabelled
    )
    assert all(not v.tubes for v in parts[1]) and parts[2] == []


def test_validation_videos_are_taken_from_the_labelled_ones_and_decide_which_epoch_is_used(setup_1, setup_2):
    tiny = setup_1.tiny
    v = setup_2.v
    run = replace(tiny, label_fraction=0.8, validation=0.4, epochs=2)
    train = videos_of(run)[0]
    labelled, unlabelled, held = parts_of(run, train)
    names = [{v.name for v in part} for part in (labelled, unlabelled, held)]
    assert (
        len(names[0])
        and len(names[2]) >= 8
        and len(set.union(*names)) == sum(map(len, names)) == len(train)
    )
    folder = train_run(run, Path(tempfile.mkdtemp()), bar=False).parent
    log = pd.read_csv(folder / "log.csv")
    best = (
        folder / f"step-{int(log.epoch[log.validation.idxmax()]) * run.steps:08d}" / "model.safetensors"
    )
    for name, value in load_weights(best)[0].items():
        assert torch.equal(value, load_weights(folder / "model.safetensors")[0][name])


def test_an_epoch_of_zero_steps_is_one_pass_over_the_unlabelled_videos(setup_1):
    tiny = setup_1.tiny
    train = videos_of(tiny)[0]
    assert (
        resolved(replace(tiny, steps=0), train).steps == math.ceil(32 / 2)
        and resolved(tiny, train) == tiny
    )
    assert resolved(replace(tiny, steps=0, label_fraction=1.0), train).steps == 40 / 2


def test_the_configuration_of_a_run_lies_beside_its_results(setup_1):
    out = setup_1.out
    tiny = setup_1.tiny
    folder = run_folder(out, tiny)
    assert read_config(folder / "config.yaml") == tiny


@pytest.fixture(scope="module")
def setup_3(setup_1):
    out = setup_1.out
    tiny = setup_1.tiny
    pair = replace(
        tiny,
        method="semi-supervised",
        batch_labelled=4,
        batch_unlabelled=4,
        epochs=2,
        steps=2,
        lam1=0.5,
    )


    def launched(run, processes):
        "Log and output of a run in some processes on the CPU."
        out, file = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "run.yaml"
        write_config(file, run)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        job = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc_per_node",
            str(processes),
            "--master_port",
            str(port),
            "-m",
            "vad_ssl.cli",
            "train",
            "--config",
            str(file),
            "--out",
            str(out),
        ]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
        done = subprocess.run(job, capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == 0, done.stderr
        return pd.read_csv(run_folder(out, run) / "log.csv"), done.stdout


    log2, printed = launched(pair, 2)
    log1 = pd.read_csv(train_run(pair, Path(tempfile.mkdtemp()), bar=False).parent / "log.csv")
    return SimpleNamespace(pair=pair, launched=launched, log2=log2, printed=printed, log1=log1)


def test_two_processes_give_the_losses_of_one(setup_3):
    log2 = setup_3.log2
    printed = setup_3.printed
    log1 = setup_3.log1
    assert log1.drop(columns="seconds").shape == log2.drop(columns="seconds").shape == (2, 7)
    for name in ("spread", "localisation", "class consistency", "place consistency", "total"):
        torch.testing.assert_close(
            torch.tensor(log1[name][0]), torch.tensor(log2[name][0]), rtol=1e-5, atol=1e-6
        )
        torch.testing.assert_close(
            torch.tensor(log1[name]), torch.tensor(log2[name]), rtol=1e-3, atol=1e-4
        )
    assert (
        "2 processes" in printed and printed.count("epoch   1") == 1
    )  # two processes, of which one speaks


def test_a_batch_that_processes_cannot_share_is_refused_by_field(setup_1):
    tiny = setup_1.tiny
    with pytest.raises(
        ValueError, match="batch_labelled=2: not a multiple of 4 .2 processes, accumulate=2"
    ):
        batches_of(replace(tiny, accumulate=2), videos_of(tiny)[0], (0, 2))


def test_a_recomputed_encoder_changes_no_loss(setup_1):
    tiny = setup_1.tiny
    logs = [
        pd.read_csv(
            train_run(
                replace(tiny, batch_labelled=4, epochs=1, steps=2, **how),
                Path(tempfile.mkdtemp()),
                bar=False,
            ).parent
            / "log.csv"
        )
        for how in ({}, {"checkpointing": True})
    ]
    assert logs[0].total[0] == pytest.approx(logs[1].total[0], rel=1e-5)
