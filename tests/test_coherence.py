"Generated from nbs/14_coherence.ipynb: change the notebook, then `make export`."
from functools import partial
from types import SimpleNamespace
from vad_ssl.consistency import l2_consistency
from vad_ssl.exercise import Case
from vad_ssl.exercise import Exercise
import numpy as np
import pytest
import torch

from vad_ssl.coherence import coherence_loss, exp_rampup, min_max, variance, variance_mask


@pytest.fixture
def setup_1():
    def naive_ring_mask(view1, view2, frames):
        "One clip (t, h, w) and its second view: mean variance of a frame's two places on the ring."
        t, half = len(view1), frames // 2
        ring = list(view1) + list(view2[t - 2 : 0 : -1])
        n = len(ring)
        var = [np.var([ring[(k + d) % n] for d in range(-half, half + 1)], axis=0) for k in range(n)]
        return np.stack([(var[k] + var[(n - k) % n]) / 2 for k in range(t)])


    g = torch.Generator().manual_seed(0)
    one, two = torch.rand(2, 3, 1, 7, 9, 12, generator=g)
    return SimpleNamespace(naive_ring_mask=naive_ring_mask, g=g, one=one, two=two)


def test_variance_worked_by_hand():
    assert variance(torch.tensor([0.0, 0, 0, 1, 1]), 0).item() == pytest.approx(0.24)


def test_scaling_works_on_each_clip_alone_and_leaves_a_constant_one_at_zero():
    scaled = min_max(torch.tensor([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]]))
    assert scaled.tolist() == [[0, 1, 0.5], [0, 0, 0]]


def test_one_pixel_worked_by_hand():
    pixel = torch.tensor([0.0, 0, 0, 1, 1]).view(1, 1, 5, 1, 1)
    mask = variance_mask(pixel, normalise=False)
    assert mask.shape == (1, 1, 5, 1, 1)
    assert mask[0, 0, 2].item() == pytest.approx(0.24)  # all five frames
    assert mask[0, 0, 0].item() == 0  # at the end of the clip the window is cut: frames 1, 2, 3
    assert mask[0, 0, 4].item() == pytest.approx(2 / 9)  # 0, 1, 1


def test_the_ring_agrees_with_the_naive_loop(setup_1):
    naive_ring_mask = setup_1.naive_ring_mask
    one = setup_1.one
    two = setup_1.two
    pairs = [(a[0].numpy(), b[0].numpy()) for a, b in zip(one, two)]
    for frames in (3, 5):
        slow = np.stack([naive_ring_mask(*pair, frames) for pair in pairs])
        fast = variance_mask(one, two, frames, normalise=False)
        np.testing.assert_allclose(fast[:, 0].numpy(), slow, atol=1e-6)


def test_a_window_longer_than_the_ring_counts_frames_as_often_as_the_naive_loop(setup_1):
    naive_ring_mask = setup_1.naive_ring_mask
    g = setup_1.g
    for t in (2, 3, 4):
        a, b = torch.rand(2, 1, 1, t, 4, 5, generator=g)
        slow = naive_ring_mask(a[0, 0].numpy(), b[0, 0].numpy(), 5)
        fast = variance_mask(a, b, 5, normalise=False)[0, 0]
        np.testing.assert_allclose(fast.numpy(), slow, atol=1e-6)


def test_the_ring_adds_the_variance_of_the_mean_and_of_half_the_gap(setup_1):
    g = setup_1.g
    a, b = torch.rand(2, 2, 1, 8, 5, 6, generator=g)
    m, d = (a + b) / 2, (a - b) / 2
    middle = variance_mask(a, b, normalise=False)[:, :, 3]  # frames 2 to 6 lie inside a view
    torch.testing.assert_close(middle, variance(m[:, :, 1:6], 2) + variance(d[:, :, 1:6], 2))


def test_in_float64_the_mask_is_the_same_to_six_digits(setup_1):
    one = setup_1.one
    two = setup_1.two
    fine = variance_mask(one.double(), two.double())
    assert fine.dtype == torch.float64
    torch.testing.assert_close(variance_mask(one, two).double(), fine, atol=1e-6, rtol=1e-6)


def test_a_static_clip_has_no_variance_at_all():
    still = torch.rand(2, 1, 1, 6, 5).expand(2, 1, 8, 6, 5)
    assert variance_mask(still, still, normalise=False).eq(0).all()
    assert variance_mask(still, still).eq(0).all()  # and scaling does not turn nothing into noise


