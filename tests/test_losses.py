"Generated from nbs/12_losses.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.exercise import Case
from vad_ssl.exercise import Exercise
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vad_ssl.losses import dice_loss, growing_margin, localisation_loss, spread_loss


@pytest.fixture
def setup_1():
    def naive_spread(activations, target, margin):
        total = 0.0
        for row, t in zip(activations.tolist(), target.tolist()):
            for k, a_k in enumerate(row):
                if k != t:
                    total += max(margin - (row[t] - a_k), 0) ** 2
        return total / len(target)
    return SimpleNamespace(naive_spread=naive_spread)


def test_spread_loss_worked_by_hand():
    hand = spread_loss(torch.tensor([[0.6, 0.5, 0.1]]), torch.tensor([0]), 0.2)
    assert hand.shape == () and hand.item() == pytest.approx(0.01, abs=1e-7)


def test_spread_loss_agrees_with_the_naive_loop(setup_1):
    naive_spread = setup_1.naive_spread
    g = torch.Generator().manual_seed(0)
    act, target = torch.rand(5, 24, generator=g), torch.randint(24, (5,), generator=g)
    for margin in (0.2, 0.9):
        slow = naive_spread(act, target, margin)
        assert spread_loss(act, target, margin).item() == pytest.approx(slow, rel=1e-5)


def test_a_confident_right_answer_costs_nothing_and_moves_nothing():
    act = torch.eye(4, requires_grad=True)
    loss = spread_loss(act, torch.arange(4))
    loss.backward()
    assert loss == 0 and not act.grad.any()


def test_spread_loss_pushes_the_true_class_up_and_its_rivals_down():
    act = torch.full((2, 5), 0.5, requires_grad=True)
    spread_loss(act, torch.tensor([1, 3])).backward()
    truth = torch.nn.functional.one_hot(torch.tensor([1, 3]), 5).bool()
    assert (act.grad[truth] < 0).all() and (act.grad[~truth] > 0).all()


def test_one_target_a_clip_is_asked_for():
    with pytest.raises(ValueError, match="one class a clip"):
        spread_loss(torch.rand(3, 4), torch.tensor([0, 1]))


def test_the_margin_grows_from_low_to_high_and_stays_there():
    assert [round(growing_margin(e, 10), 3) for e in (0, 5, 10, 15)] == [0.2, 0.55, 0.9, 0.9]


def test_dice_worked_by_hand():
    certain = torch.tensor([100.0, -100.0, 100.0, -100.0]).view(1, 1, 1, 2, 2)
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 2, 2)
    assert dice_loss(certain, truth).item() == pytest.approx(0.4)


def test_dice_agrees_with_published_numbers():
    def reference(seed, shape, foreground):
        r = np.random.default_rng(seed)
        logits = (r.standard_normal(shape) * 2).astype("float32")
        truth = (r.random(shape) < foreground).astype("float32")
        return dice_loss(torch.from_numpy(logits), torch.from_numpy(truth)).item()


    assert reference(61, (1, 1, 4, 8, 8), 0.3) == pytest.approx(0.6608340740, rel=1e-5)
    assert reference(62, (3, 1, 8, 16, 16), 0.2) == pytest.approx(0.7171867490, rel=1e-5)
    assert reference(63, (2, 1, 8, 16, 16), 0.0) == pytest.approx(0.9995074868, rel=1e-5)


@pytest.fixture
def setup_2():
    big, small = torch.zeros(1, 1, 1, 20, 20), torch.zeros(1, 1, 1, 20, 20)
    big[..., 2:18, 2:18] = 1
    small[..., 9:12, 9:12] = 1
    truth = torch.cat([big, small])
    found = torch.cat([big, torch.zeros_like(small)]) * 200 - 100
    return SimpleNamespace(big=big, small=small, truth=truth, found=found)


def test_dice_per_clip_notices_the_small_actor_that_dice_per_batch_forgets(setup_2):
    truth = setup_2.truth
    found = setup_2.found
    assert dice_loss(found, truth) < 0.02 and dice_loss(found, truth, per_clip=True) > 0.4


def test_per_clip_and_per_batch_agree_for_one_clip(setup_2):
    truth = setup_2.truth
    logits, truth = torch.randn(1, 1, 3, 5, 7), torch.ones(1, 1, 3, 5, 7)
    assert dice_loss(logits, truth) == dice_loss(logits, truth, per_clip=True)


