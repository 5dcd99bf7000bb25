"Generated from nbs/62_mean_teacher.ipynb: change the notebook, then `make export`."
from copy import deepcopy
from types import SimpleNamespace
from vad_ssl.detector import small_detector
from vad_ssl.objective import Progress
import pytest
import torch

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
