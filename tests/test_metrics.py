"Generated from nbs/44_metrics.ipynb: change the notebook, then `make export`."
from pathlib import Path
from scipy import stats
from types import SimpleNamespace
from vad_ssl import ap
from vad_ssl import jf
from vad_ssl import protocol
from vad_ssl.ap import BOX
from vad_ssl.ap import FRAME
from vad_ssl.ap import TUBE
from vad_ssl.ap import frame_ap
from vad_ssl.ap import truth_table
from vad_ssl.ap import video_ap
from vad_ssl.data import ucf101_24
from vad_ssl.jf import boundary_f
from vad_ssl.jf import jaccard
from vad_ssl.protocol import capsule_protocol
from vad_ssl.protocol import count_record
from vad_ssl.protocol import summarise
from vad_ssl.protocol import video_record
from vad_ssl.records import Tube
from vad_ssl.records import Video
from vad_ssl.video import eval_clips
import numpy as np
import pandas as pd
import pytest
import warnings

from vad_ssl.metrics import act_table, bootstrap, interval, one_actor, score_table


def test_this_chapter_hands_on_the_measures_of_the_others():
    assert capsule_protocol is protocol.capsule_protocol
    assert frame_ap is ap.frame_ap and video_ap is ap.video_ap
    assert jaccard is jf.jaccard and boundary_f is jf.boundary_f


@pytest.fixture(scope="module")
def setup_1():
    def paint(boxes, frames, length, size=32):
        "A mask `(t, h, w)`: `boxes` filled in, in `frames` only; inclusive pixels."
        mask = np.zeros((length, size, size), bool)
        for x1, y1, x2, y2 in boxes:
            mask[list(frames), y1 : y2 + 1, x1 : x2 + 1] = True
        return mask


    def tracks(video, label, boxes, frames, **columns):
        "A table: the actors of `boxes` stand still during `frames`."
        rows = [(video, label, tube, f, *box) for tube, box in enumerate(boxes) for f in frames]
        return pd.DataFrame(rows, columns=[*TUBE, "frame", *BOX]).assign(**columns)


    A, L, R = [8, 8, 19, 23], [2, 6, 9, 25], [20, 6, 29, 25]  # one actor; two of them
    U = [2, 6, 29, 25]  # the box around both
    return SimpleNamespace(paint=paint, tracks=tracks, A=A, L=L, R=R, U=U)


@pytest.fixture(scope="module")
def setup_2(setup_1):
    paint = setup_1.paint
    tracks = setup_1.tracks
    A = setup_1.A
    L = setup_1.L
    R = setup_1.R
    U = setup_1.U
    # boxes of the truth, of the mask, of the tubes; frames shown, frames of action; right class?
    detectors = {
        "right place, wrong class": ([A], [A], [A], range(12), range(12), False),
        "fires on empty frames": ([A], [A], [A], range(40), range(16, 24), True),
        "two actors as one blob": ([L, R], [L, R], [U], range(12), range(12), True),
        "one of two actors missed": ([L, R], [L], [L], range(12), range(12), True),
        "all correct": ([A], [A], [A], range(12), range(12), True),
    }


    def verdicts(true, mask, tube, frames, action, right):
        "The scores of one detector under three protocols, in percent, as the mean over classes."

        labels, n = [0, 1], len(frames)
        guess = [0, 1] if right else [1, 0]
        votes = [np.eye(2)[[g] * len(eval_clips(n))] for g in guess]
        videos = [paint(mask, frames, n) * 1.0] * 2, [paint(true, action, n)] * 2, labels, votes
        truth = pd.concat([tracks(f"v{k}", k, true, action) for k in labels])
        tubes = pd.concat(
            [tracks(f"v{k}", g, tube, frames, score=0.9 - 0.1 * k) for k, g in zip(labels, guess)]
        )
        boxes = tubes.assign(score=tubes.score - 1e-4 * tubes.frame)
        paper, strict = (capsule_protocol(*videos, strict=strict) for strict in (False, True))
        out = {}
        for name, s in (("paper", paper), ("strict", strict)):
            for t, k in ((0.2, 4), (0.5, 10)):
                out[name, f"f@{t}"], out[name, f"v@{t}"] = s.f_map[k], s.v_map[k]
        for t in (0.2, 0.5):
            out["ACT", f"f@{t}"] = frame_ap(boxes, truth, t).mean()
            out["ACT", f"v@{t}"] = video_ap(tubes, truth, t).mean()
        return 100 * pd.Series(out)
    return SimpleNamespace(detectors=detectors, verdicts=verdicts)


