"Generated from nbs/08_check.ipynb: change the notebook, then `make export`."
from PIL import Image
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.data import _VIDEOS
from vad_ssl.data import folder
from vad_ssl.data import save_annotations
from vad_ssl.data import ucf101_24
from vad_ssl.files import VideoError
from vad_ssl.files import mask_box
from vad_ssl.records import Tube
from vad_ssl.records import Video
from vad_ssl.video import IMAGES
from vad_ssl.video import write_video
import inspect
import numpy as np
import pickle
import pytest
import re
import tempfile

from vad_ssl.check import (
    _compare,
    _overlap,
    check_data,
    class_problems,
    duplicates,
    mask_problems,
    tube_problems,
    usable,
    video_problems,
)


def test_overlap_worked_out_by_hand():
    left, right = Tube(0, 0, np.array([[0, 0, 3, 3]] * 4)), Tube(0, 2, np.array([[2, 0, 5, 3]] * 4))
    assert _overlap(left, left) == 1 and _overlap(left, right) == pytest.approx(8 / 24)
    assert _overlap(left, Tube(0, 4, left.boxes)) == 0


def test_problems_of_tubes_one_by_one():
    def kinds(*tubes):
        return [problem for _, problem, _ in tube_problems(tubes, 4, 6, 6)]


    good = Tube(0, 0, np.array([[0, 0, 3, 3]] * 4))
    assert kinds(good) == []
    assert kinds(good, good) == ["overlapping tubes"]
    assert kinds(replace(good, start=1)) == ["late tube"]
    assert kinds(replace(good, label=-1)) == ["unknown class"]
    assert kinds(replace(good, boxes=good.boxes + 3)) == ["box outside"]
    assert kinds(replace(good, boxes=good.boxes - 1)) == ["box outside"]
    assert kinds(replace(good, boxes=good.boxes[:, [2, 1, 0, 3]])) == ["empty box"]
    assert kinds(replace(good, boxes=good.boxes[:0])) == ["empty tube"]


def test_masks_that_are_missing_of_another_size_or_not_numbers_are_found_once_a_tube():
    def masks_of(frame):
        if frame == 2:
            raise VideoError("mask.png: no such file")
        return np.zeros((6, 6 + frame), bool)


    boxes = np.full((4, 4), -1)
    some = Video("a", Path("a"), tubes=(Tube(0, 2, boxes, masks_of), Tube(0, 0, boxes, masks_of)))
    found = list(mask_problems(some, 6, 6))
    assert [problem for _, problem, _ in found] == ["unreadable mask", "mask of another size"]
    assert found[0][2] == "tube 0, frame 2: mask.png: no such file" and "7x6, not 6x6" in found[1][2]