def test_losses_are_finite_where_everything_is_empty_or_full(setup_2):
    truth = setup_2.truth
    for value in (-100.0, 0.0, 100.0):
        for truth in (torch.zeros(2, 1, 3, 4, 5), torch.ones(2, 1, 3, 4, 5)):
            logits = torch.full_like(truth, value).requires_grad_()
            loss = localisation_loss(logits, truth)
            loss.backward()
            assert loss.isfinite() and logits.grad.isfinite().all()


@pytest.fixture
def setup_3(setup_2):
    truth = setup_2.truth
    found = setup_2.found
    def both_losses(truth, found):
        "Cross-entropy and Dice loss of a map that is sure of `found`."
        logits = found * 8 - 4
        entropy = F.binary_cross_entropy_with_logits(logits, truth)
        return entropy.item(), dice_loss(logits, truth).item()


    def square(side):
        "One frame of 40 x 40 with a square in it."
        frame = torch.zeros(1, 1, 1, 40, 40)
        frame[..., 8 : 8 + side, 2 : 2 + side] = 1
        return frame
    return SimpleNamespace(both_losses=both_losses, square=square)


def test_both_losses_are_straight_in_the_distance_and_only_cross_entropy_knows_the_size(setup_2, setup_3):
    small = setup_2.small
    both_losses = setup_3.both_losses
    square = setup_3.square
    moved = np.array([both_losses(square(10), square(10).roll(d, -1)) for d in range(12)])
    steps = np.diff(moved, axis=0)
    assert np.allclose(steps[:10], steps[0], rtol=0.01) and np.allclose(steps[10:], 0, atol=1e-6)
    nothing = torch.zeros(1, 1, 1, 40, 40)
    small, large = (both_losses(square(side), nothing) for side in (4, 24))
    assert large[0] > 15 * small[0]  # cross-entropy
    assert 0.95 < large[1] / small[1] < 1.05  # Dice


def test_bfloat16_works_and_the_gradient_reaches_every_pixel(setup_2):
    truth = setup_2.truth
    logits = torch.zeros(2, 1, 3, 4, 5, dtype=torch.bfloat16, requires_grad=True)
    truth = torch.zeros(2, 1, 3, 4, 5)
    truth[:, :, :, 1:3, 1:3] = 1
    localisation_loss(logits, truth).backward()
    assert (logits.grad != 0).all()


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="one mask a map"):
        dice_loss(torch.zeros(2, 1, 8, 4, 4), torch.zeros(2, 8, 4, 4))


@pytest.fixture
def setup_4():
    first = torch.tensor([0])
    spread_exercise = Exercise(
        Case(
            "a lead of exactly the margin",
            lambda f: f(torch.tensor([[0.6, 0.4, 0.4]]), first, 0.2),
            0.0,
            "the true class is no rival of its own: leave it out of the sum",
        ),
        Case(
            "a lead beyond the margin",
            lambda f: f(torch.eye(3)[:1], first, 0.9),
            0.0,
            "who leads by more than m pays nothing: `max(..., 0)`",
        ),
        Case(
            "one clip by hand",
            lambda f: f(torch.tensor([[0.6, 0.5, 0.1]]), first, 0.2),
            0.01,
            "squares, summed over the rivals",
        ),
        Case(
            "two clips",
            lambda f: f(torch.tensor([[0.6, 0.5, 0.1], [0.5, 0.6, 0.1]]), torch.tensor([0, 0]), 0.2),
            0.05,
            "the sum over the rivals, but the mean over the clips: (0.01 + 0.09) / 2",
        ),
    )
    return SimpleNamespace(first=first, spread_exercise=spread_exercise)


def test_the_check_of_the_spread_loss_passes_it_and_explains_four_mistakes(setup_4):
    spread_exercise = setup_4.spread_exercise
    def spread_with(rivals_only=True, clamp=True, over_classes=torch.sum, over_clips=torch.mean):
        "The spread loss with a choice of mistakes."

        def f(activations, target, margin):
            charge = margin - (activations.gather(1, target[:, None]) - activations)
            charge = (charge.clamp(min=0) if clamp else charge) ** 2
            if rivals_only:
                charge = charge.scatter(1, target[:, None], 0)
            return over_clips(over_classes(charge, 1))

        return f


    review = spread_exercise.review
    for right in (spread_loss, spread_with()):
        assert review(right).startswith("All 4 right")
    for name, mistake in (
        ("a lead of exactly the margin", spread_with(rivals_only=False)),
        ("a lead beyond the margin", spread_with(clamp=False)),
        ("one clip by hand", spread_with(over_classes=torch.mean)),
        ("two clips", spread_with(over_clips=torch.sum)),
    ):
        assert f"Not yet: {name};" in review(mistake)