def test_scaling_maps_each_clip_to_zero_and_one(setup_1):
    one = setup_1.one
    two = setup_1.two
    mask = variance_mask(one, two)
    assert mask.shape == one.shape
    assert mask.flatten(1).amin(1).eq(0).all() and mask.flatten(1).amax(1).eq(1).all()
    alone = variance_mask(one[:1], two[:1])  # a clip does not see its neighbours in the batch
    torch.testing.assert_close(mask[:1], alone)


def test_the_views_are_interchangeable(setup_1):
    one = setup_1.one
    two = setup_1.two
    ends = torch.tensor([0, 6])  # but for the two ends, which view 1 provides
    swapped = variance_mask(two.index_copy(2, ends, one[:, :, ends]), one)
    torch.testing.assert_close(variance_mask(one, two), swapped, atol=1e-6, rtol=0)


def test_playing_a_clip_backwards_plays_its_mask_backwards(setup_1):
    one = setup_1.one
    two = setup_1.two
    torch.testing.assert_close(variance_mask(one.flip(2), two.flip(2)), variance_mask(one, two).flip(2))


def test_no_gradient_flows_into_the_mask(setup_1):
    one = setup_1.one
    two = setup_1.two
    a = one.clone().requires_grad_()
    mask = variance_mask(a, two)
    assert not mask.requires_grad


def test_odd_sizes_short_clips_and_low_precision(setup_1):
    one = setup_1.one
    two = setup_1.two
    for shape in ((1, 1, 7, 96, 128), (2, 1, 1, 5, 5), (2, 1, 2, 5, 5), (1, 1, 32, 3, 3)):
        a, b = torch.rand(2, *shape)
        for second in (None, b):
            assert variance_mask(a, second).shape == shape
    plain = variance_mask(one, two)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(variance_mask(one, two), plain)
    low = variance_mask(one.bfloat16(), two.bfloat16())
    assert low.dtype == torch.bfloat16 and (low.float() - variance_mask(one, two)).abs().max() < 0.05


def test_no_value_is_read_back_to_the_host_so_that_a_gpu_never_waits():
    bare = torch.empty(2, 1, 8, 9, 9, device="meta")  # has a shape but no values: reading one raises
    assert variance_mask(bare, bare).shape == variance_mask(bare).shape == (2, 1, 8, 9, 9)


def test_an_even_window_and_unknown_windows_are_refused(setup_1):
    one = setup_1.one
    two = setup_1.two
    with pytest.raises(ValueError, match="odd number"):
        variance_mask(one, two, frames=4)
    with pytest.raises(ValueError, match="choose ring, apart, shared"):
        variance_mask(one, two, windows="square")


@pytest.fixture
def setup_2():
    def walking_square(t=8, size=32, speed=2.0, start=4.0):
        x = torch.arange(size)[None, :]
        left = start + speed * torch.arange(t)[:, None]
        inside = ((x >= left) & (x < left + 12)).float()  # (t, w)
        rows = ((torch.arange(size) >= 10) & (torch.arange(size) < 22)).float()
        return (rows[:, None] * inside[:, None]).view(1, 1, t, size, size)


    def soften(x):
        return torch.nn.functional.avg_pool3d(x, (1, 3, 3), 1, (0, 1, 1)) * 0.96 + 0.02


    right = soften(walking_square())
    flicker = right * torch.tensor([1, 1, 1, 0.3, 1, 1, 1, 1]).view(1, 1, 8, 1, 1)
    cases = {
        "right": (right, right),
        "late in view 2": (right, soften(walking_square(start=2))),
        "flickers": (flicker, flicker),
        "missing in view 2": (right, torch.full_like(right, 0.02)),
    }
    return SimpleNamespace(walking_square=walking_square, soften=soften, right=right, flicker=flicker, cases=cases)


@pytest.fixture
def setup_3():
    def disagreement(mask, t=8):
        "Weight of a pixel that is 1 in view 1 and 0 in view 2, frame by frame."
        there = torch.ones(1, 1, t, 1, 1)
        return mask(there, 1 - there).flatten()
    return SimpleNamespace(disagreement=disagreement)


def test_a_constant_disagreement_weighs_nothing_in_the_middle_of_a_clip(setup_2, setup_3):
    cases = setup_2.cases
    disagreement = setup_3.disagreement
    seen = disagreement(partial(variance_mask, normalise=False))
    # frame 1 sees 1 1 1 0 0: 0.6 * 0.4
    # frame 2 sees 1 1 1 1 0 and its twin 0 0 0 1 1: (0.8 * 0.2 + 0.6 * 0.4) / 2
    expected = [0.24, 0.2, 0.08, 0, 0, 0.08, 0.2, 0.24]
    torch.testing.assert_close(seen, torch.tensor(expected))
    missing = variance_mask(*cases["missing in view 2"])[0, 0]
    middle = [missing[k, 16, 10 + 2 * k].item() for k in range(8)]  # of the body, scaled
    assert middle == pytest.approx([1, 5 / 6, 1 / 3, 0, 0, 1 / 3, 5 / 6, 1], abs=1e-5)


