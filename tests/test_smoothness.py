"Generated from nbs/15_smoothness.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.coherence import variance_mask
from vad_ssl.consistency import l2_consistency
from vad_ssl.exercise import Case
from vad_ssl.exercise import Exercise
import pytest
import torch

from vad_ssl.smoothness import gradient_mask, smoothness_loss


@pytest.fixture
def setup_1():
    def naive_derivative(v):
        last = len(v) - 1
        inner = [(v[k + 1] - v[k - 1]) / 2 for k in range(1, last)]
        return [v[1] - v[0], *inner, v[last] - v[last - 1]]


    maps = torch.rand(2, 1, 7, 5, 6, generator=torch.Generator().manual_seed(0))
    return SimpleNamespace(naive_derivative=naive_derivative, maps=maps)


def test_the_flash_worked_by_hand():
    flash = torch.tensor([0.0, 0, 0, 1, 0, 0, 0]).view(1, 1, 7, 1, 1)
    mask = gradient_mask(flash, normalise=False)
    assert mask.shape == (1, 1, 7, 1, 1)
    assert mask.flatten().tolist() == [0, 0.25, 0, 0.5, 0, 0.25, 0]


def test_the_mask_agrees_with_the_naive_loop(setup_1):
    naive_derivative = setup_1.naive_derivative
    maps = setup_1.maps
    columns = maps.flatten(3).transpose(2, 3).reshape(-1, 7).tolist()
    slow = torch.tensor([[abs(v) for v in naive_derivative(naive_derivative(c))] for c in columns])
    fast = gradient_mask(maps, normalise=False).flatten(3).transpose(2, 3).reshape(-1, 7)
    torch.testing.assert_close(fast, slow)


def test_a_steady_ramp_has_no_second_derivative():
    ramp = torch.arange(8).float() / 8  # exact in binary
    still = torch.rand(3, 1, 1, 4, 4).expand(3, 1, 8, 4, 4)
    for calm in (ramp.view(1, 1, 8, 1, 1).expand(3, 1, 8, 4, 4), still):
        assert gradient_mask(calm, normalise=False).eq(0).all()
        assert gradient_mask(calm).eq(0).all()


def test_a_parabola_has_a_constant_second_derivative_inside():
    mask = gradient_mask(torch.arange(9).float().pow(2).view(1, 1, 9, 1, 1), normalise=False)
    assert mask.flatten()[2:-2].eq(2).all()


def test_the_sign_does_not_matter_and_time_may_run_backwards(setup_1):
    maps = setup_1.maps
    torch.testing.assert_close(gradient_mask(1 - maps), gradient_mask(maps))
    torch.testing.assert_close(gradient_mask(maps.flip(2)), gradient_mask(maps).flip(2))


def test_the_mask_carries_no_gradient_and_every_clip_is_scaled_alone(setup_1):
    maps = setup_1.maps
    mask = gradient_mask(maps.clone().requires_grad_())
    assert not mask.requires_grad
    assert mask.flatten(1).amin(1).eq(0).all() and mask.flatten(1).amax(1).eq(1).all()
    torch.testing.assert_close(mask[:1], gradient_mask(maps[:1]), rtol=0, atol=1e-6)


def test_short_clips_odd_sizes_and_low_precision(setup_1):
    maps = setup_1.maps
    for shape in ((1, 1, 1, 4, 4), (1, 1, 2, 3, 5), (2, 1, 7, 9, 12)):
        assert gradient_mask(torch.rand(shape)).shape == shape
    plain = gradient_mask(maps)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gradient_mask(maps), plain)
    torch.testing.assert_close(gradient_mask(maps.double()).float(), plain, atol=1e-6, rtol=1e-5)
    low = gradient_mask(maps.bfloat16())
    assert low.dtype == torch.bfloat16 and (low.float() - plain).abs().max() < 0.05
    bare = torch.empty(2, 1, 8, 9, 9, device="meta")  # no value is read back: a GPU never waits
    assert gradient_mask(bare).shape == bare.shape


@pytest.fixture
def setup_2():
    def walking_square(t=8, size=32, speed=2, start=4):
        x = torch.zeros(1, 1, t, size, size)
        for k in range(t):
            x[0, 0, k, 10:22, start + speed * k : start + speed * k + 12] = 1
        return torch.nn.functional.avg_pool3d(x, (1, 5, 5), 1, (0, 2, 2)) * 0.96 + 0.02


    good = walking_square()
    lost = good.clone()
    lost[:, :, 4] *= 0.2
    return SimpleNamespace(walking_square=walking_square, good=good, lost=lost)


