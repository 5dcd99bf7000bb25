"Generated from nbs/73_vos.ipynb: change the notebook, then `make export`."
from dataclasses import replace
from torch import nn
from types import SimpleNamespace
from vad_ssl.data import youtube_vos
from vad_ssl.detector import SmallEncoder
from vad_ssl.objective import Progress
from vad_ssl.objects import objects
from vad_ssl.views import View
from vad_ssl.vos_data import ObjectClips
from vad_ssl.vos_data import first_only
from vad_ssl.vos_data import split_objects
import numpy as np
import pytest
import torch

from vad_ssl.vos import (
    ConvLSTM,
    FlatEncoder,
    _flat,
    _logits,
    paper_vos,
    semi_supervised_vos_step,
    small_vos,
    supervised_vos_step,
)


@pytest.fixture
def setup_1():
    def naive_conv_lstm(cell, x, shown, memory):
        "The same, pixel by pixel and channel by channel, for one item (c, h, w) in numpy."
        weight, bias = (p.detach().numpy().astype(float) for p in (cell.gates.weight, cell.gates.bias))
        c, h, w = x.shape
        seen = np.pad(np.concatenate([x, shown]), ((0, 0), (1, 1), (1, 1)))
        out = np.zeros((2, c, h, w))
        for k in range(c):
            for row in range(h):
                for col in range(w):
                    window = seen[:, row : row + 3, col : col + 3]
                    gates = [(weight[n * c + k] * window).sum() + bias[n * c + k] for n in range(4)]
                    i, f, o = (1 / (1 + np.exp(-v)) for v in gates[:3])
                    out[1, k, row, col] = f * memory[k, row, col] + i * max(gates[3], 0)
                    out[0, k, row, col] = o * max(out[1, k, row, col], 0)
        return out
    return SimpleNamespace(naive_conv_lstm=naive_conv_lstm)


def test_one_cell_worked_by_hand():
    cell = ConvLSTM(1)
    nn.init.zeros_(cell.gates.weight)
    cell.gates.bias.data = torch.tensor([0.0, 0.0, 0.0, 1.0])
    shown, memory = cell(
        torch.zeros(1, 1, 1, 1), (torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0))
    )
    assert (shown.item(), memory.item()) == (0.75, 1.5)


def test_the_convolution_agrees_with_the_naive_loop(setup_1):
    naive_conv_lstm = setup_1.naive_conv_lstm
    torch.manual_seed(0)
    cell = ConvLSTM(3)
    x, shown, memory = torch.randn(3, 1, 3, 4, 5)
    fast = cell(x, (shown, memory))
    slow = naive_conv_lstm(cell, *(v[0].numpy() for v in (x, shown, memory)))
    for a, b in zip(fast, slow):
        np.testing.assert_allclose(a[0].detach().numpy(), b, atol=1e-5)


@pytest.fixture
def setup_2():
    torch.manual_seed(0)
    model = small_vos(8)
    clip, first = torch.rand(2, 3, 6, 16, 24), torch.rand(2, 1, 16, 24).round()
    return SimpleNamespace(model=model, clip=clip, first=first)


def test_one_mask_for_every_frame_after_the_first(setup_2):
    model = setup_2.model
    clip = setup_2.clip
    first = setup_2.first
    assert model(clip, first).shape == (2, 1, 5, 16, 24)
    logits, state = model.follow(clip[:, :, 1:3], model.start(clip[:, :, 0], first))
    assert logits.shape == (2, 1, 2, 16, 24) and all(s.shape == (2, 20, 4, 6) for s in state[:2])
    assert torch.equal(state[2], clip[:, :, 2])


def test_frame_by_frame_and_in_pieces_give_what_the_whole_sequence_gives(setup_2):
    model = setup_2.model
    clip = setup_2.clip
    first = setup_2.first
    for model in (small_vos(8), small_vos(8, flat=True)):
        state, pieces = model.start(clip[:, :, 0], first), []
        for k in (slice(1, 2), slice(2, 4), slice(4, 6)):
            logits, state = model.follow(clip[:, :, k], state)
            pieces.append(logits)
        torch.testing.assert_close(torch.cat(pieces, 2), model(clip, first), atol=1e-5, rtol=1e-5)


def test_the_past_does_not_see_the_future_and_a_clip_does_not_see_its_neighbour(setup_2):
    model = setup_2.model
    clip = setup_2.clip
    first = setup_2.first
    late = clip.clone()
    late[:, :, 4:] = 0
    for model in (small_vos(8), small_vos(8, flat=True)):
        whole = model(clip, first)
        torch.testing.assert_close(model(late, first)[:, :, :3], whole[:, :, :3])
        torch.testing.assert_close(model(clip[:1], first[:1]), whole[:1], atol=1e-5, rtol=1e-5)


