"Generated from nbs/81_run.ipynb: change the notebook, then `make export`."
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.actors import actors
from vad_ssl.checkpoint import load_weights
from vad_ssl.checkpoint import save_weights
from vad_ssl.config import PRESETS
from vad_ssl.config import ROUTINGS
from vad_ssl.config import Run
from vad_ssl.config import TASKS
from vad_ssl.config import method_of
from vad_ssl.config import read_config
from vad_ssl.config import vary
from vad_ssl.config import write_config
from vad_ssl.data import read_data
from vad_ssl.detection import DETECTION
from vad_ssl.detection import METHODS
from vad_ssl.files import TrainingError
from vad_ssl.i3d import kinetics_path
from vad_ssl.i3d import kinetics_weights
from vad_ssl.objects import objects
from vad_ssl.parallel import processes
from vad_ssl.predict import PACKAGED
from vad_ssl.predict import card
from vad_ssl.pretrain import drawn_weights
from vad_ssl.records import data_key
from vad_ssl.split import split_labelled
from vad_ssl.train import Parts
from vad_ssl.train import fit
from vad_ssl.train import steps_of
from vad_ssl.vos_scores import OBJECTS
from vad_ssl.vos_scores import categories
from vad_ssl.vos_scores import load_vos
import contextlib
import io
import json
import os
import pandas as pd
import pytest
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import torch

from vad_ssl.run import (
    _alone,
    _fresh,
    _load_encoder,
    _unread,
    about_of,
    check_taken,
    commit,
    do,
    package_run,
    parts_of,
    run_folder,
    score_objects,
    score_run,
    step_of,
    train_run,
)


def test_a_step_has_the_options_of_its_run():
    step = step_of(vary(Run(), method="semi-supervised", lam=7.0, hold=False, strength=1.6))
    assert (step.keywords["lam"], step.keywords["hold"]) == (7.0, False)
    assert step.keywords["views"][1].keywords == {"strength": 1.6, "zoom": 0.15}
    assert set(step_of(Run()).keywords) == {"views"}  # nothing else concerns supervision
    assert step_of(vary(PRESETS["vos"], method="semi-supervised")).keywords["lam"] == 30


def test_drawn_weights_fill_the_encoder_and_nothing_else_and_are_refused_where_they_do_not_fit():
    about = about_of(Run(), list("ab"))
    fresh, warm = (_fresh(vary(Run(), weights=w), about).state_dict() for w in ("", "drawn"))
    same = {name for name in fresh if torch.equal(fresh[name], warm[name])}
    assert all(name.startswith("encoder.") for name in fresh.keys() - same)
    assert "encoder.scales.0.0.weight" not in same and "primary.pose.weight" in same
    with pytest.raises(ValueError, match="only architecture=i3d"):
        _fresh(vary(Run(), learns="none"), about)
    with pytest.raises(ValueError, match="encoder_rate=0.1: with learns=none nothing"):
        _fresh(vary(Run(), architecture="i3d", learns="none", encoder_rate=0.1), about)
    for wrong in ({"width": 8}, {"architecture": "paper"}):
        with pytest.raises(ValueError, match="architecture=small.*task=detection"):
            _load_encoder(vary(Run(), weights="drawn", **wrong), None)


def test_kinetics_weights_fill_the_encoder_of_both_real_detectors():
    if not kinetics_path().exists():
        pytest.skip("Kinetics weights are not on this machine")
    known = kinetics_weights()["Mixed_4f.b0.conv3d.weight"]
    for architecture in ("i3d", "paper"):
        run = vary(Run(), architecture=architecture, weights="kinetics")
        weights = _fresh(run, about_of(run, list("ab"))).state_dict()
        assert torch.equal(weights["encoder.i3d.Mixed_4f.b0.conv3d.weight"], known)


def test_a_checkpoint_says_how_its_capsules_are_routed():
    for routing in ROUTINGS:
        run = vary(Run(), routing=routing, iters=2)
        capsules = DETECTION.network(about_of(run, list("ab"))).capsules
        assert (capsules.routing, capsules.iters) == (ROUTINGS[routing].get("routing", "em"), 2)
    plain = DETECTION.network(about_of(vary(Run(), routing="em, plain"), list("ab"))).capsules
    assert plain.em == {"tau": 1.0, "relative": False}


