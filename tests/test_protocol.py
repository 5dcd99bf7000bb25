"Generated from nbs/41_protocol.ipynb: change the notebook, then `make export`."
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.exercise import Case
from vad_ssl.exercise import Exercise
from vad_ssl.video import eval_clips
import json
import numpy as np
import pytest
import warnings

from vad_ssl.protocol import (
    Scores,
    capsule_protocol,
    confusion,
    count_record,
    summarise,
    video_class,
    video_record,
)


@pytest.fixture(scope="module")
def setup_1():
    def paint(boxes, frames, length, size=32):
        "A mask `(t, h, w)`: `boxes` filled in, in `frames` only; inclusive pixels."
        mask = np.zeros((length, size, size), bool)
        for x1, y1, x2, y2 in boxes:
            mask[list(frames), y1 : y2 + 1, x1 : x2 + 1] = True
        return mask


    A, SHIFTED = [8, 8, 19, 23], [12, 8, 23, 23]
    return SimpleNamespace(paint=paint, A=A, SHIFTED=SHIFTED)


def test_overlap_by_hand(setup_1):
    paint = setup_1.paint
    A = setup_1.A
    SHIFTED = setup_1.SHIFTED
    true, pred = (paint([box], [0], 1) for box in (A, SHIFTED))
    assert true.sum() == pred.sum() == 12 * 16
    assert (true & pred).sum() / (true | pred).sum() == 0.5


@pytest.fixture(scope="module")
def setup_2():
    def hit_rates_slowly(probs, truths, labels, n_classes, threshold):
        "f-AP and v-AP of every class, word for word."
        frames = [[] for _ in range(n_classes)]
        videos = [[] for _ in range(n_classes)]
        for prob, truth, label in zip(probs, truths, labels):
            inter = union = 0
            for p, g in zip(prob, truth):
                if not g.any():
                    continue
                i, u = (g & (p >= 0.5)).sum(), (g | (p >= 0.5)).sum()
                frames[label].append(np.float32(i / u) >= np.float32(threshold))
                inter, union = inter + i, union + u
            if union:
                videos[label].append(np.float32(inter / union) >= np.float32(threshold))
        return [[np.mean(h) if h else np.nan for h in hits] for hits in (frames, videos)]
    return SimpleNamespace(hit_rates_slowly=hit_rates_slowly)


def test_a_record_by_hand():
    record = count_record(np.array([192, 128]), np.array([192, 256]), label=0, thresholds=[0.5, 0.6])
    assert record == dict(label=0, predicted=-1, frames=2, hits=[2, 1], iou=320 / 448)