def test_on_a_clip_that_stands_still_a_kernel_over_time_is_the_sum_of_its_slices():
    conv = nn.Conv3d(1, 1, 3, padding=1, bias=False)
    conv.weight.data.zero_()[0, 0, :, 1, 1] = torch.tensor([1.0, 2.0, 3.0])
    five = torch.full((1, 1, 5, 1, 1), 5.0)
    assert conv(five)[0, 0, 2].item() == 30 == _flat(conv)(five[:, :, 0]).item()
    for block in (SmallEncoder().scales[0][0], SmallEncoder().scales[1][1][0]):
        torch.nn.init.normal_(block.weight)
        still = torch.randn(2, block.in_channels, 8, 12)
        clip3d = still[:, :, None].expand(-1, -1, 5, -1, -1)
        torch.testing.assert_close(_flat(block)(still), block(clip3d)[:, :, 2], atol=1e-4, rtol=1e-4)


def test_the_flat_encoder_takes_the_weights_of_the_small_detector_and_sees_what_changed(setup_2):
    clip = setup_2.clip
    weights = SmallEncoder().state_dict()
    encoder = FlatEncoder()
    encoder.take(weights)
    assert torch.equal(encoder.scales[1][1][0].weight, weights["scales.1.1.0.weight"].sum(2))
    assert torch.equal(encoder.scales[0][1].bias, weights["scales.0.1.bias"])
    now, before = clip[:, :, 1] * 2 - 1, clip[:, :, 0] * 2 - 1
    assert not torch.equal(encoder(now, before)[0], encoder(now, now)[0])
    with pytest.raises(KeyError, match="scales.0.0.weight"):
        encoder.take({})


def test_the_last_mask_teaches_the_initializer_through_the_memory(setup_2):
    model = setup_2.model
    clip = setup_2.clip
    first = setup_2.first
    model(clip, first)[:, :, -1].sum().backward()
    weight = model.initializer.stages[0][0][0].weight
    assert weight.shape == (8, 4, 3, 3)
    assert weight.grad[:, 3].abs().sum() > 0  # the channel that reads the mask


def test_the_paper_size_network_is_vgg_16_twice_at_a_thirty_second_of_the_size(setup_2):
    clip = setup_2.clip
    first = setup_2.first
    with torch.device("meta"):  # shapes without numbers
        big = paper_vos()
        clip, first = torch.empty(1, 3, 3, 256, 448), torch.empty(1, 1, 256, 448)
        assert big(clip, first).shape == (1, 1, 2, 256, 448)
        assert big.start(clip[:, :, 0], first)[0].shape == (1, 512, 8, 14)
    convolutions = sum(p.numel() for p in big.encoder.stages.parameters())
    assert convolutions == 14_714_688  # VGG-16's
    assert big.cell.gates.weight.shape == (2048, 1024, 3, 3)


def test_a_size_that_cannot_be_halved_is_refused(setup_2):
    model = setup_2.model
    with pytest.raises(ValueError, match="multiples of 4"):
        model(torch.rand(1, 3, 3, 16, 22), torch.rand(1, 1, 16, 22))


@pytest.fixture(scope="module")
def setup_3():
    root = objects(train=4, valid=1)
    videos = youtube_vos(root, "train", holdout=0.3)
    return SimpleNamespace(root=root, videos=videos)


@pytest.fixture
def setup_4(setup_2):
    model = setup_2.model
    def batch(part, labelled, n=3):
        "n items as the loop hands them to a step."
        items = [ObjectClips(part, labelled, size=(36, 48))[0, k] for k in range(n)]
        names = ("clip", "first", "mask")[: 2 + labelled]
        stacked = {name: torch.stack([item[name] for item in items]) for name in names}
        stacked["clip"] = stacked["clip"].float() / 255
        return {k: v.float() if k == "mask" else v for k, v in stacked.items()}


    def losses(part, unlabelled, **how):
        "Losses and gradients of one semi-supervised step of a fresh network."
        torch.manual_seed(0)
        model = small_vos(4)
        given = batch(part, True), batch(unlabelled, False)
        terms = semi_supervised_vos_step(model, *given, Progress(3.0, 4), **how)
        sum(terms.values()).backward()
        return {k: v.item() for k, v in terms.items()}, [p.grad.clone() for p in model.parameters()]
    return SimpleNamespace(batch=batch, losses=losses)