def test_the_commit_of_a_repository_in_which_the_package_is_only_installed_is_not_ours():
    if not shutil.which("git"):
        pytest.skip("there is no git")
    home = Path(tempfile.mkdtemp())
    (home / "__init__.py").touch()
    git = "git -c user.name=me -c user.email=me@here".split()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vad_ssl.__file__", str(home / "__init__.py"))
        for words in ("init -q", "commit -q --allow-empty -m theirs"):
            subprocess.run([*git, *words.split()], cwd=home, check=True)
        assert commit() == ""
        for words in ("add __init__.py", "commit -q -m ours"):
            subprocess.run([*git, *words.split()], cwd=home, check=True)
        assert len(commit()) >= 7 and commit().isalnum()
        (home / "__init__.py").write_text("changed")
        assert commit().endswith("+")


def test_only_a_scored_run_on_fixed_features_can_be_packaged():
    folder = Path(tempfile.mkdtemp())
    with pytest.raises(ValueError, match="holds no scored run"):
        package_run(folder, folder / "head.safetensors")
    about = about_of(Run(), list("abcdefgh"))
    save_weights(folder / "model.safetensors", DETECTION.network(about), about)
    (folder / "row-0.json").write_text("{}")
    with pytest.raises(ValueError, match="fixed Kinetics features"):
        package_run(folder, folder / "head.safetensors")


def test_a_packaged_run_tells_its_newest_scores_and_no_place_on_a_disk():
    folder = Path(tempfile.mkdtemp())
    places = dict(root="/me/videos", csv="/me/boxes.csv", manifest="/me/list.csv", extra="/me/more")
    about = about_of(vary(Run(), architecture="i3d", learns="none", width=4, **places), ["a", "b"])
    save_weights(folder / "model.safetensors", DETECTION.network(about), about)
    for when, key in enumerate(("b", "c", "a"), 1):
        (folder / f"row-{key}.json").write_text(json.dumps({"key": key}))
        os.utime(folder / f"row-{key}.json", (when, when))
    package_run(folder, folder / "head.safetensors")
    said = load_weights(folder / "head.safetensors")[1]
    assert said["scores"] == {"key": "a"} and "/me" not in json.dumps(said)


def test_the_packaged_detector_is_a_small_head_that_tells_its_scores_and_not_where_its_videos_lay():
    weights, about = load_weights(PACKAGED)
    assert PACKAGED.stat().st_size < 4e6
    assert not any(about["run"]["data"][place] for place in ("root", "csv", "manifest", "extra"))
    assert not any(name.startswith("encoder") for name in weights)
    print(card(about))


@pytest.fixture(scope="module")
def setup_1():
    data = actors(train=5, test=1)
    out = Path(tempfile.mkdtemp())
    small = dict(width=8, batch_labelled=2, batch_unlabelled=2, epochs=2, steps=2)
    tiny = vary(Run(), root=str(data), **small)
    rows = [do(vary(tiny, method=method), out, bar=False) for method in METHODS]
    return SimpleNamespace(data=data, out=out, small=small, tiny=tiny, rows=rows)


def test_a_row_has_the_promised_columns_and_plausible_values(setup_1):
    rows = setup_1.rows
    need = "method seed label_fraction f_map_20 f_map_50 v_map_20 v_map_50 accuracy steps seconds"
    assert [row["method"] for row in rows] == list(METHODS)
    for row in rows:
        assert set(need.split()) <= set(row) and row["steps"] == 4 and row["videos"] == 8
        assert 0 <= row["f_map_50"] <= row["f_map_20"] <= 100
        assert row["strict_f_map_50"] <= row["f_map_50"]


def test_a_run_is_not_done_twice_and_a_new_one_does_not_find_the_old(setup_1):
    out = setup_1.out
    tiny = setup_1.tiny
    rows = setup_1.rows
    folder = run_folder(out, tiny, parts_of(tiny))
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert do(tiny, out, bar=False) == rows[0]
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    other = vary(tiny, lr=0.5)
    assert run_folder(out, other, parts_of(other)) != folder


