"Generated from nbs/10_exercise.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.views import apply
from vad_ssl.views import flip_where
from vad_ssl.views import invert
from vad_ssl.views import random_view
from vad_ssl.views import shift
from vad_ssl.views import zoom
import pytest
import torch

from vad_ssl.exercise import Case, Exercise, difference


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


@pytest.fixture
def setup_2():
    def one_view(flip=False, reverse=False, factor=1.0, by=(0, 0)):
        "A view of two clips: the first as said, the second left alone."
        return random_view(2, flip=0.0)._replace(
            flip=torch.tensor([flip, False]),
            reverse=torch.tensor([reverse, False]),
            factor=torch.tensor([factor, 1.0]),
            by=torch.tensor([by, (0, 0)]),
        )


    line = torch.linspace(0, 3, 24).sin()
    smooth = (line[:, None] * line).expand(2, 1, 4, 24, 24) * torch.tensor([1, 2, 3, 4]).view(4, 1, 1)


    def there_and_back(f, known=False, **how):
        "The smooth maps, altered and carried back by `f`, where they are known; or what is known."
        view = one_view(**how)
        maps, valid = f(view, apply(view, smooth, spatial_only=True))
        return valid if known else maps * invert(view, maps)[1]
    return SimpleNamespace(one_view=one_view, line=line, smooth=smooth, there_and_back=there_and_back)


@pytest.fixture
def setup_3(setup_2):
    there_and_back = setup_2.there_and_back
    def carried(name, hint, known=False, **how):
        "A case of `invert`; the right answer is the chapter's own."
        right = there_and_back(invert, known, **how)
        return Case(name, lambda f: there_and_back(f, known, **how), right, hint)


    both = dict(factor=1.2, by=(2, 0))
    invert_exercise = Exercise(
        carried(
            "a mirror image", "a flip is its own inverse: `flip_where(x, view.flip, -1)`", flip=True
        ),
        carried("a clip played backwards", "time is axis 2", reverse=True),
        carried("a shift", "what went right must come back left: `-view.by`", by=(0, 5)),
        carried("a zoom and a shift", "the last thing put on comes off first", **both),
        carried(
            "what is known", "send a map of ones out and back; what is below 1 is lost", True, **both
        ),
    )
    return SimpleNamespace(carried=carried, both=both, invert_exercise=invert_exercise)


def test_the_check_of_invert_passes_the_chapter_s_own_and_explains_four_mistakes(setup_3):
    invert_exercise = setup_3.invert_exercise
    def way_back(signs=(-1, -1), zoom_first=False, ones=False):
        "`invert` with a choice of mistakes."

        def f(view, maps):
            back = []
            for x in (maps, apply(view, torch.ones_like(maps), spatial_only=True)):
                steps = [
                    lambda x: shift(x, signs[0] * view.by),
                    lambda x: zoom(x, view.factor ** signs[1]),
                ]
                for step in steps[::-1] if zoom_first else steps:
                    x = step(x)
                back.append(flip_where(flip_where(x, view.flip, -1), view.reverse, 2))
            return back[0], torch.ones_like(maps) if ones else (back[1] > 0.999).float()

        return f


    review = invert_exercise.review
    for right in (invert, way_back()):
        assert review(right).startswith("All 5 right")
    mistakes = {
        "a mirror image": lambda view, maps: (maps, torch.ones_like(maps)),  # left as it is
        "a shift": way_back(signs=(1, -1)),  # altered once more
        "a zoom and a shift": way_back(zoom_first=True),  # undone in the same order
        "what is known": way_back(ones=True),
    }
    for name, mistake in mistakes.items():
        assert f"Not yet: {name};" in review(mistake)
