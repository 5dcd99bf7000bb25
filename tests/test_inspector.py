"Generated from nbs/52_inspector.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import draw_video
from vad_ssl.capsule import ConvCapsules
from vad_ssl.coherence import coherence_loss
from vad_ssl.consistency import l2_consistency
from vad_ssl.detector import small_detector
from vad_ssl.objective import Progress
from vad_ssl.objective import consistency_losses
from vad_ssl.objective import see
from vad_ssl.smoothness import smoothness_loss
from vad_ssl.video import write_video
from vad_ssl.views import strong_view
import json
import numpy as np
import pytest
import re
import tempfile
import torch

from vad_ssl.inspector import (
    Inspector,
    as_map,
    assignments,
    live_notebook,
    look,
    mirror,
    pack,
    panels,
    read_clip,
    read_page,
    second_derivative,
    serve,
    unpack,
    untouched,
    viewer_data,
    write_page,
)


def test_one_pixel_worked_by_hand():
    column = lambda *v: np.array(v, np.float32).reshape(-1, 1, 1)
    black, half = np.zeros((5, 1, 1, 3), np.uint8), column(*[0.5] * 5)
    seen = panels(black, column(0, 0, 0, 1, 1), half, normalise=False, attention="gradient")
    assert seen["variance mask, clip alone"][2, 0, 0] == pytest.approx(0.24)
    assert (
        seen["gradient mask"][2, 0, 0] == pytest.approx(0.25)
        and seen["squared difference"][2, 0, 0] == 0.25
    )
    assert seen["enters the loss"][2, 0, 0] == pytest.approx(0.25 * 0.25)


@pytest.fixture(scope="module")
def setup_1():
    r = np.random.default_rng(0)
    loc1, loc2 = r.random((2, 8, 12, 14), np.float32)
    valid = (r.random((8, 12, 14)) > 0.2).astype(np.float32)
    clip = r.integers(0, 255, (8, 12, 14, 3), dtype=np.uint8)
    return SimpleNamespace(r=r, loc1=loc1, loc2=loc2, valid=valid, clip=clip)


def test_the_mean_of_what_enters_the_loss_is_the_loss(setup_1):
    loc1 = setup_1.loc1
    loc2 = setup_1.loc2
    valid = setup_1.valid
    clip = setup_1.clip
    args = as_map(loc1), as_map(loc2)
    mean = lambda **how: panels(clip, loc1, loc2, valid, **how)["enters the loss"].mean()
    for frames, ramp in ((3, 1.0), (5, 0.3)):
        loss = coherence_loss(*args, ramp, as_map(valid), frames).item()
        assert mean(frames=frames, ramp=ramp) == pytest.approx(loss, rel=1e-5)
    assert mean(attention="gradient") == pytest.approx(
        smoothness_loss(*args, as_map(valid)).item(), rel=1e-5
    )
    assert mean(attention="none") == pytest.approx(
        l2_consistency(*args, as_map(valid)).item(), rel=1e-5
    )


def test_without_a_second_view_or_truth_those_panels_are_missing_and_nothing_else(setup_1):
    loc1 = setup_1.loc1
    loc2 = setup_1.loc2
    clip = setup_1.clip
    full, alone = panels(clip, loc1, loc2, truth=loc1 > 0.5), panels(clip, loc1)
    gone = {
        "truth",
        "view 2, carried back",
        "squared difference",
        "variance mask, ring",
        "enters the loss",
    }
    assert set(full) - set(alone) == gone
    for name in alone:
        np.testing.assert_array_equal(full[name], alone[name])
    assert all(x.shape[:3] == clip.shape[:3] for x in full.values())


def test_assignments_sum_to_one_and_explain_the_poses_that_the_layer_found():
    torch.manual_seed(0)
    poses, present = torch.randn(2, 3 * 16, 2, 3), torch.rand(2, 3, 2, 3)
    for routing in ("em", "dynamic"):
        layer = ConvCapsules(3, 4, routing=routing)
        shares = assignments(layer, poses, present)
        assert shares.shape == (2, 3, 4, 2, 3)
        torch.testing.assert_close(shares.sum(2), torch.ones(2, 3, 2, 3))
    layer = ConvCapsules(3, 4, routing="dynamic", iters=1)  # one round: every class gets an equal share
    torch.testing.assert_close(assignments(layer, poses, present), torch.full((2, 3, 4, 2, 3), 0.25))


