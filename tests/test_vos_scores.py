"Generated from nbs/74_vos_scores.ipynb: change the notebook, then `make export`."
from PIL import Image
from dataclasses import replace
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.checkpoint import save_weights
from vad_ssl.data import youtube_vos
from vad_ssl.objects import objects
from vad_ssl.objects import save_ids
from vad_ssl.records import class_names
from vad_ssl.video import read_frames
from vad_ssl.video import write_video
from vad_ssl.vos import small_vos
import json
import numpy as np
import pandas as pd
import pytest
import shutil
import tempfile
import torch
import warnings

from vad_ssl.vos_scores import (
    Still,
    categories,
    load_vos,
    predict_vos,
    score_video,
    segment,
    soft_aggregate,
    table5,
    vos_parts,
)


def test_soft_aggregation_worked_by_hand():
    shares = soft_aggregate(torch.tensor([[0.9], [0.6]]))
    odds = torch.tensor([0.04 / 0.96, 9.0, 1.5])
    torch.testing.assert_close(shares.ravel(), odds / odds.sum())


def test_one_object_alone_is_decided_at_one_half_and_aggregation_is_a_share():
    p = torch.linspace(0, 1, 50)
    assert ((soft_aggregate(p[None])[1] > 0.5) == (p > 0.5)).all()
    torch.testing.assert_close(soft_aggregate(torch.rand(3, 4, 5)).sum(0), torch.ones(4, 5))
    assert soft_aggregate(torch.zeros(2, 1)).argmax() == 0  # nobody's


@pytest.fixture(scope="module")
def setup_1():
    root = objects(train=4, valid=1)
    torch.manual_seed(0)
    model = small_vos(4)
    video = next(v for v in youtube_vos(root, holdout=0) if len(v.tubes) == 2 and v.tubes[1].start > 0)
    numbers = (3, 6)  # any will do
    firsts = {n: (t.start, t.masks(t.start)) for n, t in zip(numbers, video.tubes)}
    return SimpleNamespace(root=root, model=model, video=video, numbers=numbers, firsts=firsts)


def test_given_masks_are_kept_ids_are_preserved_and_blocks_change_nothing(setup_1):
    model = setup_1.model
    video = setup_1.video
    firsts = setup_1.firsts
    def whole(block):
        return np.stack([ids for _, ids in segment(model, video.path, firsts, (36, 48), block)])


    found = {block: whole(block) for block in (2, 3, 16)}
    begin, late = firsts[6]
    assert found[16].shape == (8, 36, 48) and set(np.unique(found[16])) <= {0, 3, 6}
    assert ((found[16][0] == 3) == firsts[3][1]).all()  # alone in its first frame
    assert (found[16][begin][late] == 6).all() and not (found[16][:begin] == 6).any()
    assert (found[2] == found[16]).all() and (found[3] == found[16]).all()


def test_a_network_at_another_size_answers_at_the_size_of_the_video(setup_1):
    model = setup_1.model
    video = setup_1.video
    firsts = setup_1.firsts
    ids = [ids for _, ids in segment(model, video.path, firsts, (20, 24))]
    assert len(ids) == 8 and ids[0].shape == (36, 48) and ids[0].dtype == np.uint8
    assert ((ids[0] == 3) == firsts[3][1]).all()  # although it went through the small size


def test_scores_worked_by_hand():
    rows = [
        ("a", 1, 0, 1, 1.0, 0.8),
        ("a", 1, 0, 2, 0.5, 0.4),
        ("a", 2, 5, 1, 0.2, 0.1),
        ("b", 1, 0, 1, 0.25, 0.2),
    ]
    frames = pd.DataFrame(rows, columns=["video", "object", "label", "after", "J", "F"])
    scores = table5(frames, seen={0})
    # objects first: (0.75 + 0.25) / 2 seen, 0.2 unseen; not (1 + 0.5 + 0.25) / 3
    np.testing.assert_allclose(scores.to_numpy(), [(50 + 20 + 40 + 10) / 4, 50, 20, 40, 10])
    assert scores.index.tolist() == ["average", "J_seen", "J_unseen", "F_seen", "F_unseen"]
    assert table5(frames[frames.label == 0], {0}).average == pytest.approx(45)


