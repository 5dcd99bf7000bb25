"Generated from nbs/33_pretrain.ipynb: change the notebook, then `make export`."
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import motion
import numpy as np
import pandas as pd
import pytest
import tempfile
import torch
import torch.nn.functional as F
import vad_ssl

from vad_ssl.pretrain import (
    CONTROLS,
    Namer,
    SHAPES,
    _control,
    _hash_of,
    controls,
    cut_clips,
    drawn_kinetics,
    drawn_weights,
    follow_programme,
    learn_to_name,
    linear_probe,
    motion_distance,
    naming,
    neighbours,
    probe_with,
    programme,
    spoil,
    summary,
    swing,
)


def test_a_quarter_of_a_cycle_by_hand():
    np.testing.assert_allclose([swing(shape, np.array(0.25)) for shape in SHAPES], [1, 0.5, 0.125])


def test_a_programme_is_a_motion_follows_from_its_number_and_moves_two_to_five_quantities():
    for k in range(64):
        parts = programme(k)
        moving = [part for part in parts.values() if part.reach]
        assert 2 <= len(moving) <= 5 and len(parts) == 13
        m = follow_programme(parts, np.linspace(0, 3, 9))
        assert {name: x.shape for name, x in m.items()} == {
            name: x.shape for name, x in motion("Walk", np.linspace(0, 3, 9)).items()
        }
    assert programme(5) == programme(5) != programme(6)


def test_a_motion_is_nowhere_from_itself_whenever_it_begins_and_somewhere_from_another():
    walk, kick = (partial(motion, name) for name in ("Walk", "Kick"))
    assert motion_distance(walk, walk) == 0
    assert motion_distance(walk, lambda phase: walk((phase + 0.25) % 1)) < 1e-9
    assert motion_distance(walk, kick) > 0.02


@pytest.fixture
def setup_1():
    tiny = drawn_kinetics(4, 6, bar=False)
    return SimpleNamespace(tiny=tiny)


def test_a_namer_shapes_and_a_summary_by_hand():
    torch.manual_seed(0)
    assert tuple(Namer(5)(torch.rand(2, 3, 8, 48, 48)).shape) == (2, 5)
    assert summary(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).tolist() == [[3.0, 6.0]]


def test_spoilt_clips(setup_1):
    tiny = setup_1.tiny
    rng = np.random.default_rng(0)
    clip = torch.arange(8.0).view(8, 1, 1)
    assert spoil(clip, "still", rng).flatten().tolist() == [4] * 8
    assert sorted(spoil(clip, "shuffled", rng).flatten().tolist()) == list(range(8))
    assert torch.equal(spoil(clip, "", rng), clip)
    assert tuple(cut_clips(tiny[0], np.array([0, 1]), rng).shape) == (2, 3, 8, 48, 48)


def test_what_flickers_is_soon_told_from_what_does_not_and_not_by_one_of_its_frames():
    torch.manual_seed(0)
    grey = torch.randint(80, 120, (2, 4, 3, 16, 52, 69), dtype=torch.uint8)
    grey[1, :, :, ::4] += 120
    grey[1, :, :, 1::4] += 120
    namer, right = learn_to_name(grey, 10, batch=4, bar=False)
    assert right == 100 and naming(namer, grey[:, -2:], "still") == 50


def test_the_packaged_weights_fit_the_encoder_are_small_and_are_what_their_hash_says():
    state, about = drawn_weights()
    Namer(2).encoder.load_state_dict(state)
    assert _hash_of(state) == about["sha256"]
    assert Path(vad_ssl.__file__).with_name("drawn.safetensors").stat().st_size < 2_000_000


def test_neighbours_by_hand():
    corners = torch.tensor([[0.0, 0.1], [0.0, 0.2], [5.0, 5.0], [5.0, 4.9]])
    assert neighbours(corners).flatten().tolist() == [1, 0, 3, 2]


def test_a_probe_finds_what_is_there():
    torch.manual_seed(0)
    labels = torch.arange(40) % 4
    x = F.one_hot(labels).float() + 0.1 * torch.randn(40, 4)
    assert probe_with(2, x, labels, x, labels, 2) > 90
    assert linear_probe(torch.randn(40, 4), labels, torch.randn(400, 4), torch.arange(400) % 4) < 40


def test_a_control_is_one_row_and_rows_that_are_there_are_not_made_again():
    path = Path(tempfile.mkdtemp()) / "controls.csv"
    made = pd.DataFrame([{"control": name, "steps": 1} for name in CONTROLS])
    made.to_csv(path, index=False)
    assert controls(path).equals(made)
    pixels, labels = torch.randint(256, (16, 3, 16, 52, 69), dtype=torch.uint8), torch.arange(16) % 8
    made[made.control != "64 motions, frames shuffled"].to_csv(path, index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_control.__globals__, "eight_actions", lambda split: (pixels, labels))
        row = controls(path, 1, pixels.view(2, 8, *pixels.shape[1:])).iloc[-1]
    assert (row.control, row.how, row.steps) == ("64 motions, frames shuffled", "shuffled", 1)
    assert (
        row[["named", "probe_2", "probe_10", "alike_probe_2", "alike_probe_10"]].between(0, 100).all()
    )
