"Generated from nbs/53_playground.ipynb: change the notebook, then `make export`."
from pathlib import Path
from vad_ssl.coherence import coherence_loss
from vad_ssl.coherence import coherence_weight
from vad_ssl.consistency import l2_consistency
from vad_ssl.smoothness import gradient_mask
from vad_ssl.smoothness import smoothness_loss
import pytest
import re
import tempfile
import torch

from vad_ssl.playground import Playground, SCENES, _body, _covered, pull, scene, slope


def test_an_edge_worked_by_hand():
    assert _covered(16, 12)[8:13] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert _body(16, 16, 0).max() == 0.02  # a body of no size is not there


def test_the_body_is_the_walking_square_of_the_chapter_on_coherence():
    left = 3 + 2 * torch.arange(8)[:, None]
    x = torch.arange(32)
    inside = ((x >= left) & (x < left + 12)).double()
    rows = ((x >= 10) & (x < 22)).double()
    square = (rows[:, None] * inside[:, None])[None, None]
    soft = torch.nn.functional.avg_pool3d(square, (1, 3, 3), 1, (0, 1, 1)) * 0.96 + 0.02
    one, two = scene(speed=2)
    torch.testing.assert_close(one, soft)
    assert torch.equal(one, two)


def test_the_slope_is_what_autograd_finds():
    one, two = scene(down=6)
    assert slope(one, two, torch.ones_like(one))[0, 0, 0, 11, 16] == pytest.approx(-0.000234, abs=1e-6)
    two.requires_grad_()
    for loss, weight in (
        (l2_consistency(one, two), torch.ones_like(one)),
        (coherence_loss(one, two, 0.6), coherence_weight(one, two.detach(), 0.6)),
        (smoothness_loss(one, two), gradient_mask(one)),
    ):
        (found,) = torch.autograd.grad(loss, two)
        torch.testing.assert_close(found, slope(one, two.detach(), weight))


def test_the_pull_is_how_fast_the_loss_falls_when_the_body_moves():
    def moved(by, axis):
        "The plain loss, if view 2 is moved further."
        s = {"speed": 2, "across": 1, "down": 3}
        s[axis] += by
        return l2_consistency(*scene(**s)).item()


    one, two = scene(speed=2, across=1, down=3)
    pulled = pull(two, slope(one, two, torch.ones_like(one))).sum(0)
    for k, axis in enumerate(("across", "down")):
        falls = (moved(-1e-4, axis) - moved(1e-4, axis)) / 2e-4
        assert pulled[k] == pytest.approx(falls, rel=1e-3) and pulled[k] < 0


def test_a_standing_body_is_compared_near_the_ends_of_the_clip_and_nowhere_else():
    paid = Playground().shares()
    assert paid["Eq. 2"].tolist() == pytest.approx([paid["Eq. 2"][0].item()] * 8)
    share = paid["Eq. 3"] / paid["Eq. 3"].sum()
    assert share[[3, 4]].abs().max() == 0 and share[[0, 1, 6, 7]].sum().item() == pytest.approx(11 / 13)
    assert paid["Eq. 5"].eq(0).all()


def test_the_losses_are_those_of_the_earlier_chapters():
    for start in (SCENES["walks, 6 px apart"], {"speed": 1, "flicker": 0.5, "both": True, "down": 2}):
        for w in (0.0, 0.3, 1.0):
            play = Playground(**start, ramp=w, window=3)
            one, two = play.views
            paid = {name: x.sum().item() for name, x in play.shares().items()}
            assert paid["Eq. 2"] == pytest.approx(l2_consistency(one, two).item())
            assert paid["Eq. 3"] == pytest.approx(coherence_loss(one, two, w, frames=3).item())
            assert paid["Eq. 5"] == pytest.approx(smoothness_loss(one, two).item())
    for wrong, why in {
        "pulls": ("Eq. 4", "choose Eq. 2, Eq. 3 or Eq. 5"),
        "ramp": (2, "ramp=2: give a number from 0 to 1"),
        "window": (4, "window"),
    }.items():
        with pytest.raises(ValueError, match=why[1]):
            Playground(**{wrong: why[0]})
    assert Playground(window=7).views[0].sum() > 0 and Playground(window=7).start["window"] == 7
    assert Playground(window=7).shares()["Eq. 2"].sum() > 0  # the usual scene, not one that agrees
    with pytest.raises(ValueError, match="sideways: choose from"):
        Playground(sideways=3)


def test_a_page_is_one_file_that_asks_nobody_for_anything():
    text = Playground().to_html(Path(tempfile.mkdtemp()) / "page.html").read_text()
    asks = r"""(src|href)=|https?://|@import|fetch\(|import\("""
    assert not re.search(asks, text) and text.count("</script>") == 2


def test_the_answers_are_right():
    def paid(**dragged):
        "The three losses."
        return {name: x.sum().item() for name, x in Playground(**dragged).shares().items()}


    alone, half = (paid(down=6, cyclic=False, ramp=w) for w in (1.0, 0.5))
    assert alone["Eq. 3"] == 0 and half["Eq. 3"] == pytest.approx(half["Eq. 2"] / 2)
    assert paid(speed=2, late=1) == pytest.approx(paid(speed=2, across=-2))
    fades = paid(flicker=0.8)
    assert fades["Eq. 2"] > 0 and fades["Eq. 3"] > 0 and fades["Eq. 5"] == 0
    both = Playground(speed=1, flicker=0.8, both=True)
    assert all(x.sum() == 0 for x in both.shares().values())
    assert all(mask[0, 0, 4, 16, 16] > 0.3 for mask in both.masks())
    blind = [(Playground(down=6, window=n).shares()["Eq. 3"] == 0).sum() for n in (3, 5, 7)]
    assert [n.item() for n in blind] == [4, 2, 0]
