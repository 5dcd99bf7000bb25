"Generated from nbs/10_exercise.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from typing import NamedTuple
import numpy as np
import pytest
import torch

from vad_ssl.exercise import Case, Exercise, answer, difference


@pytest.fixture
def setup_1():
    halves = [
        Case("the half of 4", lambda f: f(4), 2, "divide by two"),
        Case("the half of 3", lambda f: f(3), 1.5, "`/` divides, `//` drops the rest"),
        Case("a whole tensor", lambda f: f(torch.ones(3)), torch.full((3,), 0.5), "no `float(x)`"),
    ]
    halves[1].ask(lambda x: x // 2)
    return SimpleNamespace(halves=halves)


def test_an_answer_is_compared_by_shape_and_by_value():
    grid = torch.arange(9.0).view(3, 3)
    assert difference(grid + 1e-6, grid) == "" and difference(0.5, torch.tensor(0.5)) == ""
    assert "return" in difference(None, grid)
    assert difference([1, 2], [1, 3]) == "expected [1.0, 3.0], got [1.0, 2.0]"
    assert difference(grid[0], grid) == "expected the shape (3, 3), got (3,)"
    assert "8 of 9 numbers are off; the first, at (0, 1)" in difference(2 * grid, grid)
    assert "got nan" in difference(float("nan"), 1.0) and difference(float("nan"), float("nan")) == ""
    assert difference({"a": 1}, ["a", "b"]) == "expected ['a', 'b'], got ['a']"
    assert difference(4e-5, 2e-5) == "expected 2e-05, got 4e-05"
    assert difference(1.0002, 1.0) == "expected 1.0, got 1.0002"
    assert difference((grid, grid), grid) == "expected numbers, got the type tuple"
    assert difference({"a": 1}, 1.0) == "expected numbers, got the type dict"
    assert difference(3, ["a", "b"]) == "expected words, got the type int"


def test_review_names_the_first_wrong_answer_and_what_was_right_before(setup_1):
    halves = setup_1.halves
    def not_written(x):
        raise NotImplementedError


    review = Exercise(*halves).review
    assert review(lambda x: x / 2).startswith("All 3 right")
    found = review(lambda x: x // 2)
    assert "Right so far: the half of 4." in found and "the half of 3; expected 1.5, got 1.0" in found
    assert "`//` drops the rest" in found
    assert "nothing yet" in review(lambda x: None)
    assert "it stopped with" in review(lambda x: float(x) / 2)
    assert review(not_written) == "Not yet written: 3 cases wait, the first is the half of 4."


def test_an_attempt_that_changes_its_input_leaves_the_question_to_the_next_one():
    class Pair(NamedTuple):
        a: torch.Tensor
        b: list


    x, y = torch.ones(3), np.ones(3)
    asked = Case("all", lambda f: f(x, Pair(x, [y]), named={"x": x}), torch.full((3,), 4.0), "add")


    def in_place(x, pair, named):
        return x.add_(pair.a).add_(torch.from_numpy(pair.b[0])).add_(named["x"].mul_(2)).mul_(2)


    def right(x, pair, named):
        return x + pair.a + torch.from_numpy(pair.b[0]) + named["x"]


    assert "Not yet" in Exercise(asked).review(in_place)
    assert Exercise(asked).review(right) == "All 1 right: all."
    x.requires_grad_()
    pull = Case("a gradient", lambda f: torch.autograd.grad(f(x).sum(), x)[0], torch.ones(3), "")
    assert Exercise(pull).review(lambda x: x).startswith("All")


def test_an_answer_keeps_its_text_and_breaks_no_page():
    shown = answer("a < b", 1.5).data
    assert "a &lt; b\n\n1.5" in shown and shown.startswith("<details>")