def test_the_same_run_in_another_folder_gives_the_same_scores(setup_1):
    tiny = setup_1.tiny
    rows = setup_1.rows
    again = do(tiny, Path(tempfile.mkdtemp()), bar=False)
    assert again | {"seconds": 0} == rows[0] | {"seconds": 0}


def test_corrected_annotations_are_scored_and_trained_again_and_it_is_said(setup_1):
    data = setup_1.data
    tiny = setup_1.tiny
    copy = Path(tempfile.mkdtemp()) / "actors"
    shutil.copytree(data, copy)
    mine, out2 = vary(tiny, root=str(copy), epochs=1), Path(tempfile.mkdtemp())
    first = do(mine, out2, bar=False)
    parts = parts_of(mine)


    def shifted(video):
        "The same record, its boxes two pixels further right."
        return replace(
            video, tubes=tuple(replace(t, boxes=t.boxes + [2, 0, 2, 0]) for t in video.tubes)
        )


    folder = run_folder(out2, mine, parts)
    corrected = parts._replace(test=[shifted(v) for v in parts.test])
    assert run_folder(out2, mine, corrected) == folder
    score_run(mine, corrected, folder, bar=False)
    one, two = (pd.read_csv(path).iou for path in folder.glob("details-*.csv"))
    assert (one != two).any()
    assert score_run(mine, parts, folder, bar=False) == first  # the old ones are found, too
    stored = folder / f"row-{data_key(parts.test)}.json"
    old = json.loads(stored.read_text()) | {"accuracy": -1.0, "measure": 0}  # measured otherwise
    stored.write_text(json.dumps(old))
    assert score_run(mine, parts, folder, bar=False) | {"seconds": 0} == first | {"seconds": 0}
    relabelled = parts._replace(labelled=[shifted(v) for v in parts.labelled])
    assert run_folder(out2, mine, relabelled) != folder
    with pytest.raises(ValueError, match="now the classes are .*'Eel'.*remove .*, or choose another"):
        train_run(mine, out2, parts=parts._replace(classes=[*parts.classes, "Eel"]))
    hidden = parts._replace(unlabelled=parts.unlabelled[1:])
    assert run_folder(out2, mine, hidden) != folder


def test_it_is_said_that_data_changed(setup_1):
    data = setup_1.data
    tiny = setup_1.tiny
    import contextlib
    import io

    copy, here = Path(tempfile.mkdtemp()) / "actors", Path(tempfile.mkdtemp())
    shutil.copytree(data, copy)
    mine = vary(tiny, root=str(copy), epochs=1)
    do(mine, here, bar=False)
    test = next(v for v in parts_of(mine).test)
    said = io.StringIO()
    os.utime(test.path, ns=(1, 1))  # another time is no other film
    with contextlib.redirect_stdout(said):
        do(mine, here, bar=False)
    assert said.getvalue() == ""
    with open(test.path, "ab") as file:
        file.write(b" ")
    with contextlib.redirect_stdout(said):
        do(mine, here, bar=False)
        do(mine, here, bar=False)
    assert said.getvalue().count("videos or annotations changed since ") == 1
    assert said.getvalue().strip().endswith("scored again")
    with open(parts_of(mine).labelled[0].path, "ab") as file:
        file.write(b" ")
    with contextlib.redirect_stdout(said):
        do(mine, here, bar=False)
    assert said.getvalue().strip().endswith("trained again")


def test_corrupting_unlabelled_annotations_leaves_trained_weights_bit_identical(setup_1):
    data = setup_1.data
    tiny = setup_1.tiny
    semi = vary(tiny, method="semi-supervised", epochs=1)
    videos = [v for v in read_data(data) if v.split == "train"]
    keep = {v.name for v in split_labelled(videos, semi.data.label_fraction, semi.seed)[0]}
    spoilt = [v if v.name in keep else replace(v, tubes=v.tubes[:0], action="nonsense") for v in videos]
    trained = []
    for train in (videos, spoilt):
        lab, unl = split_labelled(train, semi.data.label_fraction, semi.seed)
        seen = Parts(lab, unl, [], [], parts_of(semi).classes)
        path = train_run(semi, Path(tempfile.mkdtemp()), bar=False, parts=seen)
        trained.append(load_weights(path)[0])
    assert len(keep) == 8 < len(videos)
    assert all(torch.equal(trained[0][k], trained[1][k]) for k in trained[0])