@pytest.fixture
def setup_3(setup_2):
    good = setup_2.good
    lost = setup_2.lost
    def marked(mask):
        "Share of a clip's pixels that weigh more than 0.3."
        return (mask > 0.3).float().mean().item()


    for name, maps_ in {"good": good, "lost": lost}.items():
        shares = (
            f"variance {marked(variance_mask(maps_)):.0%}, gradient {marked(gradient_mask(maps_)):.0%}"
        )
        print(f"{name}: share of pixels above 0.3: {shares}")
    return SimpleNamespace(marked=marked, name=name, maps_=maps_, shares=shares)


def test_a_steady_walk_saturates_the_mask_and_a_lost_frame_peaks_beside_itself(setup_2, setup_3):
    good = setup_2.good
    lost = setup_2.lost
    marked = setup_3.marked
    good_mask, lost_mask = gradient_mask(good), gradient_mask(lost)
    assert good_mask.amax((0, 1, 3, 4)).eq(1).all()  # in every frame
    assert marked(good_mask) == pytest.approx(0.178, abs=1e-3)
    assert marked(variance_mask(good)) == pytest.approx(0.129, abs=1e-3)
    peaks = lost_mask.amax((0, 1, 3, 4))
    assert (peaks > 0.99).nonzero().flatten().tolist() == [2, 6]  # frames 3 and 7
    assert peaks[4].item() == pytest.approx(0.887, abs=1e-3)  # frame 5, the lost one
    sharper = gradient_mask(lost, normalise=False).max() / gradient_mask(good, normalise=False).max()
    assert sharper.item() == pytest.approx(2.02, abs=0.01)


def test_a_lost_frame_dominates_the_mask_of_its_clip(setup_1, setup_2):
    maps = setup_1.maps
    lost = setup_2.lost
    x = torch.zeros(1, 1, 8, 8, 24)
    for k in range(8):
        x[0, 0, k, 2:6, k : k + 12] = 1  # one pixel a frame
    lost = x.clone()
    lost[:, :, 4] = 0
    steady, jerky = (gradient_mask(maps, normalise=False)[0, 0, 4].sum() for maps in (x, lost))
    assert jerky > 2 * steady


def test_the_smoothness_loss_is_a_masked_squared_error_with_the_mask_held_fixed(setup_1):
    maps = setup_1.maps
    a, b, mask = maps.clone().requires_grad_(), maps.roll(1, -1), gradient_mask(maps)
    loss = smoothness_loss(a, b)
    loss.backward()
    assert loss.item() == pytest.approx((mask * (maps - b) ** 2).mean().item())
    torch.testing.assert_close(a.grad, 2 * mask * (maps - b) / maps.numel())


def test_the_mask_of_eq_6_looks_at_view_1_alone_and_the_loss_at_both():
    a = torch.rand(1, 1, 8, 4, 4)
    assert smoothness_loss(a, a) == 0 and gradient_mask(a).max() == 1
    mean = gradient_mask(a).mean().item()
    assert smoothness_loss(a, a + 0.1).item() == pytest.approx(0.01 * mean, rel=1e-4)


def test_constant_maps_give_no_nan():
    a = torch.full((2, 1, 8, 4, 4), 0.5, requires_grad=True)
    loss = smoothness_loss(a, torch.zeros_like(a))
    loss.backward()
    assert loss == 0 and not a.grad.any()


@pytest.fixture
def setup_4(setup_2, setup_3):
    good = setup_2.good
    name = setup_3.name
    shares = setup_3.shares
    def faint(*shares):
        "The walking square, in every frame fainter by its share."
        return good * (1 - torch.tensor(shares).view(1, 1, 8, 1, 1))


    steady, flicker = faint(*[0.4] * 8), faint(0, 0, 0.8, 0, 0, 0.8, 0, 0)


    def charged(mask, scaled):
        "What the flicker costs, over what the steady error costs."
        costs = [l2_consistency(x, good, mask(x, scaled)) for x in (flicker, steady)]
        return (costs[0] / costs[1]).item()


    masks = {
        "none (Eq. 2)": lambda x, scaled: torch.ones_like(x),
        "variance, 3 frames": lambda x, scaled: variance_mask(x, good, 3, scaled),
        "variance, 5 frames": lambda x, scaled: variance_mask(x, good, 5, scaled),
        "second derivative": lambda x, scaled: gradient_mask(x, scaled),
    }
    ratios = {name: [charged(mask, scaled) for scaled in (True, False)] for name, mask in masks.items()}
    return SimpleNamespace(faint=faint, steady=steady, flicker=flicker, charged=charged, masks=masks, ratios=ratios)


