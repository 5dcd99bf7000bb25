"Generated from nbs/42_ap.ipynb: change the notebook, then `make export`."
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.files import TableError
from vad_ssl.files import box_iou
from vad_ssl.records import Tube
from vad_ssl.records import Video
import json
import numpy as np
import pandas as pd
import pytest
import tempfile
import warnings

from vad_ssl.ap import (
    BOX,
    COLUMNS,
    FRAME,
    TUBE,
    Track,
    _alike,
    _check,
    _stay,
    average_precision,
    frame_ap,
    mask_tubes,
    match,
    precision_recall,
    read_table,
    soft_nms,
    suppress,
    tracks_of,
    truth_table,
    tube_iou,
    video_ap,
    write_table,
)


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


def test_a_table_with_an_empty_cell_is_refused_by_row_and_column():
    good = pd.DataFrame(
        dict(video=["a", "b"], label=[0, 1], frame=[0, 0], x1=[0, 0], y1=[0, 0], x2=[3, 3], y2=[3, 3])
    )
    assert _check(good.set_index("frame", drop=False)).equals(good)
    for frame in (-1, 0.5):
        with pytest.raises(TableError, match="row 1: frame .*count frames from 0"):
            _check(good.assign(frame=[0, frame]))
    with pytest.raises(TableError, match="x1 holds text"):
        _check(good.assign(x1="0"))
    with pytest.raises(TableError, match="column label: text in one place"):
        _alike(good, good.assign(label=["run", "wave"]))
    for column in ("video", "label", "x2"):
        with pytest.raises(TableError, match=f"row 1 has no {column}"):
            _check(good.astype(object).assign(**{column: [good[column][0], None]}).infer_objects())


@pytest.fixture(scope="module")
def setup_1():
    def iou_slowly(a, b):
        "Overlap of two boxes, in plain numbers."
        w = min(a[2], b[2]) - max(a[0], b[0]) + 1
        h = min(a[3], b[3]) - max(a[1], b[1]) + 1
        inter = max(w, 0) * max(h, 0)
        return inter / (
            (a[2] - a[0] + 1) * (a[3] - a[1] + 1) + (b[2] - b[0] + 1) * (b[3] - b[1] + 1) - inter
        )


    def greedy_slowly(ranked, truth, overlap, threshold):
        "AP of every class. `ranked`: (label, place, thing), best first; `truth`: by (label, place)."
        hits, n = {}, {}
        rest = {k: list(v) for k, v in truth.items()}
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


def test_greedy_matching_by_hand():
    det = np.array([0, 0, 1, 2, 2])  # detection 1 loses box 0 to detection 0
    gt = np.array([0, 1, 0, 1, 2])
    overlap = np.array([0.9, 0.6, 0.8, 0.7, 0.6])
    assert match(det, gt, overlap, 4, 0.5).tolist() == [True, False, True, False]
    assert match(det[::-1], gt[::-1], overlap[::-1], 4, 0.5).tolist() == [True, False, True, False]
    assert match(det, gt, overlap, 4, 0.95).tolist() == [False] * 4


@pytest.fixture(scope="module")
def setup_2():
    def tracks(video, label, boxes, frames, **columns):
        "A table: the actors of `boxes` stand still during `frames`."
        rows = [(video, label, tube, f, *box) for tube, box in enumerate(boxes) for f in frames]
        return pd.DataFrame(rows, columns=[*TUBE, "frame", *BOX]).assign(**columns)


    A, L, R = [8, 8, 19, 23], [2, 6, 9, 25], [20, 6, 29, 25]
    return SimpleNamespace(tracks=tracks, A=A, L=L, R=R)


def test_frame_ap_by_hand(setup_2):
    tracks = setup_2.tracks
    L = setup_2.L
    R = setup_2.R
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
def setup_3():
    def random_tables(seed, n=30, distinct=True):
        "Detections (with or without equal scores) and truth on a coarse grid of small integer boxes."
        rng = np.random.default_rng(seed)

        def table(n):
            xy = rng.integers(0, 4, (n, 2))
            wh = rng.integers(1, 4, (n, 2))
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


