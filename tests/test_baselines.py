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
import pytest
import torch

from vad_ssl.baselines import (
    blend,
    class_consistency,
    co_ssd_step,
    confident,
    follow,
    guess,
    mean_teacher_step,
    mirrored,
    mixmatch_step,
    pick,
    pseudo_label_step,
    sharpen,
    soft_spread_loss,
    teacher_of,
    with_teacher,
    without_teacher,
)


@pytest.fixture
def setup_1():
    torch.manual_seed(0)
    model = small_detector(3, width=8, types=4)
    g = torch.Generator().manual_seed(1)
    labelled = {
        "clip": torch.rand(2, 3, 4, 32, 32, generator=g),
        "label": torch.tensor([0, 2]),
        "mask": torch.zeros(2, 1, 4, 32, 32),
    }
    labelled["mask"][..., 8:20, 8:20] = 1
    unlabelled = {"clip": torch.rand(3, 3, 4, 32, 32, generator=g)}
    return SimpleNamespace(model=model, g=g, labelled=labelled, unlabelled=unlabelled)


def test_picked_clips_keep_their_views_and_their_answers(setup_1):
    model = setup_1.model
    unlabelled = setup_1.unlabelled
    seen = see(model, unlabelled["clip"], torch.tensor([-1, -1, -1]), Progress(0, 10))
    two = pick(seen, torch.tensor([2, 0]))
    assert torch.equal(two.outs[1].logits, seen.outs[1].logits[[2, 0]])
    assert torch.equal(two.views[0].flip, seen.views[0].flip[[2, 0]])
    assert pick(seen, torch.tensor([True, False, False])).outs[0].activations.shape == (1, 3)


def test_a_teacher_moves_part_of_the_way_and_learns_nothing_itself(setup_1):
    model = setup_1.model
    pair = with_teacher(deepcopy(model))
    before = pair.teacher.decoder.logit.weight.clone()
    with torch.no_grad():
        pair.decoder.logit.weight += 1
    follow(pair.teacher, pair, 0.75)
    torch.testing.assert_close(pair.teacher.decoder.logit.weight, before + 0.25)
    assert not any(p.requires_grad for p in pair.teacher.parameters())
    assert any(name.startswith("teacher.") for name in pair.state_dict())


def test_a_teacher_takes_over_the_statistics_of_batch_norms():
    norm = torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    pair = with_teacher(norm)
    pair(torch.full((4, 2), 5.0))
    follow(pair.teacher, pair, 0.99)
    assert (
        torch.equal(pair.teacher[0].running_mean, pair[0].running_mean)
        and pair[0].running_mean[0] == 0.5
    )


def test_after_training_one_set_of_weights_is_left(setup_1):
    model = setup_1.model
    pair = with_teacher(deepcopy(model))
    with torch.no_grad():
        pair.decoder.logit.weight += 1
    average = pair.teacher.decoder.logit.weight.clone()
    pair = without_teacher(pair, average=True)
    assert (
        torch.equal(pair.decoder.logit.weight, average)
        and pair.state_dict().keys() == model.state_dict().keys()
    )
    assert without_teacher(model) is model


def test_a_method_without_its_teacher_says_what_to_do(setup_1):
    model = setup_1.model
    with pytest.raises(ValueError, match="with_teacher"):
        teacher_of(model)


def test_sure_of_both_or_not_at_all():
    logit = lambda p: torch.logit(torch.tensor(p)).view(-1, 1, 1, 1, 2)
    out = Detection(
        logit([[0.9, 0.8], [0.9, 0.8], [0.55, 0.6], [0.1, 0.2]]),
        torch.tensor([[0.8, 0.1], [0.3, 0.1], [0.8, 0.1], [0.8, 0.1]]),
        None,
    )
    assert confident(out, 0.5, 0.7).tolist() == [
        True,
        False,
        False,
        False,
    ]  # sure; class? place? nothing marked
    assert confident(out, 0.2, 0.5).tolist() == [True, True, True, False]


