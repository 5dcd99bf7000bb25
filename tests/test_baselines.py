"Generated from nbs/61_baselines.ipynb: change the notebook, then `make export`."
from copy import deepcopy
from types import SimpleNamespace
from vad_ssl.detector import Detection
from vad_ssl.detector import small_detector
from vad_ssl.losses import spread_loss
from vad_ssl.objective import Progress
from vad_ssl.objective import Seen
from vad_ssl.objective import labelled_losses
from vad_ssl.objective import see
from vad_ssl.views import weak_view
import numpy as np
import pytest
import torch

from vad_ssl.baselines import (
    CO_SSD,
    MIXMATCH,
    PSEUDO_LABEL,
    blend,
    class_consistency,
    co_ssd_step,
    confident,
    guess,
    labeller,
    mirrored,
    mixmatch_step,
    partners,
    pseudo_label_step,
    renew,
    sharpen,
    soft_spread_loss,
)


@pytest.fixture
def setup_1():
    torch.manual_seed(0)
    model = small_detector(3, width=8, types=4)
    g = torch.Generator().manual_seed(1)
    lab = {
        "clip": torch.rand(2, 3, 4, 32, 32, generator=g),
        "label": torch.tensor([0, 2]),
        "mask": torch.zeros(2, 1, 4, 32, 32),
    }
    lab["mask"][..., 8:20, 8:20] = 1
    unl = {"clip": torch.rand(3, 3, 4, 32, 32, generator=g)}
    return SimpleNamespace(model=model, g=g, lab=lab, unl=unl)


def test_the_labeller_is_the_detector_of_the_beginning_of_its_round(setup_1):
    model = setup_1.model
    teacher, student = labeller(model, rounds=4), deepcopy(model)
    assert not any(p.requires_grad for p in teacher.parameters())
    first = model.decoder.logit.weight
    for epoch, moved in ((0.9, False), (1.0, True), (1.9, False), (2.0, True)):
        with torch.no_grad():
            student.decoder.logit.weight += 1
        before = teacher.decoder.logit.weight.clone()
        renew(teacher, student, Progress(epoch, 4))
        expected = student.decoder.logit.weight if moved else before
        assert torch.equal(teacher.decoder.logit.weight, expected)
        assert teacher.round == int(epoch)
    assert "round" in teacher.state_dict()


def test_sure_of_both_or_not_at_all():
    pixels = [[0.9, 0.8], [0.9, 0.8], [0.55, 0.6], [0.1, 0.2]]  # sure; class? place? nothing marked
    scores = [[0.8, 0.1], [0.3, 0.1], [0.8, 0.1], [0.8, 0.1]]
    logits = torch.logit(torch.tensor(pixels)).view(4, 1, 1, 1, 2)
    out = Detection(logits, torch.tensor(scores), None)
    assert confident(out, 0.5, 0.7).tolist() == [True, False, False, False]
    assert confident(out, 0.2, 0.5).tolist() == [True, True, True, False]