def test_the_two_errors_cost_the_same_without_a_mask_and_the_scaling_takes_the_flicker_s_weight_away(setup_4):
    ratios = setup_4.ratios
    equal, three, five, second = ratios.values()
    assert equal == pytest.approx([1, 1], abs=1e-5)
    assert three == pytest.approx([2.0, 3.2], abs=0.1)
    assert five == pytest.approx([1.3, 2.1], abs=0.1)
    assert second == pytest.approx([0.86, 4.3], abs=0.1)


@pytest.fixture
def setup_5():
    def reached(mask, at=4):
        "Frames, from 1, in which a mask changes when frame 5 does."
        x = torch.rand(1, 1, 9, 3, 3, generator=torch.Generator().manual_seed(1))
        y = x.clone()
        y[:, :, at] = 1 - y[:, :, at]
        moved = (mask(x, normalise=False) != mask(y, normalise=False)).amax((0, 1, 3, 4))
        return (moved.nonzero().flatten() + 1).tolist()
    return SimpleNamespace(reached=reached)


def test_both_masks_look_two_frames_to_either_side(setup_5):
    reached = setup_5.reached
    assert reached(variance_mask) == [3, 4, 5, 6, 7]
    assert reached(gradient_mask) == [3, 5, 7]


@pytest.fixture
def setup_6(setup_1):
    maps = setup_1.maps
    def pixel(*values):
        "One pixel over time, as a map."
        return torch.tensor(values).view(1, 1, -1, 1, 1)


    gradient_exercise = Exercise(
        Case(
            "a steady rise",
            lambda f: f(pixel(0.0, 0.125, 0.25, 0.375, 0.5), False).flatten(),
            [0.0] * 5,
            "the *second* derivative; at the ends, the difference to the only neighbour",
        ),
        Case(
            "no weight below zero",
            lambda f: f(pixel(0.0, 0, 0, 1, 0, 0, 0), False).min(),
            0.0,
            "the size of the second derivative, without its sign",
        ),
        Case(
            "a flash by hand",
            lambda f: f(pixel(0.0, 0, 0, 1, 0, 0, 0), False).flatten(),
            [0, 0.25, 0, 0.5, 0, 0.25, 0],
            "central differences, (next - last) / 2, applied twice: they look at t - 2 and t + 2",
        ),
        Case(
            "two clips, scaled",
            lambda f: f(maps * torch.tensor([1, 0.5]).view(2, 1, 1, 1, 1)),
            gradient_mask(maps),
            "every clip is scaled to [0, 1] on its own",
        ),
        Case(
            "the gradient",
            lambda f: f(maps.clone().requires_grad_()).requires_grad,
            False,
            "a mask is a weight: `detach` the maps",
        ),
    )
    return SimpleNamespace(pixel=pixel, gradient_exercise=gradient_exercise)


def test_the_check_of_the_gradient_mask_passes_it_and_explains_five_mistakes(setup_3, setup_6):
    name = setup_3.name
    gradient_exercise = setup_6.gradient_exercise
    def central(x):
        (slope,) = torch.gradient(x, dim=2)
        return slope


    def compact(x):
        inner = x[:, :, 2:] - 2 * x[:, :, 1:-1] + x[:, :, :-2]
        return torch.nn.functional.pad(inner, (0, 0, 0, 0, 1, 1))


    def gradient_with(curve=lambda x: central(central(x)), size=torch.abs, each=True, fixed=True):
        "The gradient mask with a choice of mistakes."

        def f(probs, normalise=True):
            mask = size(curve(probs.detach() if fixed else probs))
            scale = mask.amax((1, 2, 3, 4), keepdim=True) if each else mask.max()
            low = mask.amin((1, 2, 3, 4), keepdim=True) if each else mask.min()
            return (mask - low) / (scale - low) if normalise else mask

        return f


    review = gradient_exercise.review
    for right in (gradient_mask, gradient_with()):
        assert review(right).startswith("All 5 right")
    for name, mistake in (
        ("a steady rise", dict(curve=central)),
        ("no weight below zero", dict(size=torch.clone)),
        ("a flash by hand", dict(curve=compact)),
        ("two clips, scaled", dict(each=False)),
        ("the gradient", dict(fixed=False)),
    ):
        assert f"Not yet: {name};" in review(gradient_with(**mistake))