def test_corrupting_unlabelled_masks_beyond_the_first_frame_leaves_losses_bit_identical(setup_3, setup_4):
    videos = setup_3.videos
    losses = setup_4.losses
    lab, unl = split_objects(videos, 0.3)
    names = {v.name for v in lab}
    full = np.ones((36, 48), bool)


    def wrong(t):
        "A tube that lies in every frame but its first."
        return replace(t, label=0, masks=lambda k: t.masks(t.start) if k == t.start else full)


    spoilt = [
        v if v.name in names else replace(v, action="?", tubes=tuple(map(wrong, v.tubes)))
        for v in videos
    ]
    assert any(t.masks(t.start + 1).all() for v in spoilt for t in v.tubes)
    rest = [first_only(v) for v in spoilt if v.name not in names]
    for how in ({}, {"animated": 1.0}):
        before, after = losses(lab, unl, **how), losses(lab, rest, **how)
        assert before[0] == after[0] and before[0]["coherence"] > 0
        assert all(torch.equal(a, b) for a, b in zip(before[1], after[1]))
    assert before[0]["animated"] > 0


def test_corrupting_a_first_mask_does_change_the_coherence_loss(setup_3, setup_4):
    videos = setup_3.videos
    losses = setup_4.losses
    lab, unl = split_objects(videos, 0.3)


    def moved(t):
        return replace(t, masks=lambda k: np.roll(t.masks(k), 9, 1))


    before = losses(lab, unl)[0]
    after = losses(lab, [replace(v, tubes=tuple(map(moved, v.tubes))) for v in unl])[0]
    assert before["mask"] == after["mask"] and before["coherence"] != after["coherence"]


def test_the_supervised_step_does_not_look_at_unlabelled_clips(setup_2, setup_3, setup_4):
    model = setup_2.model
    videos = setup_3.videos
    batch = setup_4.batch
    lab, unl = split_objects(videos, 0.3)
    torch.manual_seed(0)
    model, given = small_vos(4), batch(lab, True)
    results = []
    for unlabelled in (None, batch(unl, False)):
        torch.manual_seed(1)
        results.append(supervised_vos_step(model, given, unlabelled)["mask"].item())
    assert results[0] == results[1]


def test_where_every_video_is_labelled_coherence_and_animation_learn_from_labelled_clips(setup_2, setup_3, setup_4):
    model = setup_2.model
    videos = setup_3.videos
    batch = setup_4.batch
    torch.manual_seed(0)
    model, given, terms = small_vos(4), batch(videos, True), []
    for step in (supervised_vos_step, semi_supervised_vos_step):
        torch.manual_seed(1)
        terms.append(step(model, given, None, Progress(3.0, 4), animated=1.0))
    assert all(terms[0][name] == terms[1][name] > 0 for name in ("mask", "animated"))
    assert terms[1]["coherence"] > 0


def test_view_1_is_a_fixed_target(setup_2, setup_3, setup_4):
    model = setup_2.model
    videos = setup_3.videos
    batch = setup_4.batch
    lab, unl = split_objects(videos, 0.3)
    torch.manual_seed(0)
    model = small_vos(4)
    seen, calls = model.forward, []


    def noted(*x):
        "Remember every answer, and its gradient later."
        calls.append(seen(*x))
        calls[-1].retain_grad()
        return calls[-1]


    model.forward = noted
    given = batch(lab, True), batch(unl, False)
    semi_supervised_vos_step(model, *given, Progress(3.0, 4))["coherence"].backward()
    assert len(calls) == 2 and calls[0].grad is None and calls[1].grad[3:].abs().sum() > 0


def test_the_given_mask_moves_with_its_frame(setup_2, setup_3, setup_4):
    clip = setup_2.clip
    first = setup_2.first
    videos = setup_3.videos
    batch = setup_4.batch
    lab, _ = split_objects(videos, 0.3)
    given, told = batch(lab, True), {}


    def parrot(clip, first):
        told.update(clip=clip, first=first)
        return clip[:, :1, 1:]


    still = View(*(torch.zeros(3, n).squeeze(1) for n in (1, 1, 1, 2, 3, 3, 1)))
    no, mirrored = torch.zeros(3, dtype=bool), torch.tensor([True, False, True])
    view = still._replace(
        flip=mirrored,
        reverse=no,
        factor=torch.ones(3),
        by=torch.tensor([[0, 5], [3, 0], [0, 0]]),
        gain=torch.ones(3, 3),
    )
    _logits(parrot, given, view)
    torch.testing.assert_close(told["first"][2], given["first"][2].float().flip(-1))
    torch.testing.assert_close(told["first"][1, :, 3:], given["first"][1, :, :-3].float())