@pytest.fixture(scope="module")
def setup_2():
    torch.manual_seed(0)
    model = small_detector(3, width=8).train()
    return SimpleNamespace(model=model)


def test_the_inspector_shows_the_loss_that_training_computes(setup_1, setup_2):
    clip = setup_1.clip
    model = setup_2.model
    film, view = torch.rand(3, 8, 24, 32), strong_view(1, 24)
    for how in (
        {},
        {"cyclic": False},
        {"attention": "gradient"},
        {"attention": "none"},
        {"attention": "both", "frames": 3},
    ):
        torch.manual_seed(1)  # the noise of the view
        seen = look(model, film, lambda b, size: view)
        torch.manual_seed(1)
        with torch.no_grad():
            both = see(
                model.eval(),
                film[None],
                torch.tensor([-1]),
                Progress(1, 1),
                (untouched, lambda b, size: view),
            )
        loss = consistency_losses(both, Progress(1, 1), **how)["place consistency"].item()
        product = panels(clip, seen.loc1, seen.loc2, seen.valid, **how)["enters the loss"]
        assert product.mean() == pytest.approx(loss, rel=1e-5) and loss > 0
    with pytest.raises(ValueError, match="'hope': choose none"):
        panels(clip, seen.loc1, seen.loc2, attention="hope")


def test_looking_leaves_the_detector_and_all_chance_as_they_were(setup_2):
    model = setup_2.model
    model.train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    seen = look(model, torch.rand(3, 8, 24, 32, generator=torch.Generator().manual_seed(0)))
    assert model.training and torch.equal(torch.rand(3), expected)
    assert seen.loc1.shape == seen.loc2.shape == (8, 24, 32) and seen.activations.shape == (3,)
    assert seen.valid.all() and seen.routing.shape[:2] == (8, 3)


@pytest.fixture(scope="module")
def setup_3():
    home = Path(tempfile.mkdtemp())
    drawn, boxes = draw_video("Walk", np.random.default_rng(0), frames=24)
    write_video(home / "walk.avi", drawn);
    return SimpleNamespace(home=home, drawn=drawn, boxes=boxes)


def test_a_clip_comes_from_an_array_a_tensor_a_file_or_a_record(setup_3):
    home = setup_3.home
    drawn = setup_3.drawn
    pixels, truth, index = read_clip(home / "walk.avi", dict(short=30, frames=4), frame=5)
    assert (
        pixels.shape[:3] == (3, 4, 30)
        and truth is None
        and 5 in index
        and 0 <= pixels.min() <= pixels.max() <= 1
    )
    assert read_clip(drawn[:8])[0].shape == (3, 8, *drawn.shape[1:3])
    same = torch.rand(3, 2, 4, 4)
    assert torch.equal(read_clip(same)[0], same)
    with pytest.raises(ValueError, match="no frame 99; it holds 0..23"):
        read_clip(home / "walk.avi", frame=99)


def test_packing_loses_next_to_nothing():
    x = np.random.default_rng(0).random((8, 20, 30)) * 0.25
    np.testing.assert_allclose(unpack(pack(x)).reshape(x.shape), x, atol=0.25 / 8190 * 1.001)
    assert not unpack(pack(np.zeros((2, 3)))).any()


def test_the_coefficients_are_those_of_the_mask():
    v = np.random.default_rng(0).random((7, 1, 1), np.float32)
    mask = panels(np.zeros((7, 1, 1, 3), np.uint8), v, normalise=False)["gradient mask"]
    np.testing.assert_allclose(
        np.abs(np.array(second_derivative(7)) @ v[:, 0, 0]), mask[:, 0, 0], atol=1e-6
    )
    assert second_derivative(7)[3] == [0, 0.25, 0, -0.5, 0, 0.25, 0]


def test_the_live_notebook_is_one_valid_cell(setup_3):
    home = setup_3.home
    book = live_notebook(home / "walk.avi", frame=3)
    compile(book["cells"][0]["source"], "cell", "exec")
    assert book["cells"][0]["source"].endswith("walk.avi', None, frame=3)")
    with pytest.raises(ValueError, match="no frame 99"):
        serve(home / "walk.avi", frame=99)


