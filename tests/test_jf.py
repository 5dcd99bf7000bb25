"Generated from nbs/43_jf.ipynb: change the notebook, then `make export`."
from pathlib import Path
from scipy import ndimage
from types import SimpleNamespace
import json
import numpy as np
import pandas as pd
import pytest

from vad_ssl.jf import boundary, boundary_f, jaccard, seen_unseen, statistics


def test_j_by_hand():
    square = np.zeros((1, 10, 10), bool)
    square[0, 3:6, 3:6] = True
    none = np.zeros_like(square)
    assert jaccard(square, square).tolist() == jaccard(none, none).tolist() == [1]
    assert jaccard(square, none)[0] == jaccard(~none, none)[0] == 0
    assert jaccard(square, none, void=square)[0] == 1
    assert jaccard(square, np.roll(square, 1, 2))[0] == 6 / 12
    with pytest.raises(ValueError, match="resize"):
        jaccard(square, square[:, :5])


def test_f_by_hand():
    square = np.zeros((1, 10, 10), bool)
    square[0, 3:6, 3:6] = True
    none = np.zeros_like(square)
    # rows and columns 2 to 5, but not the 2 x 2 pixels that only see inside
    assert boundary(square).sum() == 12
    assert boundary_f(square, square).shape == (1,)
    assert boundary_f(square, square)[0] == boundary_f(none, none)[0] == 1
    assert boundary_f(square, none)[0] == boundary_f(none, square)[0] == 0
    assert boundary_f(~none, none)[0] == 1  # a full frame has no boundary


@pytest.fixture(scope="module")
def setup_1():
    def near_slowly(p, g, radius):
        "Share of the pixels of `p` that have one of `g` within `radius`, pixel by pixel."
        there = np.argwhere(g)
        return np.mean([(((there - here) ** 2).sum(1) <= radius**2).any() for here in np.argwhere(p)])
    return SimpleNamespace(near_slowly=near_slowly)


def test_boundary_f_equals_the_loop_over_pixels(setup_1):
    near_slowly = setup_1.near_slowly
    rng = np.random.default_rng(0)
    for bound, radius in ((0.008, 1), (3, 3), (0.1, 4)):
        a, b = (ndimage.gaussian_filter(rng.random((2, 30, 24)), (0, 3, 3)) > 0.5 for _ in range(2))
        slow = []
        for p, g in zip(boundary(a), boundary(b)):
            precision, recall = near_slowly(p, g, radius), near_slowly(g, p, radius)
            slow.append(2 * precision * recall / (precision + recall))
        np.testing.assert_allclose(boundary_f(a, b, bound=bound), slow, atol=1e-12)
    np.testing.assert_array_equal(jaccard(a[:, ::-1], b[:, ::-1]), jaccard(a, b))


def test_summaries_by_hand():
    assert statistics([0.9, 0.8, 0.4, 0.2, 0.1]).round(9).to_dict() == dict(
        mean=0.48, recall=0.4, decay=0.7
    )
    objects = pd.DataFrame(dict(J=[0.8, 0.6, 0.5], F=[0.9, 0.7, 0.4], seen=[True, True, False]))
    assert seen_unseen(objects.assign(seen=[1, 1, 0])).equals(seen_unseen(objects))
    with pytest.raises(ValueError, match="column seen: give true or false"):
        seen_unseen(objects.assign(seen=["yes", "yes", "no"]))
    want = dict(J_seen=0.7, J_unseen=0.5, F_seen=0.8, F_unseen=0.4, overall=0.6)
    assert seen_unseen(objects).round(9).to_dict() == want
    assert np.isnan(seen_unseen(objects[:2]).overall)  # without unseen classes there is no overall


@pytest.fixture(scope="module")
def setup_2():
    up = ("..", "../..", "../../..")
    cases = next((p for p in (Path(d) / "shared/data/peer_cases" for d in up) if p.exists()), None)
    return SimpleNamespace(up=up, cases=cases)


def test_j_and_f_agree_with_davis(setup_2):
    cases = setup_2.cases
    if cases is None:
        pytest.skip("reference numbers not present")
    z = np.load(cases / "davis_jf.npz")


    def unpack(name, kind, width):
        "A mask of the file, or None."
        packed = f"{name}__{kind}_packed"
        if packed in z:
            return np.unpackbits(z[packed], axis=-1)[..., :width].astype(bool)


    for name, want in json.loads((cases / "davis_jf.json").read_text())["expected"].items():
        pred, truth, void = (unpack(name, k, want["shape"][2]) for k in ("pred", "gt", "void"))
        for score, key in ((jaccard, "J"), (boundary_f, "F")):
            values = score(pred, truth, void)
            np.testing.assert_allclose(values, want[key], atol=1e-9)
            ignored = want.get(f"{key}_void_ignored", want[key])
            np.testing.assert_allclose(score(pred, truth), ignored, atol=1e-9)
            summary = statistics(values)
            np.testing.assert_allclose(summary, want[f"{key}_stats_mean_recall_decay"], atol=1e-9)
        np.testing.assert_allclose(boundary_f(pred, truth, void, 3), want["F_bound_th_3px"], atol=1e-9)
        for mask, key in ((pred, "pred"), (truth, "gt")):
            assert boundary(mask).sum((1, 2)).tolist() == want[f"boundary_pixel_counts_{key}"]


def test_the_solution_of_the_exercise_holds():
    truth = np.zeros((10, 8, 8), bool)
    truth[:5, 2:6, 2:6] = True
    assert statistics(jaccard(np.zeros_like(truth), truth))["mean"] == 0.5
