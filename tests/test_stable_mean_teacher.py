"Generated from nbs/63_stable_mean_teacher.ipynb: change the notebook, then `make export`."
from copy import deepcopy
from pathlib import Path
from torch.utils.data import default_collate
from types import SimpleNamespace
from vad_ssl.actors import actors
from vad_ssl.coherence import coherence_loss
from vad_ssl.consistency import l2_consistency
from vad_ssl.data import read_data
from vad_ssl.detector import small_detector
from vad_ssl.losses import localisation_loss
from vad_ssl.mean_teacher import mean_teacher
from vad_ssl.mean_teacher import mean_teacher_step
from vad_ssl.objective import Progress
from vad_ssl.objective import see
from vad_ssl.objective import supervised_step
from vad_ssl.smoothness import gradient_mask
from vad_ssl.split import Clips
from vad_ssl.split import batch_to
from vad_ssl.split import loaders
from vad_ssl.split import split_labelled
from vad_ssl.train import fit
import numpy as np
import pytest
import tempfile
import torch

from vad_ssl.stable_mean_teacher import (
    Recovery,
    agreement,
    difference_error,
    follow_both,
    recovery_loss,
    stable_mean_teacher_step,
    stable_teacher,
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
    maps = torch.rand(2, 2, 1, 5, 6, 7, generator=g)
    return SimpleNamespace(model=model, g=g, lab=lab, unl=unl, maps=maps)


@pytest.fixture
def setup_2():
    def naive_differences(said, goal):
        "Clips (t, h, w) as nested loops."
        total, count = 0.0, 0
        for k in range(len(said) - 1):
            for y in range(said.shape[1]):
                for x in range(said.shape[2]):
                    change = said[k + 1, y, x] - said[k, y, x]
                    wanted = goal[k + 1, y, x] - goal[k, y, x]
                    total += (change - wanted) ** 2
                    count += 1
        return total / count


    def pixel(*values):
        return torch.tensor(values).view(1, 1, -1, 1, 1)
    return SimpleNamespace(naive_differences=naive_differences, pixel=pixel)


def test_differences_agree_with_the_hand_and_the_naive_loop(setup_1, setup_2):
    maps = setup_1.maps
    naive_differences = setup_2.naive_differences
    pixel = setup_2.pixel
    goal = pixel(0.0, 0, 1)
    assert difference_error(pixel(0.0, 1, 1), goal) == 1
    assert difference_error(pixel(0.5, 0.5, 1.5), goal) == 0
    slow = np.mean([naive_differences(a[0].numpy(), b[0].numpy()) for a, b in zip(*maps)])
    assert difference_error(*maps).item() == pytest.approx(slow, rel=1e-5)
    assert difference_error(goal[:, :, :1], goal[:, :, :1]) == 0


@pytest.fixture
def setup_3():
    def walk(start=4, wide=12, t=8):
        x = torch.arange(32)
        left = start + 2 * torch.arange(t)[:, None]
        across = ((x >= left) & (x < left + wide)).float()
        down = ((x >= 10) & (x < 22)).float()
        return (down[:, None] * across[:, None]).view(1, 1, t, 32, 32)


    truth = walk()
    flicker = torch.tensor([1, 0.3, 1, 1, 0.3, 1, 0.3, 1]).view(1, 1, 8, 1, 1)
    students = {
        "a frame late": walk(start=2),
        "too wide": walk(start=3, wide=14),
        "half as sure": 0.5 * truth,
        "flickers": flicker * truth,
    }
    return SimpleNamespace(walk=walk, truth=truth, flicker=flicker, students=students)


def test_a_flicker_and_half_a_certainty_change_places_between_the_two_errors(setup_3):
    truth = setup_3.truth
    students = setup_3.students
    plain = {name: l2_consistency(said, truth).item() for name, said in students.items()}
    moving = {name: difference_error(said, truth).item() for name, said in students.items()}
    assert plain["flickers"] < plain["half as sure"] < moving["flickers"] / 1.5
    assert moving["flickers"] > 4 * moving["half as sure"]
    assert moving["a frame late"] == pytest.approx(2 * plain["a frame late"])  # see the exercise


def test_the_mixture_of_both_errors(setup_1):
    maps = setup_1.maps
    said, goal = maps
    plain, moving = l2_consistency(said, goal).item(), difference_error(said, goal).item()
    for w in (0.0, 0.3, 1.0):
        want = (1 - w) * plain + w * moving
        assert agreement(said.logit(), goal, w).item() == pytest.approx(want, rel=1e-4)


def test_masks_weight_the_plain_error_and_choices_are_named(setup_1):
    maps = setup_1.maps
    from vad_ssl.coherence import coherence_loss
    from vad_ssl.smoothness import gradient_mask

    said, goal = maps
    want = coherence_loss(goal, said, 0.4).item()
    assert agreement(said.logit(), goal, mask="variance", ramp=0.4).item() == pytest.approx(
        want, rel=1e-4
    )
    want = l2_consistency(said, goal, gradient_mask(goal)).item()
    assert agreement(said.logit(), goal, mask="gradient").item() == pytest.approx(want, rel=1e-4)
    entropy, moving = localisation_loss(said, goal), difference_error(said.sigmoid(), goal)
    assert agreement(said, goal, distance="entropy") == entropy
    assert agreement(said, goal, 0.2, distance="entropy") == entropy + 6 * moving
    parts = [agreement(said, goal, distance=part) for part in ("cross-entropy", "dice")]
    assert sum(parts) == entropy and min(parts) > 0
    with pytest.raises(ValueError, match="choose squared or entropy or cross-entropy or dice"):
        agreement(said, goal, distance="far")
    with pytest.raises(ValueError, match="goal_mask=variance: weights squares"):
        agreement(said, goal, mask="variance", distance="entropy")


def test_untrained_it_changes_nothing_and_it_takes_any_size():
    network = Recovery()
    for shape in ((2, 1, 4, 32, 32), (1, 1, 8, 37, 51), (1, 1, 1, 16, 16)):
        probs = 0.01 + 0.98 * torch.rand(shape)
        clips = torch.rand(shape[0], 3, *shape[2:])
        torch.testing.assert_close(network(clips, probs).sigmoid(), probs)
    assert network(clips, torch.full_like(probs, 0.8))[0, 0, 0, 0, 0].item() == pytest.approx(
        1.386, abs=1e-3
    )
    assert sum(p.numel() for p in network.parameters()) < 50_000


def test_the_gradient_of_recovery_never_enters_the_student(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    seen = see(model, lab["clip"], lab["label"], Progress(5, 10))
    network = Recovery()
    loss = recovery_loss(network, seen, lab)
    loss.backward()
    assert network.change.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.parameters())
    wrong = lab | {"mask": 1 - lab["mask"]}
    assert recovery_loss(network, seen, wrong) != loss  # it does look at the truth


@pytest.fixture
def setup_4():
    videos = [v for v in read_data(actors()) if v.split == "train"]
    half = Clips(videos, True, size=(48, 48), short=52)
    drawn = [
        batch_to(default_collate([half[k] for k in range(a, a + 12)]), torch.device("cpu"))
        for a in (0, 12)
    ]


    def faulty(masks):
        "Marks the left two thirds, at most 0.9, and a corner."
        column = torch.arange(masks.shape[-1])
        columns = (masks * column).amax(-1, keepdim=True)
        first = (masks * (masks.shape[-1] - column)).amax(-1, keepdim=True)
        first = masks.shape[-1] - first
        cut = first + (columns - first) * 2 / 3
        out = 0.05 + 0.85 * masks * (column <= cut)
        out[..., :8, :8] = 0.7
        return out


    def error(network, batch):
        "Mean absolute error of the faulty maps and of the corrected ones."
        probs = faulty(batch["mask"].float())
        with torch.no_grad():
            fixed = network(batch["clip"], probs).sigmoid()
        return [(x - batch["mask"]).abs().mean().item() for x in (probs, fixed)], fixed


    def trained_recovery(steps=120):
        torch.manual_seed(0)
        network = Recovery()
        optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
        clips, masks = drawn[0]["clip"], drawn[0]["mask"].float()
        for _ in range(steps):
            pick = torch.randperm(len(clips))[:4]
            loss = localisation_loss(network(clips[pick], faulty(masks[pick])), masks[pick])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return network
    return SimpleNamespace(videos=videos, half=half, drawn=drawn, faulty=faulty, error=error, trained_recovery=trained_recovery)


def test_it_learns_mistakes_on_some_clips_and_mends_them_on_others(setup_4):
    drawn = setup_4.drawn
    error = setup_4.error
    trained_recovery = setup_4.trained_recovery
    (before, after), _ = error(trained_recovery(), drawn[1])
    assert after < before / 2


def test_both_averages_move_and_only_the_recovery_network_learns(setup_1):
    model = setup_1.model
    teacher = stable_teacher(model, decay=0.75)
    follow_both(teacher, model)
    with torch.no_grad():
        teacher.recovery.change.bias += 1
        moved = deepcopy(model)
        moved.decoder.logit.bias += 1
    follow_both(teacher, moved)
    assert teacher.corrector.module.change.bias.item() == pytest.approx(0.25)
    want = model.decoder.logit.bias + 0.25
    torch.testing.assert_close(teacher.module.decoder.logit.bias, want)
    learns = {name.split(".")[0] for name, p in teacher.named_parameters() if p.requires_grad}
    assert learns == {"recovery"}


def test_without_its_ideas_it_is_the_plain_mean_teacher_bit_for_bit(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    unl = setup_1.unl
    plain = dict(recovery=False, differences=False, distance="entropy", lam=1.0)
    results = []
    for step, teacher, options in (
        (mean_teacher_step, mean_teacher(model), {}),
        (stable_mean_teacher_step, stable_teacher(model), plain),
    ):
        torch.manual_seed(3)
        results.append(step(model, lab, unl, Progress(5, 10), teacher, **options))
    assert results[0].keys() == results[1].keys()
    assert all(torch.equal(results[0][k], results[1][k]) for k in results[0])


def test_neither_teacher_nor_recovery_reads_annotations_of_unlabelled_clips(setup_1):
    lab = setup_1.lab
    unl = setup_1.unl
    nonsense = {"mask": torch.full((3, 1, 4, 32, 32), float("nan")), "label": torch.tensor([9, 9, 9])}
    results = []
    for rest in (unl, unl | nonsense):
        torch.manual_seed(0)
        net = small_detector(3, width=8, types=4)
        teacher = stable_teacher(net)
        options = dict(naming="pseudo", sure=0.0, aligned=True)
        losses = stable_mean_teacher_step(net, lab, rest, Progress(9, 10), teacher, **options)
        sum(losses.values()).backward()
        learn = [*net.parameters(), *teacher.recovery.parameters()]
        results.append([*losses.values(), *(p.grad for p in learn), teacher.tally.told])
    assert all(torch.equal(a, b) for a, b in zip(*results))
    assert len(losses) == 5 and losses["taught name"] > 0


def test_each_idea_changes_the_loss_and_goals_carry_no_gradient(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    unl = setup_1.unl
    teacher = stable_teacher(model)
    follow_both(teacher, model)
    with torch.no_grad():
        teacher.corrector.module.change.bias += 1  # a corrector that finds more
    found = {}
    for name, options in {
        "both": {},
        "no recovery": {"recovery": False},
        "no differences": {"differences": False},
        "variance": {"goal_mask": "variance", "differences": False},
        "gradient": {"goal_mask": "gradient", "differences": False},
        "hard goals": {"hard_goal": True},
        "shorter windows": {"goal_mask": "variance", "differences": False, "window": 3},
    }.items():
        torch.manual_seed(2)
        losses = stable_mean_teacher_step(model, lab, unl, Progress(8, 10), teacher, **options)
        found[name] = losses["taught place"].item()
    assert len(set(found.values())) == 7
    model.zero_grad()
    losses["taught place"].backward()
    assert model.decoder.logit.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())


@pytest.fixture
def setup_5(setup_4):
    videos = setup_4.videos
    few, many = split_labelled(videos, 0.2, seed=0)


    def trained(step, folder=None, die_at=0, **how):
        "A short run on drawn clips: detector, teacher."
        count = [0]

        def counted(*given, **options):
            count[0] += 1
            if count[0] == die_at:
                raise KeyboardInterrupt
            return step(*given, **options)

        size = dict(clip_len=4, size=(32, 32), short=36)
        batches = loaders(Clips(few, True, **size), Clips(many, False, **size), 2, 2, 3)
        torch.manual_seed(0)
        net = small_detector(8, width=8, types=4)
        teacher = how.pop("teacher", lambda net: None)(net)
        folder = folder or Path(tempfile.mkdtemp())
        fit(net, counted, batches, 2, folder, lr=1e-3, bar=False, teacher=teacher, **how)
        return net, teacher
    return SimpleNamespace(few=few, many=many, trained=trained)


def test_with_weight_0_the_detector_is_the_supervised_one_bit_for_bit(setup_5):
    trained = setup_5.trained
    def nothing(*given):
        return stable_mean_teacher_step(*given, lam=0.0, warmup=0.0)


    alone, _ = trained(supervised_step)
    how = dict(teacher=stable_teacher, follow=follow_both)
    beside, teacher = trained(nothing, **how)
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), beside.parameters()))
    assert teacher.recovery.change.weight.abs().sum() > 0  # which did learn meanwhile


def test_killed_and_resumed_the_run_ends_with_the_same_bits_in_all_of_its_parts(setup_5):
    trained = setup_5.trained
    def taught(*given):
        return stable_mean_teacher_step(*given, naming="agreement", aligned=True)


    how = dict(teacher=stable_teacher, follow=follow_both, save_every=1)
    whole = trained(taught, **how)
    folder = Path(tempfile.mkdtemp())
    with pytest.raises(KeyboardInterrupt):
        trained(taught, folder, die_at=5, **how)
    again = trained(taught, folder, **how)
    for one, two in zip(whole, again):
        ours, theirs = one.state_dict(), two.state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
