"Generated from nbs/04_data.ipynb: change the notebook, then `make export`."
from PIL import Image
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pathlib import Path
from scipy.io import savemat
from types import SimpleNamespace
from vad_ssl.files import DataError
from vad_ssl.files import VideoError
from vad_ssl.files import mask_box
from vad_ssl.records import Video
from vad_ssl.records import class_names
from vad_ssl.records import length
from vad_ssl.records import read
from vad_ssl.records import truth_mask
from vad_ssl.video import probe
from vad_ssl.video import write_video
import itertools
import json
import numpy as np
import pandas as pd
import pickle
import pytest
import tempfile
import time
import tracemalloc
import warnings

from vad_ssl.data import (
    _hold_out,
    _integer,
    _puppet,
    _stored_tube,
    csv_data,
    film_of,
    folder,
    inclusive,
    jhmdb21,
    read_data,
    read_mat,
    safe_name,
    save_annotations,
    ucf101_24,
    youtube_vos,
)


@pytest.fixture(scope="module")
def setup_1():
    def square(seed, n=24, h=48, w=64):
        "A bright square that moves: frames uint8 (n, h, w, 3) and boxes (n, 4): x, y, width, height."
        rng = np.random.default_rng(seed)
        ground = rng.integers(0, 90, (h // 8, w // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        frames = np.repeat(ground[None], n, axis=0)
        x = np.linspace(2, w - 18, n).astype(int)
        x = x if seed % 2 else x[::-1]
        boxes = np.stack([x, *np.full((3, n), [[10 + seed % 8], [16], [20]])], axis=1)
        for f, (x, y, bw, bh) in zip(frames, boxes):
            f[y : y + bh, x : x + bw] = (230, 220, 180)
        return frames, boxes


    box = tempfile.TemporaryDirectory()
    tmp = Path(box.name)
    classes = "Left", "Right"
    names = [f"{classes[i % 2]}/v_{classes[i % 2]}_g{i // 4:02}_c{i // 2 % 2:02}" for i in range(12)]
    truth = {}
    for i, name in enumerate(names):
        tube = {"label": i % 2, "sf": 4, "ef": 20, "boxes": square(i)[1][4:20]}
        truth[name] = {"numf": 24, "label": i % 2, "annotations": [tube]}
    return SimpleNamespace(square=square, box=box, tmp=tmp, classes=classes, names=names, truth=truth, i=i, name=name, tube=tube)


@pytest.fixture(scope="module")
def setup_2(setup_1):
    square = setup_1.square
    tmp = setup_1.tmp
    names = setup_1.names
    truth = setup_1.truth
    i = setup_1.i
    name = setup_1.name
    def draw(root, place="videos/{name}.avi"):
        "The small data set in UCF101-24's layout."
        for i, name in enumerate(names):
            path = root / place.format(name=name, stem=name.split("/")[1])
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, square(i)[0])
        save_annotations(root, truth, names[-4:])
        return root


    ucf = draw(tmp / "ucf")
    return SimpleNamespace(draw=draw, ucf=ucf)


def test_the_same_annotations_give_the_same_bytes(setup_1, setup_2):
    tmp = setup_1.tmp
    names = setup_1.names
    truth = setup_1.truth
    name = setup_1.name
    ucf = setup_2.ucf
    save_annotations(tmp, dict(reversed(truth.items())), names[:-5:-1])
    for name in ("pyannot.pkl", "testlist01.txt"):
        assert (tmp / name).read_bytes() == (ucf / name).read_bytes()
    with pytest.raises(DataError, match="cannot be written"):
        save_annotations(tmp / "nowhere", truth, [])


def test_boxes_are_rounded_and_what_is_no_pixel_is_refused(setup_1):
    tmp = setup_1.tmp
    tube = setup_1.tube
    for boxes, stored in (([[1.6, 2.4, 10, 9.5]], [[2, 2, 10, 10]]), (np.zeros((0, 4)), [])):
        assert _stored_tube({"label": 0, "sf": 0, "ef": 1, "boxes": boxes})["boxes"].tolist() == stored
    for wrong in (np.nan, np.inf, -1, 65535.7, 2**16):
        tube = {"label": 0, "sf": 0, "ef": 1, "boxes": [[1, 2, wrong, 4]]}
        with pytest.raises(DataError, match="a: box out of range. Clip it"):
            save_annotations(tmp, {"a": {"numf": 9, "label": 0, "annotations": [tube]}}, [])


def test_boxes_worked_out_by_hand_in_every_number_type():
    for kind in (np.uint8, np.uint16, np.int64, np.float32):
        out = inclusive(np.array([[200, 50, 100, 80], [0, 0, 1, 1]], kind))
        assert out.dtype == np.int32 and out.tolist() == [[200, 50, 299, 129], [0, 0, 0, 0]]
    for wrong in ([[1, 2, 3]], [[1.0, 2, np.nan, 4]], [["a"] * 4], [[1e30, 0, 1, 1]], 5):
        with pytest.raises(ValueError, match="not .n, 4. pixels"):
            inclusive(np.array(wrong))


def test_only_whole_numbers_within_the_range_pass():
    assert type(_integer(np.uint8(255)) + 1) is int and _integer(3.0) == 3
    for wrong in (-1, 2.5, True, "3", None, float("nan"), 10**9):
        with pytest.raises(ValueError, match="not a whole number"):
            _integer(wrong)


def test_names_that_lead_elsewhere_are_refused():
    assert safe_name("Biking/v_Biking_g01_c03") == "Biking/v_Biking_g01_c03"
    upwards = "../x", "a/../../x", "/etc/passwd"
    windows = "C:\\x", "c:x", "a\\..\\x"
    for wrong in (*upwards, *windows, "", ".", "a\nb", None, 3):
        with pytest.raises(ValueError, match="unsafe video name"):
            safe_name(wrong)


def test_every_field_read_from_real_files(setup_1, setup_2):
    names = setup_1.names
    tube = setup_1.tube
    ucf = setup_2.ucf
    videos = ucf101_24(ucf)
    assert [v.name for v in videos] == sorted(names) and class_names(videos) == ["Left", "Right"]
    assert {v.name for v in videos if v.split == "test"} == set(names[-4:])
    v = next(v for v in videos if v.name == "Right/v_Right_g01_c00")
    assert (v.action, v.label, v.n_frames, v.split, v.offset) == ("Right", 1, 24, "train", 0)
    assert v.group == "v_Right_g01"
    assert v.path == ucf / "videos/Right/v_Right_g01_c00.avi" and probe(v.path).frames == v.n_frames
    (tube,) = v.tubes
    assert (tube.label, tube.start, tube.boxes.shape, tube.boxes.dtype) == (1, 4, (16, 4), np.int32)
    assert (tube.boxes[:, 2:] - tube.boxes[:, :2] == (15, 19)).all()  # 16 x 20 pixels, both ends inside
    assert [len(ucf101_24(ucf, split=s)) for s in ("train", "test")] == [8, 4]


def test_flat_folders_other_containers_frames_missing_files_and_class_names_are_read_as_well(setup_1, setup_2):
    square = setup_1.square
    tmp = setup_1.tmp
    names = setup_1.names
    truth = setup_1.truth
    i = setup_1.i
    draw = setup_2.draw
    for i, place in enumerate(("videos/{stem}.avi", "videos/{name}.mp4")):
        for v in ucf101_24(draw(tmp / f"other{i}", place)):
            assert v.path.is_file() and v.n_frames == 24
    for i, place in enumerate(("videos/Left/", "videos/", "rgb-images/Left/")):
        place += "v_Left_g00_c00"
        root = tmp / f"frames{i}"
        (root / place).mkdir(parents=True)
        for k, f in enumerate(square(0)[0]):
            Image.fromarray(f).save(root / place / f"{k + 1:05}.jpg")
        save_annotations(root, truth, names[-4:])
        found = {v.name: v for v in ucf101_24(root)}
        assert probe(found["Left/v_Left_g00_c00"].path).frames == 24
        assert not found["Right/v_Right_g00_c00"].path.exists()  # only expected there


    def by_name(entry, label):
        return entry | {
            "label": label,
            "annotations": [a | {"label": label} for a in entry["annotations"]],
        }


    named = {n: by_name(e, n.split("/")[0]) for n, e in truth.items()}
    (root / "pyannot.pkl").write_bytes(pickle.dumps(named))
    assert class_names(ucf101_24(root)) == ["Left", "Right"]
    assert all(t.label == v.label >= 0 for v in ucf101_24(root) for t in v.tubes)


def test_trimmed_records_are_trimmed(setup_2):
    ucf = setup_2.ucf
    whole, cut = ucf101_24(ucf)[0], ucf101_24(ucf, trimmed=True)[0]
    assert (whole.offset, whole.n_frames, whole.tubes[0].start) == (0, 24, 4)
    assert (cut.offset, cut.n_frames, cut.tubes[0].start) == (4, 16, 0)


def test_wrong_annotations_are_named_file_video_reason_remedy(setup_1):
    tmp = setup_1.tmp
    names = setup_1.names
    truth = setup_1.truth
    tube = setup_1.tube
    (root := tmp / "wrong").mkdir()


    def attempt(**change):
        tube = {"label": 0, "sf": 0, "ef": 2, "boxes": np.ones((2, 4), int)}
        entry = {"numf": 24, "label": 0, "annotations": [tube]}
        for k, x in change.items():
            (entry if k in entry else tube)[k] = x
        (root / "pyannot.pkl").write_bytes(pickle.dumps({"Left/a": entry}))
        (root / "testlist01.txt").write_text("")
        return ucf101_24(root)


    assert len(attempt()) == 1
    for change, why in (
        (dict(ef=3), "2 boxes for frames 0..2"),
        (dict(boxes=np.ones((2, 5))), "not .n, 4. pix"),
        (dict(sf=-1), "'-1' is not a whole number"),
        (dict(numf=0), "'0' is not"),
        (dict(numf=2**40), "is not a whole"),
        (dict(annotations=None), "TypeError"),
        (dict(annotations=[None] * 1001), "1001 tubes are too many"),
        (dict(boxes=[[1, 2, 3, 4]] * 2, label=None), "'None'"),
    ):
        with pytest.raises(DataError, match=f"pyannot.pkl: Left/a: .*{why}.*Correct or remove"):
            attempt(**change)
    (root / "pyannot.pkl").unlink()
    with pytest.raises(DataError, match="pyannot.pkl: cannot be read"):
        ucf101_24(root)
    with pytest.raises(DataError, match="testlist01.txt: cannot be read"):
        ucf101_24(tmp / "nowhere")
    (root / "pyannot.pkl").write_bytes(
        pickle.dumps({"../../a": truth[names[0]], "Left/b": truth[names[1]]})
    )
    with pytest.raises(DataError, match="unsafe video name '../../a'"):
        ucf101_24(root)
    reasons = {}
    assert [v.name for v in ucf101_24(root, bad=reasons)] == ["Left/b"] and list(reasons) == ["../../a"]


def test_a_list_s_names_are_those_of_videos_with_endings_class_numbers_or_numbers_of_their_own(setup_1):
    tmp = setup_1.tmp
    names = setup_1.names
    truth = setup_1.truth
    i = setup_1.i
    (root := tmp / "lists").mkdir()
    entry = truth[names[0]]


    def tests(listed, *annotated):
        "The test videos of these annotations and this list."
        save_annotations(root, dict.fromkeys(annotated, entry), [])
        (root / "testlist01.txt").write_text(listed, encoding="utf-8")
        return [v.name for v in ucf101_24(root, split="test")]


    pair = "clip 1", "clip 2"
    for listed in ("clip 2", "clip 2.avi", "clip 2 1", "clip 2.avi 1", "x/y 1\nclip 2\n"):
        assert tests(listed, *pair) == tests(f"\ufeff{listed}", *pair) == ["clip 2"], listed
    save_annotations(root, dict.fromkeys(pair, entry), ["clip 2"])
    assert [v.split for v in ucf101_24(root)] == ["train", "test"]
    for listed in ("a/v 3", "a/v.avi 3", "v", "./a/v.avi"):
        assert tests(listed, "a/v", "b/w") == ["a/v"], listed
    assert tests("v.avi", "v.avi", "v.mp4", "w") == ["v.avi"] and tests("", *pair) == []
    assert tests("v", "v.avi", "v.mp4", "w") == ["v.avi", "v.mp4"]
    with pytest.raises(DataError, match="testlist01.txt: none of its 2 names is annotated.*'clip'"):
        tests("clip\nclap 7", *pair)
    with pytest.warns(UserWarning, match="1 of 2 names are not annotated, the first is 'a/w.avi 3'"):
        assert tests("a/v 3\na/w.avi 3\n", "a/v", "a/w_1") == ["a/v"]
    many = [f"a/{i}" for i in range(60)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # other classes, and one in sixty, are no reason to worry
        assert len(tests("\n".join([*many, "b/v 2"]), *many[1:])) == 59


@pytest.fixture(scope="module")
def setup_3():
    places = (Path(d) / "shared/data/ucf101_24" for d in ("..", "../..", "../../.."))
    real = next((p for p in places if p.exists()), None)
    return SimpleNamespace(places=places, real=real)


def test_the_real_annotations_counts_widened_boxes_time_and_memory(setup_1, setup_3):
    tube = setup_1.tube
    real = setup_3.real
    if real is None:
        pytest.skip("the UCF101-24 annotations are not present")
    tracemalloc.start()
    start = time.perf_counter()
    videos = ucf101_24(real)
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [sum(v.split == s for v in videos) for s in ("train", "test")] == [2284, 910]
    assert len(class_names(videos)) == 24 and class_names(videos) == sorted(class_names(videos))
    assert sum(len(v.tubes) > 1 for v in videos) == 715 and sum(len(v.tubes) for v in videos) == 4458
    boxes = np.concatenate([t.boxes for v in videos for t in v.tubes])
    assert (boxes[:, :2] <= boxes[:, 2:]).all() and boxes[:, 2].max() < 320 and boxes[:, 3].max() < 240
    assert all(t.start + len(t.boxes) <= v.n_frames for v in videos for t in v.tubes)
    assert peak < 200e6 and seconds < 30  # tracing slows it down several times
    trimmed = ucf101_24(real, trimmed=True)
    assert sum(v.n_frames for v in trimmed) / sum(v.n_frames for v in videos) == pytest.approx(
        0.885, abs=5e-4
    )
    acting = [np.zeros(v.n_frames, bool) for v in videos]
    for frames, v in zip(acting, videos):
        for tube in v.tubes:
            frames[tube.start : tube.start + len(tube.boxes)] = True
    assert np.concatenate(acting).mean() == pytest.approx(0.863, abs=5e-4)
    assert np.mean([frames.mean() for frames in acting]) == pytest.approx(0.828, abs=5e-4)
    alone = [len(tube.boxes) / v.n_frames for v in videos for tube in v.tubes]
    assert np.mean(alone) == pytest.approx(0.699, abs=5e-4)


def test_frames_and_truth_fit_trimmed_or_not_from_file_or_memory(setup_2):
    ucf = setup_2.ucf
    for trimmed in (False, True):
        for video in ucf101_24(ucf, trimmed)[:4]:
            index, cache = [0, 3, 9, 9, video.n_frames - 1, -1], {}
            frames, mask = read(video, index), truth_mask(video, index, 48, 64)
            bright = frames.mean(3) > 130
            assert (bright == mask)[mask.any((1, 2))].mean() > 0.97  # compression blurs the border
            assert mask.any((1, 2)).tolist() == [trimmed, trimmed, True, True, trimmed, False]
            assert (frames[5] == 0).all()
            for _ in range(2):
                np.testing.assert_array_equal(read(video, index, cache), frames)
            assert len(cache) == 1


def test_arrays_are_read_as_scipy_wrote_them_compressed_or_not_and_bombs_are_not_unpacked(setup_1):
    tmp = setup_1.tmp
    for dtype, packed in itertools.product((np.uint8, np.int16, np.float64), (True, False)):
        array = np.random.default_rng(0).integers(0, 100, (5, 7, 3)).astype(dtype)
        savemat(tmp / "a.mat", {"x": np.ones(9), "y": array}, do_compression=packed)
        np.testing.assert_array_equal(read_mat(tmp / "a.mat", "y"), array)
    with pytest.raises(ValueError, match="no array z"):
        read_mat(tmp / "a.mat", "z")
    savemat(tmp / "bomb.mat", {"y": np.zeros((1000, 1000, 8), np.uint8)}, do_compression=True)
    assert (tmp / "bomb.mat").stat().st_size < 10_000
    with pytest.raises(ValueError, match="reshape"):
        read_mat(tmp / "bomb.mat", "y", limit=10**6)


def test_the_film_of_a_jhmdb_clip_is_what_stands_before_its_class():
    assert film_of("pullup/girl_pull_ups_fitness_exercise_pullups_pullup_f_cm_np1_fr_med_0") == (
        "pullup/girl_pull_ups_fitness_exercise_pullups"
    )
    assert (
        film_of("clap/_Boom_Snap_Clap__challenge_clap_u_nm_np1_fr_med_1")
        == "clap/_Boom_Snap_Clap__challenge"
    )
    assert film_of("run/my_own_clip_2") == "run/my_own_clip_2"


@pytest.fixture(scope="module")
def setup_4(setup_1):
    square = setup_1.square
    tmp = setup_1.tmp
    i = setup_1.i
    name = setup_1.name
    def draw_jhmdb(root, frames_as="avi"):
        "Two classes of two videos in JHMDB's layout; the puppet is a disc inside the square."
        for c, action in enumerate(("catch", "climb_stairs")):
            lines = []
            for i in range(2):
                frames, boxes = square(2 * i + c, n=12)
                name = f"Film_{action}_u_cm_np1_fr_{i}"
                y, x = np.mgrid[:48, :64]
                discs = [(x - left - 8) ** 2 + (y - top - 10) ** 2 < 50 for left, top, *_ in boxes]
                mat = root / "puppet_mask" / action / name / "puppet_mask.mat"
                mat.parent.mkdir(parents=True)
                part_mask = np.stack(discs, axis=2) * np.uint8(5)
                savemat(mat, {"part_mask": part_mask}, do_compression=True)
                if frames_as == "avi":
                    (root / "videos" / action).mkdir(parents=True, exist_ok=True)
                    write_video(root / "videos" / action / f"{name}.avi", frames)
                else:
                    place = root / "Rename_Images" / action / name
                    place.mkdir(parents=True)
                    for k, f in enumerate(frames):
                        Image.fromarray(f).save(place / f"{k + 1:05}.png")
                lines.append(f"{name}.avi {i + 1} ")
            (root / "splits").mkdir(exist_ok=True)
            (root / "splits" / f"{action}_test_split1.txt").write_text("\n".join(lines))
        return root


    jhmdb = draw_jhmdb(tmp / "jhmdb")
    return SimpleNamespace(draw_jhmdb=draw_jhmdb, jhmdb=jhmdb)


def test_jhmdb_classes_splits_pixel_masks_and_their_boxes_from_videos_and_from_frames(setup_1, setup_4):
    tmp = setup_1.tmp
    i = setup_1.i
    draw_jhmdb = setup_4.draw_jhmdb
    for i, kind in enumerate(("avi", "png")):
        root = draw_jhmdb(tmp / f"jhmdb{i}", kind)
        videos = jhmdb21(root)
        assert class_names(videos) == ["catch", "climb_stairs"] and len(videos) == 4
        assert [len(jhmdb21(root, split=s)) for s in ("train", "test")] == [2, 2]
        v = videos[0]
        assert (v.name, v.n_frames, v.height, v.width) == ("catch/Film_catch_u_cm_np1_fr_0", 12, 48, 64)
        assert v.group == "catch/Film" and probe(v.path)[:3] == (12, 48, 64)
        mask = truth_mask(v, range(12), 48, 64)
        assert 140 < mask[0].sum() < 180 and (mask_box(mask) == v.tubes[0].boxes).all()
        assert (read(v, range(12)).mean(3) > 130)[mask].mean() > 0.97
        travelled = pickle.loads(pickle.dumps(v))  # to a worker process
        assert (travelled.tubes[0].masks(3) == mask[3]).all()


def test_jhmdb_damaged_files_are_named(setup_1, setup_4):
    tmp = setup_1.tmp
    draw_jhmdb = setup_4.draw_jhmdb
    root = draw_jhmdb(tmp / "jhmdb_bad")
    target = next((root / "puppet_mask" / "catch").rglob("*.mat"))
    savemat(target, {"part_mask": np.zeros((4, 4))})
    with pytest.raises(DataError, match="puppet_mask.mat: no puppet masks .*shape .4, 4."):
        jhmdb21(root)
    target.write_bytes(target.read_bytes()[:100])
    with pytest.raises(DataError, match="no puppet masks"):
        jhmdb21(root)
    target.unlink()
    with pytest.raises(DataError, match="no puppet masks .FileNotFoundError"):
        jhmdb21(root)
    reasons = {}
    assert len(jhmdb21(root, bad=reasons)) == 3 and len(reasons) == 1
    with pytest.raises(DataError, match="no ._test_split2.txt"):
        jhmdb21(root, number=2)
    next((root / "splits").glob("climb*")).write_text("../../x.avi 1")
    jhmdb21(root, bad=reasons)
    assert any("unsafe video name" in r for r in reasons.values())


@pytest.fixture(scope="module")
def setup_5(setup_1):
    square = setup_1.square
    tmp = setup_1.tmp
    name = setup_1.name
    def draw_vos(root, n=20, part="train"):
        "Videos with one or two square objects in YouTube-VOS's layout."
        meta = {}
        for v in range(n):
            name, objects = f"{v:04x}abcdef", {}
            for kind in ("JPEGImages", "Annotations"):
                (root / part / kind / name).mkdir(parents=True)
            frames, boxes = square(v, n=6)
            masks = np.zeros(frames.shape[:3], np.uint8)
            for k, (x, y, w, h) in enumerate(boxes):
                masks[k, y : y + h, x : x + w] = 1
            if v % 2:
                masks[2:5, 40:46, 5:15] = 2  # a second object comes and goes
            stems = [f"{5 * k:05}" for k in range(6)]
            for number in range(1, 2 + v % 2):
                kept = [s for s, m in zip(stems, masks) if (m == number).any()]
                animal = "ape bee cat dog elk fox".split()[(v + number) % 6]
                objects[str(number)] = {"category": animal, "frames": kept}
            for s, f, m in zip(stems, frames, masks):
                Image.fromarray(f).save(root / part / "JPEGImages" / name / f"{s}.jpg")
                picture = Image.fromarray(m, mode="P")
                picture.putpalette([0, 0, 0, 236, 95, 103, 249, 145, 87])
                if part == "train" or s in {o["frames"][0] for o in objects.values()}:
                    picture.save(root / part / "Annotations" / name / f"{s}.png")
            meta[name] = {"objects": objects}
        (root / part / "meta.json").write_text(json.dumps({"videos": meta}))
        return root


    vos = draw_vos(draw_vos(tmp / "vos"), n=2, part="valid")
    return SimpleNamespace(draw_vos=draw_vos, vos=vos)


def test_youtube_vos_objects_categories_masks(setup_1, setup_5):
    tmp = setup_1.tmp
    draw_vos = setup_5.draw_vos
    vos = setup_5.vos
    videos = youtube_vos(vos)
    assert len(videos) == 20 and class_names(videos) == ["ape", "bee", "cat", "dog", "elk", "fox"]
    v = videos[1]
    assert [(t.start, len(t.boxes)) for t in v.tubes] == [(0, 6), (2, 3)] and v.n_frames == 6
    assert [t.label for t in v.tubes] == [2, 3] and v.label == 2
    assert v.tubes[1].masks(3).sum() == 60 and not v.tubes[1].masks(5).any()
    assert truth_mask(v, range(6), 48, 64).sum((1, 2)).tolist() == [320, 320, 380, 380, 380, 320]
    lacking = draw_vos(tmp / "vos_lacking", n=1)  # a training object is as long as it is said to be
    (lacking / "train" / "Annotations" / v.name.replace("1", "0", 1) / "00025.png").unlink()
    (other,) = youtube_vos(lacking)[0].tubes
    assert len(other.boxes) == 6 and other.masks(4).any()
    with pytest.raises(VideoError, match="00025.png: not a usable image"):
        other.masks(5)
    assert (v.tubes[0].boxes == -1).all() and mask_box(v.tubes[0].masks(0)[None])[0, 2:].tolist() != [
        -1,
        -1,
    ]


def test_youtube_vos_the_hold_out_is_seeded_of_the_size_asked_for_and_hides_whole_categories(setup_5):
    vos = setup_5.vos
    for seed in range(5):
        videos = youtube_vos(vos, holdout=0.3, seed=seed)
        test = {v.name for v in videos if v.split == "test"}
        assert (
            test == {v.name for v in youtube_vos(vos, "test", holdout=0.3, seed=seed)}
            and 6 <= len(test) < 20
        )
        shown = {t.label for v in videos if v.split == "train" for t in v.tubes}
        asked = {t.label for v in videos if v.split == "test" for t in v.tubes}
        assert asked - shown  # categories that no training video has
    held = [frozenset(v.name for v in youtube_vos(vos, "test", 0.3, s)) for s in range(5)]
    assert len(set(held)) > 1
    assert youtube_vos(vos, "test", holdout=0) == []
    alone = {f"v{k}": {"objects": {"1": {"category": "mouse"}}} for k in range(10)}
    assert len(_hold_out(alone, 0.3, 0)) == 3  # of one category there is none to hide
    valid = youtube_vos(vos, "valid")
    assert len(valid) == 2 and all(
        len(t.boxes) == 1 for v in valid for t in v.tubes
    )  # first masks only


def test_a_folder_gives_bare_records_of_files_and_of_folders_of_frames(setup_1, setup_2):
    square = setup_1.square
    tmp = setup_1.tmp
    names = setup_1.names
    ucf = setup_2.ucf
    assert {v.name for v in folder(ucf)} == {f"videos/{n}" for n in names}
    assert all(v.label == -1 and v.tubes == () and v.action == "" for v in folder(ucf))
    assert {v.name.split("/")[1] for v in folder(ucf, exclude=["Left"])} == {"Right"}
    assert length(folder(ucf)[0]) == 24
    (tmp / "pictures" / "one").mkdir(parents=True)
    for k, f in enumerate(square(0)[0]):
        Image.fromarray(f).save(tmp / "pictures/one" / f"{k:05}.jpg")
    assert [(v.name, length(v)) for v in folder(tmp / "pictures")] == [("one", 24)]
    (tmp / "pictures" / ".small").mkdir()
    Image.fromarray(f).save(tmp / "pictures/.small/one.jpg")
    assert len(folder(tmp / "pictures")) == 1  # hidden folders are nobody's videos
    (tmp / "empty").mkdir()
    with pytest.raises(DataError, match="no videos in this folder"):
        folder(tmp / "empty")
    with pytest.raises(DataError, match="no such folder"):
        folder(tmp / "nowhere")


def test_links_are_followed_without_running_in_circles_covers_are_no_videos_and_has_a_name(setup_1, setup_2):
    tmp = setup_1.tmp
    names = setup_1.names
    ucf = setup_2.ucf
    (linked := tmp / "linked").mkdir()
    (linked / "Left").symlink_to(ucf / "videos" / "Left")
    (linked / "Left2").symlink_to(ucf / "videos" / "Left")  # the same again
    (linked / "here").symlink_to(linked)
    assert {v.name for v in folder(linked)} == {n for n in names if n.startswith("Left")}
    assert all(v.path.is_file() for v in folder(linked)) and len(folder(linked, ["Left"])) == 6
    (linked / "A").symlink_to(linked / "Right")  # a folder's own name goes first
    (linked / "Right").mkdir()
    (linked / "Right" / "a.avi").touch()
    assert [v.name for v in folder(linked, ["Left", "Left2"])] == ["Right/a"]
    (linked / "Right" / "cover.jpg").touch()
    assert [v.name for v in folder(linked, ["Left", "Left2"])] == ["Right/a"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp / "pictures" / "one")
        assert [(v.name, length(v)) for v in folder(".")] == [("one", 24)]
    assert [v.name for v in folder(tmp / "pictures" / "one")] == ["one"]


@pytest.fixture(scope="module")
def setup_6(setup_1):
    square = setup_1.square
    tmp = setup_1.tmp
    i = setup_1.i
    own = tmp / "own"
    (own / "day1").mkdir(parents=True)
    for i in range(3):
        write_video(own / "day1" / f"film{i}.mp4", square(i)[0])
    rows = [
        (f"day1/film{i}.mp4", t, ("cat", "dog")[t], f, 5 * t, 2, 5 * t + 3, 9)
        for i in range(2)
        for t in range(2)
        for f in range(10)
        if not (t == 1 and f == 4)
    ]
    table = pd.DataFrame(rows, columns=["video", "tube", "label", "frame", "x1", "y1", "x2", "y2"])
    table.to_csv(own / "boxes.csv", index=False)
    return SimpleNamespace(own=own, i=i, rows=rows, table=table)


def test_a_table_of_boxes_classes_tubes_gaps_unlabelled_videos(setup_1, setup_6):
    tmp = setup_1.tmp
    i = setup_6.i
    own = setup_6.own
    table = setup_6.table
    videos = csv_data(own, own / "boxes.csv")
    assert [v.name for v in videos] == ["day1/film0", "day1/film1", "day1/film2"]
    assert [v.label for v in videos] == [0, 0, -1] and class_names(videos) == ["cat"]
    assert [v.group for v in videos] == ["day1/film0", "day1/film1", "film2"]
    assert [(t.label, t.start, len(t.boxes)) for t in videos[0].tubes] == [
        (0, 0, 10),
        (1, 0, 4),
        (1, 5, 5),
    ]
    assert videos[0].tubes[1].boxes[0].tolist() == [5, 2, 8, 9] and videos[2].tubes == ()
    assert length(videos[0]) == 24 and truth_mask(videos[0], [4], 48, 64).sum() == 4 * 8
    untidy = table.replace({"label": {"dog": " ant "}}).astype(
        {"frame": float}
    )  # second tubes are ants
    text = untidy.to_csv(index=False).replace("\n", "\n\n", 3)
    (tmp / "untidy.csv").write_text(text)
    videos = csv_data(own, tmp / "untidy.csv")
    assert class_names(videos) == ["cat"] and [t.label for t in videos[0].tubes] == [0, 1, 1]
    (tmp / "untidy.csv").write_text(text.replace("cat", "", 1))
    with pytest.raises(DataError, match="line 3, label: ''"):
        csv_data(own, tmp / "untidy.csv")
    clips = table.replace({"video": {f"day1/film{i}.mp4": f"x/v_g01_c0{i}.mp4" for i in range(2)}})
    clips.to_csv(tmp / "clips.csv", index=False)
    assert [v.group for v in csv_data(own, tmp / "clips.csv")[:2]] == ["x/v_g01"] * 2  # one film
    keys = table[table.frame % 3 == 0]  # two films, two tubes each, one of which has a gap anyway
    keys.to_csv(tmp / "keys.csv", index=False)
    with pytest.warns(UserWarning, match="keys.csv: 4 tubes have boxes on key frames.*one frame in 3"):
        csv_data(own, tmp / "keys.csv")


def test_wrong_tables_are_named_with_line_column_and_reason(setup_1, setup_6):
    tmp = setup_1.tmp
    own = setup_6.own
    table = setup_6.table
    for column, x, why in (
        ("x2", 0, "line 14: x1 > x2"),
        ("frame", -1, "line 14, frame: '-1'"),
        ("x1", 2.5, "line 14, x1: '2.5'"),
        ("label", "", "line 14, label: ''"),
        ("split", "val", "line 14, split: 'val'"),
        ("video", "../x", "unsafe video name"),
        ("y1", "ten", "line 14, y1: 'ten'"),
    ):
        wrong = table.assign(split="train").astype(object)
        wrong.loc[12, column] = x
        wrong.to_csv(tmp / "wrong.csv", index=False)
        with pytest.raises(DataError, match=f"wrong.csv: .*{why}.*\\. Correct"):
            csv_data(own, tmp / "wrong.csv")
    table.drop(columns="y2").to_csv(tmp / "wrong.csv", index=False)
    with pytest.raises(DataError, match="no column y2; columns are separated by commas"):
        csv_data(own, tmp / "wrong.csv")
    table.to_csv(tmp / "wrong.csv", index=False, sep=";")
    with pytest.raises(DataError, match="no column .*; columns are separated by commas"):
        csv_data(own, tmp / "wrong.csv")
    pd.concat([table, table[:1]]).to_csv(tmp / "wrong.csv", index=False)
    with pytest.raises(DataError, match="wrong.csv: .*uniqueness"):
        csv_data(own, tmp / "wrong.csv")
    with pytest.raises(DataError, match="not a CSV table .FileNotFoundError"):
        csv_data(own, tmp / "none.csv")


def test_a_refused_video_does_not_come_back_as_an_unlabelled_one(setup_1, setup_6):
    tmp = setup_1.tmp
    own = setup_6.own
    table = setup_6.table
    wrong = table.assign(split="test").astype(object)
    wrong.loc[0, "split"] = "train"  # film0 says both
    wrong.to_csv(tmp / "wrong.csv", index=False)
    reasons = {}
    videos = csv_data(own, tmp / "wrong.csv", bad=reasons)
    assert [v.name for v in videos] == ["day1/film1", "day1/film2"] and list(reasons) == ["day1/film0"]


def test_names_are_paths_endings_dots_and_spellings_never_make_one_video_of_two(setup_1, setup_6):
    square = setup_1.square
    tmp = setup_1.tmp
    i = setup_6.i
    name = setup_1.name
    rows = setup_6.rows
    mixed = tmp / "mixed"
    for place in ("cam.01", "cam.02"):
        (mixed / place).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(mixed / place / "1.png")
    for name in ("clip.avi", "clip.mp4", "shot.1.mp4", "b.mp4"):
        write_video(mixed / name, square(0)[0][:2])
    found = [v.name for v in folder(mixed)]
    assert found == ["b", "cam.01", "cam.02", "clip.avi", "clip.mp4", "shot.1"]


    def boxes_of(*named):
        "A table with a box for each of these names, and what is read from it."
        rows = [(name, "0", "cat", i, 1, 1, 5, 5) for i, name in enumerate(named)]
        columns = ["video", "tube", "label", "frame", "x1", "y1", "x2", "y2"]
        pd.DataFrame(rows, columns=columns).to_csv(tmp / "mixed.csv", index=False)
        videos = csv_data(mixed, tmp / "mixed.csv")
        assert len(videos) == 6
        return {v.name: sum(len(t.boxes) for t in v.tubes) for v in videos if v.tubes}


    assert boxes_of("clip.avi", "clip.avi") == {"clip.avi": 2}
    assert boxes_of("clip.avi", "clip.mp4", "cam.02") == {"clip.avi": 1, "clip.mp4": 1, "cam.02": 1}
    assert boxes_of("./b.mp4", "b.mp4", "b", "shot.1") == {"b": 3, "shot.1": 1}
    with pytest.raises(DataError, match="'clip' may be 2 videos. Write clip.avi"):
        boxes_of("clip")


def test_a_frame_of_a_jhmdb_video_without_a_mask_is_a_frame_without_a_box(setup_1, setup_6, setup_4):
    tmp = setup_1.tmp
    i = setup_6.i
    draw_jhmdb = setup_4.draw_jhmdb
    root = draw_jhmdb(tmp / "jhmdb_empty")
    target = next((root / "puppet_mask" / "catch").rglob("*.mat"))
    masks = read_mat(target, "part_mask").copy()
    masks[..., 4] = 0
    savemat(target, {"part_mask": masks})
    _puppet.cache_clear()
    video = jhmdb21(root)[0]
    assert [(t.start, t.stop) for t in video.tubes] == [(0, 4), (5, 12)]
    assert all((t.boxes >= 0).all() for t in video.tubes)
    assert truth_mask(video, range(12), 48, 64).any((1, 2)).tolist() == [i != 4 for i in range(12)]


def test_a_folder_s_layout_is_recognised(setup_2, setup_4, setup_5, setup_6):
    ucf = setup_2.ucf
    jhmdb = setup_4.jhmdb
    vos = setup_5.vos
    own = setup_6.own
    kinds = [read_data(root) for root in (ucf, jhmdb, vos, own)]
    kinds.insert(3, read_data(own, own / "boxes.csv"))
    assert [len(k) for k in kinds] == [12, 4, 20, 3, 3]
    assert [len(class_names(k)) for k in kinds] == [2, 2, 6, 1, 0]


@pytest.fixture(scope="module")
def setup_7(setup_1):
    tube = setup_1.tube
    def ones(*shape):
        return np.ones(shape)


    leaf = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.binary(max_size=8),
        st.just(np.uint8(9)),
        st.builds(ones, st.integers(0, 3), st.just(4)),
    )
    field = st.sampled_from("numf label annotations sf ef boxes".split()) | st.text(max_size=4)


    def grow(x):
        return st.lists(x, max_size=3) | st.dictionaries(field, x, max_size=4)


    def near(x):
        "Often right, sometimes anything."
        return st.just(x) | leaf


    tree = st.recursive(leaf, grow, max_leaves=12)
    tube = st.fixed_dictionaries(
        {"sf": near(0), "ef": near(2), "boxes": near(ones(2, 4)), "label": near(0)}
    )
    entry = st.fixed_dictionaries(
        {"numf": near(9), "label": near(0), "annotations": st.lists(tube | leaf)}
    )
    key = (
        st.text(max_size=4) | st.integers() | st.none() | st.just(np.str_("x/y")) | st.just(np.uint8(9))
    )


    def survives(read):
        "Read, or refuse with the one documented error in one line."
        try:
            return all(isinstance(v, Video) for v in read())
        except DataError as e:
            return str(e).isprintable()


    fuzz = settings(max_examples=100, deadline=None, derandomize=True, database=None)
    return SimpleNamespace(ones=ones, leaf=leaf, field=field, grow=grow, near=near, tree=tree, tube=tube, entry=entry, key=key, survives=survives, fuzz=fuzz)


def test_random_pickles_are_read_or_refused(setup_1, setup_7):
    tmp = setup_1.tmp
    tree = setup_7.tree
    entry = setup_7.entry
    key = setup_7.key
    survives = setup_7.survives
    fuzz = setup_7.fuzz
    (root := tmp / "fuzz_ucf").mkdir(exist_ok=True)
    (root / "testlist01.txt").touch()


    @fuzz
    @given(st.dictionaries(key, entry | tree) | tree, st.integers(0, 5))
    def attempt(content, protocol):
        (root / "pyannot.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
        assert survives(lambda: ucf101_24(root)) and survives(
            lambda: ucf101_24(root, trimmed=True, bad={})
        )


    attempt()


def test_damaged_annotation_files_are_read_or_refused(setup_2, setup_4, setup_5, setup_6, setup_7):
    ucf = setup_2.ucf
    jhmdb = setup_4.jhmdb
    vos = setup_5.vos
    own = setup_6.own
    survives = setup_7.survives
    fuzz = setup_7.fuzz
    @fuzz
    @given(st.sampled_from(["pkl", "json", "mat", "csv", "txt"]), st.randoms(use_true_random=False))
    def attempt(kind, random):
        source, reader = {
            "pkl": (ucf / "pyannot.pkl", lambda: ucf101_24(ucf)),
            "json": (vos / "train" / "meta.json", lambda: youtube_vos(vos)),
            "mat": (next(jhmdb.rglob("*.mat")), lambda: jhmdb21(jhmdb)),
            "csv": (own / "boxes.csv", lambda: csv_data(own, own / "boxes.csv")),
            "txt": (ucf / "testlist01.txt", lambda: ucf101_24(ucf)),
        }[kind]
        _puppet.cache_clear()
        good = source.read_bytes()
        data = bytearray(good)
        for _ in range(random.randint(1, 6)):
            data[random.randrange(len(data))] = random.randrange(256)
        try:
            source.write_bytes(bytes(data[: random.choice([len(data), random.randrange(len(data))])]))
            assert survives(reader)
        finally:
            source.write_bytes(good)


    attempt()


def test_random_text_is_no_table_and_no_list(setup_1, setup_6, setup_7):
    tmp = setup_1.tmp
    own = setup_6.own
    rows = setup_6.rows
    survives = setup_7.survives
    fuzz = setup_7.fuzz
    @fuzz
    @given(
        st.text(max_size=60), st.lists(st.lists(st.text('ab,1-."', max_size=3), min_size=8, max_size=8))
    )
    def attempt(text, rows):
        head = "video,tube,label,frame,x1,y1,x2,y2"
        for content in (text, "\n".join([head, *map(",".join, rows)])):
            (tmp / "fuzz.csv").write_bytes(content.encode("utf-8", "surrogatepass"))
            assert survives(lambda: csv_data(own, tmp / "fuzz.csv"))


    attempt()