@pytest.fixture
def setup_4():
    shared_mask = partial(variance_mask, normalise=False, windows="shared")


    def by_parts(view1, view2, frames=5):
        "The mean of the views' own variances, and the variance between their means."
        own = (variance_mask(v, None, frames, normalise=False) for v in (view1, view2))
        half = frames // 2
        windows = [range(max(k - half, 0), min(k + half + 1, view1.shape[2])) for k in range(8)]
        gaps = [(view1 - view2)[:, :, list(w)].mean(2) / 2 for w in windows]
        return sum(own) / 2 + torch.stack(gaps, 2) ** 2
    return SimpleNamespace(shared_mask=shared_mask, by_parts=by_parts)


def test_the_shared_window_is_one_variance_over_all_its_values_and_sees_a_disagreement_in_every_frame(setup_1, setup_3, setup_4):
    g = setup_1.g
    disagreement = setup_3.disagreement
    shared_mask = setup_4.shared_mask
    by_parts = setup_4.by_parts
    a, b = torch.rand(2, 1, 1, 8, 3, 3, generator=g)
    together = variance(torch.cat([a[:, :, 1:6], b[:, :, 1:6]], 2), 2)  # frames 2 to 6
    torch.testing.assert_close(shared_mask(a, b)[:, :, 3], together)
    torch.testing.assert_close(shared_mask(a, b), by_parts(a, b))
    torch.testing.assert_close(disagreement(shared_mask), torch.full((8,), 0.25))
    torch.testing.assert_close(shared_mask(a, a), variance_mask(a, None, normalise=False))


def test_views_apart_are_the_ring_away_from_its_seams_and_see_no_lasting_disagreement(setup_1, setup_3):
    g = setup_1.g
    disagreement = setup_3.disagreement
    a, b = torch.rand(2, 1, 1, 8, 3, 3, generator=g)
    apart_mask = partial(variance_mask, normalise=False, windows="apart")
    ring = variance_mask(a, b, normalise=False)
    torch.testing.assert_close(apart_mask(a, b)[:, :, 3:5], ring[:, :, 3:5])
    near = torch.isclose(apart_mask(a, b), ring).flatten(3).all(-1).flatten()
    assert near.tolist() == [False] * 3 + [True] * 2 + [False] * 3
    assert disagreement(apart_mask).eq(0).all()
    torch.testing.assert_close(apart_mask(a, a), variance_mask(a, None, normalise=False))


def test_five_frames_attend_to_more_pixels_than_three():
    x = torch.zeros(1, 1, 8, 1, 32)
    for k in range(8):
        x[..., k, 0, 2 * k : 2 * k + 12] = 1
    assert (variance_mask(x, frames=5) > 0).sum() > (variance_mask(x, frames=3) > 0).sum()


def test_the_ramp_agrees_with_published_numbers():
    assert exp_rampup(0, 100) == pytest.approx(0.006737946999)
    assert exp_rampup(50, 100) == pytest.approx(0.286504796860)
    assert exp_rampup(30, 40) == pytest.approx(0.731615628947)
    assert exp_rampup(100, 100) == exp_rampup(101, 100) == 1
    assert exp_rampup(62, 100) < 0.5 < exp_rampup(63, 100)


def test_the_coherence_loss_is_the_mixture_of_eq_3(setup_1):
    one = setup_1.one
    two = setup_1.two
    plain, masked = l2_consistency(one, two), l2_consistency(one, two, variance_mask(one, two))
    assert coherence_loss(one, two, 0.0).item() == pytest.approx(plain.item())
    assert coherence_loss(one, two, 1.0).item() == pytest.approx(masked.item())
    mixed = 0.3 * masked + 0.7 * plain
    assert coherence_loss(one, two, 0.3).item() == pytest.approx(mixed.item(), rel=1e-5)


def test_the_gradient_goes_through_the_error_and_not_through_the_mask(setup_1):
    one = setup_1.one
    two = setup_1.two
    a = one.clone().requires_grad_()
    coherence_loss(a, two, 1.0).backward()
    torch.testing.assert_close(a.grad, 2 * variance_mask(one, two) * (one - two) / one.numel())


def test_pixels_that_a_view_lost_cost_nothing(setup_1):
    one = setup_1.one
    two = setup_1.two
    valid = torch.ones_like(one)
    valid[..., :3] = 0
    spoiled = two.clone()
    spoiled[..., :3] = 5
    assert coherence_loss(one, spoiled, 0.5, valid) == coherence_loss(one, two, 0.5, valid)


