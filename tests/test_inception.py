"Generated from nbs/21_inception.ipynb: change the notebook, then `make export`."
import pytest
import torch
import torch.nn.functional as F

from vad_ssl.inception import I3D, Inception, PAPER_STRIDES, inflate, normalise, same_pad


def test_a_still_video_gets_the_answer_of_its_picture():
    image = torch.rand(2, 3, 9, 9)
    weight = torch.randn(4, 3, 3, 3)
    still = image.unsqueeze(2).repeat(1, 1, 6, 1, 1)
    got = F.conv3d(still, inflate(weight, 5))
    assert tuple(got.shape) == (2, 4, 2, 7, 7)
    expected = F.conv2d(image, weight).unsqueeze(2).expand_as(got)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


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
    for name in ("Conv3d_2c", "Mixed_3b"):  # no layer, and one without a stride
        with pytest.raises(ValueError, match=f"strides of '{name}': only .*Conv3d_2c_3x3"):
            I3D(until="Mixed_3b", strides={name: 2})
    small = I3D(until="Conv3d_2b_1x1")
    for names in (("MaxPool3d_2a_3x3", "Conv3d_1a_7x7"), ("Mixed_9",), ("Mixed_3b",)):
        with pytest.raises(ValueError, match="give some of .*Conv3d_2b_1x1'], in this order"):
            small.endpoints(torch.zeros(1, 3, 2, 16, 16), *names)


def test_a_shorter_network_takes_what_it_has_and_foreign_weights_are_refused():
    whole = I3D(4, until="Mixed_3b")
    part = I3D(until="Conv3d_2c_3x3")
    part.take(whole.state_dict())
    assert torch.equal(part.Conv3d_1a_7x7.conv3d.weight, whole.Conv3d_1a_7x7.conv3d.weight)
    with pytest.raises(ValueError, match="Conv3d_1a_7x7.conv3d.weight"):
        part.take({"other": torch.zeros(1)})


def test_pixels_from_nought_to_one_become_minus_one_to_one():
    assert normalise(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1.0, 0.0, 1.0]
