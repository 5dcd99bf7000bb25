"Generated from nbs/25_i3d_detector.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.i3d import kinetics_path
from vad_ssl.i3d import kinetics_weights
import pytest
import torch

from vad_ssl.i3d_detector import KineticsEncoder, i3d_detector


@pytest.fixture
def setup_1():
    def learning(encoder):
        "Which of the encoder's layers learn: first parts of their names."
        return {name.split(".")[1] for name, p in encoder.named_parameters() if p.requires_grad}
    return SimpleNamespace(learning=learning)


def test_what_learns_is_what_the_setting_says_and_statistics_stay_as_they_are(setup_1):
    learning = setup_1.learning
    assert learning(KineticsEncoder("none")) == set()
    blocks = {f"Mixed_{x}" for x in ("4b", "4c", "4d", "4e", "4f", "5b", "5c")}
    assert learning(KineticsEncoder("late")) == blocks
    assert {"Conv3d_1a_7x7", "Mixed_3b", "Mixed_4f"} <= learning(KineticsEncoder("all"))
    with pytest.raises(ValueError, match="learns='head': choose none, late, all"):
        KineticsEncoder("head")
    encoder = KineticsEncoder("all").train()
    before = [x.clone() for x in encoder.buffers()]
    encoder(torch.rand(2, 3, 8, 64, 64))
    assert all(torch.equal(x, y) for x, y in zip(before, encoder.buffers()))


def test_the_clips_of_a_batch_do_not_influence_each_other_even_in_training():
    encoder = KineticsEncoder("all").train()
    clips = torch.rand(3, 3, 8, 48, 48)
    torch.testing.assert_close(encoder(clips)[0][1:2], encoder(clips[1:2])[0], atol=1e-4, rtol=1e-4)


def test_any_number_of_frames_and_any_frame_size_comes_back_with_one_logit_a_pixel():
    model = i3d_detector(4)
    for shape in [(1, 3, 8, 112, 112), (1, 3, 5, 49, 65), (2, 3, 16, 48, 80)]:
        out = model(torch.rand(shape))
        b, _, t, h, w = shape
        assert tuple(out.logits.shape) == (b, 1, t, h, w) and tuple(out.activations.shape) == (b, 4)


def test_a_fixed_encoder_takes_no_gradient_and_the_head_takes_all_of_it():
    model = i3d_detector(4)
    out = model(torch.rand(2, 3, 8, 64, 64))
    (out.logits.mean() + out.activations.mean()).backward()
    for name, p in model.named_parameters():
        assert (p.grad is None) == name.startswith("encoder.")


def test_the_weights_that_are_given_are_the_weights_that_see():
    if not kinetics_path().exists():
        pytest.skip("Kinetics weights are not on this machine")
    known = kinetics_weights()
    model = i3d_detector(4, known)
    torch.testing.assert_close(
        model.encoder.i3d.Mixed_4f.b0.conv3d.weight, known["Mixed_4f.b0.conv3d.weight"]
    )