def test_only_clips_with_an_annotated_frame_are_asked():
    shown = np.arange(40) >= 33  # clip 4 holds frames 32, 34 .. and clip 5 holds 33, 35 ..
    scores = np.eye(6)[[0, 0, 0, 0, 1, 2]] + [0, 0, 0, 0, 0, 0.1]
    assert video_class(scores, shown) == 1
    assert video_class(scores, np.arange(40) == 33) == 2
    assert video_class(scores, np.ones(40, bool)) == 0
    for n in (1, 15, 16, 17, 18, 33):  # whether or not clips of nothing but padding are scored
        for clips in (len(eval_clips(n)), 2 * -(-n // 16)):
            assert video_class(np.eye(2)[[1] * clips], np.ones(n, bool)) == 1


def test_a_video_that_counts_twice_is_two_videos():
    records = [count_record(np.array([9 * h]), np.array([9]), 0) for h in (0, 1, 1)]
    weighted = summarise(records, weights=np.array([2, 0, 1]))
    repeated = summarise([records[k] for k in (0, 0, 2)])
    np.testing.assert_array_equal(weighted.f_ap, repeated.f_ap)
    assert isinstance(weighted, Scores) and weighted.v_map.shape == (20,)


def test_paper_protocol_by_hand(setup_1):
    paint = setup_1.paint
    A = setup_1.A
    SHIFTED = setup_1.SHIFTED
    truth = paint([A], [0, 1], 3)
    prob = (paint([A], [0, 2], 3) | paint([SHIFTED], [1], 3)) * 0.9
    s = capsule_protocol([prob], [truth], [0], thresholds=[0.5, 0.6, 0.7, 0.8])
    assert s.f_ap.shape == s.v_ap.shape == (1, 4) and s.f_map.shape == (4,)
    np.testing.assert_array_equal(s.f_ap, [[1, 0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(s.v_ap, [[1, 1, 1, 0]])
    assert np.isnan(s.accuracy)


@pytest.fixture(scope="module")
def setup_3():
    def random_videos(seed, n=6, n_classes=3):
        "Masks that overlap more or less, some of them empty."
        rng = np.random.default_rng(seed)
        lengths = rng.integers(1, 9, n)
        truths = [rng.random((t, 4, 5)) < rng.choice([0, 0.3, 1], (t, 1, 1)) for t in lengths]
        probs = [
            np.where(rng.random(g.shape) < 0.3, rng.integers(0, 9, g.shape) / 8, g) for g in truths
        ]
        return probs, truths, rng.integers(0, n_classes, n)
    return SimpleNamespace(random_videos=random_videos)


def test_loop_and_fast_version_agree_in_any_order(setup_2, setup_3):
    hit_rates_slowly = setup_2.hit_rates_slowly
    random_videos = setup_3.random_videos
    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 10**6), st.permutations(range(6)), st.sampled_from([0, 0.2, 0.5, 0.75]))
    def agree(seed, order, threshold):
        probs, truths, labels = random_videos(seed)
        slow = hit_rates_slowly(probs, truths, labels, 3, threshold)
        mixed = ([x[i] for i in order] for x in (probs, truths, labels))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fast = capsule_protocol(*mixed, n_classes=3, thresholds=[threshold])
        np.testing.assert_allclose(fast.f_ap[:, 0], slow[0], atol=1e-12)
        np.testing.assert_allclose(fast.v_ap[:, 0], slow[1], atol=1e-12)


    agree()


def test_a_class_without_videos_is_nan_and_says_so():
    with pytest.warns(UserWarning, match=r"class \[1\].*NaN"):
        s = capsule_protocol([np.ones((2, 3, 3))], [np.ones((2, 3, 3), bool)], [0], n_classes=2)
    assert s.f_ap[0, 10] == 1 and np.isnan(s.f_ap[1]).all() and np.isnan(s.f_map).all()
    with pytest.warns(UserWarning):
        assert capsule_protocol([], [], [], n_classes=2).f_ap.shape == (2, 20)
    with pytest.warns(UserWarning):
        s = capsule_protocol([np.ones((2, 3, 3))], [np.zeros((2, 3, 3))], [0])
    assert s.videos.tolist() == [0]  # nothing annotated, nothing scored
    nothing = [np.zeros((1, 2, 2))], [np.zeros((1, 2, 2))], [0], [np.ones((1, 2))]
    with pytest.warns(UserWarning, match=r"class \[0, 1\]"):
        s = capsule_protocol(*nothing, strict=True)
    assert s.videos.tolist() == [0, 0] and np.isnan(s.f_map).all() and np.isnan(s.accuracy)


def test_wrong_input_names_the_cure():
    mask = np.ones((2, 3, 3), bool)
    with pytest.raises(ValueError, match="resize"):
        video_record(np.ones((2, 4, 4)), mask, 0)
    with pytest.raises(ValueError, match="sigmoid"):
        video_record(mask * 3.0, mask, 0)
    with pytest.raises(ValueError, match="not finite: the network diverged"):
        video_record(mask * np.nan, mask, 0)
    with pytest.raises(ValueError, match="eval_clips"):
        video_record(mask * 1.0, mask, 0, np.ones((5, 2)))
    with pytest.raises(ValueError, match="clip_scores"):
        capsule_protocol([mask * 1.0], [mask], [0], strict=True)
    with pytest.raises(ValueError, match="one of each"):
        capsule_protocol([mask * 1.0], [mask], [0, 1])


@pytest.fixture(scope="module")
def setup_4():
    up = ("..", "../..", "../../..")
    cases = next((p for p in (Path(d) / "shared/data/peer_cases" for d in up) if p.exists()), None)


    def peer_videos():
        "The thirteen videos: probs, truths, labels, clip_scores, and what the published code printed."
        z = np.load(cases / "capsule_protocol.npz")
        frames = np.cumsum(z["n_frames"])[:-1]
        clips = np.cumsum(z["n_clips"])[:-1]
        probs = np.split(z["prob_u8"] / 256, frames)
        truths = np.split(np.unpackbits(z["gt_packed"], axis=-1), frames)
        return [probs, truths, z["labels"], np.split(z["clip_scores"], clips)], z
    return SimpleNamespace(up=up, cases=cases, peer_videos=peer_videos)


def test_ties_are_hits_and_half_is_foreground():
    truth, pred = np.zeros((1, 4, 5), bool), np.zeros((1, 4, 5))
    truth[:, 0], pred[:, 0, :1] = True, 0.5  # one pixel of five: an overlap of 1/5
    s = capsule_protocol([pred], [truth], [0])
    assert s.f_map[4] == 1 and s.f_map[5] == 0 and s.thresholds[4] == 0.2
    assert capsule_protocol([pred - (pred > 0) * 1e-9], [truth], [0]).f_map[1] == 0


def test_paper_protocol_agrees_with_the_published_code(setup_4):
    cases = setup_4.cases
    peer_videos = setup_4.peer_videos
    if cases is None:
        pytest.skip("reference numbers not present")
    videos, z = peer_videos()
    s = capsule_protocol(*videos)
    for ours, name in [
        (s.f_ap, "f_ap_per_class"),
        (s.v_ap, "v_ap_per_class"),
        (s.f_map, "f_map"),
        (s.v_map, "v_map"),
        (s.accuracy, "video_accuracy"),
        (s.thresholds, "iou_thresholds"),
        (s.frames, "n_frames_per_class"),
        (s.videos, "n_videos_per_class"),
    ]:
        np.testing.assert_allclose(ours, z[name], atol=1e-12)
    records = [video_record(*v) for v in zip(*videos)]
    np.testing.assert_allclose(
        [r["iou"] if r["frames"] else np.nan for r in records], z["video_iou"], atol=1e-12
    )
    assert sum(r["predicted"] == r["label"] for r in records if r["frames"]) == z["n_correct"] == 9
    absent = [[x for x, c in zip(column, z["labels"]) if c < 3] for column in videos]
    with pytest.warns(UserWarning):
        s = capsule_protocol(*absent, n_classes=4)
    np.testing.assert_array_equal(s.f_map, z["f_map_if_class3_absent"])
    np.testing.assert_array_equal(s.v_map, z["v_map_if_class3_absent"])


@pytest.fixture(scope="module")
def setup_5(setup_1):
    paint = setup_1.paint
    A = setup_1.A
    def guessed(guesses):
        "Records of perfect masks; `guesses` has the true and the predicted class of every video."
        mask = paint([A], range(12), 12)
        return [video_record(mask * 1.0, mask, c, np.eye(3)[[guess] * 2]) for c, guess in guesses]


    guesses = [(0, 0), (0, 1), (1, 1), (2, 0)]
    return SimpleNamespace(guessed=guessed, guesses=guesses)


def test_strict_credits_the_right_class_only(setup_5):
    guessed = setup_5.guessed
    guesses = setup_5.guesses
    records = json.loads(json.dumps(guessed(guesses)))  # as after an interruption
    assert summarise(records).f_map[10] == 1 and summarise(records).accuracy == 0.5
    np.testing.assert_array_equal(summarise(records, strict=True).v_ap[:, 10], [0.5, 1, 0])
    np.testing.assert_array_equal(confusion(records, 3), [[1, 1, 0], [0, 1, 0], [1, 0, 0]])


@pytest.fixture(scope="module")
def setup_6(setup_1):
    paint = setup_1.paint
    A = setup_1.A
    SHIFTED = setup_1.SHIFTED
    one_truth = paint([A], [0, 1], 3)  # 192 of 192 pixels, 128 of 256, and nobody there
    one_prob = (paint([A], [0, 2], 3) | paint([SHIFTED], [1], 3)) * 0.9
    exact, missed = paint([A], [0], 1), paint([[0, 0, 3, 3]], [0], 1)
    protocol_exercise = Exercise(
        Case(
            "a frame without an actor, at 0.4",
            lambda f: f([one_prob], [one_truth], [0], 0.4),
            (1.0, 1.0),
            "frames without truth are not looked at, whatever fires there",
        ),
        Case(
            "an overlap of exactly 0.5, at 0.5",
            lambda f: f([one_prob], [one_truth], [0], 0.5),
            (1.0, 1.0),
            "to reach the threshold is a hit: `>=`",
        ),
        Case(
            "the overlap of a video, at 0.73",
            lambda f: f([one_prob], [one_truth], [0], 0.73),
            (0.5, 0.0),
            "the sum of intersections over the sum of unions: 320 / 448, not the mean overlap 0.75",
        ),
        Case(
            "a probability of exactly a half",
            lambda f: f([exact * 0.5], [exact], [0], 0.5),
            (1.0, 1.0),
            "foreground begins at 0.5: `>=` once more",
        ),
        Case(
            "two classes of different size",
            lambda f: f([exact, exact, exact, missed], [exact] * 4, [0, 0, 0, 1], 0.5),
            (0.5, 0.5),
            "the rate of every class first, then the plain mean over the classes",
        ),
    )
    return SimpleNamespace(one_truth=one_truth, one_prob=one_prob, exact=exact, missed=missed, protocol_exercise=protocol_exercise)


def test_the_check_of_the_protocol_passes_it_and_explains_five_mistakes(setup_6):
    protocol_exercise = setup_6.protocol_exercise
    def whole(probs, truths, labels, threshold):
        "The chapter's own in the form of the exercise."
        s = capsule_protocol(probs, truths, labels, thresholds=[threshold])
        return s.f_map[0], s.v_map[0]


    def protocol_with(empty=False, reach=np.greater_equal, sums=True, on=0.5, classes=True):
        "The protocol with a choice of mistakes."

        def f(probs, truths, labels, threshold):
            rates = []
            for label in sorted(set(labels)) if classes else [None]:
                frames, videos = [], []
                for prob, truth, own in zip(probs, truths, labels):
                    if label not in (None, own):
                        continue
                    shown = truth.any((1, 2)) | empty
                    pred, true = prob[shown] >= on, truth[shown]
                    inter, union = (pred & true).sum((1, 2)), (pred | true).sum((1, 2))
                    frames.extend(reach(inter / union, threshold))
                    whole = inter.sum() / union.sum() if sums else (inter / union).mean()
                    videos.append(reach(whole, threshold))
                rates.append((np.mean(frames), np.mean(videos)))
            return tuple(np.mean(rates, 0))

        return f


    review = protocol_exercise.review
    for right in (whole, protocol_with()):
        assert review(right).startswith("All 5 right")
    for name, mistake in (
        ("a frame without an actor, at 0.4", dict(empty=True)),
        ("an overlap of exactly 0.5, at 0.5", dict(reach=np.greater)),
        ("the overlap of a video, at 0.73", dict(sums=False)),
        ("a probability of exactly a half", dict(on=0.51)),
        ("two classes of different size", dict(classes=False)),
    ):
        assert f"Not yet: {name};" in review(protocol_with(**mistake))


def test_the_solutions_of_the_exercises_hold(setup_1):
    paint = setup_1.paint
    A = setup_1.A
    whole = np.ones((12, 32, 32))
    L, R = [2, 6, 9, 25], [20, 6, 29, 25]
    assert paint([L, R], [0], 1).sum() == 360
    for true, want in (([A], 0), ([L, R], 1)):
        assert capsule_protocol([whole], [paint(true, range(12), 12)], [0]).f_map[4] == want
    truth = np.zeros((11, 9, 9), bool)
    prob = np.zeros((11, 9, 9))
    truth[:, 0, 0] = truth[10] = True
    prob[10] = 1
    record = video_record(prob, truth, 0)
    assert record["hits"][1] == 1 and record["frames"] == 11 and record["iou"] > 0.85