@pytest.fixture(scope="module")
def setup_2(setup_1):
    out = setup_1.out
    creatures = objects(train=4, valid=1)
    follower = vary(
        PRESETS["vos"],
        root=str(creatures),
        width=4,
        batch_labelled=2,
        batch_unlabelled=2,
        epochs=2,
        steps=1,
    )
    arms = [{}, {"method": "semi-supervised"}, {"method": "semi-supervised", "animated": 1.0}]
    seen = [do(vary(follower, **arm), out, bar=False) for arm in arms]
    return SimpleNamespace(creatures=creatures, follower=follower, arms=arms, seen=seen)


def test_object_segmentation_comes_out_the_same_again_to_the_last_digit(setup_1, setup_2):
    out = setup_1.out
    follower = setup_2.follower
    arms = setup_2.arms
    seen = setup_2.seen
    again = do(vary(follower, **arms[2]), Path(tempfile.mkdtemp()), bar=False)
    assert again | {"seconds": 0} == seen[2] | {"seconds": 0}
    for row in seen:
        assert row["steps"] == 2
        assert all(0 <= row[k] <= 100 for k in ("average", "J_seen", "J_unseen", "F_seen", "F_unseen"))
    with pytest.raises(ValueError, match="method=mixmatch: the task vos knows supervised, semi-"):
        do(vary(follower, method="mixmatch"), out, bar=False)


def test_object_segmentation_starts_from_the_packaged_encoder_flattened_and_says_so_in_its_checkpoint(setup_2):
    follower = setup_2.follower
    flat = vary(follower, architecture="flat", weights="drawn")
    warm = _fresh(flat, about_of(flat, [])).encoder.scales[0][0].weight
    torch.testing.assert_close(warm, drawn_weights()[0]["scales.0.0.weight"].sum(2))
    model, about = load_vos(train_run(flat, Path(tempfile.mkdtemp()), bar=False))
    assert about["detector"] == "flat" and model.encoder.scales[0][0].weight.shape == warm.shape
    for weights, cure in (("drawn", "architecture=flat"), ("kinetics", "nothing")):
        with pytest.raises(ValueError, match=f"weights={weights}: they fit {cure} of task=vos"):
            _fresh(vary(follower, weights=weights), about_of(follower, []))
    with pytest.raises(ValueError, match="architecture=flat: the task detection knows small, i3d"):
        _fresh(vary(Run(), architecture="flat"), about_of(vary(Run(), architecture="flat"), ["a"]))


def test_both_methods_see_the_same_labelled_clips(setup_2):
    follower = setup_2.follower
    parts = parts_of(follower)
    semi = vary(follower, method="semi-supervised")
    (a, none), (b, unl) = (next(iter(OBJECTS.batches(run, parts))) for run in (follower, semi))
    assert none is None and torch.equal(a["clip"], b["clip"]) and torch.equal(a["mask"], b["mask"])
    assert set(unl) == {"clip", "first", "index"}


def test_a_setting_that_a_task_would_not_read_is_refused_by_name(setup_2):
    follower = setup_2.follower
    cases = {
        "vos": dict(attention="none", hold=False, window=3, lam1=0.3, stride=4, routing="pooled"),
        "demo": dict(animated=1.0, quirk="mask of logits"),
    }
    for preset, fields in cases.items():
        for name, value in fields.items():
            with pytest.raises(ValueError, match=f"{name}=.*does not take it; leave it out"):
                check_taken(vary(PRESETS[preset], method="semi-supervised", **{name: value}))
    with pytest.raises(ValueError, match="stride=4: the task vos"):
        parts_of(vary(follower, stride=4))
    with pytest.raises(ValueError, match="architecture=i3d: the task vos knows small, flat, paper"):
        train_run(vary(follower, architecture="i3d", learns="all"), Path(tempfile.mkdtemp()))
    for run in (*PRESETS.values(), vary(Run(), task="vos"), vary(Run(), method="released")):
        check_taken(run)
    check_taken(vary(Run(), method="released", quirk="mask of logits"))
    with pytest.raises(ValueError, match="cyclic=False: attention=apart is about windows over both"):
        check_taken(vary(Run(), method="semi-supervised", attention="apart", cyclic=False))


