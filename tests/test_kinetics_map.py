"Generated from nbs/26_kinetics_map.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.inception import I3D
import pytest
import torch

from vad_ssl.kinetics_map import KineticsMap, as_probability


def test_evidence_averaged_over_places_and_moments_is_the_classifier_s_own_answer():
    torch.manual_seed(0)
    net = I3D(5).eval()
    clip = torch.rand(1, 3, 16, 64, 64) * 2 - 1
    evidence = net.logits(net.endpoints(clip, "Mixed_5c")[0])
    assert tuple(evidence.shape) == (1, 5, 2, 2, 2)
    torch.testing.assert_close(evidence.mean((2, 3, 4)), net(clip)[..., 0], atol=1e-5, rtol=1e-5)


def test_evidence_of_1_0_and_3_becomes_0_a_quarter_and_1_and_each_clip_is_scaled_alone():
    two = torch.tensor([[-1.0, 0, 3], [5, 5, 5]]).view(2, 1, 1, 1, 3)
    assert as_probability(two).flatten().tolist() == [0, 0.25, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def setup_1():
    def untrained():
        "A `KineticsMap` with random weights."
        torch.manual_seed(0)
        return KineticsMap(I3D().state_dict()).eval()
    return SimpleNamespace(untrained=untrained)


def test_it_answers_as_a_detector_does_and_a_class_can_be_asked_for(setup_1):
    untrained = setup_1.untrained
    model = untrained()
    clip = torch.rand(2, 3, 16, 64, 80)
    out = model(clip)
    assert tuple(out.logits.shape) == (2, 1, 16, 64, 80) and tuple(out.activations.shape) == (2, 400)
    torch.testing.assert_close(out.activations.sum(1), torch.ones(2))
    assert tuple(out.features.unflatten(1, (-1, 400)).shape) == (2, 2 * 2 * 3, 400)
    probs = out.logits.sigmoid().flatten(1)
    torch.testing.assert_close(probs.amin(1), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(probs.amax(1), torch.ones(2), atol=1e-3, rtol=0)
    asked = torch.zeros(2, 400, dtype=torch.bool)
    asked[:, 7] = True
    assert not torch.equal(model(clip, asked).logits, out.logits)
