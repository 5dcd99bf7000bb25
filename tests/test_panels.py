"Generated from nbs/51_panels.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import draw_video
from vad_ssl.coherence import coherence_loss
from vad_ssl.consistency import l2_consistency
from vad_ssl.detector import small_detector
from vad_ssl.files import mask_box
from vad_ssl.i3d import kinetics_path
from vad_ssl.objective import Progress
from vad_ssl.objective import consistency_losses
from vad_ssl.objective import see
from vad_ssl.predict import Sight
from vad_ssl.records import Tube
from vad_ssl.records import Video
from vad_ssl.smoothness import smoothness_loss
from vad_ssl.video import write_video
from vad_ssl.views import random_view
from vad_ssl.views import strong_view
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tempfile
import torch

from vad_ssl.panels import Look, look, look_at, mirror, panels, read_clip, real_clip, show_panels


def test_one_pixel_worked_by_hand():
    def column(*values):
        "One pixel over time."
        return np.array(values, np.float32).reshape(-1, 1, 1)


    black = np.zeros((5, 1, 1, 3), np.uint8)
    how = dict(normalise=False, attention="gradient")
    seen = panels(black, column(0, 0, 0, 1, 1), column(*[0.5] * 5), **how)
    assert seen["variance mask, clip alone"][2, 0, 0] == pytest.approx(0.24)
    assert seen["gradient mask"][2, 0, 0] == pytest.approx(0.25)
    assert seen["squared difference"][2, 0, 0] == 0.25
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
    def mean(**how):
        "Of the last panel."
        return panels(clip, loc1, loc2, valid, **how)["enters the loss"].mean()


    one, two, known = (torch.from_numpy(x)[None, None] for x in (loc1, loc2, valid))
    for n, ramp in ((3, 1.0), (5, 0.3)):
        loss = coherence_loss(one, two, ramp, known, n).item()
        assert mean(window=n, ramp=ramp) == pytest.approx(loss, rel=1e-5)
    loss = smoothness_loss(one, two, known).item()
    assert mean(attention="gradient") == pytest.approx(loss, rel=1e-5)
    loss = l2_consistency(one, two, known).item()
    assert mean(attention="none") == pytest.approx(loss, rel=1e-5)


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


@pytest.fixture(scope="module")
def setup_2():
    torch.manual_seed(0)
    model = small_detector(3, width=8).train()
    return SimpleNamespace(model=model)


def test_the_inspector_shows_the_loss_that_training_computes(setup_1, setup_2):
    clip = setup_1.clip
    model = setup_2.model
    film, view = torch.rand(3, 8, 24, 32), strong_view(1, 24)
    kinds = ({}, {"cyclic": False}, {"attention": "gradient"}, {"attention": "none"})
    for how in (*kinds, {"attention": "both", "window": 3}):
        torch.manual_seed(1)  # the noise of the view
        seen = look(model, film, lambda b, size: view)
        torch.manual_seed(1)
        views = (lambda b, size: random_view(b, flip=0.0), lambda b, size: view)
        with torch.no_grad():
            both = see(model.eval(), film[None], torch.tensor([-1]), Progress(1, 1), views)
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


def test_a_detector_without_routing_shows_none():
    for routing in ("em", "dynamic", "pooled"):
        torch.manual_seed(0)
        seen = look(small_detector(3, width=8, routing=routing), torch.rand(3, 8, 24, 32))
        assert (seen.routing is None) == (routing == "pooled")
        if routing != "pooled":
            assert seen.routing.shape == (8, 3, 3, 4)
            torch.testing.assert_close(seen.routing.sum(1), torch.ones(8, 3, 4))