def test_a_setting_that_only_other_methods_read_is_said_before_training_and_those_that_are_read_are_not():
    masked = dict(attention="gradient", warmup=0.3, decay=0.9)
    for method, unused in (("mean-teacher", ["attention"]), ("semi-supervised", ["decay"])):
        run = vary(Run(), method=method, **masked)
        assert _unread(run, [method_of(run)]) == unused
        check_taken(run)
    supervised = vary(Run(), **masked)
    assert _unread(supervised, [method_of(supervised)]) == [*masked]
    for run in PRESETS.values():
        assert not _unread(run, [method_of(run)])


def test_a_loss_that_is_not_a_number_names_the_videos_of_either_task(setup_1, setup_2):
    tiny = setup_1.tiny
    follower = setup_2.follower
    for run in (tiny, follower):
        run = vary(run, method="semi-supervised")
        parts = parts_of(run)
        batches = TASKS[run.task].batches(run, parts)
        known = {v.name for v in parts.labelled + parts.unlabelled}
        with pytest.raises(TrainingError, match="last good checkpoint: step-00000000") as caught:
            fit(
                nn.Linear(1, 1),
                lambda model, *_: {"nothing": model.weight.sum() * float("nan")},
                batches,
                1,
                Path(tempfile.mkdtemp()),
                bar=False,
            )
        named = str(caught.value).split("on files ")[1].split(";")[0].split(", ")
        assert named and set(named) <= known


def test_categories_are_known_by_name_on_another_data_set_and_by_number_only_on_their_own(setup_1, setup_2):
    out = setup_1.out
    creatures = setup_2.creatures
    follower = setup_2.follower
    seen = setup_2.seen
    other, there = Path(tempfile.mkdtemp()) / "other", Path(tempfile.mkdtemp())
    shutil.copytree(creatures, other)
    meta = json.loads((other / "train" / "meta.json").read_text())
    first = categories(creatures)[0]
    for entry in meta["videos"].values():  # every later category has another number here
        for thing in entry["objects"].values():
            thing["category"] = thing["category"].replace(first, "zebra")
    (other / "train" / "meta.json").write_text(json.dumps(meta))
    checkpoint = train_run(follower, out, bar=False)
    weights, about = load_weights(checkpoint)
    score_objects(checkpoint, other, there)
    frames = pd.read_csv(there / "frames.csv")
    names = frames.label.map(dict(enumerate(categories(other))))
    assert (frames.seen == names.isin(set(about["classes"]))).all() and 0 < frames.seen.mean() < 1
    numbers = [k for k, name in enumerate(about["classes"]) if name]
    model = OBJECTS.network(about)
    model.load_state_dict(weights)
    save_weights(there / "old.safetensors", model, about | {"classes": numbers})
    row = score_objects(there / "old.safetensors", creatures, there)
    assert row.average[0] == seen[0]["average"]
    with pytest.raises(ValueError, match="numbers its categories.*score it on its own"):
        score_objects(there / "old.safetensors", other, there)


def test_of_two_processes_at_one_run_the_second_waits_and_finds_it_trained(setup_1):
    tiny = setup_1.tiny
    import contextlib
    import io
    from concurrent.futures import ThreadPoolExecutor

    home, parts, said = Path(tempfile.mkdtemp()), parts_of(tiny), io.StringIO()
    final = run_folder(home, tiny, parts) / "model.safetensors"
    with ThreadPoolExecutor(1) as pool, contextlib.redirect_stdout(said):
        with _alone(final.parent):
            second = pool.submit(train_run, tiny, home, False, (), parts)
            while not said.getvalue() and not second.done():
                time.sleep(0.01)
            assert "waiting for another process" in said.getvalue() and not second.done()
            final.write_text("trained")
        assert second.result() == final and final.read_text() == "trained"