def test_a_network_that_repeats_the_truth_scores_one_and_one_that_says_nothing_zero(setup_1):
    video = setup_1.video
    class Silent(Still):
        "Says no everywhere."

        def follow(self, clip, mask):
            logits, mask = super().follow(clip, mask)
            return torch.full_like(logits, -10), mask


    tube = video.tubes[0]
    still = replace(video, tubes=(replace(tube, masks=lambda k: tube.masks(tube.start)),))
    assert (score_video(Still(), still, (36, 48))[["J", "F"]] == 1).all().all()
    nothing = score_video(Silent(), still, (36, 48))
    assert (nothing[["J", "F"]] == 0).all().all() and nothing.after.tolist() == list(range(1, 8))


def test_parts_are_disjoint_and_unseen_categories_and_copies_of_test_videos_are_never_trained_on(setup_1):
    root = setup_1.root
    parts = vos_parts(root)
    names = [{v.name for v in parts[k]} for k in ("train", "validation", "test")]
    assert sum(map(len, names)) == len(set.union(*names)) == 64 and min(map(len, names)) >= 6


    def labels(videos):
        return {t.label for v in videos for t in v.tubes}


    assert len(labels(parts["test"]) - labels(parts["train"] + parts["validation"])) == 3
    assert labels(parts["test"]) & labels(parts["train"])
    everything = youtube_vos(root, holdout=0.3)
    named = class_names(everything)
    assert all(a in (b, "") for a, b in zip(named, categories(root))) and any(named)
    home = Path(tempfile.mkdtemp()) / "copied"
    shutil.copytree(root, home)
    meta = json.loads((home / "train" / "meta.json").read_text())
    # now with four copies of a test video, under other names
    seen = labels(parts["train"])
    asked = next(v.name for v in parts["test"] if labels([v]) <= seen)
    for k in range(4):  # whichever part they fall into
        meta["videos"][f"copy{k}"] = meta["videos"][asked]
        for kind in ("JPEGImages", "Annotations"):
            shutil.copytree(home / "train" / kind / asked, home / "train" / kind / f"copy{k}")
    (home / "train" / "meta.json").write_text(json.dumps(meta))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copied = vos_parts(home)
    tests = {v.name for v in copied["test"]}
    films = {*(f"copy{k}" for k in range(4)), asked}
    others = {v.name for v in copied["train"] + copied["validation"]}
    assert films & tests and not films & others


@pytest.fixture(scope="module")
def setup_2(setup_1):
    root = setup_1.root
    torch.manual_seed(0)
    checkpoint = Path(tempfile.mkdtemp()) / "model.safetensors"
    save_weights(
        checkpoint, small_vos(4), {"task": "vos", "detector": "small", "width": 4, "size": [24, 32]}
    )
    film = next(v for v in youtube_vos(root, "valid") if len(v.tubes) == 2)
    given = root / "valid" / "Annotations" / film.name
    return SimpleNamespace(checkpoint=checkpoint, film=film, given=given)


def test_predictions_are_palette_pngs_with_the_given_numbers_colours_and_frame_names(setup_1, setup_2):
    root = setup_1.root
    checkpoint = setup_2.checkpoint
    film = setup_2.film
    given = setup_2.given
    for where in (given, sorted(given.iterdir())[0]):
        with pytest.raises(ValueError, match="there the given masks lie"):
            predict_vos(film.path, checkpoint, where, root / "valid")
    folder = predict_vos(film.path, checkpoint, given, Path(tempfile.mkdtemp()))
    assert folder.parts[-2:] == ("Annotations", film.name)
    assert [p.stem for p in sorted(folder.iterdir())] == [p.stem for p in sorted(film.path.iterdir())]
    first = sorted(given.iterdir())[0]
    for path in folder.iterdir():
        with Image.open(path) as picture, Image.open(first) as mask:
            assert (
                picture.mode == "P"
                and picture.size == mask.size
                and picture.getpalette() == mask.getpalette()
            )
            assert set(np.unique(picture)) <= {0, 1, 2}
            if path.stem == first.stem:
                assert (np.asarray(picture) == np.asarray(mask)).all()


