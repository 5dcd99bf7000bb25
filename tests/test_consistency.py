"Generated from nbs/13_consistency.ipynb: change the notebook, then `make export`."
from functools import partial
from types import SimpleNamespace
from vad_ssl.detector import small_detector
from vad_ssl.exercise import Case
from vad_ssl.exercise import Exercise
from vad_ssl.views import invert
from vad_ssl.views import random_view
import math
import numpy as np
import pytest
import torch

from vad_ssl.consistency import fixed_maps, js_divergence, l2_consistency


@pytest.fixture
def setup_1():
    def naive_jsd(p, q):
        total = 0.0
        for a, b in zip(p, q):
            m = (a + b) / 2
            for v in (a, b):
                if v > 0:
                    total += v * math.log(v / m) / 2
        return total
    return SimpleNamespace(naive_jsd=naive_jsd)


@pytest.fixture
def setup_2():
    g = torch.Generator().manual_seed(0)
    feat1, feat2 = torch.randn(2, 4, 9, 24, generator=g)
    return SimpleNamespace(g=g, feat1=feat1, feat2=feat2)


def test_the_divergence_worked_by_hand():
    sure, torn, other = (
        torch.tensor([p]).clamp(min=1e-30).log() for p in ([1.0, 0], [0.5, 0.5], [0, 1.0])
    )
    assert js_divergence(sure, torn).item() == pytest.approx(0.2158, abs=1e-4)
    assert js_divergence(sure, other).item() == pytest.approx(math.log(2), abs=1e-6)


def test_the_divergence_agrees_with_the_naive_loop(setup_1, setup_2):
    naive_jsd = setup_1.naive_jsd
    feat1 = setup_2.feat1
    feat2 = setup_2.feat2
    pairs = zip(feat1.softmax(-1).flatten(0, 1).tolist(), feat2.softmax(-1).flatten(0, 1).tolist())
    slow = [naive_jsd(p, q) for p, q in pairs]
    assert js_divergence(feat1, feat2).item() == pytest.approx(sum(slow) / len(slow), rel=1e-5)


def test_the_divergence_is_symmetric_zero_for_equal_views_and_never_above_ln_2(setup_2):
    feat1 = setup_2.feat1
    feat2 = setup_2.feat2
    assert js_divergence(feat1, feat2) == pytest.approx(js_divergence(feat2, feat1).item(), rel=1e-6)
    assert js_divergence(feat1, feat1) == 0
    far = 1e4 * torch.eye(24)
    assert js_divergence(far, far.roll(1, 0)).item() == pytest.approx(math.log(2), rel=1e-6)


def test_the_gradient_of_the_divergence_is_finite_even_for_certain_and_opposite_views():
    for scale in (0.0, 1.0, 1e4):
        p = (scale * torch.eye(6)).requires_grad_()
        js_divergence(p, scale * torch.eye(6).roll(1, 0)).backward()
        assert p.grad.isfinite().all()


def test_in_bfloat16_close_views_stay_close_to_zero_and_never_below(setup_2):
    feat1 = setup_2.feat1
    feat2 = setup_2.feat2
    near = feat1 + 0.01 * feat2
    full, low = js_divergence(feat1, near), js_divergence(feat1.bfloat16(), near.bfloat16())
    assert low.dtype == torch.bfloat16 and 0 <= low < 3 * full + 1e-4


def test_features_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        js_divergence(torch.zeros(2, 4), torch.zeros(2, 5))


def test_descent_brings_two_views_together_and_the_certain_one_gives_way_less():
    certain, unsure = (torch.tensor([[p, 1 - p]]).log().requires_grad_() for p in (0.9, 0.4))
    before = js_divergence(certain, unsure)
    before.backward()
    after = js_divergence(certain - certain.grad, unsure - unsure.grad)
    assert after < before and certain.grad[0, 0] > 0 > unsure.grad[0, 0]
    assert certain.grad.abs().max() < unsure.grad.abs().max()


def test_features_of_a_detector_become_one_distribution_a_place():
    torch.manual_seed(0)
    model, clip = small_detector(8).eval(), torch.rand(2, 3, 8, 56, 56)
    features = [model(x).features.view(2, -1, 8) for x in (clip, clip**2)]
    loss = js_divergence(*features)
    assert features[0].shape == (2, 49, 8) and 0 < loss < math.log(2)
    loss.backward()
    assert model.capsules.weight.grad.abs().sum() > 0


