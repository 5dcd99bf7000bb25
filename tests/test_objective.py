"Generated from nbs/31_objective.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.coherence import coherence_loss
from vad_ssl.coherence import exp_rampup
from vad_ssl.consistency import l2_consistency
from vad_ssl.detector import small_detector
from vad_ssl.exercise import Case
from vad_ssl.exercise import Exercise
from vad_ssl.losses import growing_margin
from vad_ssl.losses import localisation_loss
from vad_ssl.losses import spread_loss
from vad_ssl.smoothness import smoothness_loss
from vad_ssl.views import invert
from vad_ssl.views import strong_view
from vad_ssl.views import weak_view
import pandas as pd
import pytest
import torch

from vad_ssl.objective import (
    Method,
    Progress,
    SEMI_SUPERVISED,
    SUPERVISED,
    Seen,
    consistency_losses,
    join,
    labelled_losses,
    ramped,
    see,
    semi_supervised_step,
    some_of,
    supervised_step,
    visible,
)


@pytest.fixture
def setup_1():
    def toy_batch(b=2, size=24, classes=3, seed=0):
        "Noise with a bright square that moves to the right; the square is the action."
        g = torch.Generator().manual_seed(seed)
        clip = 0.5 * torch.rand(b, 3, 8, size, size, generator=g)
        mask = torch.zeros(b, 1, 8, size, size)
        for i in range(b):
            for k in range(8):
                mask[i, :, k, 6:16, 2 + 2 * i + k : 10 + 2 * i + k] = 1
        label = torch.arange(b) % classes
        return {"clip": (clip + 0.5 * mask).clamp(max=1), "mask": mask, "label": label}


    lab = toy_batch()
    unl = {"clip": toy_batch(3, seed=1)["clip"]}
    return SimpleNamespace(toy_batch=toy_batch, lab=lab, unl=unl)


@pytest.fixture(scope="module")
def setup_2():
    torch.manual_seed(0)
    model = small_detector(3, width=8)
    return SimpleNamespace(model=model)


def test_labelled_clips_come_first_and_the_others_have_no_label(setup_1):
    lab = setup_1.lab
    unl = setup_1.unl
    clips, labels = join(lab, unl)
    assert clips.shape == (5, 3, 8, 24, 24)
    assert labels.tolist() == [0, 1, -1, -1, -1]
    assert join(lab, None)[1] is lab["label"]


@pytest.fixture
def setup_3():
    progress = Progress(5, 10)


    def still(b, size):
        "A view that changes nothing."
        return weak_view(b)._replace(flip=torch.zeros(b, dtype=torch.bool))
    return SimpleNamespace(progress=progress, still=still)


def test_a_weight_grows_over_the_warmup_and_then_stays():
    assert ramped(0.1, Progress(0, 10), 0.0) == 0.1
    grows = [ramped(30, Progress(epoch, 10), 0.4) for epoch in (0, 2, 4, 9)]
    assert grows[0] < 1 < grows[1] < grows[2] == grows[3] == 30


def test_the_choice_is_the_networks_own_after_epoch_11_of_100_or_1_1_of_10():
    unknown = torch.tensor([1, -1])
    for early, late in ((Progress(10.9, 100), Progress(11, 100)), (Progress(1, 10), Progress(1.1, 10))):
        assert visible(unknown, 3, early, 0.11).tolist() == [[False, True, False], [True] * 3]
        assert visible(unknown, 3, late, 0.11).tolist() == [[False, True, False], [False] * 3]


def test_some_of_the_clips_keep_their_views_and_their_answers(setup_1, setup_2):
    unl = setup_1.unl
    model = setup_2.model
    seen = see(model, unl["clip"], torch.tensor([-1, -1, -1]), Progress(0, 10))
    two = some_of(seen, torch.tensor([2, 0]))
    assert torch.equal(two.outs[1].logits, seen.outs[1].logits[[2, 0]])
    assert torch.equal(two.views[0].flip, seen.views[0].flip[[2, 0]])
    assert some_of(seen, torch.tensor([True, False, False])).outs[0].activations.shape == (1, 3)
    assert some_of(seen.views[0], slice(2)).flip.shape == (2,)