def test_frame_ap_equals_the_loop_and_ignores_the_order_of_rows(setup_1, setup_3):
    frame_ap_slowly = setup_1.frame_ap_slowly
    random_tables = setup_3.random_tables
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


def test_tube_overlap_by_hand(setup_2):
    tracks = setup_2.tracks
    A = setup_2.A
    truth = tracks("v", 0, [A], range(4, 12))
    found = tracks("v", 0, [A], range(12), score=0.9)
    (one,), (other,) = tracks_of(found), tracks_of(truth)
    assert isinstance(one, Track) and one.boxes.shape == (12, 4)
    assert tube_iou(one, other) == pytest.approx(8 / 12)
    assert tube_iou(one, other._replace(start=40)) == 0


def test_what_was_driven_out_drives_out_nobody():
    iou = np.array([[1, 0.5, 0.2], [0.5, 1, 0.9], [0.2, 0.9, 1]])
    assert suppress([0] * 3, lambda i, j: iou[i, j], 0.3).tolist() == [1, 0.5, 1]
    assert suppress([0, 1, 0], lambda i, j: iou[i, j], 0.3).tolist() == [1, 1, 1]


def test_video_ap_and_suppression_by_hand(setup_2):
    tracks = setup_2.tracks
    A = setup_2.A
    truth = tracks("v", 0, [A], range(4, 12))
    found = tracks("v", 0, [A], range(12), score=0.9)
    assert video_ap(found, truth, 0.5)[0] == 1 and video_ap(found, truth, 0.75)[0] == 0
    double = pd.concat([found, found.assign(tube=1, score=0.95)])
    assert video_ap(double, truth)[0] == 1  # the double is driven out
    alarms = double.assign(frame=double.frame + 50, tube=double.tube + 5)  # two, at the wrong time
    found_late = pd.concat([truth.assign(score=0.5), alarms])
    for nms, ap in ((0.3, (0 + 1 / 2) / 2), (1, (0 + 1 / 3) / 2)):  # one of them driven out, or none
        assert video_ap(found_late, truth, nms=nms)[0] == pytest.approx(ap)
    assert video_ap(found[:0], truth)[0] == 0 and video_ap(found[:0], truth[:0]).shape == (0,)
    with pytest.raises(TableError, match="frame 5 follows frame 3"):
        video_ap(found[found.frame != 4], truth)


@pytest.fixture(scope="module")
def setup_4(setup_1, setup_2):
    iou_slowly = setup_1.iou_slowly
    greedy_slowly = setup_1.greedy_slowly
    tracks = setup_2.tracks
    def video_ap_slowly(tubes, truth, iou=0.5, nms=0.3):
        "One tube after the other, box by box."

        def group(table, columns):
            out = {}
            for v, c, k, f, *rest in table[[*TUBE, "frame", *columns]].itertuples(
                index=False, name=None
            ):
                out.setdefault((c, v), {}).setdefault(k, {})[f] = rest
            return out

        def overlap(a, b):
            shared = sum(iou_slowly(a[f], b[f]) for f in a if f in b)
            return shared / len(a.keys() | b.keys())

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


def test_video_ap_equals_the_loop_and_ignores_the_order_of_rows(setup_4):
    video_ap_slowly = setup_4.video_ap_slowly
    random_tubes = setup_4.random_tubes
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


def test_a_copy_is_silenced_and_the_order_of_rows_does_not_matter(setup_4):
    random_tubes = setup_4.random_tubes
    found = random_tubes(0)
    copies = pd.concat([found, found.assign(tube=found.tube + 20, score=found.score / 2)])
    soft = soft_nms(copies[copies.tube.isin([3, 23])])
    assert soft.score.tolist() == [*found.score[found.tube == 3], *[0] * (found.tube == 3).sum()]
    mixed = copies.sample(frac=1, random_state=0)
    keys = ["tube", "frame"]
    pd.testing.assert_frame_equal(
        soft_nms(mixed).sort_values(keys, ignore_index=True),
        soft_nms(copies).sort_values(keys, ignore_index=True),
    )