def test_the_first_round_is_plain_supervision_and_later_rounds_add_what_the_teacher_is_sure_of(setup_1):
    model = setup_1.model
    labelled = setup_1.labelled
    unlabelled = setup_1.unlabelled
    pair, none = with_teacher(deepcopy(model)), dict(sure_class=1.1)
    for epoch in (0.0, 3.0):
        torch.manual_seed(0)
        plain = pseudo_label_step(pair, labelled, unlabelled, Progress(epoch, 4), **none)
        assert set(plain) == {"spread", "localisation"}
    assert pair.teacher.round == 3
    torch.manual_seed(0)
    full = pseudo_label_step(pair, labelled, unlabelled, Progress(3.0, 4), sure_class=0, sure_place=0)
    assert set(full) == {"spread", "localisation", "pseudo spread", "pseudo localisation"}
    assert full["spread"] == plain["spread"] and full["pseudo localisation"] > 0


def test_pseudo_labels_are_those_of_the_round_s_start(setup_1):
    model = setup_1.model
    labelled = setup_1.labelled
    unlabelled = setup_1.unlabelled
    pair = with_teacher(deepcopy(model))
    pseudo_label_step(pair, labelled, unlabelled, Progress(1.0, 4))
    frozen = pair.teacher.decoder.logit.weight.clone()
    with torch.no_grad():
        pair.decoder.logit.weight.add_(1)
    pseudo_label_step(pair, labelled, unlabelled, Progress(1.9, 4))
    assert torch.equal(pair.teacher.decoder.logit.weight, frozen)
    pseudo_label_step(pair, labelled, unlabelled, Progress(2.0, 4))
    assert torch.equal(pair.teacher.decoder.logit.weight, pair.decoder.logit.weight)


def test_sharpening_worked_by_hand():
    assert sharpen(torch.tensor([0.6, 0.4])).tolist() == pytest.approx([9 / 13, 4 / 13], rel=1e-5)
    p = torch.rand(5, 4).softmax(-1)
    torch.testing.assert_close(sharpen(p, 1.0), p)
    assert (
        torch.equal(sharpen(p, 0.01).argmax(-1), p.argmax(-1))
        and (sharpen(p, 0.01).amax(-1) > p.amax(-1)).all()
    )


def test_a_blend_worked_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    assert blend(x, torch.tensor([1, 0]), torch.tensor([0.75, 1.0])).tolist() == [
        [0.75, 1.0],
        [0.0, 4.0],
    ]


def test_a_certain_target_gives_the_spread_loss_and_an_uncertain_one_its_mean():
    a, target = torch.rand(4, 5), torch.tensor([0, 3, 3, 1])
    certain = torch.nn.functional.one_hot(target, 5).float()
    torch.testing.assert_close(soft_spread_loss(a, certain, 0.7), spread_loss(a, target, 0.7))
    torch.testing.assert_close(
        soft_spread_loss(a, (certain + certain.roll(1, 1)) / 2),
        (spread_loss(a, target) + spread_loss(a, (target + 1) % 5)) / 2,
    )


def test_a_guess_is_the_mean_over_views_carried_back():
    class Painter(torch.nn.Module):
        def forward(self, clips, keep=None):  # says: the actor is where the picture is bright
            return Detection(
                torch.logit(clips[:, :1].clamp(0.01, 0.99)),
                torch.tensor([[0.6, 0.2]]).expand(len(clips), 2),
                None,
            )


    clip = torch.full((1, 3, 2, 4, 6), 0.2)
    clip[..., :2] = 0.8
    views = [weak_view(1)._replace(flip=torch.tensor([f])) for f in (False, True)]
    q, maps = guess(Painter(), clip, views, torch.ones(1, 2, dtype=torch.bool), 0.5)
    assert q[0].tolist() == pytest.approx([0.9, 0.1], rel=1e-4)  # 0.75, 0.25 sharpened
    torch.testing.assert_close(
        maps, clip[:, :1].square() / (clip[:, :1].square() + (1 - clip[:, :1]).square())
    )


