"Generated from nbs/44_metrics.ipynb: change the notebook, then `make export`."
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pathlib import Path
from scipy import ndimage
from types import SimpleNamespace
from vad_ssl.data import Tube
from vad_ssl.data import Video
from vad_ssl.data import ucf101_24
from vad_ssl.video import eval_clips
import json
import numpy as np
import pandas as pd
import pytest
import tempfile
import warnings

from vad_ssl.metrics import (
    BOX,
    COLUMNS,
    FRAME,
    TUBE,
    TableError,
    average_precision,
    bootstrap,
    boundary,
    boundary_f,
    box_iou,
    capsule_protocol,
    check_table,
    confusion,
    count_record,
    frame_ap,
    interval,
    jaccard,
    mask_tubes,
    masks,
    match,
    one_actor,
    precision_recall,
    ranking,
    read_table,
    rescale,
    score_table,
    scored,
    seen_unseen,
    statistics,
    summarise,
    suppress,
    truth_table,
    tube_iou,
    tube_list,
    video_ap,
    video_record,
    vote,
    write_table,
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


def test_box_overlap_by_hand(setup_1):
    A = setup_1.A
    SHIFTED = setup_1.SHIFTED
    boxes = np.array([A, SHIFTED, [20, 8, 31, 23], [0, 0, 0, 0]], float)
    iou = box_iou(boxes[:1], boxes)
    assert iou.shape == (4,)
    np.testing.assert_array_equal(iou, [1, 0.5, 0, 0])


@pytest.fixture(scope="module")
def setup_2():
    def hit_rates_slowly(probs, truths, labels, n_classes, threshold):
        "f-AP and v-AP of every class, word for word."
        frames, videos = [[] for _ in range(n_classes)], [[] for _ in range(n_classes)]
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
        rate = lambda hits: [np.mean(h) if h else np.nan for h in hits]
        return rate(frames), rate(videos)
    return SimpleNamespace(hit_rates_slowly=hit_rates_slowly)


def test_only_clips_with_an_annotated_frame_vote():
    shown = np.arange(40) >= 33  # clip 4 holds frames 32, 34 .. and clip 5 holds 33, 35 ..
    scores = np.eye(6)[[0, 0, 0, 0, 1, 2]] + [0, 0, 0, 0, 0, 0.1]
    assert vote(scores, shown) == 1
    assert vote(scores, np.arange(40) == 33) == 2
    assert vote(scores, np.ones(40, bool)) == 0
    for n in (1, 15, 16, 17, 18, 33):  # whether or not clips of nothing but padding are scored
        for clips in (len(eval_clips(n)), 2 * -(-n // 16)):
            assert vote(np.eye(2)[[1] * clips], np.ones(n, bool)) == 1


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


def test_wrong_input_names_the_cure():
    mask = np.ones((2, 3, 3), bool)
    with pytest.raises(ValueError, match="resize"):
        video_record(np.ones((2, 4, 4)), mask, 0)
    with pytest.raises(ValueError, match="sigmoid"):
        video_record(mask * 3.0, mask, 0)
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
        cut = lambda x, n: np.split(x, np.cumsum(n)[:-1])
        masks = (z["prob_u8"] / 256, np.unpackbits(z["gt_packed"], axis=-1))
        return [
            *(cut(x, z["n_frames"]) for x in masks),
            z["labels"],
            cut(z["clip_scores"], z["n_clips"]),
        ], z
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


def test_strict_credits_the_right_class_only(setup_1):
    paint = setup_1.paint
    A = setup_1.A
    mask = paint([A], range(12), 12)
    guesses = [(0, 0), (0, 1), (1, 1), (2, 0)]  # true class, predicted class
    records = [
        video_record(mask * 1.0, mask, label, np.eye(3)[[guess] * 2]) for label, guess in guesses
    ]
    records = json.loads(json.dumps(records))  # as after an interruption
    assert summarise(records).f_map[10] == 1 and summarise(records).accuracy == 0.5
    np.testing.assert_array_equal(summarise(records, strict=True).v_ap[:, 10], [0.5, 1, 0])
    np.testing.assert_array_equal(confusion(records, 3), [[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    assert score_table(summarise(records, strict=True)).loc["mean", "f@0.5"] == 50
    with pytest.raises(ValueError, match="choose"):
        score_table(summarise(records), at=(0.33,))


def test_average_precision_by_hand():
    assert average_precision([1, 0, 1, 1, 0], 4) == pytest.approx(
        (2 + 1 / 2 + 2 / 3 + 2 / 3 + 3 / 4) / 8
    )
    assert [x.shape for x in precision_recall([1, 0, 1], 4)] == [(4,), (4,)]
    assert average_precision([], 4) == 0 and np.isnan(average_precision([0], 0))


def test_a_false_positive_never_helps():
    @settings(max_examples=50, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.booleans(), max_size=12), st.integers(0, 12))
    def never_helps(hit, place):
        worse = hit[:place] + [False] + hit[place:]
        assert average_precision(worse, 12) <= average_precision(hit, 12) + 1e-12


    never_helps()


@pytest.fixture(scope="module")
def setup_5():
    def iou_slowly(a, b):
        "Overlap of two boxes, in plain numbers."
        w, h = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
        inter = max(w, 0) * max(h, 0)
        return inter / (
            (a[2] - a[0] + 1) * (a[3] - a[1] + 1) + (b[2] - b[0] + 1) * (b[3] - b[1] + 1) - inter
        )


    def greedy_slowly(ranked, truth, overlap, threshold):
        "AP of every class. `ranked`: (label, place, thing), best first; `truth`: (label, place) -> things."
        hits, n, rest = {}, {}, {k: list(v) for k, v in truth.items()}
        for (label, _), things in truth.items():
            n[label] = n.get(label, 0) + len(things)
        for label, place, thing in ranked:
            left = rest.get((label, place), [])
            best, k = max(((overlap(thing, x), -k) for k, x in enumerate(left)), default=(-1, 0))
            hits.setdefault(label, []).append(best >= threshold)
            if best >= threshold:
                left.pop(-k)
        classes = sorted(hits.keys() | n.keys())
        return pd.Series(
            {c: average_precision(hits.get(c, []), n.get(c, 0)) for c in classes}, dtype=float
        )


    def frame_ap_slowly(detections, truth, iou=0.5):
        "One detection after the other."
        boxes = {}
        for v, c, f, *box in truth[["video", "label", "frame", *BOX]].itertuples(
            index=False, name=None
        ):
            boxes.setdefault((c, (v, f)), []).append(box)
        rows = detections[["score", "video", "label", "frame", *BOX]].itertuples(index=False, name=None)
        ranked = [(c, (v, f), box) for s, v, c, f, *box in sorted(rows, key=lambda row: -row[0])]
        return greedy_slowly(ranked, boxes, iou_slowly, iou)
    return SimpleNamespace(iou_slowly=iou_slowly, greedy_slowly=greedy_slowly, frame_ap_slowly=frame_ap_slowly)


def test_a_table_with_an_empty_cell_is_refused_by_row_and_column():
    good = pd.DataFrame(
        dict(video=["a", "b"], label=[0, 1], frame=[0, 0], x1=[0, 0], y1=[0, 0], x2=[3, 3], y2=[3, 3])
    )
    assert check_table(good) is good
    for column in ("video", "label", "x2"):
        with pytest.raises(TableError, match=f"row 1 has no {column}"):
            check_table(good.astype(object).assign(**{column: [good[column][0], None]}).infer_objects())


def test_ties_are_broken_by_the_further_keys():
    key, other = np.array([2.0, 1, 2, 1, 0]), np.array([5, 7, 4, 6, 9])
    assert ranking(key, lambda rows: [other[rows]]).tolist() == [4, 3, 1, 2, 0]
    assert ranking(key[:0], lambda rows: [other[rows]]).shape == (0,)


def test_greedy_matching_by_hand():
    det, gt = (
        np.array([0, 0, 1, 2, 2]),
        np.array([0, 1, 0, 1, 2]),
    )  # detection 1 loses box 0 to detection 0
    overlap, none = np.array([0.9, 0.6, 0.8, 0.7, 0.6]), lambda rows: [rows]
    assert match(det, gt, overlap, 4, 0.5, none).tolist() == [True, False, True, False]
    assert match(det[::-1], gt[::-1], overlap[::-1], 4, 0.5, none).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert match(det, gt, overlap, 4, 0.95, none).tolist() == [False] * 4


@pytest.fixture(scope="module")
def setup_6():
    def tracks(video, label, boxes, frames, **columns):
        "A table: the actors of `boxes` stand still during `frames`."
        rows = [(video, label, tube, f, *box) for tube, box in enumerate(boxes) for f in frames]
        return pd.DataFrame(rows, columns=[*TUBE, "frame", *BOX]).assign(**columns)


    L, R, U = [2, 6, 9, 25], [20, 6, 29, 25], [2, 6, 29, 25]  # two actors, and the box around both
    return SimpleNamespace(tracks=tracks, L=L, R=R, U=U)


def test_frame_ap_by_hand(setup_6):
    tracks = setup_6.tracks
    L = setup_6.L
    R = setup_6.R
    truth = tracks("duel", 0, [L, R], range(4))
    found = tracks("duel", 0, [L], range(4), score=[0.9, 0.8, 0.7, 0.6])
    assert frame_ap(found, truth)[0] == 0.5  # half the true boxes, all of them right
    late, early = (pd.concat([found, found.assign(score=score)]) for score in (0.1, 1.0))
    assert frame_ap(late, truth)[0] == 0.5  # doubles after everything else: no harm
    assert frame_ap(early, truth)[0] == pytest.approx(average_precision([1, 1, 1, 1, 0, 0, 0, 0], 8))
    with pytest.warns(UserWarning, match="no truth"):
        assert np.isnan(frame_ap(found.assign(label=3), truth)[3])
    empty = pd.DataFrame(columns=found.columns)
    assert frame_ap(empty, truth)[0] == 0 and frame_ap(empty, empty).shape == (0,)


@pytest.fixture(scope="module")
def setup_7():
    def random_tables(seed, n=30, distinct=True):
        "Detections (with or without equal scores) and truth on a coarse grid of small integer boxes."
        rng = np.random.default_rng(seed)

        def table(n):
            xy, wh = rng.integers(0, 4, (n, 2)), rng.integers(1, 4, (n, 2))
            keys = dict(
                video=rng.choice(["a", "b"], n),
                label=rng.integers(0, 2, n),
                frame=rng.integers(0, 3, n),
            )
            return pd.DataFrame(keys | dict(zip(BOX, np.c_[xy, xy + wh].T))).assign(tube=np.arange(n))

        detections = table(n).assign(
            score=rng.permutation(n) / 8 if distinct else rng.integers(0, 3, n) / 8
        )
        return detections, table(n // 2).sort_values(BOX, ignore_index=True)
    return SimpleNamespace(random_tables=random_tables)


def test_frame_ap_equals_the_loop_and_ignores_the_order_of_rows(setup_5, setup_7):
    frame_ap_slowly = setup_5.frame_ap_slowly
    random_tables = setup_7.random_tables
    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 10**6), st.sampled_from([0.2, 0.5, 0.75]))
    def agree(seed, iou):
        detections, truth = random_tables(seed)
        slow = frame_ap_slowly(detections, truth, iou)
        np.testing.assert_allclose(frame_ap(detections, truth, iou), slow, atol=1e-12)
        detections, truth = random_tables(seed, distinct=False)
        mixed = [t.sample(frac=1, random_state=seed) for t in (detections, truth)]
        pd.testing.assert_series_equal(frame_ap(*mixed, iou), frame_ap(detections, truth, iou))


    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree()


def test_tube_overlap_and_suppression_by_hand(setup_1, setup_6):
    A = setup_1.A
    tracks = setup_6.tracks
    truth, found = tracks("v", 0, [A], range(4, 12)), tracks("v", 0, [A], range(12), score=0.9)
    one = np.zeros(1, int)
    np.testing.assert_allclose(tube_iou(tube_list(found), tube_list(truth), one, one), [8 / 12])
    assert video_ap(found, truth, 0.5)[0] == 1 and video_ap(found, truth, 0.75)[0] == 0
    double = pd.concat([found, found.assign(tube=1, score=0.95)])
    assert video_ap(double, truth)[0] == 1  # the double is driven out
    alarms = double.assign(frame=double.frame + 50, tube=double.tube + 5)  # two, at the wrong time
    for nms, ap in ((0.3, (0 + 1 / 2) / 2), (1, (0 + 1 / 3) / 2)):  # one of them driven out, or none
        assert video_ap(pd.concat([truth.assign(score=0.5), alarms]), truth, nms=nms)[
            0
        ] == pytest.approx(ap)
    assert video_ap(found[:0], truth)[0] == 0 and video_ap(found[:0], truth[:0]).shape == (0,)
    iou = np.array(
        [[1, 0.5, 0.2], [0.5, 1, 0.9], [0.2, 0.9, 1]]
    )  # the second cannot drive out the third
    assert suppress(np.zeros(3, int), lambda i, j: iou[i, j], 0.3).tolist() == [1, 0.5, 1]
    with pytest.raises(TableError, match="frame 5 follows frame 3"):
        video_ap(found[found.frame != 4], truth)


@pytest.fixture(scope="module")
def setup_8(setup_5, setup_6):
    iou_slowly = setup_5.iou_slowly
    greedy_slowly = setup_5.greedy_slowly
    tracks = setup_6.tracks
    def video_ap_slowly(tubes, truth, iou=0.5, nms=0.3):
        "One tube after the other, box by box."

        def group(table, columns):
            out = {}
            for v, c, k, f, *rest in table[[*TUBE, "frame", *columns]].itertuples(
                index=False, name=None
            ):
                out.setdefault((c, v), {}).setdefault(k, {})[f] = rest
            return out

        overlap = lambda a, b: (
            sum(iou_slowly(a[f], b[f]) for f in a if f in b) / len(a.keys() | b.keys())
        )
        ranked = []
        for (label, video), things in group(tubes, [*BOX, "score"]).items():
            kept = []
            for tube in sorted(things.values(), key=lambda t: -sum(b[4] for b in t.values()) / len(t)):
                if all(overlap(tube, other) <= nms for other in kept):
                    kept.append(tube)
            ranked += [(label, video, tube) for tube in kept]
        ranked.sort(key=lambda x: -sum(b[4] for b in x[2].values()) / len(x[2]))
        return greedy_slowly(
            ranked, {k: list(v.values()) for k, v in group(truth, BOX).items()}, overlap, iou
        )


    def random_tubes(seed, n=12, scored=True):
        "Tubes of several lengths that overlap each other."
        rng = np.random.default_rng(seed)
        out = []
        for k in range(n):
            start, length, xy = rng.integers(0, 4), rng.integers(1, 6), rng.integers(0, 3, 2)
            box = np.r_[xy, xy + rng.integers(3, 6, 2)]
            table = tracks(
                rng.choice(["a", "b"]), int(rng.integers(2)), [box], range(start, start + length)
            )
            out.append(table.assign(tube=k, score=k / 16) if scored else table.assign(tube=k))
        return pd.concat(out, ignore_index=True)
    return SimpleNamespace(video_ap_slowly=video_ap_slowly, random_tubes=random_tubes)


def test_video_ap_equals_the_loop_and_ignores_the_order_of_rows(setup_8):
    video_ap_slowly = setup_8.video_ap_slowly
    random_tubes = setup_8.random_tubes
    @settings(max_examples=20, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 10**6), st.sampled_from([0.2, 0.5, 0.75]))
    def agree(seed, iou):
        tubes, truth = random_tubes(seed), random_tubes(seed + 1, scored=False)
        fast = video_ap(tubes, truth, iou)
        np.testing.assert_allclose(fast, video_ap_slowly(tubes, truth, iou), atol=1e-12)
        mixed = [t.sample(frac=1, random_state=seed) for t in (tubes, truth)]
        pd.testing.assert_series_equal(video_ap(*mixed, iou), fast)


    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree()


@pytest.fixture(scope="module")
def setup_9(setup_4):
    cases = setup_4.cases
    def peer_tables():
        "ACT's input as tables: truth, detections, tubes; and what it printed."
        z, printed = (
            np.load(cases / "act_protocol.npz"),
            json.loads((cases / "act_protocol.json").read_text()),
        )
        whole = dict.fromkeys((*TUBE, "frame"), int)
        table = lambda rows, columns: pd.DataFrame(rows.astype(float), columns=columns).astype(
            {c: t for c, t in whole.items() if c in columns}
        )
        truth, tubes = (table(z[k], [*TUBE, "frame", *BOX]) for k in ("gt_rows", "tube_rows"))
        return (
            truth,
            table(z["frame_detections"], ["video", "frame", "label", "score", *BOX]),
            tubes.merge(table(z["tube_scores"], [*TUBE, "score"]), on=TUBE),
            z,
            printed,
        )
    return SimpleNamespace(peer_tables=peer_tables)


def test_ap_agrees_with_act(setup_4, setup_9):
    cases = setup_4.cases
    peer_tables = setup_9.peer_tables
    if cases is None:
        pytest.skip("reference numbers not present")
    truth, detections, tubes, z, printed = peer_tables()
    for ap, boxes, name in ((frame_ap, detections, "frameAP"), (video_ap, tubes, "videoAP")):
        for t, want in printed[name].items():
            ts = np.arange(10, 20) / 20 if ":" in t else [float(t)]
            ours = np.mean([100 * ap(boxes, truth, x) for x in ts], 0)
            np.testing.assert_allclose(ours.mean(), want["mAP"], atol=2e-3)
            if "ap" in want:
                np.testing.assert_allclose(ours, want["ap"], atol=2e-3)
    np.testing.assert_allclose(
        box_iou(z["iou2d_boxes_a"], z["iou2d_boxes_b"]), z["iou2d_expected"], atol=1e-9
    )
    boxes = pd.DataFrame(z["nms2d_in"], columns=[*BOX, "score"]).assign(video=0, label=0, frame=0)
    np.testing.assert_allclose(
        rescale(boxes)[[*BOX, "score"]], z["nms2d_expected_boxes_and_scores"], atol=1e-9
    )


def test_tubes_agree_with_act(setup_4, setup_9):
    cases = setup_4.cases
    peer_tables = setup_9.peer_tables
    if cases is None:
        pytest.skip("reference numbers not present")
    truth, _, tubes, z, printed = peer_tables()
    a, b = tube_list(truth), tube_list(tubes)
    number = lambda tubes: {
        k: i for i, k in enumerate(tubes[0][TUBE].itertuples(index=False, name=None))
    }
    columns = ((a, [0, 1, 2]), (b, [0, 1, 3]))
    i, j = (
        np.array([number(t)[tuple(key)] for key in z["tube_pairs"][:, c].tolist()]) for t, c in columns
    )
    np.testing.assert_allclose(tube_iou(a, b, i, j), z["tube_iou_expected"], atol=1e-6)
    (start_a, n_a), (start_b, n_b) = (t[0][["start", "n"]].to_numpy()[k].T for t, k in ((a, i), (b, j)))
    shared = np.clip(np.minimum(start_a + n_a, start_b + n_b) - np.maximum(start_a, start_b), 0, None)
    in_space = (
        tube_iou(a, b, i, j) * (n_a + n_b - shared) / np.maximum(shared, 1)
    )  # mean over shared frames only
    np.testing.assert_allclose(in_space, z["tube_spatial_iou_expected"], atol=1e-6)
    for name, want in printed["tube_nms_kept_order"].items():
        video, label = int(name[3:5]), int(name[-1])
        some = tubes[(tubes.video == video) & (tubes.label == label)]
        det, boxes = tube_list(some)
        ranked = (det.sort_values("score", ascending=False), boxes)
        stay = suppress(np.zeros(len(det), int), lambda i, j: tube_iou(ranked, ranked, i, j), 0.3) == 1
        assert ranked[0].tube[stay].tolist() == want


@pytest.fixture(scope="module")
def setup_10():
    def crossing(gap):
        "Two boxes of 6 x 12 pixels that approach to `gap` pixels and part again."
        mask = np.zeros((9, 24, 40))
        for f, apart in enumerate(abs(np.arange(9) - 4) * 2 + gap):
            left = 14 - apart // 2
            mask[f, 6:18, left : left + 6] = mask[f, 6:18, left + 6 + apart : left + 12 + apart] = 0.9
        return mask
    return SimpleNamespace(crossing=crossing)


def test_tubes_of_a_mask(setup_10):
    crossing = setup_10.crossing
    together, apart = (mask_tubes(crossing(gap), [0.1, 0.6, 0.3], "v", top=2) for gap in (0, 2))
    assert together.tube.nunique() == 1 and apart.tube.nunique() == 2
    assert list(together.label.unique()) == [1, 2] and len(apart) == 2 * 2 * 9
    np.testing.assert_allclose(together.score.unique(), [0.9 * 0.6, 0.9 * 0.3])
    assert apart.query("label == 1 and frame == 4")[BOX].to_numpy().tolist() == [
        [13, 6, 18, 17],
        [21, 6, 26, 17],
    ]
    found = apart[apart.label == 1]
    assert video_ap(found, found.drop(columns="score"), 0.99)[1] == 1
    dot = crossing(0)
    dot[:, 0, 0] = 0.9
    assert [mask_tubes(dot, [1.0], min_area=area).tube.nunique() for area in (0.01, 0)] == [1, 2]
    assert mask_tubes(crossing(0) * 0, [1.0]).shape == (0, 9)


@pytest.fixture(scope="module")
def setup_11():
    def toy_tube(k, a):
        "Actor `a` of video `k`: ten frames, moving to the right."
        box = np.array([60 + 70 * a, 40 + 5 * k, 110 + 75 * a, 160 + 5 * k])
        return Tube(k % 2, a, np.array([box + [3 * f, 0, 3 * f, 0] for f in range(10)]))


    toy_videos = [
        Video(
            f"v{k}",
            Path(f"v{k}.avi"),
            "wave",
            k % 2,
            12,
            tuple(toy_tube(k, a) for a in range(1 + k % 3)),
        )
        for k in range(12)
    ]
    return SimpleNamespace(toy_tube=toy_tube, toy_videos=toy_videos)


def test_a_table_survives_the_disk_and_bad_ones_are_refused(setup_8, setup_11):
    random_tubes = setup_8.random_tubes
    toy_videos = setup_11.toy_videos
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.csv"
        table = random_tubes(0).assign(score=1 / 3)[COLUMNS]
        write_table(table, path)
        pd.testing.assert_frame_equal(read_table(path), table, check_exact=True)
        write_table(table.assign(label=np.where(table.label > 0, "wave", "run")), path)
        assert read_table(path, ["run", "wave"]).label.equals(table.label)
        for bad, reason in (
            (table.drop(columns="score"), "no column score"),
            (table.assign(x1=99), "x1 <= x2"),
            (table.assign(y2=np.nan), "row 0"),
            (table.assign(score="high"), "score holds text"),
            (pd.concat([table, table]), "repeats"),
            (table.assign(label="fly"), "class 'fly'"),
        ):
            write_table(bad, path)
            with pytest.raises(TableError, match=reason):
                read_table(path, ["run", "wave"])
        with pytest.raises(TableError, match="cannot be read"):
            read_table(Path(folder) / "none.csv")
    truth = truth_table(toy_videos)
    assert truth.shape == (sum(len(t.boxes) for v in toy_videos for t in v.tubes), 8)
    assert (video_ap(truth.assign(score=0.5), truth, 0.99) == 1).all() and truth_table([]).shape == (
        0,
        8,
    )


@pytest.fixture(scope="module")
def setup_12(setup_1, setup_6):
    paint = setup_1.paint
    A = setup_1.A
    tracks = setup_6.tracks
    L = setup_6.L
    R = setup_6.R
    U = setup_6.U
    detectors = {  # boxes of the truth, of the mask, of the tubes; frames shown, frames of action; right class?
        "right place, wrong class": ([A], [A], [A], range(12), range(12), False),
        "fires on empty frames": ([A], [A], [A], range(40), range(16, 24), True),
        "two actors as one blob": ([L, R], [L, R], [U], range(12), range(12), True),
        "one of two actors missed": ([L, R], [L], [L], range(12), range(12), True),
        "all correct": ([A], [A], [A], range(12), range(12), True),
    }


    def verdicts(true, mask, tube, frames, action, right):
        "The scores of one detector under three protocols, in percent, as the mean over classes."
        labels, guess, n = [0, 1], [0, 1] if right else [1, 0], len(frames)
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


def test_verdicts_agree_with_both_published_protocols(setup_12):
    detectors = setup_12.detectors
    verdicts = setup_12.verdicts
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


def test_drawing_one_actor_can_be_repeated(setup_11):
    toy_videos = setup_11.toy_videos
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
def setup_13(setup_4):
    up = setup_4.up
    root = next((p for p in (Path(d) / "shared/data/ucf101_24" for d in up) if p.exists()), None)


    def areas(videos):
        "Annotated pixels inside the crop, a row a frame: video, label, frame, area."
        table = truth_table(videos)
        low = table[BOX[:2]].clip(lower=[48, 8], axis=1).to_numpy() - [48, 8]
        high = table[BOX[2:]].clip(upper=[271, 231], axis=1).to_numpy() - [48, 8]
        table["area"] = (high - low + 1).clip(0).prod(1)
        several = np.flatnonzero(table.duplicated(["video", "frame"], keep=False))
        for rows in (
            table.iloc[several].groupby(["video", "frame"]).indices.values()
        ):  # they may overlap: count
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
    return SimpleNamespace(root=root, areas=areas, beside_all=beside_all, rates=rates)


def test_the_floor_on_ucf101_24_is_the_known_one(setup_13):
    root = setup_13.root
    areas = setup_13.areas
    rates = setup_13.rates
    if root is None:
        pytest.skip("UCF101-24 annotations not present")
    videos = ucf101_24(root, split="test")
    union = areas(videos).assign(full=224**2)
    assert (len(videos), sum(len(v.tubes) > 1 for v in videos)) == (910, 204)
    assert (len(union), (union.area == 0).sum()) == (138527, 601)
    _, s = rates(union, "area", "full")
    np.testing.assert_allclose(100 * s.f_map[[4, 10]], [42.5, 9.9], atol=0.051)
    np.testing.assert_allclose(100 * s.v_map[[4, 10]], [42.9, 8.6], atol=0.051)


def test_bootstrap_intervals():
    rng = np.random.default_rng(0)
    hit = rng.random(400) < 0.5
    records = [count_record(np.array([9.0 * h]), np.array([9.0]), 0, predicted=0) for h in hit]
    drawn = bootstrap(records)
    assert (drawn.f_ap.shape, drawn.v_map.shape, drawn.accuracy.shape) == (
        (1000, 1, 20),
        (1000, 20),
        (1000,),
    )
    low, high = interval(drawn.f_map[:, 10])
    sd = np.sqrt(hit.mean() * (1 - hit.mean()) / 400)
    assert low < summarise(records).f_map[10] < high and high - low == pytest.approx(
        2 * 1.96 * sd, rel=0.1
    )
    np.testing.assert_array_equal(bootstrap(records).f_ap, drawn.f_ap)
    similar = [
        count_record(np.array([9.0 * h]), np.array([9.0]), 0) for h in hit & (rng.random(400) < 0.9)
    ]
    spread = lambda draws: np.ptp(interval(draws.f_map[:, 10] - drawn.f_map[:, 10]))
    assert spread(bootstrap(similar, seed=0)) < 0.6 * spread(
        bootstrap(similar, seed=1)
    )  # the same videos
    assert (
        bootstrap(records[:1], draws=5).f_map[:, 10].tolist() == [hit[0]] * 5
    )  # one video never varies
    weighted = summarise(records[:3], weights=np.array([2.0, 0, 1]))
    repeated = summarise([records[k] for k in (0, 0, 2)])
    np.testing.assert_array_equal(weighted.f_ap, repeated.f_ap)


def test_j_and_f_by_hand():
    square, none = np.zeros((1, 10, 10), bool), np.zeros((1, 10, 10), bool)
    square[0, 3:6, 3:6] = True
    assert (
        boundary(square).sum() == 12
    )  # rows and columns 2 to 5, but not the 2 x 2 pixels that only see inside
    assert jaccard(square, square).shape == boundary_f(square, square).shape == (1,)
    assert jaccard(square, square)[0] == boundary_f(square, square)[0] == 1
    assert jaccard(none, none)[0] == boundary_f(none, none)[0] == 1
    assert jaccard(square, none)[0] == boundary_f(square, none)[0] == boundary_f(none, square)[0] == 0
    assert (
        jaccard(~none, none)[0] == 0 and boundary_f(~none, none)[0] == 1
    )  # a full frame has no boundary
    assert jaccard(square, none, void=square)[0] == 1
    with pytest.raises(ValueError, match="resize"):
        jaccard(square, square[:, :5])


@pytest.fixture(scope="module")
def setup_14():
    def near_slowly(p, g, radius):
        "Share of the pixels of `p` that have one of `g` within `radius`, pixel by pixel."
        there = np.argwhere(g)
        return np.mean([(((there - here) ** 2).sum(1) <= radius**2).any() for here in np.argwhere(p)])
    return SimpleNamespace(near_slowly=near_slowly)


def test_boundary_f_equals_the_loop_over_pixels(setup_14):
    near_slowly = setup_14.near_slowly
    rng = np.random.default_rng(0)
    for bound, radius in ((0.008, 1), (3, 3), (0.1, 4)):
        a, b = (ndimage.gaussian_filter(rng.random((2, 30, 24)), (0, 3, 3)) > 0.5 for _ in range(2))
        slow = []
        for p, g in zip(boundary(a), boundary(b)):
            precision, recall = near_slowly(p, g, radius), near_slowly(g, p, radius)
            slow.append(2 * precision * recall / (precision + recall))
        np.testing.assert_allclose(boundary_f(a, b, bound=bound), slow, atol=1e-12)
    flip = lambda m: m[:, ::-1]
    np.testing.assert_array_equal(jaccard(flip(a), flip(b)), jaccard(a, b))


def test_summaries_by_hand():
    assert statistics([0.9, 0.8, 0.4, 0.2, 0.1]).round(9).to_dict() == dict(
        mean=0.48, recall=0.4, decay=0.7
    )
    objects = pd.DataFrame(dict(J=[0.8, 0.6, 0.5], F=[0.9, 0.7, 0.4], seen=[True, True, False]))
    want = dict(J_seen=0.7, J_unseen=0.5, F_seen=0.8, F_unseen=0.4, overall=0.6)
    assert seen_unseen(objects).round(9).to_dict() == want
    assert np.isnan(seen_unseen(objects[:2]).overall)  # without unseen classes there is no overall


def test_j_and_f_agree_with_davis(setup_4):
    cases = setup_4.cases
    if cases is None:
        pytest.skip("reference numbers not present")
    z = np.load(cases / "davis_jf.npz")
    for name, want in json.loads((cases / "davis_jf.json").read_text())["expected"].items():
        width = want["shape"][2]
        unpack = lambda kind: np.unpackbits(z[f"{name}__{kind}_packed"], axis=-1)[..., :width].astype(
            bool
        )
        pred, truth, void = (
            unpack("pred"),
            unpack("gt"),
            unpack("void") if f"{name}__void_packed" in z else None,
        )
        for score, key in ((jaccard, "J"), (boundary_f, "F")):
            np.testing.assert_allclose(score(pred, truth, void), want[key], atol=1e-9)
            np.testing.assert_allclose(
                score(pred, truth), want.get(f"{key}_void_ignored", want[key]), atol=1e-9
            )
            summary = statistics(score(pred, truth, void))
            np.testing.assert_allclose(summary, want[f"{key}_stats_mean_recall_decay"], atol=1e-9)
        np.testing.assert_allclose(boundary_f(pred, truth, void, 3), want["F_bound_th_3px"], atol=1e-9)
        for mask, key in ((pred, "pred"), (truth, "gt")):
            assert boundary(mask).sum((1, 2)).tolist() == want[f"boundary_pixel_counts_{key}"]


def test_the_solutions_of_the_exercises_hold(setup_1, setup_6, setup_8):
    paint = setup_1.paint
    A = setup_1.A
    L = setup_6.L
    R = setup_6.R
    random_tubes = setup_8.random_tubes
    whole = np.ones((12, 32, 32))
    for true, want in (([A], 0), ([L, R], 1)):
        assert capsule_protocol([whole], [paint(true, range(12), 12)], [0]).f_map[4] == want
    truth, prob = np.zeros((11, 9, 9), bool), np.zeros((11, 9, 9))
    truth[:, 0, 0] = truth[10] = True
    prob[10] = 1
    record = video_record(prob, truth, 0)
    assert record["hits"][1] == 1 and record["frames"] == 11 and record["iou"] > 0.85
    truth = random_tubes(1, scored=False)
    found = random_tubes(0).assign(tube=lambda t: t.tube * 2)
    double = pd.concat([found, found.assign(tube=found.tube + 1, score=found.score / 2)])
    pd.testing.assert_series_equal(video_ap(double, truth), video_ap(found, truth))
    alone = truth.drop_duplicates(FRAME)
    drop = frame_ap(found, alone) - frame_ap(double, alone)
    assert (drop >= 0).all() and (drop > 0).any()
    one = found[found.tube == 6]
    assert rescale(double[double.tube.isin([6, 7])]).score.tolist() == [*one.score, *one.score * 0]
