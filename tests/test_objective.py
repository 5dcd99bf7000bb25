"Generated from nbs/25_objective.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.detector import small_detector
from vad_ssl.views import View
import pytest
import torch

from vad_ssl.objective import (
    Progress,
    Seen,
    consistency_losses,
    join,
    see,
    semi_supervised_step,
    supervised_step,
)


@pytest.fixture(scope="module")
def setup_1():
    torch.manual_seed(0)
    model = small_detector(3, width=8)
    return SimpleNamespace(model=model)


@pytest.fixture
def setup_2():
    def toy_batch(b=2, size=24, classes=3, seed=0):
        "Noise with a bright square that moves to the right; the square is the action."
        g = torch.Generator().manual_seed(seed)
        clip, mask = (
            0.5 * torch.rand(b, 3, 8, size, size, generator=g),
            torch.zeros(b, 1, 8, size, size),
        )
        label = torch.arange(b) % classes
        for i in range(b):
            for k in range(8):
                mask[i, :, k, 6:16, 2 + 2 * i + k : 10 + 2 * i + k] = 1
        return {"clip": (clip + 0.5 * mask).clamp(max=1), "mask": mask, "label": label}


    labelled, unlabelled = toy_batch(), {"clip": toy_batch(3, seed=1)["clip"]}
    progress = Progress(5, 10)
    still = lambda b, size: View(
        *(torch.zeros(b, dtype=torch.bool),) * 2,
        torch.ones(b),
        torch.zeros(b, 2, dtype=torch.long),
        torch.ones(b, 3),
        torch.zeros(b, 3),
        torch.zeros(b),
    )
    return SimpleNamespace(toy_batch=toy_batch, labelled=labelled, unlabelled=unlabelled, progress=progress, still=still)


def test_every_term_of_the_paper_is_logged_by_name(setup_1, setup_2):
    model = setup_1.model
    labelled = setup_2.labelled
    unlabelled = setup_2.unlabelled
    progress = setup_2.progress
    losses = semi_supervised_step(model, labelled, unlabelled, progress)
    assert list(losses) == ["spread", "localisation", "class consistency", "place consistency"]
    assert all(loss.shape == () and loss.isfinite() and loss >= 0 for loss in losses.values())


def test_without_consistency_the_supervised_losses_remain(setup_1, setup_2):
    model = setup_1.model
    labelled = setup_2.labelled
    unlabelled = setup_2.unlabelled
    progress = setup_2.progress
    still = setup_2.still
    plain = supervised_step(model, labelled, None, progress, views=(still, still))
    semi = semi_supervised_step(model, labelled, unlabelled, progress, views=(still, still), lam=0.0)
    for name in plain:
        assert semi[name].item() == pytest.approx(plain[name].item(), rel=1e-5)
    assert semi["place consistency"] == semi["class consistency"] == 0


def test_the_weights_are_those_of_eqs_8_and_9(setup_1, setup_2):
    model = setup_1.model
    labelled = setup_2.labelled
    unlabelled = setup_2.unlabelled
    progress = setup_2.progress
    torch.manual_seed(1)
    bare = consistency_losses(see(model, *join(labelled, unlabelled), progress), progress)
    torch.manual_seed(1)
    losses = semi_supervised_step(model, labelled, unlabelled, progress)
    assert losses["class consistency"].item() == pytest.approx(
        0.1 * 0.3 * bare["class consistency"].item(), rel=1e-5
    )
    assert losses["place consistency"].item() == pytest.approx(
        0.1 * 0.7 * bare["place consistency"].item(), rel=1e-5
    )


def test_equal_views_cost_nothing(setup_1, setup_2):
    model = setup_1.model
    labelled = setup_2.labelled
    unlabelled = setup_2.unlabelled
    progress = setup_2.progress
    still = setup_2.still
    losses = semi_supervised_step(model, labelled, unlabelled, progress, views=(still, still))
    assert losses["place consistency"].item() == pytest.approx(0, abs=1e-10)
    assert losses["class consistency"].item() == pytest.approx(0, abs=1e-7)


def test_hold_blocks_the_gradient_through_view_1(setup_1, setup_2):
    model = setup_1.model
    labelled = setup_2.labelled
    unlabelled = setup_2.unlabelled
    progress = setup_2.progress
    seen = see(model, *join(labelled, unlabelled), progress)
    one, two = (type(out)(*(x.detach().requires_grad_() for x in out)) for out in seen.outs)
    for hold in (False, True):
        consistency_losses(Seen(seen.views, (one, two)), progress, hold=hold)[
            "place consistency"
        ].backward()
        assert (one.logits.grad is None or not one.logits.grad.any()) == hold
        assert two.logits.grad.abs().sum() > 0
        one.logits.grad = two.logits.grad = None


def test_an_unknown_attention_names_the_choices(setup_1, setup_2):
    model = setup_1.model
    labelled = setup_2.labelled
    unlabelled = setup_2.unlabelled
    progress = setup_2.progress
    with pytest.raises(ValueError, match="none, variance, gradient, both"):
        semi_supervised_step(model, labelled, unlabelled, progress, attention="hope")


def test_both_attentions_together_are_half_of_each(setup_1, setup_2):
    model = setup_1.model
    labelled = setup_2.labelled
    unlabelled = setup_2.unlabelled
    progress = setup_2.progress
    seen = see(model, *join(labelled, unlabelled), progress)
    place = lambda **how: consistency_losses(seen, progress, **how)["place consistency"].item()
    assert place(attention="both") == pytest.approx(
        (place(attention="variance") + place(attention="gradient")) / 2, rel=1e-5
    )
    assert place(attention="variance", cyclic=False) != place(attention="variance")


def test_corrupting_unlabelled_annotations_leaves_losses_and_gradients_bit_identical(setup_1, setup_2):
    model = setup_1.model
    toy_batch = setup_2.toy_batch
    labelled = setup_2.labelled
    progress = setup_2.progress
    results = []
    for spoil in (False, True):
        extra = dict(toy_batch(3, seed=1))
        if spoil:
            extra["mask"], extra["label"] = 1 - extra["mask"], (extra["label"] + 1) % 3
        torch.manual_seed(0)
        model.zero_grad()
        losses = semi_supervised_step(model, labelled, extra, progress)
        sum(losses.values()).backward()
        results.append(
            [loss.item() for loss in losses.values()]
            + [p.grad.sum().item() for p in model.parameters()]
        )
    assert results[0] == results[1]


def test_unlabelled_clips_do_reach_the_model_through_consistency(setup_1, setup_2):
    model = setup_1.model
    labelled = setup_2.labelled
    unlabelled = setup_2.unlabelled
    progress = setup_2.progress
    model.zero_grad()
    losses = semi_supervised_step(model, labelled, unlabelled, progress)
    (losses["class consistency"] + losses["place consistency"]).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_batch_of_one_and_odd_sizes_work(setup_1, setup_2):
    model = setup_1.model
    toy_batch = setup_2.toy_batch
    progress = setup_2.progress
    for size, frames in ((24, 8), (27, 7)):
        batch = {k: v[:, :, :frames] if v.ndim == 5 else v for k, v in toy_batch(1, size).items()}
        losses = semi_supervised_step(model, batch, {"clip": batch["clip"]}, progress)
        assert sum(losses.values()).isfinite()
