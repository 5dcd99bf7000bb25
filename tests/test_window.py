"Generated from nbs/02_window.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.files import mask_box
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vad_ssl.window import window


def test_windows_worked_out_by_hand():
    assert window((240, 320), (224, 224))[1:] == ((240, 320), (8, 48), (224, 224))
    assert window((100, 200), (224, 224))[1:] == ((224, 448), (0, 112), (224, 224))  # enlarged
    assert window((1080, 1920), (112, 112), 120)[1:] == ((120, 213), (4, 50), (112, 112))
    assert window((240, 320), None, 60)[1:] == ((60, 80), (0, 0), (60, 80))
    assert window((240, 320)) == ((240, 320), (240, 320), (0, 0), (240, 320))


def test_a_random_window_takes_every_corner_and_none_outside():
    rng = np.random.default_rng(0)
    corners = {window((10, 12), (8, 8), rng=rng).corner for _ in range(500)}
    assert corners == {(y, x) for y in range(3) for x in range(5)}  # both ends included


@pytest.fixture(scope="module")
def setup_1():
    def disc(h, w, y, x, radius):
        "A frame uint8 (3, 1, h, w) with a disc on stripes, and its mask bool (1, 1, h, w)."
        rows, cols = np.mgrid[:h, :w]
        mask = (rows - y) ** 2 + (cols - x) ** 2 < radius**2
        ground = 90 + 60 * np.sin(cols / 4)
        frame = np.where(mask, 235, ground).astype(np.uint8)
        frame = torch.from_numpy(frame).expand(3, 1, h, w)
        return frame, torch.from_numpy(mask)[None, None]
    return SimpleNamespace(disc=disc)


def test_without_resizing_the_window_is_a_slice_and_the_way_back_is_exact(setup_1):
    disc = setup_1.disc
    frame, mask = disc(48, 64, 20, 30, 9)
    view = window((48, 64), (32, 40))
    assert view.corner == (8, 12)
    assert torch.equal(view.frames(frame), frame[..., 8:40, 12:52])
    assert torch.equal(view.masks(mask), mask[..., 8:40, 12:52])
    back = view.maps_back(view.masks(mask)[0].float())
    assert tuple(back.shape) == (1, 48, 64) and torch.equal(back > 0.5, mask[0])
    box = mask_box(view.masks(mask)[0].numpy())
    assert (view.boxes_back(box) == mask_box(mask[0].numpy())).all()


def test_outside_the_window_a_map_is_0():
    back = window((48, 64), (32, 40)).maps_back(torch.ones(2, 32, 40))
    assert back.sum() == 2 * 32 * 40 and (back[:, 8:40, 12:52] == 1).all()


def test_boxes_come_back_by_their_edges():
    view = window((100, 200), None, 50)
    boxes = np.array([[3, 4, 3, 5], [0, 0, 99, 49], [-1, -1, -1, -1]])
    assert view.boxes_back(boxes).tolist() == [[6, 8, 7, 11], [0, 0, 199, 99], [-1, -1, -1, -1]]
    assert window((100, 200), (40, 40), 50).corner == (5, 30)
    assert window((100, 200), (40, 40), 50).boxes_back(boxes)[0].tolist() == [66, 18, 67, 21]


def test_thin_boxes_of_an_enlarged_video_come_back_as_one_pixel_of_it():
    view = window((60, 80), short=112)
    assert view.boxes_back([[1, 10, 1, 20], [1, 10, 2, 20]]).tolist() == [[0, 5, 0, 10], [1, 5, 1, 10]]
    view = window((60, 80), short=120)
    assert view.boxes_back([[159, 0, 159, 119]]).tolist() == [[79, 0, 79, 59]]
    for short in (61, 112, 120, 200, 301):
        view = window((60, 80), short=short)
        x, y = (np.arange(n)[:, None] for n in view.size[::-1])
        for wide, high in ((0, 0), (1, 2)):
            thin = np.hstack(np.broadcast_arrays(x[: len(y)], y, x[: len(y)] + wide, y + high))
            thin = thin[(thin[:, 2] < view.size[1]) & (thin[:, 3] < view.size[0])]
            back = view.boxes_back(np.concatenate([thin, np.array([view.size[::-1] * 2]) - 1]))
            assert (back[:, :2] <= back[:, 2:]).all() and (back >= 0).all()
            assert (back[:, 2:] < (80, 60)).all()


def test_masks_maps_and_boxes_agree_after_shrinking_and_enlarging(setup_1):
    disc = setup_1.disc
    for shape, size, short in (((90, 160), (48, 48), 60), ((40, 50), (64, 72), None)):
        frame, mask = disc(*shape, shape[0] / 2, shape[1] / 2, 14)
        view = window(shape, size, short)
        pixel = max(s / f for s, f in zip(view.source, view.full))
        seen, found = view.frames(frame), view.masks(mask)
        assert seen.dtype == torch.uint8 and tuple(seen.shape) == (3, 1, *size)
        assert found.dtype == torch.bool and tuple(found.shape) == (1, 1, *size)
        assert ((seen[0] > 190) == found[0]).float().mean() > 0.98
        back = view.maps_back(found[0].float()) > 0.5
        assert (back == mask[0]).float().mean() > 0.98
        box = view.boxes_back(mask_box(found[0].numpy()))
        assert abs(box - mask_box(mask[0].numpy())).max() <= pixel


def test_stripes_that_are_too_fine_to_show_become_grey():
    stripes = (torch.arange(240) % 4 < 2).mul(255).to(torch.uint8).expand(3, 1, 60, 240)
    smooth = window((60, 240), None, 12).frames(stripes)[..., 2:-2].float()
    assert smooth.std() < 40 < stripes[..., ::5, ::5].float().std()
    assert smooth.mean() == pytest.approx(127.5, abs=8)


def test_bytes_are_averaged_as_floats_are_to_one_grey_level():
    large = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 2, 300, 400), np.uint8))
    blurred = F.avg_pool2d(large.float(), 5, 1, 2).round().to(torch.uint8)
    for pixels in (large, blurred):
        found = window((300, 400), None, 60).frames(pixels)
        wanted = F.interpolate(pixels.float(), (60, 80), mode="bilinear", antialias=True)
        assert found.dtype == torch.uint8
        assert (found.float() - wanted).abs().max() < 1.5
