"Generated from nbs/03_records.ipynb: change the notebook, then `make export`."
from PIL import Image
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.files import DataError
from vad_ssl.files import VideoError
from vad_ssl.files import box_iou
from vad_ssl.files import mask_box
from vad_ssl.video import write_video
import numpy as np
import pickle
import pytest
import tempfile

from vad_ssl.records import (
    Tube,
    Video,
    class_names,
    data_key,
    length,
    read,
    trim,
    truth_mask,
    twins,
    without_leaks,
)


@pytest.fixture(scope="module")
def setup_1():
    def square(n=24, h=48, w=64):
        "A bright square that moves to the right: frames uint8 (n, h, w, 3), boxes (n, 4)."
        rng = np.random.default_rng(1)
        ground = rng.integers(0, 90, (h // 8, w // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        frames = np.repeat(ground[None], n, axis=0)
        boxes = [(x, 11, x + 15, 30) for x in np.linspace(2, w - 18, n).astype(int)]
        for frame, (x1, y1, x2, y2) in zip(frames, boxes):
            frame[y1 : y2 + 1, x1 : x2 + 1] = (230, 220, 180)
        return frames, np.array(boxes, np.int32)


    box = tempfile.TemporaryDirectory()
    tmp = Path(box.name)
    path = write_video(tmp / "right.avi", square()[0])
    tube = Tube(label=1, start=4, boxes=square()[1][4:20])
    video = Video("right", path, "Right", 1, 24, (tube,))
    return SimpleNamespace(square=square, box=box, tmp=tmp, path=path, tube=tube, video=video)


def test_class_names_stand_at_their_labels():
    jump, run = Video("a", Path("a.avi"), "Jump", 0), Video("b", Path("b.avi"), "Run", 2)
    assert class_names([run, jump, Video("c", Path("c.avi"))]) == ["Jump", "", "Run"]
    assert class_names([]) == []


def test_frames_come_from_file_or_memory_padding_is_black_and_an_unopened_video_is_opened(setup_1):
    tmp = setup_1.tmp
    video = setup_1.video
    index, cache = [0, 3, 9, 9, 23, -1], {}
    frames = read(video, index)
    assert frames.shape == (6, 48, 64, 3) and (frames[5] == 0).all() and (frames[2] == frames[3]).all()
    for _ in range(2):
        np.testing.assert_array_equal(read(video, index, cache), frames)
    assert len(cache) == 1
    later = replace(video, offset=4, n_frames=20)  # other frames under the same name
    np.testing.assert_array_equal(read(later, [0, 5], cache), read(video, [4, 9]))
    hole = Video("hole", tmp / "hole")
    hole.path.mkdir()
    for k in (0, 1, 3):
        Image.fromarray(frames[k]).save(hole.path / f"{k}.png")
    for _ in range(2):
        np.testing.assert_array_equal(read(hole, [3, -1, 1], cache), frames[[3, 5, 1]])
        with pytest.raises(VideoError, match="frame 2 is missing"):
            read(hole, [1, 2], cache)
    assert length(video) == length(replace(video, n_frames=0)) == 24
    assert length(replace(video, n_frames=0, offset=4)) == 20


@pytest.fixture(scope="module")
def setup_2(setup_1):
    tube = setup_1.tube
    video = setup_1.video
    def naive_mask(video, indices, height, width):
        "Ask every pixel of every frame whether it lies in a box."
        out = np.zeros((len(indices), height, width), bool)
        for k, i in enumerate(indices):
            for tube in video.tubes:
                if tube.start <= i < tube.stop:
                    x1, y1, x2, y2 = tube.boxes[i - tube.start]
                    for y in range(height):
                        for x in range(width):
                            out[k, y, x] |= x1 <= x <= x2 and y1 <= y <= y2
        return out
    return SimpleNamespace(naive_mask=naive_mask)


def test_a_mask_worked_out_by_hand():
    boxes = np.array([[1, 0, 2, 1], [3, 1, 3, 1]])
    one = Video("a", Path("a.avi"), n_frames=9, tubes=(Tube(0, 2, boxes),))
    masks = truth_mask(one, [1, 2, 3, 4, -1], height=2, width=4)
    assert masks.shape == (5, 2, 4) and masks.dtype == bool
    assert masks[1].astype(int).tolist() == [[0, 1, 1, 0], [0, 1, 1, 0]]
    assert masks[2].astype(int).tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]
    assert masks[[0, 3, 4]].sum() == 0  # before, after, padding


def test_the_fast_mask_equals_the_loop_over_pixels_boxes_outside_the_frame_included(setup_2):
    naive_mask = setup_2.naive_mask
    rng = np.random.default_rng(0)
    for _ in range(40):
        corner = rng.integers(-6, 14, (3, 4, 2))
        boxes = np.concatenate([corner, corner + rng.integers(-2, 8, (3, 4, 2))], axis=2)
        tubes = tuple(Tube(0, int(s), b) for s, b in zip(rng.integers(0, 6, 3), boxes))
        several = Video("a", Path("a"), tubes=tubes)
        index = rng.integers(-1, 10, 6)
        fast = truth_mask(several, index, 9, 12)
        np.testing.assert_array_equal(fast, naive_mask(several, index, 9, 12))


def test_frames_and_truth_fit(setup_1):
    tube = setup_1.tube
    video = setup_1.video
    index = range(24)
    bright = read(video, index).mean(3) > 130
    truth = truth_mask(video, index, 48, 64)
    assert truth.any((1, 2)).tolist() == [4 <= i < 20 for i in index]
    assert (bright == truth)[4:20].mean() > 0.97  # compression blurs the border
    assert (box_iou(mask_box(bright[4:20]), tube.boxes) > 0.8).all()


@pytest.fixture(scope="module")
def setup_3(setup_1):
    video = setup_1.video
    def disc(frame, radius):
        "A disc that moves to the right."
        y, x = np.mgrid[:48, :64]
        return (y - 20) ** 2 + (x - 2 * frame) ** 2 < radius**2


    followed = Tube(0, 5, np.full((3, 4), -1, np.int32), partial(disc, radius=6))
    round_one = replace(video, tubes=(followed,))
    return SimpleNamespace(disc=disc, followed=followed, round_one=round_one)


def test_a_tube_with_masks_is_read_by_its_function_one_frame_at_a_time(setup_3):
    disc = setup_3.disc
    round_one = setup_3.round_one
    masks = truth_mask(round_one, [4, 5, 7, 8], 48, 64)
    assert masks.any((1, 2)).tolist() == [False, True, True, False]
    assert (masks[2] == disc(7, 6)).all()
    why = "right: frame 5 has 32x24 pixels and its mask 64x48. Give masks of the video's size."
    with pytest.raises(DataError, match=why):
        truth_mask(round_one, [4, 5], 24, 32)


def test_a_trimmed_record_begins_where_the_action_begins_and_reads_the_same_frames(setup_1):
    video = setup_1.video
    cut = trim(video)
    assert (video.offset, video.n_frames, video.tubes[0].start) == (0, 24, 4)
    assert (cut.offset, cut.n_frames, cut.tubes[0].start) == (4, 16, 0)
    np.testing.assert_array_equal(read(cut, range(16)), read(video, range(4, 20)))
    assert truth_mask(cut, range(16), 48, 64).any((1, 2)).all()
    assert trim(replace(video, tubes=())).n_frames == 24
    assert trim(replace(video, n_frames=0)).n_frames == 16  # nobody has looked how long it is


def test_masks_are_trimmed_as_frames_are_and_travel_to_another_process(setup_3):
    followed = setup_3.followed
    round_one = setup_3.round_one
    for cut in (trim(round_one), trim(trim(round_one))):
        assert (cut.offset, cut.n_frames, cut.tubes[0].start) == (5, 3, 0)
        seen = truth_mask(cut, range(3), 48, 64)
        np.testing.assert_array_equal(seen, truth_mask(round_one, range(5, 8), 48, 64))
    carried = trim(replace(round_one, tubes=(replace(followed, masks=partial(np.full, 3)),)))
    assert (pickle.loads(pickle.dumps(carried)).tubes[0].masks(1) == [6, 6, 6]).all()


def test_the_key_changes_with_every_box_class_and_file_and_with_nothing_else(setup_1, setup_3):
    tube = setup_1.tube
    video = setup_1.video
    disc = setup_3.disc
    stripped = replace(video, tubes=(), action="", label=-1)
    tube = video.tubes[0]
    moved = replace(video, tubes=(replace(tube, boxes=tube.boxes + [1, 0, 0, 0]),))
    others = [
        stripped,
        moved,
        replace(video, tubes=(replace(tube, start=tube.start + 1),)),
        replace(video, label=video.label + 1),
        replace(video, path=Path("elsewhere.avi")),
        replace(video, tubes=(replace(tube, masks=lambda k: np.eye(4) > 0),)),
        replace(video, tubes=(replace(tube, masks=lambda k: np.eye(4) > (k > 9)),)),
        *(replace(video, tubes=(replace(tube, masks=partial(disc, radius=r)),)) for r in (1, 3)),
    ]
    keys = {data_key([v]) for v in (video, *others)}
    assert len(keys) == 1 + len(others) and data_key([replace(video)]) in keys
    assert data_key([video, stripped]) == data_key([stripped, video]) != data_key([video])
    assert data_key([stripped]) == data_key([replace(moved, tubes=(), action="", label=-1)])


def test_masks_in_files_speak_by_names_and_sizes_trimmed_or_not(setup_1):
    tmp = setup_1.tmp
    video = setup_1.video
    def stored(path, frame):
        raise AssertionError("a key does not open masks")


    (tmp / "mask.png").write_bytes(b"1234")
    of_file = replace(video, tubes=(replace(video.tubes[0], masks=partial(stored, tmp / "mask.png")),))
    before = [data_key([of_file]), data_key([trim(of_file)])]
    (tmp / "mask.png").write_bytes(b"12345")
    assert len({*before, data_key([of_file]), data_key([trim(of_file)])}) == 4


def test_twins_are_found_by_path_and_by_bytes_and_leaks_are_left_out_and_named(setup_1):
    tmp = setup_1.tmp
    for name, content in {"a.avi": b"film", "b.avi": b"film", "c.avi": b"mlif"}.items():
        (tmp / name).write_bytes(content)
    a, b, c = (Video(x, tmp / f"{x}.avi") for x in "abc")
    again = Video("./a", tmp / "sub" / ".." / "a.avi")
    assert twins([a, c]) == [] and twins([a, b, c]) == [[a, b]]
    (tmp / "sub").mkdir(exist_ok=True)
    assert twins([a, again, c]) == [[a, again]]
    gone = Video("d", tmp / "nowhere.avi")
    assert twins([gone, Video("e", tmp / "other.avi")]) == [] and len(twins([gone, gone])) == 1
    with pytest.warns(UserWarning, match="they are test videos: a"):
        assert without_leaks([a, c], [b]) == [c]
    assert without_leaks([a, c], []) == [a, c]
    with pytest.warns(UserWarning, match="they are test videos: a, d"):
        assert without_leaks([a, c, gone], [gone, a]) == [c]  # the very same records on both sides


def test_folders_of_the_same_frames_are_twins_however_they_are_called(setup_1):
    tmp = setup_1.tmp
    for name, frames in {"one": "xyz", "two": "xyz", "three": "xyw", "four": "xy", "five": ""}.items():
        (tmp / name).mkdir()
        for i, frame in enumerate(frames):
            (tmp / name / f"{name}{i}.jpg").write_text(frame)
    (tmp / "two" / "notes.txt").touch()
    (tmp / "six").mkdir()
    records = [Video(x, tmp / x) for x in "one two three four five six".split()]
    assert twins(records) == [records[:2]]