@pytest.fixture(scope="module")
def setup_3(setup_1):
    data = setup_1.data
    tiny = setup_1.tiny
    own = Path(tempfile.mkdtemp())
    boxes = []
    for v in [v for v in read_data(data) if v.split == "train"][::10]:
        shutil.copy(v.path, own / v.path.name)
        boxes += [
            (v.path.name, k, v.action, tube.start + i, *map(int, box))
            for k, tube in enumerate(v.tubes)
            for i, box in enumerate(tube.boxes)
        ]
    table = own / "boxes.csv"
    columns = ["video", "tube", "label", "frame", "x1", "y1", "x2", "y2"]
    pd.DataFrame(boxes, columns=columns).to_csv(table, index=False)
    (own / "broken.avi").write_text("not a video")
    where = dict(root=str(own), csv=str(table), label_fraction=1.0)
    mine = vary(tiny, epochs=1, method="semi-supervised", **where)
    return SimpleNamespace(own=own, boxes=boxes, v=v, table=table, columns=columns, where=where, mine=mine)


def test_own_videos_and_one_table_are_enough_and_a_broken_file_is_skipped_and_named_or_stops_training(setup_3):
    own = setup_3.own
    boxes = setup_3.boxes
    v = setup_3.v
    mine = setup_3.mine
    shutil.copy(next(own.glob("v_*.avi")), own / "more.avi")  # a video without boxes
    with pytest.warns(UserWarning, match="skipped broken"):
        path = train_run(vary(mine, bad_files=1), Path(tempfile.mkdtemp()), bar=False)
    assert load_weights(path)[1]["classes"] == sorted({row[2] for row in boxes})
    assert {v.path.stem for v in parts_of(mine).unlabelled} == {"broken", "more"}
    with pytest.raises(ValueError, match="broken"):
        train_run(vary(mine, bad_files=0), Path(tempfile.mkdtemp()), bar=False)
    with pytest.raises(ValueError, match="csv=.*give the folder"):
        parts_of(vary(Run(), csv="boxes.csv"))


def test_a_corrected_box_trains_anew(setup_1, setup_3):
    out = setup_1.out
    table = setup_3.table
    mine = setup_3.mine
    before = run_folder(out, mine, parts_of(mine))
    lines = table.read_text().splitlines()
    row = lines[1].split(",")
    row[-1] = str(int(row[-1]) - 1)
    table.write_text("\n".join([lines[0], ",".join(row), *lines[2:]]) + "\n")
    assert run_folder(out, mine, parts_of(mine)) != before


def test_validation_videos_decide_which_epoch_is_used(setup_1):
    tiny = setup_1.tiny
    run = vary(tiny, label_fraction=0.8, validation=0.4, epochs=2)
    kept = {
        "supervised": ("model", ""),
        "mean-teacher": ("teacher", "module."),
        "stable-mean-teacher": ("teacher", "average.module."),
    }
    for method, (name, prefix) in kept.items():
        folder = train_run(vary(run, method=method), Path(tempfile.mkdtemp()), bar=False).parent
        log = pd.read_csv(folder / "log.csv")
        best = folder / f"step-{int(log.epoch[log.validation.idxmax()]) * run.training.steps:08d}"
        stored = load_weights(best / f"{name}.safetensors")[0]
        for key, value in load_weights(folder / "model.safetensors")[0].items():
            assert torch.equal(value, stored[prefix + key])


def test_options_of_a_run_reach_its_teacher(setup_1):
    tiny = setup_1.tiny
    kept = []
    for decay in (0.5, 0.99):
        run = vary(tiny, method="mean-teacher", decay=decay, lam=0.0)  # the same student
        kept.append(load_weights(train_run(run, Path(tempfile.mkdtemp()), bar=False))[0])
    start = _fresh(tiny, about_of(tiny, parts_of(tiny).classes)).state_dict()
    moved = [sum((w[k] - start[k]).abs().sum() for k in start) for w in kept]
    assert moved[0] > 5 * moved[1] > 0  # the slow one stays near the beginning