@pytest.fixture(scope="module")
def setup_4(setup_1):
    clip = setup_1.clip
    def moving_square(b, size=32, seed=0):
        "Noise with a bright square that moves to the right; the square is the action."
        g = torch.Generator().manual_seed(seed)
        clip, mask = (
            0.5 * torch.rand(b, 3, 8, size, size, generator=g),
            torch.zeros(b, 1, 8, size, size),
        )
        for i in range(b):
            top, left = (int(v) for v in torch.randint(2, size - 20, (2,), generator=g))
            for k in range(8):
                mask[i, :, k, top : top + 11, left + k : left + k + 11] = 1
        return {"clip": (clip + 0.5 * mask).clamp(max=1), "mask": mask, "label": torch.arange(b) % 3}


    test_clip = moving_square(1, seed=5000)
    film, truth = test_clip["clip"][0], test_clip["mask"][0, 0].numpy()
    return SimpleNamespace(moving_square=moving_square, test_clip=test_clip, film=film, truth=truth)


def test_a_page_is_one_file_that_asks_nobody_for_anything(setup_2, setup_3, setup_4):
    model = setup_2.model
    home = setup_3.home
    film = setup_4.film
    truth = setup_4.truth
    page = Inspector(film, model, truth=truth, title="a < b").to_html(home / "page.html").read_text()
    bare = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]*", "", page)
    assert "a &lt; b" in page and not re.search(
        r"""(src|href)=|https?://|@import|fetch\(|import\(""", bare
    )
    assert page.count("</script>") == 2  # data cannot end the script early
    data, title = read_page(home / "page.html")
    assert title == "a < b" and write_page(data, home / "again.html", title).read_text() == page


def test_the_page_holds_the_maps_of_the_detector(setup_2, setup_4):
    model = setup_2.model
    film = setup_4.film
    truth = setup_4.truth
    data = viewer_data(Inspector(film, {"a": model, "b": model}, truth=truth))
    assert [step["name"] for step in data["steps"]] == ["a", "b"] and data["classes"] == [
        "class 1",
        "class 2",
        "class 3",
    ]
    seen = look(model, film)
    np.testing.assert_allclose(
        unpack(data["steps"][1]["loc1"]).reshape(8, 32, 32), seen.loc1, atol=2e-4
    )
    raw = panels(Inspector(film).clip, seen.loc1, seen.loc2, frames=3, normalise=False)[
        "variance mask, ring"
    ]
    np.testing.assert_allclose(
        unpack(data["steps"][0]["masks"]["ring 3"]).reshape(8, 32, 32), raw, atol=2e-4 * raw.max()
    )
    assert json.loads(json.dumps(data))["t"] == 8


def test_moving_the_frame_asks_the_detector_nothing(setup_2, setup_4):
    model = setup_2.model
    film = setup_4.film
    calls = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    live = Inspector(film, model).widget(frame=2)
    assert len(calls) == 1 and live.frame == 2  # both views in one pass
    live.frame, live.ramp = 5, 0.5
    assert len(calls) == 1
    hook.remove()


def test_arrays_alone_a_file_alone_and_a_second_view_of_ones_own(setup_2, setup_3, setup_4):
    model = setup_2.model
    home = setup_3.home
    drawn = setup_3.drawn
    film = setup_4.film
    truth = setup_4.truth
    alone = Inspector(drawn[:8])
    assert alone.stand_in == "brightness" and "enters the loss" not in alone.panels()
    given = Inspector(film, truth, second_view=truth * 0.5)
    assert given.stand_in == "" and given.panels()["squared difference"].max() == pytest.approx(0.25)
    assert Inspector(film, truth=truth).stand_in == "truth"
    assert Inspector(home / "walk.avi").numbers == read_clip(home / "walk.avi")[2]
    shifted = Inspector(film, model, second_view=mirror(1, 32)._replace(by=torch.tensor([[0, 9]])))
    assert not next(iter(shifted.looks.values())).valid.all()


def test_what_does_not_fit_is_named(setup_2, setup_3, setup_4):
    model = setup_2.model
    home = setup_3.home
    film = setup_4.film
    with pytest.raises(
        ValueError, match=r"truth: shape \(8, 3, 3\), but the clip has \(t, h, w\) = \(8, 32, 32\)"
    ):
        Inspector(film, model, truth=np.zeros((8, 3, 3)))
    with pytest.raises(ValueError, match="no such checkpoint"):
        Inspector(film, home / "none.safetensors")