def test_constant_maps_give_no_nan():
    for value in (0.0, 0.5, 1.0):
        a = torch.full((2, 1, 8, 6, 6), value, requires_grad=True)
        loss = coherence_loss(a, a.detach().clone(), 0.7)
        loss.backward()
        assert loss == 0 and a.grad.isfinite().all()


@pytest.fixture
def setup_5(setup_1):
    one = setup_1.one
    two = setup_1.two
    still = torch.ones(2, 1, 8, 2, 2)
    unequal = [x * torch.tensor([1, 0.5, 1]).view(3, 1, 1, 1, 1) for x in (one, two)]
    arriving = torch.tensor([0.0, 0, 0, 1, 1]).view(1, 1, 5, 1, 1)
    mask_exercise = Exercise(
        Case(
            "one pixel, 0 0 0 1 1, in the middle",
            lambda f: f(arriving, normalise=False)[0, 0, 2].flatten(),
            [0.24],
            "Eq. 4 divides by n, not by n - 1",
        ),
        Case(
            "its first and last frame",
            lambda f: f(arriving, normalise=False)[0, 0, [0, 4]].flatten(),
            [0, 2 / 9],
            "at the end of a clip alone the window is cut: only frames that exist",
        ),
        Case(
            "two views that always disagree",
            lambda f: f(still[:1], 0 * still[:1], normalise=False)[0, 0, :, 0, 0],
            [0.24, 0.2, 0.08, 0, 0, 0.08, 0.2, 0.24],
            "a frame is on the ring twice, once a view: take the mean of both",
        ),
        Case(
            "two views that differ",
            lambda f: f(one, two, 3, normalise=False),
            variance_mask(one, two, 3, normalise=False),
            "behind view 1, view 2 runs backwards, without its first and last frame",
        ),
        Case(
            "clips that waver differently, scaled",
            lambda f: f(*unequal),
            variance_mask(*unequal),
            "every clip is scaled to [0, 1] on its own",
        ),
        Case(
            "a clip that never changes, scaled",
            lambda f: f(still, still),
            0 * still,
            "the span is 0: divide by 1 there",
        ),
        Case(
            "the gradient",
            lambda f: f(one.clone().requires_grad_(), two).requires_grad,
            False,
            "a mask is a weight: `detach` the maps",
        ),
    )
    return SimpleNamespace(still=still, unequal=unequal, arriving=arriving, mask_exercise=mask_exercise)


def test_the_check_of_the_variance_mask_passes_it_and_explains_seven_mistakes(setup_2, setup_5):
    right = setup_2.right
    mask_exercise = setup_5.mask_exercise
    def mask_with(ddof=0, cut=True, both=True, reverse=True, each=True, span=True, fixed=True):
        "The variance mask with a choice of mistakes."

        def f(view1, view2=None, frames=5, normalise=True):
            maps, t, half = view1, view1.shape[2], frames // 2
            if view2 is not None:
                inner = view2[:, :, 1:-1]
                maps = torch.cat([view1, inner.flip(2) if reverse else inner], 2)
            maps = maps.detach() if fixed else maps
            n = maps.shape[2]
            places = [range(k - half, k + half + 1) for k in range(n)]
            if view2 is None and cut:
                places = [[k for k in window if 0 <= k < n] for window in places]
            around = [maps[:, :, [k % n for k in window]] for window in places]
            mask = torch.stack([x.var(2, correction=ddof) for x in around], 2)
            if view2 is not None and both:
                mask = (mask + mask.flip(2).roll(1, 2)) / 2
            mask = mask[:, :, :t]
            if not normalise:
                return mask
            dims = (1, 2, 3, 4) if each else (0, 1, 2, 3, 4)
            low = mask.amin(dims, keepdim=True)
            wide = mask.amax(dims, keepdim=True) - low
            return (mask - low) / (torch.where(wide > 0, wide, 1) if span else wide)

        return f


    review = mask_exercise.review
    for right in (variance_mask, mask_with()):
        assert review(right).startswith("All 7 right")
    for name, mistake in (
        ("one pixel, 0 0 0 1 1, in the middle", dict(ddof=1)),
        ("its first and last frame", dict(cut=False)),
        ("two views that always disagree", dict(both=False)),
        ("two views that differ", dict(reverse=False)),
        ("clips that waver differently, scaled", dict(each=False)),
        ("a clip that never changes, scaled", dict(span=False)),
        ("the gradient", dict(fixed=False)),
    ):
        assert f"Not yet: {name};" in review(mask_with(**mistake))