@pytest.fixture(scope="module")
def setup_1():
    box = tempfile.TemporaryDirectory()
    tmp = Path(box.name)
    names = [f"{'LR'[i % 2]}/v_{'LR'[i % 2]}_g{i // 4:02}_c{i // 2 % 2:02}" for i in range(12)]


    def square(i, n=24, h=48, w=64):
        "A bright square that moves over a mosaic: frames uint8 (n, h, w, 3) and boxes (n, 4) xywh."
        rng = np.random.default_rng(i)
        ground = rng.integers(0, 90, (h // 8, w // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        frames = np.repeat(ground[None], n, axis=0)
        x = np.linspace(2, w - 18, n).astype(int)[:: 1 if i % 2 else -1]
        boxes = np.stack([x, *np.full((3, n), [[10 + i % 8], [16], [20]])], axis=1)
        for f, (x, y, bw, bh) in zip(frames, boxes):
            f[y : y + bh, x : x + bw] = (230, 220, 180)
        return frames, boxes


    def entry(i, **change):
        "The annotation of one video, perhaps with a fault."
        tube = {"label": i % 2, "sf": 4, "ef": 20, "boxes": square(i)[1][4:20]}
        return {"numf": 24, "label": i % 2, "annotations": [tube | change]}


    def draw(root):
        "Twelve videos; the last four are for testing."
        for i, name in enumerate(names):
            path = root / "videos" / f"{name}.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, square(i)[0])
        save_annotations(root, {n: entry(i) for i, n in enumerate(names)}, names[-4:])
        return root


    def spoil(root):
        "Break the small data set, one video for each kind of damage."
        files = [root / "videos" / f"{n}.avi" for n in names]
        entries = [entry(i) for i in range(12)]
        files[0].unlink()
        data = files[1].read_bytes()
        files[1].write_bytes(data[: len(data) * 2 // 3])
        files[2].write_text("not a video")
        data = files[3].read_bytes()
        middle = len(data) // 2
        files[3].write_bytes(data[:middle] + bytes(60) + data[middle + 60 :])
        entries[4]["numf"] = 30
        entries[5] = entry(5, boxes=square(5)[1][4:20] + (20, 0, 0, 0))
        entries[6] = entry(6, boxes=square(6)[1][4:20] * (1, 1, 0, 1))
        entries[7] = entry(7, sf=10, ef=26)
        entries[8]["annotations"] *= 2
        entries[9] = entry(9, sf=4, ef=4, boxes=np.zeros((0, 4), int))
        files[10].write_bytes(files[5].read_bytes())
        save_annotations(root, dict(zip(names, entries)), names[-4:])
        return root
    return SimpleNamespace(box=box, tmp=tmp, names=names, square=square, entry=entry, draw=draw, spoil=spoil)


def test_every_kind_of_damage_is_found_and_nothing_else(setup_1):
    tmp = setup_1.tmp
    names = setup_1.names
    draw = setup_1.draw
    spoil = setup_1.spoil
    report = check_data(spoil(draw(tmp / "spoilt")), workers=2)
    found = {(names.index(r.video), r.severity, r.problem) for r in report.itertuples()}
    assert found == {
        (0, "error", "missing"),
        (1, "error", "unreadable"),
        (2, "error", "unreadable"),
        (3, "error", "unreadable"),
        (4, "error", "too short"),
        (5, "error", "box outside"),
        (6, "error", "empty box"),
        (7, "error", "late tube"),
        (8, "note", "overlapping tubes"),
        (9, "error", "empty tube"),
        (5, "error", "leak"),
    }
    for why in ("truncated", "not a readable video", "damaged|cannot be decoded"):
        assert report.detail.str.contains(why).any()
    left = [v.name for v in usable(ucf101_24(tmp / "spoilt"), report)]
    assert left == sorted([names[8], names[10], names[11]])
    good = check_data(draw(tmp / "good"))
    assert len(good) == 0 and list(good.columns) == ["video", "path", "severity", "problem", "detail"]
    assert len(check_data(folder(tmp / "good"))) == 0  # records without annotations


def test_unreadable_annotations_and_odd_records_are_reported_too(setup_1):
    tmp = setup_1.tmp
    names = setup_1.names
    entry = setup_1.entry
    draw = setup_1.draw
    root = draw(tmp / "odd")
    (odd := tmp / "alone").mkdir()
    (odd / "pyannot.pkl").write_bytes(pickle.dumps({"../x": {}, names[0]: entry(0)}))
    (odd / "testlist01.txt").touch()
    assert sorted(check_data(odd).problem) == ["annotation", "missing"]
    video = ucf101_24(root)[0]
    assert list(check_data([video, video]).problem) == ["duplicate name", "duplicate"]
    nameless = replace(video, action="", label=-1, tubes=(Tube(-1, 0, video.tubes[0].boxes),))
    assert set(check_data([nameless]).problem) == {"unknown class"}


def test_tubes_with_masks_pass_whether_their_boxes_are_worked_out_jhmdb_or_not_youtube_vos(setup_1):
    tmp = setup_1.tmp
    square = setup_1.square
    def disc(frame):
        y, x = np.mgrid[:48, :64]
        return (y - 20) ** 2 + (x - 10 - 2 * frame) ** 2 < 50


    frames = tmp / "frames"
    frames.mkdir()
    for k, frame in enumerate(square(0)[0]):
        Image.fromarray(frame).save(frames / f"{k:05}.jpg")
    film = write_video(tmp / "disc.avi", square(0)[0])
    boxes = mask_box(np.stack([disc(k) for k in range(24)]))
    worked_out = Tube(0, 0, boxes, disc)
    unknown = Tube(0, 0, np.full((24, 4), -1, np.int32), disc)
    jhmdb = Video("a", film, "catch", 0, 24, (worked_out,), "train", "a", 48, 64)
    vos = Video("b", frames, "ape", 0, 24, (unknown, unknown))
    assert len(check_data([jhmdb])) == len(check_data([vos])) == 0


def test_a_leak_is_named_classes_from_1_are_noticed_and_no_file_stops_the_others(setup_1):
    tmp = setup_1.tmp
    names = setup_1.names
    draw = setup_1.draw
    root = draw(tmp / "leaky")
    first = root / "videos" / f"{names[0]}.avi"
    (root / "videos" / f"{names[-1]}.avi").write_bytes(first.read_bytes())
    report = check_data(root)
    (leak,) = report.itertuples()
    assert (leak.video, leak.severity, leak.problem) == (names[0], "error", "leak")
    assert names[-1] in leak.detail
    by_one = []
    for v in ucf101_24(root):
        tubes = tuple(replace(t, label=t.label + 1) for t in v.tubes)
        by_one.append(replace(v, label=v.label + 1, tubes=tubes))
    (gap,) = class_problems(by_one)
    assert gap[1:3] == ("error", "classes with a gap") and "counted from 1" in gap[3]
    alone = [v for v in by_one if v.label == 1]  # a single class counts from 0, too
    ((_, _, problem, detail),) = class_problems(alone)
    assert problem == "classes with a gap" and detail.endswith("counted from 1?")
    one, *others = ucf101_24(root)
    twice = [one, *(replace(v, label=one.label) for v in others)]
    twice = [replace(v, tubes=()) for v in twice]
    ((v, _, problem, detail),) = class_problems(twice)
    assert problem == "class twice" and detail == f"0 is {v.action} here and {one.action} before"
    assert v.action != one.action and not list(class_problems([one, *others]))
    video = ucf101_24(root)[0]
    strange = replace(video, tubes=(replace(video.tubes[0], boxes=None),))
    report = check_data([strange, video])
    assert list(report.problem[:1]) == ["unreadable"] and "TypeError" in report.detail[0]


@pytest.fixture
def setup_2():
    def shared(name):
        "One of the world's files, or None."
        places = (Path(d) / "shared/data" / name for d in ("..", "../..", "../../.."))
        return next((p for p in places if p.exists()), None)
    return SimpleNamespace(shared=shared)


def test_the_world_s_files_each_has_the_problem_that_it_is_known_for_and_no_other(setup_2):
    shared = setup_2.shared
    world = shared("world_files")
    if world is None:
        pytest.skip("world_files is not present")
    for name, problems in {
        "classes_from_one": {"classes with a gap"},
        "frames_with_a_hole": {"hole"},
        "jhmdb_empty_frame": set(),
        "vos_rgb_masks": {"unreadable mask"},
    }.items():
        report = check_data(world / name)
        assert set(report.problem[report.severity == "error"]) == problems, (name, report.detail)
    alone = [Video(p.name, p) for p in world.iterdir() if p.suffix in (".mp4", ".webm", ".gif", ".ts")]
    report = check_data(alone)
    assert set(report.problem) <= {"slow", "duplicate"}
    genuine = shared("ucf_genuine")
    with np.load(genuine / "expected.npz") as expected:
        clips = [Video(n, genuine / n, n_frames=len(expected[n])) for n in expected]
    report = check_data(clips)
    assert set(report.problem) <= {"slow"}
    short = [replace(v, n_frames=v.n_frames + 1) for v in clips[:1]]
    assert list(check_data(short).problem) == ["too short"]


def test_data_md_says_what_is_so_containers_and_what_check_data_reports(setup_2):
    shared = setup_2.shared
    guide = next(p for p in (Path("DATA.md"), Path("../DATA.md")) if p.exists()).read_text()
    table = guide.split("| container | endings |")[1].split("\n\n")[0]
    listed = set(re.findall(r"\.\w+", table))
    assert listed == _VIDEOS | IMAGES
    problems = set(
        re.findall(r"`([a-z ]+)`", guide.split("| problem | severity |")[1].split("\n\n")[0])
    )
    source = "".join(
        inspect.getsource(f) for f in (_compare, video_problems, tube_problems, check_data)
    )
    source += "".join(inspect.getsource(f) for f in (mask_problems, class_problems, duplicates))
    known = re.findall(r'"(?:error|note)",\s+"([a-z ]+)"', source)
    assert problems == set(known)
    world = shared("world_files")
    if world is None:
        pytest.skip("world_files is not present")
    for path in world.iterdir():
        if path.suffix in listed:
            (found,) = [v for v in folder(world) if v.path == path]
            assert not [p for severity, p, _ in video_problems(found) if severity == "error"]
            assert f"{path.suffix}" in table
