"Generated from nbs/66_family.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.coherence import min_max
from vad_ssl.coherence import variance_mask
from vad_ssl.smoothness import gradient_mask
import pytest
import torch


@pytest.fixture
def setup_1():
    def walking_square(t=8, size=32):
        x = torch.arange(size)
        left = 4 + 2 * torch.arange(t)[:, None]
        across = ((x >= left) & (x < left + 12)).float()
        down = ((x >= 10) & (x < 22)).float()
        return (down[:, None] * across[:, None]).view(1, 1, t, size, size)


    def high_pass(maps, cut=4):
        "What is left of every frame without its `cut` slowest waves in each direction."
        waves = torch.fft.fftshift(torch.fft.fft2(maps), (-2, -1))
        middle = maps.shape[-1] // 2
        near = slice(middle - cut, middle + cut + 1)
        waves[..., near, near] = 0
        back = torch.fft.ifft2(torch.fft.ifftshift(waves, (-2, -1))).real
        return min_max(back.abs())
    return SimpleNamespace(walking_square=walking_square, high_pass=high_pass)


def test_only_the_masks_over_time_see_what_flickers(setup_1):
    walking_square = setup_1.walking_square
    high_pass = setup_1.high_pass
    maps = walking_square()
    dim = maps.clone()
    dim[:, :, 3] *= 0.3
    inside = (0, 0, 3, 16, 15)  # in the middle of the square, frame 4
    assert variance_mask(dim, dim)[inside] > 0.2 and variance_mask(maps, maps)[inside] == 0
    assert gradient_mask(dim)[inside] > 0.5 and gradient_mask(maps)[inside] == 0
    still = walking_square()[:, :, :1].expand(1, 1, 8, 32, 32)  # nothing moves, nothing flickers
    assert variance_mask(still, still).max() == 0 < high_pass(still).max()