def test_labelled_losses_are_the_mean_over_both_views_of_those_of_chapter_12(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    model = setup_2.model
    progress = setup_3.progress
    still = setup_3.still
    losses = supervised_step(model, lab, None, progress, views=(still, still))
    out = model(lab["clip"], torch.nn.functional.one_hot(lab["label"], 3).bool())
    spread = spread_loss(out.activations, lab["label"], growing_margin(5, 5))
    assert losses["spread"].item() == pytest.approx(spread.item(), rel=1e-5)
    place = localisation_loss(out.logits, lab["mask"])
    assert losses["localisation"].item() == pytest.approx(place.item(), rel=1e-4)


def test_every_term_of_the_paper_is_logged_by_name(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    losses = semi_supervised_step(model, lab, unl, progress)
    assert list(losses) == ["spread", "localisation", "class consistency", "place consistency"]
    assert all(loss.shape == () and loss.isfinite() and loss >= 0 for loss in losses.values())


def test_without_consistency_the_supervised_losses_remain(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    still = setup_3.still
    plain = supervised_step(model, lab, None, progress, views=(still, still))
    semi = semi_supervised_step(model, lab, unl, progress, views=(still, still), lam=0.0)
    for name in plain:
        assert semi[name].item() == pytest.approx(plain[name].item(), rel=1e-5)
    assert semi["place consistency"] == semi["class consistency"] == 0


def test_the_weights_are_those_of_eqs_8_and_9(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    torch.manual_seed(1)
    bare = consistency_losses(see(model, *join(lab, unl), progress), progress)
    torch.manual_seed(1)
    losses = semi_supervised_step(model, lab, unl, progress)
    for name, weight in (("class consistency", 0.1 * 0.3), ("place consistency", 0.1 * 0.7)):
        assert losses[name].item() == pytest.approx(weight * bare[name].item(), rel=1e-5)


def test_equal_views_cost_nothing(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    still = setup_3.still
    losses = semi_supervised_step(model, lab, unl, progress, views=(still, still))
    assert losses["place consistency"].item() == pytest.approx(0, abs=1e-10)
    assert losses["class consistency"].item() == pytest.approx(0, abs=1e-7)


def test_hold_blocks_the_gradient_through_view_1(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    seen = see(model, *join(lab, unl), progress)
    one, two = (out._replace(logits=out.logits.detach().requires_grad_()) for out in seen.outs)
    for hold in (False, True):
        held = consistency_losses(Seen(seen.views, (one, two)), progress, hold=hold)
        held["place consistency"].backward()
        assert (one.logits.grad is None or not one.logits.grad.any()) == hold
        assert two.logits.grad.abs().sum() > 0
        one.logits.grad = two.logits.grad = None


def test_an_unknown_attention_names_the_choices(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    with pytest.raises(ValueError, match="none, variance, gradient, both, apart, shared"):
        semi_supervised_step(model, lab, unl, progress, attention="hope")


def test_both_attentions_together_are_half_of_each(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    seen = see(model, *join(lab, unl), progress)


    def place(**how):
        return consistency_losses(seen, progress, **how)["place consistency"].item()


    half = (place(attention="variance") + place(attention="gradient")) / 2
    assert place(attention="both") == pytest.approx(half, rel=1e-5)
    assert place(attention="variance", cyclic=False) != place(attention="variance")
    forms = [place(attention=x) for x in ("variance", "apart", "shared")]
    assert len(set(forms)) == 3


def test_the_place_consistency_is_the_coherence_and_the_smoothness_loss(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    seen = see(model, *join(lab, unl), progress)
    back = [invert(view, out.logits.sigmoid()) for view, out in zip(seen.views, seen.outs)]
    (loc1, known1), (loc2, known2) = back
    valid = known1 * known2
    for attention, loss in (
        ("none", l2_consistency(loc1, loc2, valid)),
        ("variance", coherence_loss(loc1, loc2, exp_rampup(*progress), valid)),
        ("gradient", smoothness_loss(loc1, loc2, valid)),
    ):
        ours = consistency_losses(seen, progress, attention)
        torch.testing.assert_close(ours["place consistency"], loss)


def test_corrupting_unlabelled_annotations_leaves_losses_and_gradients_bit_identical(setup_1, setup_2, setup_3):
    toy_batch = setup_1.toy_batch
    lab = setup_1.lab
    model = setup_2.model
    progress = setup_3.progress
    results = []
    for spoil in (False, True):
        extra = dict(toy_batch(3, seed=1))
        if spoil:
            extra["mask"] = 1 - extra["mask"]
            extra["label"] = (extra["label"] + 1) % 3
        torch.manual_seed(0)
        model.zero_grad()
        losses = semi_supervised_step(model, lab, extra, progress)
        sum(losses.values()).backward()
        slopes = [p.grad.sum().item() for p in model.parameters()]
        results.append([loss.item() for loss in losses.values()] + slopes)
    assert results[0] == results[1]


def test_unlabelled_clips_do_reach_the_model_through_consistency(setup_1, setup_2, setup_3):
    toy_batch = setup_1.toy_batch
    lab = setup_1.lab
    model = setup_2.model
    progress = setup_3.progress
    slopes = []
    for seed in (1, 2, 2):
        torch.manual_seed(0)
        model.zero_grad()
        losses = semi_supervised_step(model, lab, {"clip": toy_batch(3, seed=seed)["clip"]}, progress)
        (losses["class consistency"] + losses["place consistency"]).backward()
        slopes.append([0 if p.grad is None else p.grad.sum().item() for p in model.parameters()])
    assert slopes[0] != slopes[1] == slopes[2]


def test_a_batch_of_one_and_odd_sizes_work(setup_1, setup_2, setup_3):
    toy_batch = setup_1.toy_batch
    model = setup_2.model
    progress = setup_3.progress
    for size, frames in ((24, 8), (27, 7)):
        batch = {k: v[:, :, :frames] if v.ndim == 5 else v for k, v in toy_batch(1, size).items()}
        losses = semi_supervised_step(model, batch, {"clip": batch["clip"]}, progress)
        assert sum(losses.values()).isfinite()


def test_a_new_method_is_one_function_and_one_row(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    def equal_size_step(
        model, lab, unl, progress, views=(weak_view, strong_view), lam=1.0, warmup=0.4, trust=0.11
    ):
        "Both views of a clip should mark the same share of it."
        seen = see(model, *join(lab, unl), progress, views, trust)
        one, two = (out.logits.sigmoid().mean((1, 2, 3, 4)) for out in seen.outs)
        gap = ramped(lam, progress, warmup) * (one - two).square().mean()
        return labelled_losses(seen, lab, progress) | {"equal size": gap}


    options = dict(views=(weak_view, strong_view), warmup=0.4, trust=0.11)
    for method in (SUPERVISED, SEMI_SUPERVISED, Method(equal_size_step, weight=3.0)):
        losses = method.step(model, lab, unl, progress, lam=method.weight, **options)
        assert sum(losses.values()).isfinite()
        assert (len(losses) > 2) == method.unlabelled


@pytest.fixture
def setup_4():
    results = Path("results") if Path("results").exists() else Path("nbs/results")
    budget = pd.read_csv(results / "budget.csv")
    squares = budget.assign(norm=budget.norm**2).groupby(["start", "step", "term"]).norm.sum()
    sizes = squares.pow(0.5).unstack()  # of the whole network
    by_part = budget.pivot(index=["start", "step", "part"], columns="term", values="norm")
    ratio = sizes["localisation"] / sizes["place consistency"]
    part_ratio = (by_part["localisation"] / by_part["place consistency"]).unstack()
    return SimpleNamespace(results=results, budget=budget, squares=squares, sizes=sizes, by_part=by_part, ratio=ratio, part_ratio=part_ratio)


def test_the_paper_s_weight_leaves_the_place_term_a_share_of_less_than_two_percent_in_every_part(setup_4):
    sizes = setup_4.sizes
    ratio = setup_4.ratio
    part_ratio = setup_4.part_ratio
    assert ratio.min() > 70 and ratio.max() < 450
    assert 150 < ratio.loc["random"].median() < 250 and 150 < ratio.loc["drawn"].median() < 250
    assert part_ratio.min().min() > 20  # of every part, at every measurement
    shares = sizes["place consistency"] / sizes[["localisation", "place consistency"]].sum(axis=1)
    assert shares.median() < 0.01
    assert 15 < 0.1 * ratio.median() < 25


@pytest.fixture
def setup_5(setup_1, setup_2, setup_3):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    def asked(step, *names, unl=unl, lam=1.0):
        "Some terms of a step with fixed views, over `lam`."
        torch.manual_seed(0)
        losses = step(model, lab, unl, progress)
        return torch.stack([losses[name] for name in names]) / lam


    labelled_terms = "spread", "localisation"
    step_exercise = Exercise(
        Case(
            "the names",
            lambda f: list(f(model, lab, unl, progress)),
            ["spread", "localisation", "class consistency", "place consistency"],
            "four terms; of `unl` nothing but `unl['clip']` may be read",
        ),
        Case(
            "the labelled terms",
            lambda f: asked(f, *labelled_terms),
            asked(semi_supervised_step, *labelled_terms),
            "`see` all clips once; the first `len(lab['label'])` of them are the labelled ones",
        ),
        Case(
            "the place term, over 0.07",
            lambda f: asked(f, "place consistency", lam=0.07),
            asked(semi_supervised_step, "place consistency", lam=0.07),
            "lambda times lambda_2, and over *all* clips, the labelled ones, too",
        ),
        Case(
            "the class term, over 0.03",
            lambda f: asked(f, "class consistency", lam=0.03),
            asked(semi_supervised_step, "class consistency", lam=0.03),
            "lambda times lambda_1: Eq. 8 stands inside Eq. 9",
        ),
        Case(
            "no unlabelled clips",
            lambda f: asked(f, *labelled_terms, unl=None),
            asked(semi_supervised_step, *labelled_terms, unl=None),
            "`join(lab, None)` gives the labelled clips alone",
        ),
    )
    return SimpleNamespace(asked=asked, labelled_terms=labelled_terms, step_exercise=step_exercise)


def test_the_check_of_the_step_passes_it_and_explains_five_mistakes(setup_1, setup_2, setup_3, setup_5):
    lab = setup_1.lab
    unl = setup_1.unl
    model = setup_2.model
    progress = setup_3.progress
    step_exercise = setup_5.step_exercise
    def step_with(seen_by_place="all", lams=(0.03, 0.07), labels=False, needs=False, labelled=None):
        "The step with a choice of mistakes."

        def f(model, lab, unl, progress):
            if labels:
                unl["label"]
            clips = join(lab, {"clip": unl["clip"]} if needs else unl)
            seen = see(model, *clips, progress)
            n = len(lab["label"])
            part = seen if seen_by_place == "all" else some_of(seen, slice(n, None))
            const = consistency_losses(part, progress)
            names = "class consistency", "place consistency"
            truth = labelled_losses(some_of(seen, labelled) if labelled else seen, lab, progress)
            return truth | {name: lam * const[name] for name, lam in zip(names, lams)}

        return f


    review = step_exercise.review
    for right in (semi_supervised_step, step_with()):
        assert review(right).startswith("All 5 right")
    for name, mistake in (
        ("the names", dict(labels=True)),
        ("the labelled terms", dict(labelled=slice(2, 4))),
        ("the place term, over 0.07", dict(seen_by_place="unlabelled")),
        ("the class term, over 0.03", dict(lams=(0.3, 0.07))),
        ("no unlabelled clips", dict(needs=True)),
    ):
        assert f"Not yet: {name};" in review(step_with(**mistake))
