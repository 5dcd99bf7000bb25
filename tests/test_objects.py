"Generated from nbs/71_objects.ipynb: change the notebook, then `make export`."
from PIL import Image
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.check import check_data
from vad_ssl.data import youtube_vos
from vad_ssl.records import class_names
from vad_ssl.records import read
import json
import numpy as np
import pytest
import tempfile

from vad_ssl.objects import CATEGORIES, creature, draw_objects, make_objects


@pytest.fixture(scope="module")
def setup_1():
    root = make_objects(Path(tempfile.mkdtemp()) / "objects", train=2, valid=1)
    return SimpleNamespace(root=root)


def test_the_reader_of_youtube_vos_reads_the_drawn_data_set(setup_1):
    root = setup_1.root
    videos = youtube_vos(root, holdout=0)
    assert len(videos) == 2 * len(CATEGORIES) and class_names(videos) == sorted(CATEGORIES)
    assert all(v.n_frames == 8 and 1 <= len(v.tubes) <= 2 for v in videos)
    assert all(t.masks(t.start).sum() >= 20 for v in videos for t in v.tubes)
    assert len(check_data(root)) == 0


def test_stored_masks_are_the_drawn_ones_and_pictures_are_close(setup_1):
    root = setup_1.root
    name, meta = sorted(json.loads((root / "train" / "meta.json").read_text())["videos"].items())[0]
    children = np.random.SeedSequence([0, 0]).spawn(2 * len(CATEGORIES))
    child = next(c for c in children if f"{int(c.generate_state(1, np.uint64)[0]) >> 24:010x}" == name)
    frames, ids, kinds = draw_objects(np.random.default_rng(child), meta["objects"]["1"]["category"])
    video = next(v for v in youtube_vos(root) if v.name == name)
    for number, tube in enumerate(video.tubes, 1):
        assert all((tube.masks(k) == (ids[k] == number)).all() for k in range(8))
    assert np.abs(read(video, range(8)).astype(int) - frames).mean() < 4  # JPEG


def test_valid_shows_each_object_s_first_mask_and_nothing_else(setup_1):
    root = setup_1.root
    videos = youtube_vos(root, "valid")
    assert len(videos) == len(CATEGORIES) and all(v.label == -1 for v in videos)
    for v in videos:
        stored = sorted((root / "valid" / "Annotations" / v.name).iterdir())
        assert len(stored) == len({t.start for t in v.tubes}) < 8
        assert all(len(t.boxes) == 1 and t.masks(t.start).any() for t in v.tubes)
        for n, t in enumerate(v.tubes, 1):
            others = [p for p in stored if p.stem != f"{5 * t.start:05}"]
            assert not any((np.asarray(Image.open(p)) == n).any() for p in others)


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(setup_1):
    root = setup_1.root
    again = make_objects(Path(tempfile.mkdtemp()) / "objects", train=2, valid=1)


    def files(root):
        return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


    assert files(again) == files(root)
    other = make_objects(Path(tempfile.mkdtemp()) / "objects", seed=1, train=1, valid=0)
    names = [{p.name for p in (r / "train" / "JPEGImages").iterdir()} for r in (root, other)]
    assert not names[0] & names[1]


def test_a_category_is_a_body_and_a_late_object_has_no_mask_before_it_comes(setup_1):
    root = setup_1.root
    bodies = {name: creature(np.random.default_rng(0), name, 8, 36, 48)[0] for name in CATEGORIES}
    assert all(a.shape == (8, 36, 48) and (a[0] > 0.5).sum() > 20 for a in bodies.values())
    assert len({a.round().tobytes() for a in bodies.values()}) == len(CATEGORIES)
    late = [v for v in youtube_vos(root, holdout=0) if v.tubes[-1].start > 0]
    assert late and not any(t.masks(k).any() for v in late for t in v.tubes for k in range(t.start))


def test_a_folder_that_holds_something_else_is_refused(setup_1):
    root = setup_1.root
    with pytest.raises(ValueError, match="choose another folder"):
        make_objects(root, train=3, valid=1)
    assert make_objects(root, train=2, valid=1) == root
    with pytest.raises(ValueError, match="at least one"):
        make_objects(root / "new", train=0)
