"Generated from nbs/60_naming.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
import numpy as np
import pytest
import torch

from vad_ssl.naming import Tally, align, name_agreement, naming_loss, pseudo_name_loss, shares


def test_shares_worked_by_hand_and_a_row_of_zeros_stays_one():
    p = shares(torch.tensor([[0.6, 0.2, 0.0], [0.0, 0.0, 0.0]]))
    torch.testing.assert_close(p, torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 0.0]]))


@pytest.fixture
def setup_1():
    def naive_pseudo_names(activations, p, sure, margin):
        total = 0.0
        for student, teacher in zip(activations, p):
            name = int(np.argmax(teacher))
            if teacher[name] < sure:
                continue
            for k, a in enumerate(student):
                total += max(margin - (student[name] - a), 0) ** 2 if k != name else 0
        return total / len(p)


    said = torch.tensor([[0.4, 0.3], [0.9, 0.1]])
    told = torch.tensor([[0.7, 0.3], [0.55, 0.45]])
    return SimpleNamespace(naive_pseudo_names=naive_pseudo_names, said=said, told=told)


def test_pseudo_names_agree_with_the_hand_and_the_naive_loop_and_nobody_sure_costs_nothing(setup_1):
    naive_pseudo_names = setup_1.naive_pseudo_names
    said = setup_1.said
    told = setup_1.told
    assert pseudo_name_loss(said, told, 0.6).item() == pytest.approx(0.32)
    g = torch.Generator().manual_seed(0)
    acts, p = torch.rand(20, 5, generator=g), shares(torch.rand(20, 5, generator=g) ** 3)
    for sure in (0.0, 0.4, 0.6):
        slow = naive_pseudo_names(acts.numpy(), p.numpy(), sure, 0.7)
        assert pseudo_name_loss(acts, p, sure, 0.7).item() == pytest.approx(slow, rel=1e-5)
    acts.requires_grad_()
    loss = pseudo_name_loss(acts, p, 1.1)
    loss.backward()
    assert loss == 0 and acts.grad.eq(0).all()


def test_alignment_worked_by_hand_and_a_fair_teacher_is_left_alone():
    tally = Tally(2, decay=0.0)
    answers = torch.tensor([[0.6, 0.4]])
    torch.testing.assert_close(align(answers, tally), answers)
    tally.count(torch.tensor([0, 1]), torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    torch.testing.assert_close(align(answers, tally), torch.tensor([[1 / 3, 2 / 3]]))


def test_the_means_are_slow_and_travel_with_a_checkpoint():
    tally = Tally(2, decay=0.9)
    for _ in range(2):
        tally.count(torch.tensor([0]), torch.tensor([[0.0, 1.0]]))
    true = 1 - 0.9**2 * 0.5
    torch.testing.assert_close(tally.true, torch.tensor([true, 1 - true]))
    again = Tally(2, decay=0.9)
    again.load_state_dict(tally.state_dict())
    assert torch.equal(again.told, tally.told) and not list(tally.parameters())


def test_alignment_makes_such_a_teacher_name_better():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 8, 4000)
    scores = rng.normal(0, 1, (4000, 8)) + 2 * np.eye(8)[truth]
    scores[:, :2] += 1.5
    p = torch.tensor(scores).softmax(1).float()
    tally = Tally(8, decay=0.0)
    tally.count(torch.tensor(truth), p)
    before, after = ((x.argmax(1).numpy() == truth).mean() for x in (p, align(p, tally)))
    assert after > before + 0.05


def test_agreement_worked_by_hand():
    p = torch.tensor([[0.75, 0.25]])
    assert name_agreement(torch.tensor([[0.2, 0.6]]), p).item() == pytest.approx(0.1308, abs=1e-4)
    assert name_agreement(torch.tensor([[0.6, 0.2]]), p).item() == pytest.approx(0, abs=1e-6)


def test_the_option_names_its_choices(setup_1):
    said = setup_1.said
    told = setup_1.told
    assert naming_loss("pseudo", said, told, 0.6).item() == pytest.approx(0.32)
    assert naming_loss("agreement", said, told) == name_agreement(said, told)
    with pytest.raises(ValueError, match="choose pseudo or agreement"):
        naming_loss("guess", said, told)