def test_an_epoch_of_zero_steps_is_one_pass_over_the_unlabelled_videos(setup_1):
    tiny = setup_1.tiny
    parts = parts_of(tiny)
    assert steps_of(vary(tiny, steps=0), parts) == 32 / 2 and steps_of(tiny, parts) == 2
    assert steps_of(vary(tiny, steps=0), parts_of(vary(tiny, label_fraction=1.0))) == 40 / 2


def test_methods_that_need_unlabelled_videos_say_so(setup_1):
    out = setup_1.out
    tiny = setup_1.tiny
    with pytest.raises(ValueError, match="method=mixmatch: there are no unlabelled videos; lower"):
        train_run(vary(tiny, method="mixmatch", label_fraction=1.0), out, bar=False)


def test_the_configuration_of_a_run_lies_beside_its_results(setup_1):
    out = setup_1.out
    tiny = setup_1.tiny
    assert read_config(run_folder(out, tiny, parts_of(tiny)) / "config.yaml") == tiny


@pytest.fixture(scope="module")
def setup_4(setup_1):
    out = setup_1.out
    tiny = setup_1.tiny
    pair = vary(tiny, method="semi-supervised", batch_labelled=4, batch_unlabelled=4, lam1=0.5)


    def launched(run, processes):
        "Log and output of a run in some processes on the CPU."
        out, file = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "run.yaml"
        write_config(file, run)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        job = f"-m torch.distributed.run --nproc_per_node {processes} --master_port {port}"
        job += f" -m vad_ssl.cli train --config {file} --out {out}"
        env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
        command = [sys.executable, *job.split()]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == 0, done.stderr
        return pd.read_csv(run_folder(out, run, parts_of(run)) / "log.csv"), done.stdout


    log2, printed = launched(pair, 2)
    log1 = pd.read_csv(train_run(pair, Path(tempfile.mkdtemp()), bar=False).parent / "log.csv")
    return SimpleNamespace(pair=pair, launched=launched, log2=log2, printed=printed, log1=log1)


def test_two_processes_give_the_losses_of_one(setup_4):
    log2 = setup_4.log2
    printed = setup_4.printed
    log1 = setup_4.log1
    assert log1.drop(columns="seconds").shape == log2.drop(columns="seconds").shape == (2, 7)
    for name in ("spread", "localisation", "class consistency", "place consistency", "total"):
        one, two = torch.tensor(log1[name]), torch.tensor(log2[name])
        torch.testing.assert_close(one[0], two[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)
    assert "2 processes" in printed and printed.count("epoch   1") == 1  # two, of which one speaks


def test_a_network_beside_the_detector_learns_in_two_processes_as_in_one(setup_1, setup_4):
    tiny = setup_1.tiny
    pair = setup_4.pair
    launched = setup_4.launched
    pair = vary(tiny, method="stable-mean-teacher", batch_labelled=4, batch_unlabelled=4)
    beside2, _ = launched(pair, 2)
    folder = train_run(pair, Path(tempfile.mkdtemp()), bar=False).parent
    beside1 = pd.read_csv(folder / "log.csv")
    assert beside1.recovery[1] < beside1.recovery[0]  # it does learn
    for name in ("spread", "localisation", "recovery", "taught place", "total"):
        one, two = torch.tensor(beside1[name]), torch.tensor(beside2[name])
        torch.testing.assert_close(one[0], two[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def test_a_recomputed_encoder_changes_no_loss(setup_1):
    tiny = setup_1.tiny
    logs = []
    for checkpointing in (False, True):
        run = vary(tiny, batch_labelled=4, epochs=1, steps=2, checkpointing=checkpointing)
        folder = train_run(run, Path(tempfile.mkdtemp()), bar=False).parent
        logs.append(pd.read_csv(folder / "log.csv"))
    assert logs[0].total[0] == pytest.approx(logs[1].total[0], rel=1e-5)