@pytest.fixture(scope="module")
def setup_5():
    up = ("..", "../..", "../../..")
    cases = next((p for p in (Path(d) / "shared/data/peer_cases" for d in up) if p.exists()), None)


    def peer_tables():
        "ACT's input as tables: truth, detections, tubes; and what it printed."
        z = np.load(cases / "act_protocol.npz")
        printed = json.loads((cases / "act_protocol.json").read_text())

        def table(rows, columns):
            whole = {c: int for c in (*TUBE, "frame") if c in columns}
            return pd.DataFrame(rows.astype(float), columns=columns).astype(whole)

        truth, tubes = (table(z[k], [*TUBE, "frame", *BOX]) for k in ("gt_rows", "tube_rows"))
        tubes = tubes.merge(table(z["tube_scores"], [*TUBE, "score"]), on=TUBE)
        detections = table(z["frame_detections"], ["video", "frame", "label", "score", *BOX])
        return truth, detections, tubes, z, printed
    return SimpleNamespace(up=up, cases=cases, peer_tables=peer_tables)


def test_ap_agrees_with_act(setup_5):
    cases = setup_5.cases
    peer_tables = setup_5.peer_tables
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
        soft_nms(boxes)[[*BOX, "score"]], z["nms2d_expected_boxes_and_scores"], atol=1e-9
    )


def test_tubes_agree_with_act(setup_5):
    cases = setup_5.cases
    peer_tables = setup_5.peer_tables
    if cases is None:
        pytest.skip("reference numbers not present")
    truth, _, tubes, z, printed = peer_tables()
    a, b = ({t[:3]: t for t in tracks_of(table)} for table in (truth, tubes))
    pairs = [(a[tuple(p[:3])], b[p[0], p[1], p[3]]) for p in z["tube_pairs"].tolist()]
    iou = np.array([tube_iou(*pair) for pair in pairs])
    np.testing.assert_allclose(iou, z["tube_iou_expected"], atol=1e-6)
    n = np.array([[len(t.boxes) for t in pair] for pair in pairs])
    start = np.array([[t.start for t in pair] for pair in pairs])
    shared = np.clip((start + n).min(1) - start.max(1), 0, None)
    in_space = iou * (n.sum(1) - shared) / np.maximum(shared, 1)  # mean over shared frames only
    np.testing.assert_allclose(in_space, z["tube_spatial_iou_expected"], atol=1e-6)
    for name, want in printed["tube_nms_kept_order"].items():
        video, label = int(name[3:5]), int(name[-1])
        some = tubes[(tubes.video == video) & (tubes.label == label)]
        det = sorted(tracks_of(some), key=lambda t: -t.score)
        assert [t.tube for t in _stay(det, 0.3)] == want


@pytest.fixture(scope="module")
def setup_6():
    def crossing(gap):
        "Two boxes of 6 x 12 pixels that approach to `gap` pixels and part again."
        mask = np.zeros((9, 24, 40))
        for f, apart in enumerate(abs(np.arange(9) - 4) * 2 + gap):
            left = 14 - apart // 2
            mask[f, 6:18, left : left + 6] = mask[f, 6:18, left + 6 + apart : left + 12 + apart] = 0.9
        return mask
    return SimpleNamespace(crossing=crossing)


def test_tubes_of_a_mask(setup_6):
    crossing = setup_6.crossing
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
def setup_7():
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


