"Generated from nbs/11_views.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.exercise import Case
from vad_ssl.exercise import Exercise
import pytest
import torch

from vad_ssl.views import apply, flip_where, invert, random_view, shift, strong_view, zoom


@pytest.fixture
def setup_1():
    def naive_flip(clips, flip):
        out = clips.clone()
        for i in range(len(clips)):
            if flip[i]:
                out[i] = clips[i].flip(-1)
        return out


    x = torch.randn(3, 2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    some = torch.tensor([True, False, True])
    return SimpleNamespace(naive_flip=naive_flip, x=x, some=some)


def test_flip_where_agrees_with_the_naive_loop(setup_1):
    naive_flip = setup_1.naive_flip
    x = setup_1.x
    some = setup_1.some
    assert torch.equal(flip_where(x, some, -1), naive_flip(x, some))


def test_flipping_twice_is_the_identity_bit_for_bit(setup_1):
    x = setup_1.x
    some = setup_1.some
    for axis in (-1, -2, 2):
        assert torch.equal(flip_where(flip_where(x, some, axis), some, axis), x)


def test_a_shift_worked_by_hand():
    row = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 1, 3)
    right = torch.tensor([[0, 1]])
    assert shift(row, right).flatten().tolist() == [0, 1, 2]
    assert shift(shift(row, right), -right).flatten().tolist() == [1, 2, 0]


def test_a_shift_agrees_with_rolling_and_blanking_one_clip_at_a_time(setup_1):
    x = setup_1.x
    by = torch.tensor([[2, -1], [0, 0], [-3, 4]])
    for i, (dy, dx) in enumerate(by.tolist()):
        rolled = x[i].roll((dy, dx), (-2, -1))
        rows, cols = torch.arange(6), torch.arange(7)
        rolled[..., (rows - dy < 0) | (rows - dy >= 6), :] = 0
        rolled[..., (cols - dx < 0) | (cols - dx >= 7)] = 0
        assert torch.equal(shift(x, by)[i], rolled)


def test_zooming_by_two_doubles_a_square():
    square = torch.zeros(1, 1, 1, 16, 16)
    square[..., 6:10, 6:10] = 1
    twice = zoom(square, torch.tensor([2.0]))
    assert twice.sum().item() == pytest.approx(64, rel=0.05)  # 4 x 4 becomes 8 x 8
    assert torch.equal(zoom(square, torch.tensor([1.0])) > 0.5, square > 0.5)


@pytest.fixture
def setup_2():
    torch.manual_seed(0)
    clips = torch.rand(4, 3, 7, 24, 31)
    masks = (torch.rand(4, 1, 7, 24, 31) > 0.7).float()
    return SimpleNamespace(clips=clips, masks=masks)


def test_the_inverse_is_bit_exact_for_flips_shifts_and_reversal(setup_2):
    masks = setup_2.masks
    torch.manual_seed(1)
    view = random_view(4, flip=0.5, reverse=0.5, reach=5)
    back, valid = invert(view, apply(view, masks, spatial_only=True))
    assert back.shape == masks.shape and valid.shape == (4, 1, 7, 24, 31)
    assert torch.equal(back * valid, masks * valid)
    lost = 1 - valid.mean()
    assert 0 < lost < 0.5  # shifts lose a border, and the mask says so


def test_valid_pixels_are_exactly_those_that_a_shift_keeps():
    view = random_view(1, flip=0.0)._replace(by=torch.tensor([[2, -3]]))
    _, valid = invert(view, torch.zeros(1, 1, 1, 10, 10))
    kept = torch.zeros(10, 10)
    kept[:8, 3:] = 1  # down by 2, left by 3: the last two rows and first three columns are lost
    assert torch.equal(valid[0, 0, 0], kept)


def test_the_inverse_of_a_zoom_is_close_on_a_smooth_map():
    smooth = torch.sin(torch.linspace(0, 3, 40))[:, None] * torch.sin(torch.linspace(0, 3, 48))
    maps = smooth.expand(2, 1, 3, 40, 48)
    view = random_view(2, flip=0.5)._replace(factor=torch.tensor([1.15, 0.9]))
    back, valid = invert(view, apply(view, maps, spatial_only=True))
    assert ((back - maps).abs() * valid).max() < 0.01
    assert 0.6 < valid[0].mean() < 0.85  # enlarging by 1.15 loses 1 - 1 / 1.15 ** 2 = 24%
    assert valid[1].mean() > 0.9


def test_recolouring_moves_nothing_and_stays_in_range(setup_2):
    clips = setup_2.clips
    masks = setup_2.masks
    view = random_view(4, flip=0.0, colour=1.0)
    assert torch.equal(apply(view, masks, spatial_only=True), masks)
    out = apply(view, clips)
    assert out.shape == clips.shape and 0 <= out.min() and out.max() <= 1
    assert (out - clips).abs().mean() > 0.02


def test_the_gradient_flows_back_through_the_inverse():
    view = random_view(2, flip=1.0, reverse=1.0)._replace(by=torch.tensor([[1, 0], [0, 1]]))
    maps = torch.rand(2, 1, 3, 5, 6, requires_grad=True)
    back, valid = invert(view, maps)
    (back * valid).sum().backward()
    assert maps.grad.sum() == valid.sum()  # one for every known pixel, none for the others


def test_the_same_seed_draws_the_same_view():
    torch.manual_seed(7)
    first = strong_view(3, 56)
    torch.manual_seed(7)
    assert all(torch.equal(a, b) for a, b in zip(first, strong_view(3, 56)))


def test_a_zoom_of_0_only_shifts_and_recolours_and_draws_the_same_numbers():
    torch.manual_seed(7)
    first = strong_view(3, 56)
    torch.manual_seed(7)
    level = strong_view(3, 56, zoom=0)
    assert (level.factor == 1).all() and not (first.factor == 1).any()
    assert torch.equal(level.by, first.by) and torch.equal(level.noise, first.noise)


@pytest.fixture
def setup_3():
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
def setup_4(setup_3):
    there_and_back = setup_3.there_and_back
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


def test_the_check_of_invert_passes_the_chapter_s_own_and_explains_four_mistakes(setup_1, setup_4):
    x = setup_1.x
    invert_exercise = setup_4.invert_exercise
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