def test_the_first_round_is_plain_supervision_and_later_rounds_add_what_the_teacher_is_sure_of(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    unl = setup_1.unl
    teacher = PSEUDO_LABEL.teacher(model)
    for epoch in (0.0, 3.0):
        now = Progress(epoch, 4)
        PSEUDO_LABEL.follow(teacher, model, now)
        torch.manual_seed(0)
        plain = pseudo_label_step(model, lab, unl, now, teacher, sure_class=1.1)
        assert set(plain) == {"spread", "localisation"}
    assert teacher.round == 3
    torch.manual_seed(0)
    full = pseudo_label_step(model, lab, unl, now, teacher, sure_class=0, sure_place=0)
    assert set(full) == {"spread", "localisation", "pseudo spread", "pseudo localisation"}
    assert full["spread"] == plain["spread"] and full["pseudo localisation"] > 0


def test_pseudo_labels_are_those_of_the_labeller_and_reach_the_detector_alone(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    unl = setup_1.unl
    teacher = labeller(model)
    teacher.round.fill_(1)
    student = deepcopy(model)
    with torch.no_grad():
        student.decoder.logit.weight.zero_()
    answers = []
    for helper in (teacher, student):
        helper.round = teacher.round
        torch.manual_seed(0)
        losses = pseudo_label_step(
            student, lab, unl, Progress(1.5, 4), helper, sure_class=0, sure_place=0.5
        )
        answers.append(losses.get("pseudo localisation"))
    assert answers[0] is not None and answers[0] != answers[1]
    answers[0].backward()
    assert any(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())


@pytest.fixture
def setup_2():
    def two_moons(seed, n=120):
        "Points of two classes on two half moons; the first four are labelled."
        rng = np.random.default_rng(seed)
        angle = rng.uniform(0, np.pi, n)
        moon = np.arange(n) % 2
        x = np.where(moon, 1 - np.cos(angle), np.cos(angle))
        y = np.where(moon, 0.4 - np.sin(angle), np.sin(angle))
        return np.c_[x, y] + rng.normal(0, 0.14, (n, 2)), moon


    def beliefs(points, moon, reach=(0.3, 0.35, 2)):
        "Labels (-1: none yet) before the first round and after each; `reach` is what counts as near."
        belief = np.where(np.arange(len(moon)) < 4, moon, -1)
        rounds = [belief]
        for limit in reach:
            known = belief >= 0
            gap = np.linalg.norm(points[:, None] - points[None, known], axis=2)
            belief = np.where(gap.min(1) < limit, belief[known][gap.argmin(1)], belief)
            rounds.append(belief)
        return rounds


    def gain(seed):
        "Share of right labels after three rounds, less that of the nearest of the four labels."
        points, moon = two_moons(seed)
        spread, direct = (beliefs(points, moon, reach)[-1] for reach in ((0.3, 0.35, 2), (2,)))
        return (spread == moon).mean() - (direct == moon).mean()


    gains = np.array([gain(seed) for seed in range(50)])
    return SimpleNamespace(two_moons=two_moons, beliefs=beliefs, gain=gain, gains=gains)


def test_spreading_labels_helps_more_often_than_it_hurts_and_does_both(setup_2):
    gains = setup_2.gains
    assert (gains > 0).sum() > 2 * (gains < 0).sum() > 0
    assert 0.01 < gains.mean() < 0.04
    assert gains.min() < -0.04 and gains.max() > 0.08


def test_sharpening_worked_by_hand():
    assert sharpen(torch.tensor([0.6, 0.4])).tolist() == pytest.approx([9 / 13, 4 / 13], rel=1e-5)
    p = torch.rand(5, 4).softmax(-1)
    torch.testing.assert_close(sharpen(p, 1.0), p)
    assert torch.equal(sharpen(p, 0.01).argmax(-1), p.argmax(-1))
    assert (sharpen(p, 0.01).amax(-1) > p.amax(-1)).all()


def test_a_blend_worked_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    mixed = blend(x, torch.tensor([1, 0]), torch.tensor([0.75, 1.0]))
    assert mixed.tolist() == [[0.75, 1.0], [0.0, 4.0]]


def test_a_certain_target_gives_the_spread_loss_and_an_uncertain_one_its_mean():
    a, target = torch.rand(4, 5), torch.tensor([0, 3, 3, 1])
    certain = torch.nn.functional.one_hot(target, 5).float()
    torch.testing.assert_close(soft_spread_loss(a, certain, 0.7), spread_loss(a, target, 0.7))
    torn = soft_spread_loss(a, (certain + certain.roll(1, 1)) / 2)
    either = (spread_loss(a, target) + spread_loss(a, (target + 1) % 5)) / 2
    torch.testing.assert_close(torn, either)


def test_a_guess_is_the_mean_over_views_carried_back():
    class Painter(torch.nn.Module):
        def forward(self, clips, keep=None):  # says: the actor is where the picture is bright
            logits = torch.logit(clips[:, :1].clamp(0.01, 0.99))
            return Detection(logits, torch.tensor([[0.6, 0.2]]).expand(len(clips), 2), None)


    clip = torch.full((1, 3, 2, 4, 6), 0.2)
    clip[..., :2] = 0.8
    views = [weak_view(1)._replace(flip=torch.tensor([f])) for f in (False, True)]
    q, maps = guess(Painter(), clip, views, torch.ones(1, 2, dtype=torch.bool), 0.5)
    assert q[0].tolist() == pytest.approx([0.9, 0.1], rel=1e-4)  # shares 0.75, 0.25, sharpened
    actor, ground = clip[:, :1].square(), (1 - clip[:, :1]).square()
    torch.testing.assert_close(maps, actor / (actor + ground))


def test_partners_are_a_permutation_and_a_clip_stays_the_larger_part_of_itself():
    other, share = partners(50, 0.75)
    assert sorted(other.tolist()) == list(range(50))
    assert 0.5 <= share.min() and share.max() <= 1
    assert partners(3, 0)[1].tolist() == [1, 1, 1]


def test_mixmatch_gives_four_finite_losses_whose_gradient_reaches_the_detector(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    unl = setup_1.unl
    losses = MIXMATCH.step(model, lab, unl, Progress(5, 10))
    assert set(losses) == {"spread", "localisation", "mixed class", "mixed place"}
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_without_blending_the_labelled_part_of_mixmatch_is_plain_supervision(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    unl = setup_1.unl
    def still(b, size):
        return weak_view(b)._replace(flip=torch.zeros(b, dtype=torch.bool))


    now = Progress(5, 10)
    mixed = mixmatch_step(model, lab, unl, now, (still, still), alpha=0)
    plain = labelled_losses(see(model, lab["clip"], lab["label"], now, (still, still)), lab, now)
    for name in plain:  # one Dice over both views, or two
        torch.testing.assert_close(mixed[name], plain[name], rtol=1e-3, atol=0)


def test_class_consistency_worked_by_hand():
    marks, nothing = (torch.tensor(v).view(-1, 1, 1, 1, 1) for v in ([3.0, -3.0], [-3.0, -3.0]))
    one = Detection(marks, torch.tensor([[0.8, 0.0], [0.8, 0.0]]), None)
    two = Detection(nothing, torch.tensor([[0.4, 0.4], [0.0, 0.8]]), None)
    hand = class_consistency(Seen((), (one, two)))  # the second clip is background
    assert hand.item() == pytest.approx(0.2158, abs=2e-3)
    assert class_consistency(Seen((), (two, two))) == 0


def test_co_ssd_mirrors_every_clip_and_reads_no_mask_of_the_rest(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    unl = setup_1.unl
    assert mirrored(5).flip.all() and not mirrored(5, flip=False).flip.any()
    blind = unl | {"mask": torch.full((3,), float("nan"))}
    assert CO_SSD.step is co_ssd_step
    losses = co_ssd_step(model, lab, blind, Progress(5, 10))
    assert set(losses) == {"spread", "localisation", "class consistency"}
    assert all(v.isfinite() for v in losses.values())


def test_no_method_reads_the_annotations_of_unlabelled_clips(setup_1):
    lab = setup_1.lab
    unl = setup_1.unl
    nonsense = {"mask": torch.full((3, 1, 4, 32, 32), float("nan")), "label": torch.tensor([9, 9, 9])}
    now = Progress(9, 10)
    for method in (PSEUDO_LABEL, MIXMATCH, CO_SSD):
        results = []
        for rest in (unl, unl | nonsense):
            torch.manual_seed(0)
            net = small_detector(3, width=8, types=4)
            teacher = labeller(net)
            renew(teacher, net, now)
            torch.manual_seed(1)
            extra = [teacher] if method.teacher else []
            results.append(method.step(net, lab, rest, now, *extra))
        assert results[0].keys() == results[1].keys()
        assert all(torch.equal(results[0][k], results[1][k]) for k in results[0])
