"Generated from nbs/62_mean_teacher.ipynb: change the notebook, then `make export`."
from copy import deepcopy
from types import SimpleNamespace
from vad_ssl.detector import small_detector
from vad_ssl.losses import dice_loss
from vad_ssl.objective import Progress
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vad_ssl.mean_teacher import MEAN_TEACHER, follow, mean_teacher, mean_teacher_step


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


def test_the_noise_that_an_average_leaves_by_hand_as_a_sum_and_by_chance():
    for decay in (0.5, 0.9, 0.99):
        weights = (1 - decay) * decay ** np.arange(5000)
        want = (1 - decay) / (1 + decay)
        assert abs((weights**2).sum() - want) < 1e-9
        noise = np.random.default_rng(0).normal(0, 1, (3000, 700))
        teacher = noise[:, 0] * 0
        for step in noise.T:
            teacher += (1 - decay) * (step - teacher)
        assert abs(teacher.var() / want - 1) < 0.1
    assert (1 - 0.5) / (1 + 0.5) == 1 / 3 and round((1.99 / 0.01) ** 0.5) == 14


@pytest.fixture
def setup_2():
    def valley(w):
        "Loss of two weights: steep across, flat along."
        return 0.5 * (0.1 * w[..., 0] ** 2 + 4.0 * w[..., 1] ** 2)


    def descend(steps=150, rate=0.4, noise=1.0, decay=0.9, seed=0):
        "Student and teacher under noisy gradients of the valley."
        rng = np.random.default_rng(seed)
        w, average, path = np.array([-6.0, 1.0]), np.array([-6.0, 1.0]), []
        for _ in range(steps):
            w = w - rate * (np.array([0.1, 4.0]) * w + noise * rng.normal(0, 1, 2))
            average = decay * average + (1 - decay) * w
            path.append((w, average))
        return np.array(path).transpose(1, 0, 2)
    return SimpleNamespace(valley=valley, descend=descend)


def test_the_average_lies_lower_in_the_valley_than_what_it_averages(setup_2):
    valley = setup_2.valley
    descend = setup_2.descend
    for seed in range(5):
        student, teacher = (valley(path)[-100:] for path in descend(seed=seed))
        assert teacher.mean() < student.mean() / 2
        assert (teacher < student).mean() > 0.8
    student, teacher = descend(steps=20_000)
    along, across = (teacher[1000:].var(0) / student[1000:].var(0)).round(2)
    print(f"of the student's variance the teacher keeps {along} along the valley, {across} across")
    assert across < (1 - 0.9) / (1 + 0.9) < along


def test_the_teacher_moves_as_worked_by_hand_and_learns_nothing_itself(setup_1):
    model = setup_1.model
    student = deepcopy(model)
    teacher = mean_teacher(student, decay=0.75)
    follow(teacher, student)  # the first time: a copy
    start = teacher.module.decoder.logit.weight.clone()
    assert torch.equal(start, model.decoder.logit.weight)
    with torch.no_grad():
        student.decoder.logit.weight += 1
    for way in (0.25, 0.4375):
        follow(teacher, student)
        torch.testing.assert_close(teacher.module.decoder.logit.weight, start + way)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher.training and student.training


def test_a_teacher_takes_over_the_statistics_of_batch_norms():
    norm = torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    teacher = mean_teacher(norm)
    norm(torch.full((4, 2), 5.0))
    follow(teacher, norm)
    assert torch.equal(teacher.module[0].running_mean, norm[0].running_mean)
    assert norm[0].running_mean[0] == 0.5


def test_a_teacher_read_from_a_checkpoint_goes_on_where_it_stood(setup_1):
    model = setup_1.model
    def walk(teacher, steps):
        student = deepcopy(model)
        for k in range(steps):
            with torch.no_grad():
                student.decoder.logit.weight.fill_(k)
            follow(teacher, student)
        return teacher


    teacher, again = walk(mean_teacher(model), 3), mean_teacher(model)
    again.load_state_dict(teacher.state_dict())
    for ours, theirs in zip(walk(teacher, 2).parameters(), walk(again, 2).parameters()):
        assert torch.equal(ours, theirs)


def test_only_the_student_gets_a_gradient_and_only_the_teacher_is_its_goal(setup_1):
    model = setup_1.model
    lab = setup_1.lab
    unl = setup_1.unl
    teacher = MEAN_TEACHER.teacher(model)
    losses = mean_teacher_step(model, lab, unl, Progress(5, 10), teacher)
    assert set(losses) == {"spread", "localisation", "taught place"}
    losses["taught place"].backward()
    assert model.decoder.logit.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())
    with torch.no_grad():
        teacher.module.decoder.logit.weight += 1
    torch.manual_seed(0)
    moved = mean_teacher_step(model, lab, unl, Progress(5, 10), teacher)
    torch.manual_seed(0)
    plain = mean_teacher_step(model, lab, unl, Progress(5, 10), mean_teacher(model))
    assert moved["taught place"] != plain["taught place"]
    assert moved["localisation"] == plain["localisation"]


def test_the_mean_teacher_reads_no_annotations_of_unlabelled_clips(setup_1):
    lab = setup_1.lab
    unl = setup_1.unl
    nonsense = {"mask": torch.full((3, 1, 4, 32, 32), float("nan")), "label": torch.tensor([9, 9, 9])}
    results = []
    for rest in (unl, unl | nonsense):
        torch.manual_seed(0)
        net = small_detector(3, width=8, types=4)
        results.append(mean_teacher_step(net, lab, rest, Progress(9, 10), mean_teacher(net)))
    assert all(torch.equal(results[0][k], results[1][k]) for k in results[0])


def test_dice_pulls_apart_what_agrees_and_the_other_two_do_not():
    p = torch.tensor([0.6, 0.2], dtype=torch.double)
    goal, logits = p.view(1, 1, 1, 1, 2), torch.logit(p).view(1, 1, 1, 1, 2).requires_grad_()
    probs = logits.sigmoid()
    overlap = 2 * (probs * goal).sum() / (probs.sum() + goal.sum())
    (pull,) = torch.autograd.grad(1 - overlap, probs)
    torch.testing.assert_close(pull.flatten(), torch.tensor([-0.4375, 0.0625], dtype=torch.double))
    (by_hand,) = torch.autograd.grad(dice_loss(logits, goal, smooth=0), logits)
    torch.testing.assert_close(by_hand.flatten(), pull.flatten() * p * (1 - p))
    for quiet in (F.mse_loss(logits.sigmoid(), goal), F.binary_cross_entropy_with_logits(logits, goal)):
        assert torch.autograd.grad(quiet, logits)[0].abs().max() < 1e-12