def test_mixmatch_gives_four_finite_losses_whose_gradient_reaches_the_detector(setup_1):
    model = setup_1.model
    labelled = setup_1.labelled
    unlabelled = setup_1.unlabelled
    losses = mixmatch_step(model, labelled, unlabelled, Progress(5, 10))
    assert set(losses) == {"spread", "localisation", "mixed class", "mixed place"}
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_without_blending_the_labelled_part_of_mixmatch_is_plain_supervision(setup_1):
    model = setup_1.model
    labelled = setup_1.labelled
    unlabelled = setup_1.unlabelled
    still = lambda b, size: weak_view(b)._replace(flip=torch.zeros(b, dtype=torch.bool))
    mixed = mixmatch_step(model, labelled, unlabelled, Progress(5, 10), (still, still), alpha=0)
    plain = labelled_losses(
        see(model, labelled["clip"], labelled["label"], Progress(5, 10), (still, still)),
        labelled,
        Progress(5, 10),
    )
    for name in plain:
        torch.testing.assert_close(
            mixed[name], plain[name], rtol=1e-3, atol=0
        )  # one Dice over both views, or two


def test_class_consistency_worked_by_hand():
    logits = lambda *v: torch.tensor(v).view(-1, 1, 1, 1, 1)
    one = Detection(logits(3.0, -3.0), torch.tensor([[0.8, 0.0], [0.8, 0.0]]), None)
    two = Detection(logits(-3.0, -3.0), torch.tensor([[0.4, 0.4], [0.0, 0.8]]), None)
    assert class_consistency(Seen((), (one, two))).item() == pytest.approx(
        0.2158, abs=2e-3
    )  # the second clip is background
    assert class_consistency(Seen((), (two, two))) == 0


def test_co_ssd_mirrors_every_clip_and_reads_no_mask_of_the_rest(setup_1):
    model = setup_1.model
    labelled = setup_1.labelled
    unlabelled = setup_1.unlabelled
    assert mirrored(5).flip.all()
    losses = co_ssd_step(
        model, labelled, unlabelled | {"mask": torch.full((3,), float("nan"))}, Progress(5, 10)
    )
    assert set(losses) == {"spread", "localisation", "class consistency"} and all(
        v.isfinite() for v in losses.values()
    )


def test_the_teacher_follows_and_only_the_student_gets_a_gradient(setup_1):
    model = setup_1.model
    labelled = setup_1.labelled
    unlabelled = setup_1.unlabelled
    pair = with_teacher(deepcopy(model))
    with torch.no_grad():
        pair.decoder.logit.weight += 1
    before = pair.teacher.decoder.logit.weight.clone()
    losses = mean_teacher_step(pair, labelled, unlabelled, Progress(5, 10), decay=0.5)
    torch.testing.assert_close(pair.teacher.decoder.logit.weight, before + 0.5)
    losses["taught place"].backward()
    assert (
        pair.decoder.logit.weight.grad.abs().sum() > 0
        and pair.teacher.decoder.logit.weight.grad is None
    )


def test_no_method_reads_the_annotations_of_unlabelled_clips(setup_1):
    labelled = setup_1.labelled
    unlabelled = setup_1.unlabelled
    spoiled = unlabelled | {
        "mask": torch.full((3, 1, 4, 32, 32), float("nan")),
        "label": torch.tensor([9, 9, 9]),
    }
    for step in (pseudo_label_step, mixmatch_step, co_ssd_step, mean_teacher_step):
        results = []
        for rest in (unlabelled, spoiled):
            torch.manual_seed(0)
            net = with_teacher(small_detector(3, width=8, types=4))
            torch.manual_seed(1)
            results.append(step(net, labelled, rest, Progress(9, 10)))
        assert results[0].keys() == results[1].keys() and all(
            torch.equal(results[0][k], results[1][k]) for k in results[0]
        )