def test_a_table_survives_the_disk_and_bad_ones_are_refused(setup_4, setup_7):
    random_tubes = setup_4.random_tubes
    toy_videos = setup_7.toy_videos
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.csv"
        table = random_tubes(0).assign(score=1 / 3)[COLUMNS]
        write_table(table, path)
        pd.testing.assert_frame_equal(read_table(path), table, check_exact=True)
        write_table(table.assign(label=np.where(table.label > 0, "wave", "run")), path)
        assert read_table(path, ["run", "wave"]).label.equals(table.label)
        write_table(table.assign(label=table.label.map({0: "2", 1: "1"})), path)
        assert read_table(path, ["2", "1"]).label.equals(table.label)  # names that are numbers
        for bad, reason in (
            (table.drop(columns="score"), "no column score"),
            (table.assign(x1=99), "x1 <= x2"),
            (table.assign(y2=np.nan), "found.csv: line 2 has no y2"),
            (table.assign(score="high"), "score holds text"),
            (pd.concat([table, table]), "repeats"),
            (table.assign(label="fly"), "class 'fly'"),
            (table.assign(label=2), "class '2'"),
            (table.assign(label=["fly", *["run"] * (len(table) - 1)]), "class 'fly'"),
            (table.assign(frame=table.frame + 0.5), "count frames from 0"),
        ):
            write_table(bad, path)
            with pytest.raises(TableError, match=reason):
                read_table(path, ["run", "wave"])
        with pytest.raises(TableError, match="cannot be read"):
            read_table(Path(folder) / "none.csv")
        called = table.assign(video="NA", label=np.where(table.label > 0, "nan", "None"))
        write_table(called, path)
        again = read_table(path, ["None", "nan"])
        assert set(again.video) == {"NA"} and again.label.equals(table.label)
        for bad, reason in (
            (called.assign(x1="NA"), "line 2 has no x1"),
            (called.assign(video=""), "line 2 has no video"),
        ):
            write_table(bad, path)
            with pytest.raises(TableError, match=reason):
                read_table(path, ["None", "nan"])
        path.write_text(",".join(COLUMNS) + "\na,0,0,0,1,0,0,1,1\n\na,0,0,1,1,9,0,1,1\n")
        with pytest.raises(TableError, match="line 4 is no box"):
            read_table(path)
        path.write_text(",".join(COLUMNS) + "\na,0,0,0,1,0,0,1,1\na,0,0,1,1,0,0,1,1,7\n")
        with pytest.raises(TableError, match="cannot be read as CSV .*saw 10.. Give") as ragged:
            read_table(path)
        assert "\n" not in str(ragged.value)
    truth = truth_table(toy_videos)
    assert truth.shape == (sum(len(t.boxes) for v in toy_videos for t in v.tubes), 8)
    outside = Tube(0, 0, np.array([[-9, -9, -2, -2]]))  # beyond the frame's border
    assert len(truth_table([Video("a", Path("a.mp4"), tubes=(outside,))])) == 1
    bare = Tube(0, 0, np.full((1, 4), -1), lambda frame: np.ones((2, 2), bool))
    with pytest.raises(TableError, match="tubes with masks, but no boxes"):
        truth_table([Video("a", Path("a.mp4"), tubes=(bare,))])
    assert (video_ap(truth.assign(score=0.5), truth, 0.99) == 1).all() and truth_table([]).shape == (
        0,
        8,
    )


def test_the_solution_of_the_exercise_holds(setup_4):
    random_tubes = setup_4.random_tubes
    truth = random_tubes(1, scored=False)
    found = random_tubes(0).assign(tube=lambda t: t.tube * 2)
    double = pd.concat([found, found.assign(tube=found.tube + 1, score=found.score / 2)])
    pd.testing.assert_series_equal(video_ap(double, truth), video_ap(found, truth))
    alone = truth.drop_duplicates(FRAME)
    drop = frame_ap(found, alone) - frame_ap(double, alone)
    assert (drop >= 0).all() and (drop > 0).any()
    one = found[found.tube == 6]
    assert soft_nms(double[double.tube.isin([6, 7])]).score.tolist() == [*one.score, *one.score * 0]