def test_an_array_stands_for_a_detector(setup_1, setup_2):
    loc1 = setup_1.loc1
    loc2 = setup_1.loc2
    clip = setup_1.clip
    model = setup_2.model
    seen = look_at(loc1, torch.rand(3, 8, 12, 14), loc2)
    assert isinstance(seen, Look)
    assert torch.equal(seen.loc1, torch.from_numpy(loc1)) and seen.valid.all()
    assert look_at(loc1, torch.rand(3, 8, 12, 14)).loc2 is None
    for x, second in ((model, loc2), (loc1, mirror), (loc1, mirror(1, 12))):
        with pytest.raises(ValueError, match="a map has probabilities in .0, 1., not .* of logits"):
            look_at(np.full((8, 4, 4), 3.0), clip)
        with pytest.raises(ValueError, match="second_view: give for a detector a View"):
            look_at(x, torch.rand(3, 8, 12, 14), second)


@pytest.fixture(scope="module")
def setup_3():
    home = Path(tempfile.mkdtemp())
    drawn, boxes = draw_video("Walk", np.random.default_rng(0), frames=24)
    write_video(home / "walk.avi", drawn);
    return SimpleNamespace(home=home, drawn=drawn, boxes=boxes)


def test_a_clip_comes_from_an_array_a_tensor_a_file_or_a_record(setup_3):
    home = setup_3.home
    drawn = setup_3.drawn
    pixels, truth, index = read_clip(home / "walk.avi", Sight(4, 2, short=30), frame=5)
    assert pixels.shape == (3, 4, 30, 40) and truth is None and 5 in index
    assert 0 <= pixels.min() <= pixels.max() <= 1
    assert read_clip(drawn[:8])[0].shape == (3, 8, *drawn.shape[1:3])
    same = torch.rand(3, 2, 4, 4)
    assert torch.equal(read_clip(same)[0], same)
    for wrong in (255 * same, (255 * same).byte(), same - 0.5, drawn[:8] / 255):
        with pytest.raises(ValueError, match=r"a clip as an? \w+ has .*, not \S+ from \S+ to \S+"):
            read_clip(wrong)
    for wrong in (
        torch.zeros(8, 3, 16, 16),
        torch.zeros(3, 0, 16, 16),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
    ):
        with pytest.raises(ValueError, match="a clip as an? .* is .*, not "):
            read_clip(wrong)
    with pytest.raises(ValueError, match="frame=9: is for a video"):
        read_clip(np.zeros((8, 16, 16, 3), np.uint8), frame=9)
    with pytest.raises(ValueError, match="no frame 99; it holds 0..23"):
        read_clip(home / "walk.avi", frame=99)
    tube = Tube(0, 0, np.array([[8, 8, 23, 39]] * 24))
    record = Video("walk", home / "walk.avi", "Walk", 0, 24, (tube,))
    _, truth, _ = read_clip(record, Sight(short=30))
    assert truth.shape == (8, 30, 40) and (mask_box(truth.numpy()) == [4, 4, 11, 19]).all()


def test_a_real_clip_comes_with_a_detector_that_has_a_map_for_each_of_its_pixels(setup_3):
    home = setup_3.home
    if not kinetics_path().exists():
        pytest.skip("Kinetics weights are not on this machine")
    detector, pixels = real_clip(home / "walk.avi")
    assert pixels.shape[0] == 3
    assert look(detector, pixels).loc1.shape == pixels.shape[1:]


@pytest.fixture(scope="module")
def setup_4(setup_1):
    clip = setup_1.clip
    def moving_square(b, size=32, seed=0):
        "Noise with a bright square that moves to the right; the square is the action."
        g = torch.Generator().manual_seed(seed)
        clip = 0.5 * torch.rand(b, 3, 8, size, size, generator=g)
        mask = torch.zeros(b, 1, 8, size, size)
        for i in range(b):
            top, left = (int(v) for v in torch.randint(2, size - 20, (2,), generator=g))
            for k in range(8):
                mask[i, :, k, top : top + 11, left + k : left + k + 11] = 1
        return {"clip": (clip + 0.5 * mask).clamp(max=1), "mask": mask, "label": torch.arange(b) % 3}
    return SimpleNamespace(moving_square=moving_square)


def test_a_static_picture_has_a_row_a_panel(setup_1):
    loc1 = setup_1.loc1
    clip = setup_1.clip
    fig = show_panels(panels(clip[:3], loc1[:3]))
    assert len(fig.axes) == 4 * 3
    plt.close(fig)
