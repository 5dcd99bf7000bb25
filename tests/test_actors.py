"Generated from nbs/05_actors.ipynb: change the notebook, then `make export`."
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.data import ucf101_24
from vad_ssl.video import read_frames
import numpy as np
import pytest
import tempfile

from vad_ssl.actors import ACTIONS, _box_of, cover, draw_video, make_actors, motion, shifted, skeleton


def test_sticks_follow_the_angles_worked_by_hand():
    skate = skeleton(motion("Skate", np.array([0.25])))
    assert skate.shape == (1, 10, 2, 2)
    hips, neck = skate[0, 0]
    np.testing.assert_allclose(hips, [0.55, 0], atol=1e-9)
    np.testing.assert_allclose(neck, [0.55, -0.32], atol=1e-9)  # cos(2 pi / 4) = 0, no lean


def test_a_constant_phase_holds_still_and_a_full_cycle_returns():
    for action in ACTIONS:
        still = skeleton(motion(action, np.full(4, 0.3)))
        assert np.ptp(still, axis=0).max() == 0
        if action not in ("Walk", "Approach"):  # these two go somewhere
            np.testing.assert_allclose(*skeleton(motion(action, np.array([0.1, 1.1]))), atol=1e-9)


def test_an_unknown_action_names_the_choices():
    with pytest.raises(ValueError, match="Approach, Jump"):
        motion("Fly", np.zeros(1))


def test_a_stick_covers_what_it_should():
    c = cover(np.array([[[[2.0, 3.0], [6.0, 3.0]]]]), np.array([1.0]), 7, 9)[0, 0]
    assert c.shape == (7, 9)
    assert c[3, 4] == 1  # on the line
    assert c[2, 4] == 0.5  # a pixel off: radius 1 - 1 + 0.5
    assert c[1, 4] == 0
    assert c[3, 1] == 0.5 and c[3, 0] == 0  # the cap beyond the end


def test_a_box_is_tight():
    a = np.zeros((1, 6, 8))
    a[0, 2:5, 3:7] = 1
    assert _box_of(a).tolist() == [[3, 2, 4, 3]] and _box_of(a[:, :2]).tolist() == [[-1, -1, 1, 1]]


def test_a_shift_moves_pixels_by_hand():
    a = np.arange(6).reshape(1, 2, 3)
    assert shifted(a, np.array([[0, 1]])).tolist() == [[[0, 0, 1], [3, 3, 4]]]
    assert shifted(a, np.array([[1, 0]])).tolist() == [[[0, 1, 2], [0, 1, 2]]]


def test_a_drawn_video_has_annotated_actors_inside_the_picture():
    for k, action in enumerate(ACTIONS):
        frames, tubes = draw_video(action, np.random.default_rng(k), frames=20, height=60, width=80)
        assert frames.shape == (20, 60, 80, 3) and frames.dtype == np.uint8
        assert 1 <= len(tubes) <= 2
        for start, end, boxes in tubes:
            assert 0 <= start < end <= 20 and boxes.shape == (end - start, 4)
            assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] > 0).all()
            assert (boxes[:, :2] + boxes[:, 2:] <= [80, 60]).all()
            assert np.median(boxes[:, 3]) > 10  # actors are neither lost nor specks


def test_the_same_seed_draws_the_same_pixels():
    a, b = (draw_video("Walk", np.random.default_rng(3), frames=6) for _ in range(2))
    assert np.array_equal(a[0], b[0]) and all(np.array_equal(x[2], y[2]) for x, y in zip(a[1], b[1]))
    assert not np.array_equal(a[0], draw_video("Walk", np.random.default_rng(4), frames=6)[0])


def test_a_motion_of_one_s_own_takes_the_place_of_a_name():
    named, _ = draw_video("Wave", np.random.default_rng(3), frames=6)
    given, _ = draw_video(partial(motion, "Wave"), np.random.default_rng(3), frames=6)
    assert np.array_equal(named, given)


def test_the_action_moves_more_than_the_idle_frames_around_it():
    frames, tubes = draw_video("Wave", np.random.default_rng(1), frames=40, idle=12)
    start, end, boxes = tubes[0]
    (x1, y1), (x2, y2) = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    moved = abs(np.diff(frames[:, y1:y2, x1:x2].astype(float), axis=0)).mean((1, 2, 3))
    idle = np.r_[moved[:start], moved[end - 1 :]]
    assert len(idle) > 9 and moved[start : end - 1].mean() > 1.5 * idle.mean()


@pytest.fixture(scope="module")
def setup_1():
    root = make_actors(Path(tempfile.mkdtemp()) / "actors", train=2, test=1, workers=1)
    return SimpleNamespace(root=root)


def test_the_reader_of_ucf101_24_reads_the_drawn_data_set(setup_1):
    root = setup_1.root
    videos = ucf101_24(root)
    assert len(videos) == 3 * len(ACTIONS)
    assert {v.action for v in videos} == set(ACTIONS)
    assert sum(v.split == "test" for v in videos) == len(ACTIONS)
    assert all(v.path.exists() and v.n_frames == 32 for v in videos)


def test_decoded_pixels_are_close_to_the_drawn_ones(setup_1):
    root = setup_1.root
    video = next(v for v in ucf101_24(root) if v.name.endswith("v_Spin_g02_c01"))
    drawn, tubes = draw_video("Spin", np.random.default_rng([0, ACTIONS.index("Spin"), 2]))
    decoded = read_frames(video.path, range(32))
    assert np.abs(decoded.astype(int) - drawn).mean() < 12  # lossy video, but the same picture
    x, y, w, h = tubes[0][2][0]
    assert video.tubes[0].boxes[0].tolist() == [x, y, x + w - 1, y + h - 1]
    assert video.tubes[0].start == tubes[0][0]


def test_annotations_depend_on_the_seed_alone(setup_1):
    root = setup_1.root
    again = make_actors(Path(tempfile.mkdtemp()) / "actors", train=2, test=1, workers=2)
    assert (again / "pyannot.pkl").read_bytes() == (root / "pyannot.pkl").read_bytes()


def test_an_interrupted_run_leaves_nothing_that_looks_finished():
    target = Path(tempfile.mkdtemp()) / "actors"
    (target.parent / ".actors.1" / "videos").mkdir(parents=True)  # what a killed process leaves behind
    assert make_actors(target, train=1, test=1, workers=1) == target
    assert (target / "pyannot.pkl").exists()
    assert len(ucf101_24(target)) == 2 * len(ACTIONS)


def test_a_folder_that_holds_something_else_is_refused(setup_1):
    root = setup_1.root
    with pytest.raises(ValueError, match="choose another folder"):
        make_actors(root, train=3, test=1)
    assert make_actors(root, train=2, test=1) == root


def test_a_place_that_cannot_be_written_is_an_error_and_leaves_nothing():
    blocked = Path(tempfile.mkdtemp()) / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OSError):
        make_actors(blocked / "actors", train=1, test=1, workers=1)
    assert [p.name for p in blocked.parent.iterdir()] == ["file"]


def test_a_ninth_action_changes_some_old_videos_through_their_mannequins():
    def two():
        "Two jumps, as in the data set."
        return [draw_video("Jump", np.random.default_rng([0, 1, k]), frames=10)[0] for k in (0, 1)]


    old = two()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(draw_video.__globals__, "ACTIONS", (*ACTIONS, "Walk"))
        new = two()
    assert [np.array_equal(a, b) for a, b in zip(old, new)] == [True, False]
