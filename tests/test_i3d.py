"Generated from nbs/22_i3d.ipynb: change the notebook, then `make export`."
from pathlib import Path
from safetensors.torch import save_file
from types import SimpleNamespace
from vad_ssl.files import load_plain
from vad_ssl.inception import I3D
from vad_ssl.inception import normalise
from vad_ssl.video import read_frames
from vad_ssl.video import to_tensor
import numpy as np
import pickle
import pytest
import tempfile
import torch

from vad_ssl.i3d import KINETICS, convert, kinetics_path, kinetics_weights, load_i3d, torch_name


def test_weights_survive_a_file_and_files_with_other_contents_or_with_code_are_refused():
    with tempfile.TemporaryDirectory() as d:
        net, path = I3D(157), Path(d) / "rgb_charades.pt"
        torch.save(net.state_dict(), path)
        for name, p in load_i3d(path).state_dict().items():
            torch.testing.assert_close(p, net.state_dict()[name])
        torch.save({"weight": torch.zeros(1)}, path)
        with pytest.raises(ValueError, match="logits.conv3d.bias"):
            load_i3d(path)
        torch.save({"logits.conv3d.bias": print}, path)
        with pytest.raises(pickle.UnpicklingError):
            load_i3d(path)
        with pytest.raises(FileNotFoundError, match="nothing.pt"):
            load_i3d(Path(d) / "nothing.pt")


def test_a_kernel_is_found_again_under_its_new_name_with_its_axes_turned():
    kernel = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.float32).reshape(2, 3, 4, 5, 6)
    unit = {"Conv_0": {"kernel": kernel}, "BatchNorm_0": {"bias": np.zeros(6, np.float32)}}
    tree = {"params": {"Mixed_3b": {"Branch_1": {"Conv3d_0b_3x3": unit}}}}
    for given in (tree, load_plain("a pickle", pickle.dumps(tree, 4))):
        state = convert(given)
        names = {"conv3d.weight", "bn.bias", "bn.weight"}
        assert set(state) == {f"Mixed_3b.b1b.{name}" for name in names}
        weight = state["Mixed_3b.b1b.conv3d.weight"]
        assert tuple(weight.shape) == (6, 5, 2, 3, 4)
        assert weight[5, 4, 1, 2, 3] == kernel[1, 2, 3, 4, 5]
        assert state["Mixed_3b.b1b.bn.weight"].tolist() == [1] * 6
    for path, name in (
        ("Mixed_5c/Branch_0/Conv3d_0a_1x1", "Mixed_5c.b0"),
        ("Logits/Conv3d_0c_1x1", "logits"),
        ("Conv3d_1a_7x7", "Conv3d_1a_7x7"),
    ):
        assert torch_name(path) == name


def test_weights_in_the_cache_are_used_without_a_connection_and_their_absence_is_explained():
    with tempfile.TemporaryDirectory() as d, pytest.MonkeyPatch.context() as env:
        env.setenv("VAD_SSL_CACHE", d)
        env.setenv("PIP_INDEX_URL", "file:///no/such/index")
        with pytest.raises(RuntimeError, match="vad-ssl weights kinetics"):
            kinetics_weights()
        save_file(I3D(400).state_dict(), kinetics_path())
        assert set(kinetics_weights()) == set(I3D(400).state_dict())


def test_there_are_400_names_in_the_order_of_the_alphabet():
    assert len(set(KINETICS)) == 400 and list(KINETICS) == sorted(KINETICS)
    assert KINETICS[267] == "riding a bike"


@pytest.fixture(scope="module")
def setup_1():
    folders = (Path(d) / "shared/data/ucf101_24/videos/Biking" for d in ("..", "../..", "../../.."))
    clips = (folder / "v_Biking_g01_c03.avi" for folder in folders)
    clip = next((path for path in clips if path.exists()), None)
    return SimpleNamespace(folders=folders, clips=clips, clip=clip)


@pytest.mark.slow
def test_the_kinetics_weights_call_the_real_clip_riding_a_bike(setup_1):
    clip = setup_1.clip
    if clip is None or not kinetics_path().exists():
        pytest.skip("real clip or Kinetics weights not present")
    net = I3D(400).eval()
    net.load_state_dict(kinetics_weights())
    frames = to_tensor(read_frames(clip, range(0, 128, 2)))[:, :, 8:232, 48:272]
    with torch.no_grad():
        probs = net(normalise(frames)[None]).mean(2).softmax(1)[0]
    assert probs.argmax() == 267 and abs(probs[267] - 0.98) < 0.01