def test_verdicts_agree_with_both_published_protocols(setup_2):
    detectors = setup_2.detectors
    verdicts = setup_2.verdicts
    want = [
        [100, 100, 100, 100, 0, 0, 0, 0],  # as printed by the published code: f, v at 0.2, 0.5; ACT's
        [100, 100, 100, 100, 18.8708, 100, 18.8708, 0],
        [100, 100, 100, 100, 50, 50, 0, 0],
        [100, 100, 0, 0, 50, 50, 50, 50],
        [100] * 8,
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, detector in zip(want, detectors.values()):
            np.testing.assert_allclose(verdicts(*detector)[["paper", "ACT"]], row, atol=2e-3)
            strict = verdicts(*detector)["strict"]
            assert (
                (strict == 0).all()
                if not detector[-1]
                else (strict == verdicts(*detector)["paper"]).all()
            )


def test_tables_by_hand(setup_1):
    paint = setup_1.paint
    tracks = setup_1.tracks
    A = setup_1.A
    L = setup_1.L
    R = setup_1.R
    whole = paint([A], range(12), 12)
    guesses = [(0, 0), (0, 1), (1, 1), (2, 0)]  # true class, predicted class
    records = [video_record(whole * 1.0, whole, c, np.eye(3)[[guess] * 2]) for c, guess in guesses]
    assert score_table(summarise(records, strict=True)).loc["mean", "f@0.5"] == 50
    with pytest.raises(ValueError, match="choose"):
        score_table(summarise(records), at=(0.33,))
    scores = summarise(records, n_classes=4)  # of the fourth class there is no video
    shown = score_table(scores).loc[["mean", 3], "f@0.2":]
    assert shown.isna().all(axis=None) and np.isnan(scores.f_map).all()
    truth = pd.concat([tracks("duel", 0, [L, R], range(12)), tracks("solo", 1, [A], range(12))])
    found = truth.assign(score=0.9).query("tube == 0")
    table = act_table(found, truth)
    with pytest.warns(UserWarning, match="no truth, of class .7.") as said:
        act_table(pd.concat([found, found.assign(label=7)]), truth)
    assert len(said) == 1
    assert table.shape == (3, 8) and (table.loc["mean"] == 75).all()


@pytest.fixture(scope="module")
def setup_3():
    def toy_tube(k, a):
        "Actor `a` of video `k`: ten frames, moving to the right."
        box = np.array([60 + 70 * a, 40 + 5 * k, 110 + 75 * a, 160 + 5 * k])
        return Tube(k % 2, a, np.array([box + [3 * f, 0, 3 * f, 0] for f in range(10)]))


    def toy_video(k):
        "Video `k`, with one to three actors."
        tubes = tuple(toy_tube(k, a) for a in range(1 + k % 3))
        return Video(f"v{k}", Path(f"v{k}.avi"), "wave", k % 2, 12, tubes)


    toy_videos = [toy_video(k) for k in range(12)]
    return SimpleNamespace(toy_tube=toy_tube, toy_video=toy_video, toy_videos=toy_videos)


def test_drawing_one_actor_can_be_repeated(setup_3):
    toy_videos = setup_3.toy_videos
    video = toy_videos[2]
    assert [len(v.tubes) for v in (video, one_actor(video))] == [3, 1]
    assert one_actor(toy_videos[0]) is toy_videos[0]
    draws = [one_actor(video, seed).tubes[0].start for seed in range(20)]
    assert draws == [one_actor(video, seed).tubes[0].start for seed in range(20)] and set(draws) == {
        0,
        1,
        2,
    }


@pytest.fixture(scope="module")
def setup_4():
    up = ("..", "../..", "../../..")
    root = next((p for p in (Path(d) / "shared/data/ucf101_24" for d in up) if p.exists()), None)


    def areas(videos):
        "Annotated pixels inside the crop, a row a frame: video, label, frame, area."
        table = truth_table(videos)
        low = table[BOX[:2]].clip(lower=[48, 8], axis=1).to_numpy() - [48, 8]
        high = table[BOX[2:]].clip(upper=[271, 231], axis=1).to_numpy() - [48, 8]
        table["area"] = (high - low + 1).clip(0).prod(1)
        several = np.flatnonzero(table.duplicated(["video", "frame"], keep=False))
        groups = table.iloc[several].groupby(["video", "frame"]).indices
        for rows in groups.values():  # they may overlap: count
            canvas = np.zeros((224, 224), bool)
            for (x1, y1), (x2, y2) in zip(low[several[rows]], high[several[rows]]):
                canvas[y1 : max(y2 + 1, 0), x1 : max(x2 + 1, 0)] = True
            table.iloc[several[rows], -1] = np.count_nonzero(canvas)
        return table.drop_duplicates(["video", "frame"])[[*FRAME, "area"]]


    def beside_all(videos, everyone, seed=0):
        "Areas of one actor a video, and in the column `all` those of everyone."
        everyone = everyone[["video", "frame", "area"]].rename(columns={"area": "all"})
        return areas([one_actor(v, seed) for v in videos]).merge(everyone, on=["video", "frame"])


    def rates(frames, inter, union):
        "Records and scores of the paper's protocol from two columns of areas."
        videos = frames[frames.area > 0].groupby(["video", "label"])
        records = [
            count_record(f[inter].to_numpy(), f[union].to_numpy(), label) for (_, label), f in videos
        ]
        return records, summarise(records)
    return SimpleNamespace(up=up, root=root, areas=areas, beside_all=beside_all, rates=rates)


def test_the_floor_on_ucf101_24_is_the_known_one(setup_4):
    root = setup_4.root
    areas = setup_4.areas
    rates = setup_4.rates
    if root is None:
        pytest.skip("UCF101-24 annotations not present")
    videos = ucf101_24(root, split="test")
    union = areas(videos).assign(full=224**2)
    assert (len(videos), sum(len(v.tubes) > 1 for v in videos)) == (910, 204)
    assert (len(union), (union.area == 0).sum()) == (138527, 601)
    _, s = rates(union, "area", "full")
    np.testing.assert_allclose(100 * s.f_map[[4, 10]], [42.5, 9.9], atol=0.051)
    np.testing.assert_allclose(100 * s.v_map[[4, 10]], [42.9, 8.6], atol=0.051)


def test_the_bootstrap_is_that_of_the_library():
    rng = np.random.default_rng(0)
    hits = [rng.random(n) < rate for n, rate in ((60, 0.3), (30, 0.8))]  # two classes
    records = [
        count_record(np.array([9 * h]), np.array([9]), c)
        for c, class_hits in enumerate(hits)
        for h in class_hits
    ]


    def mean_rate(*classes, axis):
        return np.mean([c.mean(axis) for c in classes], 0)


    want = stats.bootstrap(
        hits, mean_rate, n_resamples=4000, method="percentile", vectorized=True, rng=1
    ).confidence_interval
    low, high = interval(bootstrap(records, draws=4000).v_map[:, 10])
    assert low == pytest.approx(want.low, abs=0.01) and high == pytest.approx(want.high, abs=0.01)


def test_bootstrap_intervals():
    rng = np.random.default_rng(0)
    hit = rng.random(400) < 0.5
    records = [count_record(np.array([9.0 * h]), np.array([9.0]), 0, predicted=0) for h in hit]
    drawn = bootstrap(records)
    assert drawn.f_ap.shape == (1000, 1, 20)
    assert drawn.v_map.shape == (1000, 20) and drawn.accuracy.shape == (1000,)
    low, high = interval(drawn.f_map[:, 10])
    sd = np.sqrt(hit.mean() * (1 - hit.mean()) / 400)
    assert low < summarise(records).f_map[10] < high
    assert high - low == pytest.approx(2 * 1.96 * sd, rel=0.1)
    np.testing.assert_array_equal(bootstrap(records).f_ap, drawn.f_ap)
    one = bootstrap(records[:1], draws=5)
    assert one.f_map[:, 10].tolist() == [hit[0]] * 5  # one video never varies


def test_the_same_draws_make_a_difference_sharper():
    rng = np.random.default_rng(0)
    hit = rng.random(400) < 0.5
    both = [
        [count_record(np.array([9.0 * h]), np.array([9.0]), 0) for h in hits]
        for hits in (hit, hit & (rng.random(400) < 0.9))
    ]


    def spread(seed):
        "Width of the interval of the difference, if the second detector is drawn with `seed`."
        one, two = (bootstrap(records, seed=s) for records, s in zip(both, (0, seed)))
        return np.ptp(interval(two.f_map[:, 10] - one.f_map[:, 10]))


    assert spread(0) < 0.6 * spread(1)


def test_the_solution_of_the_exercise_holds(setup_1, setup_2):
    paint = setup_1.paint
    A = setup_1.A
    L = setup_1.L
    R = setup_1.R
    detectors = setup_2.detectors
    worst = {}
    for name, (true, *_, frames, action, _) in detectors.items():
        where = paint(true, action, len(frames))
        worst[name] = capsule_protocol([np.ones(where.shape)], [where], [0]).f_map[10]
    assert set(worst.values()) == {0}
    assert [paint(boxes, [0], 1).sum() for boxes in ([A], [L, R])] == [192, 360]