def test_two_pixels_worked_by_hand():
    one, two, weight = (
        torch.tensor(v).view(1, 1, 1, 1, 2) for v in ([0.9, 0.2], [0.5, 0.2], [0.5, 1.0])
    )
    assert l2_consistency(one, two).item() == pytest.approx(0.08)  # (0.4 ** 2 + 0) / 2
    assert l2_consistency(one, two, weight).item() == pytest.approx(0.04)


def test_the_loss_agrees_with_a_loop_over_pixels():
    a, b, m = torch.rand(3, 2, 1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    pixels = zip(*(x.flatten().tolist() for x in (a, b, m)))
    slow = sum(w * (u - v) ** 2 for u, v, w in pixels) / a.numel()
    assert l2_consistency(a, b, m).item() == pytest.approx(slow, rel=1e-5)


def test_a_weighted_mean_agrees_with_published_numbers():
    r, shape = np.random.default_rng(1), (3, 1, 8, 6, 6)
    drawn = r.standard_normal(shape), r.standard_normal(shape), r.random(shape)
    a, b, w = (torch.from_numpy(x.astype("float32")) for x in drawn)
    assert l2_consistency(a, b, w).item() == pytest.approx(1.0746166706, rel=1e-5)


def test_a_perfectly_equivariant_detector_pays_nothing():
    maps = torch.rand(3, 1, 4, 8, 10)
    mirrored = maps.flip(-1)  # the mirrored answer to the mirrored clip
    assert l2_consistency(maps, invert(random_view(3, flip=1.0), mirrored)[0]) == 0
    assert l2_consistency(maps, mirrored) > 0.05  # without the inverse, being right would be punished


def test_the_gradient_pulls_both_views_together():
    a, b = (torch.full((1, 1, 1, 2, 2), p, requires_grad=True) for p in (0.8, 0.3))
    l2_consistency(a, b).backward()
    assert (a.grad > 0).all()  # descent lowers the higher ...
    assert torch.equal(a.grad, -b.grad)  # ... and raises the lower


def test_a_mask_without_the_channel_axis_is_refused():
    with pytest.raises(ValueError, match="share one shape"):
        l2_consistency(torch.zeros(2, 1, 3, 4, 4), torch.zeros(2, 1, 3, 4, 4), torch.zeros(2, 3, 4, 4))


def test_what_is_no_localisation_map_is_refused_by_shape_and_by_type():
    for bad in (torch.zeros(2, 3, 4, 4), torch.zeros(2, 2, 3, 4, 4), np.zeros((2, 1, 3, 4, 4)), None):
        with pytest.raises(ValueError, match="localisation map"):
            fixed_maps(bad)
    with pytest.raises(ValueError, match="differ in shape"):
        fixed_maps(torch.zeros(2, 1, 3, 4, 4), torch.zeros(2, 1, 3, 4, 5))


def test_fixed_maps_carry_no_gradient_and_keep_or_gain_precision():
    x = torch.rand(2, 1, 3, 4, 4, requires_grad=True)
    for dtype, computed in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        one, two = fixed_maps(x.to(dtype), x.to(dtype))
        assert one.dtype == computed and not two.requires_grad
    assert torch.equal(fixed_maps(x)[0], x)


@pytest.fixture
def setup_3():
    def pull_on_view1(f, z):
        "Size of the gradient at view 1's logit z; view 2, fixed, is one logit lower."
        z = z.detach().requires_grad_()
        error = (f(z) - f(z - 1).detach()) ** 2
        return torch.autograd.grad(error.sum(), z)[0].abs()
    return SimpleNamespace(pull_on_view1=pull_on_view1)


def test_on_logits_every_pixel_is_pulled_alike_and_on_probabilities_one_place_most(setup_3):
    pull_on_view1 = setup_3.pull_on_view1
    z = torch.linspace(-8, 8, 161)
    alike, near = pull_on_view1(torch.clone, z), pull_on_view1(torch.sigmoid, z)
    assert torch.allclose(alike, torch.full_like(z, 2.0))
    rises = near.diff() > 0
    assert rises[: near.argmax()].all() and not rises[near.argmax() :].any()  # one peak
    assert abs(z[near.argmax()].item()) < 1


def test_on_probabilities_confident_pixels_are_left_in_peace():
    pull = {}
    for z0 in (0.5, 8.0):
        z = torch.full((1, 1, 1, 1, 1), z0, requires_grad=True)
        l2_consistency(z.sigmoid(), (z.detach() - 1).sigmoid()).backward()
        pull[z0] = z.grad.abs().item()
    assert pull[0.5] > 1e5 * pull[8.0]


@pytest.fixture
def setup_4(setup_2):
    feat1 = setup_2.feat1
    feat2 = setup_2.feat2
    far = 1e4 * torch.eye(4)
    jsd_exercise = Exercise(
        Case(
            "features 1 2 and 11 12",
            lambda f: f(torch.tensor([[1.0, 2.0]]), torch.tensor([[11.0, 12.0]])),
            0.0,
            "features are no probabilities; a softmax makes these two equal",
        ),
        Case(
            "certain against torn, by hand",
            lambda f: f(torch.tensor([[100.0, 0.0]]), torch.tensor([[0.0, 0.0]])),
            math.log(4 / 3) / 2 + (math.log(2 / 3) + math.log(2)) / 4,
            "both are compared with their middle m, and each half counts half",
        ),
        Case(
            "many places",
            lambda f: f(feat1, feat2),
            js_divergence(feat1, feat2),
            "the distribution lies along the last axis; over all others take the mean",
        ),
        Case(
            "certain and opposite",
            lambda f: f(far, far.roll(1, 0)),
            math.log(2),
            "0 * log 0 is no number: stay in log space, `log_softmax` and `logaddexp`",
        ),
    )
    return SimpleNamespace(far=far, jsd_exercise=jsd_exercise)


def test_the_check_of_the_divergence_passes_it_and_explains_four_mistakes(setup_2, setup_4):
    feat1 = setup_2.feat1
    feat2 = setup_2.feat2
    jsd_exercise = setup_4.jsd_exercise
    def plain_jsd(feat1, feat2, softmax=True, middle=True, reduce=torch.mean):
        "The formula as printed, with a choice of mistakes."
        p, q = (x.softmax(-1) if softmax else x for x in (feat1, feat2))
        m = (p + q) / 2 if middle else q
        return reduce((p * (p / m).log() + q * (q / m).log()).sum(-1) / 2)


    review = jsd_exercise.review
    assert review(js_divergence).startswith("All 4 right")
    for name, mistake in (
        ("features 1 2 and 11 12", partial(plain_jsd, softmax=False)),
        ("certain against torn, by hand", partial(plain_jsd, middle=False)),
        ("many places", partial(plain_jsd, reduce=torch.sum)),
        ("certain and opposite", plain_jsd),
    ):
        assert f"Not yet: {name};" in review(mistake)
    assert "got nan" in review(plain_jsd)


@pytest.fixture
def setup_5():
    pixels = torch.tensor([0.9, 0.2]).view(1, 1, 1, 1, 2), torch.tensor([0.5, 0.2]).view(1, 1, 1, 1, 2)
    weights = torch.tensor([0.5, 1.0]).view(1, 1, 1, 1, 2)


    def pulls(f):
        "Gradients on both views of the first pixel."
        views = [x.clone().requires_grad_() for x in pixels]
        f(*views).backward()
        return [0.0 if x.grad is None else x.grad.flatten()[0].item() for x in views]


    l2_exercise = Exercise(
        Case("two pixels by hand", lambda f: f(*pixels), 0.08, "squares, then the mean of all pixels"),
        Case(
            "a weight a pixel",
            lambda f: f(*pixels, weights),
            0.04,
            "weights multiply; they do not divide again: a mask that is nearly 0 makes a small loss",
        ),
        Case("the pull on both views", pulls, [0.4, -0.4], "neither view is held fixed here"),
    )
    return SimpleNamespace(pixels=pixels, weights=weights, pulls=pulls, l2_exercise=l2_exercise)


def test_the_check_of_the_squared_error_passes_it_and_explains_three_mistakes(setup_5):
    l2_exercise = setup_5.l2_exercise
    def average(loc1, loc2, mask=None):
        mask = torch.ones_like(loc1) if mask is None else mask
        return (mask * (loc1 - loc2) ** 2).sum() / mask.sum()


    review = l2_exercise.review
    assert review(l2_consistency).startswith("All 3 right")
    for name, mistake in (
        ("two pixels by hand", lambda a, b, mask=1: (mask * (a - b).abs()).mean()),
        ("a weight a pixel", average),
        ("the pull on both views", lambda a, b, mask=None: l2_consistency(a, b.detach(), mask)),
    ):
        assert f"Not yet: {name};" in review(mistake)