def test_odd_numbers_and_a_video_file_work_and_one_mask_is_enough(setup_1, setup_2):
    video = setup_1.video
    checkpoint = setup_2.checkpoint
    from vad_ssl.video import write_video

    home = Path(tempfile.mkdtemp())
    write_video(home / "film.avi", read_frames(video.path, range(8)).repeat(2, 1).repeat(2, 2))  # 72x96
    ids = np.zeros((72, 96), np.uint8)
    ids[4:20, 5:25], ids[22:30, 30:44] = 7, 200
    save_ids(home / "first.png", ids)
    folder = predict_vos(home / "film.avi", checkpoint, home / "first.png", home)
    assert sorted(p.name for p in folder.iterdir()) == [f"{k:05}.png" for k in range(8)]
    assert set(np.unique(Image.open(folder / "00000.png"))) == {0, 7, 200}
    save_ids(home / "00003.png", ids)  # of the fourth frame, its name says
    names = {k: set(np.unique(Image.open(folder / f"0000{k}.png"))) for k in (0, 3)}
    predict_vos(home / "film.avi", checkpoint, home / "00003.png", home)
    later = {k: set(np.unique(Image.open(folder / f"0000{k}.png"))) for k in (0, 3)}
    assert names[0] == later[3] == {0, 7, 200} and later[0] == {0}
    (folder / "mine.png").touch()
    write_video(home / "film.avi", read_frames(video.path, range(6)).repeat(2, 1).repeat(2, 2))
    predict_vos(home / "film.avi", checkpoint, home / "first.png", home)  # shorter now
    assert sorted(p.name for p in folder.iterdir()) == [f"{k:05}.png" for k in range(6)] + ["mine.png"]


def test_masks_that_cannot_be_used_are_refused_in_one_line(setup_2):
    checkpoint = setup_2.checkpoint
    film = setup_2.film
    home = Path(tempfile.mkdtemp())
    Image.fromarray(np.zeros((36, 48, 3), np.uint8)).save(home / "colour.png")
    save_ids(home / "small.png", np.ones((18, 24), np.uint8))
    save_ids(home / "empty.png", np.zeros((36, 48), np.uint8))
    (home / "text.png").write_text("no picture")
    reasons = {
        "none.png": "no such mask",
        "colour.png": "not a palette image .mode RGB",
        "small.png": "18x24 .* 36x48",
        "empty.png": "marks no object",
        "text.png": "not a usable image",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=f"{name}.*{reason}") as error:
            predict_vos(film.path, checkpoint, home / name, home)
        assert "\n" not in str(error.value)


def test_a_mask_that_is_named_as_no_frame_is_refused_and_not_left_out(setup_2):
    checkpoint = setup_2.checkpoint
    film = setup_2.film
    given = setup_2.given
    home = Path(tempfile.mkdtemp())
    for name in (sorted(given.iterdir())[0].name, "7.png"):
        save_ids(home / name, np.ones((36, 48), np.uint8))
    with pytest.raises(ValueError, match="7.png: the video has no frame '7' .its first is '00000'"):
        predict_vos(film.path, checkpoint, home, home / "out")


def test_a_detector_is_not_taken_for_a_segmentation_network():
    path = Path(tempfile.mkdtemp()) / "detector.safetensors"
    save_weights(path, nn.Linear(2, 2), {"detector": "small", "width": 8, "classes": ["a"]})
    with pytest.raises(ValueError, match="detector takes no --mask"):
        load_vos(path)


def test_a_checkpoint_that_does_not_fit_what_it_says_is_refused_in_one_line():
    path = Path(tempfile.mkdtemp()) / "wrong.safetensors"
    for width in ({"width": 8}, {"width": "wide"}, {}):
        save_weights(path, small_vos(4), {"task": "vos", "detector": "small", **width})
        with pytest.raises(ValueError, match="wrong.safetensors: does not describe") as caught:
            load_vos(path)
        assert "\n" not in str(caught.value)
