"Generated from nbs/24_detector.ipynb: change the notebook, then `make export`."
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.inception import I3D
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from vad_ssl.detector import (
    chosen,
    class_mask,
    composed,
    last_layers,
    padded,
    paper_detector,
    recomputed,
    small_detector,
)


def test_labelled_clips_see_their_class_and_unlabelled_ones_all_of_them_until_the_threshold():
    labels, scores = torch.tensor([5, -1]), F.one_hot(torch.tensor([0, 15]), 24).float()
    early, late = (chosen(class_mask(labels, 24, epoch, 11), scores) for epoch in (10, 11))
    assert tuple(early.shape) == (2, 24)
    assert early[0].nonzero().flatten().tolist() == late[0].nonzero().flatten().tolist() == [5]
    assert early[1].all() and late[1].nonzero().flatten().tolist() == [15]
    assert chosen(None, scores).nonzero()[:, 1].tolist() == [0, 15]


def test_recomputing_changes_neither_results_nor_gradients_nor_statistics():
    def run(call):
        torch.manual_seed(0)
        part = nn.Sequential(
            nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), nn.Dropout3d(0.5), nn.ReLU(), nn.Conv3d(4, 2, 1)
        )
        out = call(part, torch.randn(2, 3, 4, 6, 6))
        out.square().mean().backward()
        return out, [p.grad for p in part.parameters()], part[1].running_mean


    for x, y in zip(run(recomputed), run(lambda part, x: part(x))):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


def test_padding_repeats_the_edge_and_leaves_sides_that_fit_alone():
    clip = torch.arange(6.0).view(1, 1, 1, 2, 3)
    assert padded(clip, 4)[0, 0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert torch.equal(padded(torch.ones(1, 3, 8, 16, 32), 16), torch.ones(1, 3, 8, 16, 32))


@pytest.fixture
def setup_1():
    def tiny(seed=0, **options):
        "A small detector for four classes, in evaluation mode; the same weights for the same seed."
        torch.manual_seed(seed)
        return small_detector(4, width=8, **options).eval()


    def noise(*shape, seed=0):
        return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return SimpleNamespace(tiny=tiny, noise=noise)


def test_any_number_of_frames_and_any_frame_size_comes_back_with_one_logit_a_pixel(setup_1):
    tiny = setup_1.tiny
    noise = setup_1.noise
    for shape in [(1, 3, 1, 17, 23), (2, 3, 7, 96, 128), (1, 3, 8, 48, 48), (3, 3, 2, 5, 64)]:
        out = tiny()(noise(*shape))
        b, _, t, h, w = shape
        assert tuple(out.logits.shape) == (b, 1, t, h, w) and tuple(out.activations.shape) == (b, 4)
        assert tuple(out.features.shape) == (b, 4 * -(-h // 8) * -(-w // 8))


def test_class_scores_are_the_mean_of_the_features_over_places(setup_1):
    tiny = setup_1.tiny
    noise = setup_1.noise
    out = tiny()(noise(2, 3, 8, 48, 40))
    torch.testing.assert_close(out.activations, out.features.view(2, 6 * 5, 4).mean(1))
    assert 0 <= out.activations.min() and out.activations.max() <= 1


def test_assignments_are_given_on_request_and_are_none_where_nothing_is_routed(setup_1):
    tiny = setup_1.tiny
    noise = setup_1.noise
    clips = noise(2, 3, 8, 48, 40)
    assert tiny()(clips).routing is None
    assert tiny(routing="pooled")(clips, with_routing=True).routing is None
    for routing in ("em", "dynamic"):
        plain, told = tiny(routing=routing)(clips), tiny(routing=routing)(clips, with_routing=True)
        assert tuple(told.routing.shape) == (2, 8, 4, 6, 5)
        torch.testing.assert_close(told.routing.sum(2), torch.ones(2, 8, 6, 5))
        torch.testing.assert_close(told.logits, plain.logits)


def test_the_clips_of_a_batch_do_not_influence_each_other_even_in_training(setup_1):
    tiny = setup_1.tiny
    noise = setup_1.noise
    clips = noise(3, 3, 8, 32, 32)
    together, alone = tiny().train()(clips), tiny().train()(clips[1:2])
    for x, y in zip(together[:3], alone[:3]):
        torch.testing.assert_close(x[1:2], y, atol=1e-4, rtol=1e-4)


def test_the_order_of_the_frames_matters(setup_1):
    tiny = setup_1.tiny
    noise = setup_1.noise
    clips = noise(1, 3, 8, 32, 32)
    forth, back = tiny()(clips), tiny()(clips.flip(2))
    assert (forth.activations - back.activations).abs().max() > 1e-4
    still = clips[:, :, :1].repeat(1, 1, 8, 1, 1)
    torch.testing.assert_close(tiny()(still).activations, tiny()(still.flip(2)).activations)


def test_gradients_under_bfloat16_autocast_are_those_of_float32_for_any_number_of_frames(setup_1):
    tiny = setup_1.tiny
    noise = setup_1.noise
    for frames in (1, 2, 3, 4, 5, 8):
        found = []
        for low in (False, True):
            model = tiny().train()
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                out = model(noise(2, 3, frames, 32, 32))
            out.logits.float().square().mean().backward()
            found.append([p.grad for p in model.encoder.parameters()])
        for exact, coarse in zip(*found):
            assert (exact - coarse).norm() < 0.2 * exact.norm()


def test_constant_clips_give_finite_answers_and_gradients_in_float32_and_under_bfloat16_autocast(setup_1):
    tiny = setup_1.tiny
    for low in (False, True):
        for value in (0.0, 0.5, 1.0):
            model = tiny().train()
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                out = model(torch.full((2, 3, 8, 48, 48), value))
            (out.logits.float().mean() + out.activations.float().square().mean()).backward()
            for x in (*out[:3], *(p.grad for p in model.parameters())):
                assert x.isfinite().all()


def test_the_choice_of_class_changes_the_localisation_and_masked_poses_get_no_gradient_from_it(setup_1):
    tiny = setup_1.tiny
    noise = setup_1.noise
    clips, keep = noise(1, 3, 8, 32, 32), F.one_hot(torch.tensor([2]), 4).bool()
    model = tiny(routing="dynamic")
    one, other = model(clips, keep), model(clips, F.one_hot(torch.tensor([1]), 4).bool())
    assert (one.logits - other.logits).abs().max() > 1e-5
    torch.testing.assert_close(one.activations, other.activations)
    poses = []
    model.capsules.register_forward_hook(lambda layer, args, out: poses.append(out[0]))
    logits = model(clips, keep).logits
    grad = torch.autograd.grad(logits.sum(), poses[0])[0]
    reached = grad.unflatten(1, (4, 16)).abs().amax((0, 2, 3, 4))
    assert (reached > 0).tolist() == [False, False, True, False]


def test_without_a_choice_the_detector_keeps_its_best_class(setup_1):
    tiny = setup_1.tiny
    noise = setup_1.noise
    clips = noise(2, 3, 8, 32, 32)
    model = tiny()
    free = model(clips)
    best = F.one_hot(free.activations.argmax(1), 4).bool()
    torch.testing.assert_close(model(clips, best).logits, free.logits)
    torch.testing.assert_close(model(clips, torch.zeros(2, 4, dtype=torch.bool)).logits, free.logits)


def test_one_kernel_a_clip_does_the_work_of_the_pair_and_borders_and_gradients_agree():
    torch.manual_seed(0)
    up, logit = nn.ConvTranspose3d(5, 6, 3, stride=2, padding=1), nn.Conv3d(6, 1, 3, padding=1)
    for small, size in [((1, 2, 3), (2, 4, 6)), ((2, 3, 1), (3, 5, 2)), ((2, 4, 5), (4, 7, 9))]:
        x = torch.randn(2, 5, *small, requires_grad=True)
        scale = (torch.rand(2, 6, 1, 1, 1) > 0.5) * 2.0
        weight = torch.randn(2, 1, *size)
        answers = []
        for f in (last_layers, composed):
            out = f(up, logit, x, scale, size)
            assert tuple(out.shape) == (2, 1, *size)
            wanted = [x, *up.parameters(), *logit.parameters()]
            answers.append([out, *torch.autograd.grad((out * weight).sum(), wanted)])
        for pair, ours in zip(*answers):
            torch.testing.assert_close(ours, pair, atol=1e-4, rtol=1e-4)


def test_gradients_of_biases_are_sums_over_all_pixels_and_lose_nothing_in_float32():
    torch.manual_seed(0)
    up, logit = nn.ConvTranspose3d(4, 4, 3, stride=2, padding=1), nn.Conv3d(4, 1, 3, padding=1)
    x, scale = torch.randn(1, 4, 4, 90, 90), torch.ones(1, 4, 1, 1, 1)
    weight = torch.rand(1, 1, 8, 180, 180) - 0.49


    def slopes(kind):
        up.to(kind), logit.to(kind)
        out = composed(up, logit, x.to(kind), scale.to(kind), (8, 180, 180))
        return torch.autograd.grad((out * weight.to(kind)).sum(), [up.bias, logit.bias])


    for fine, coarse in zip(slopes(torch.float64), slopes(torch.float32)):
        torch.testing.assert_close(coarse.double(), fine, atol=0, rtol=1e-5)


@pytest.fixture(scope="module")
def setup_2():
    with torch.device("meta"):
        paper = paper_detector(24)
        sizes, names = {}, ["Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_4f", "up1", "up2", "up3"]

        def note(name):
            return lambda part, args, out: sizes.update({name: tuple(out.shape)})

        for name, part in paper.named_modules():
            if (last := name.split(".")[-1]) in names:
                part.register_forward_hook(note(last))
        detection = paper(torch.zeros(1, 3, 8, 224, 224))
    return SimpleNamespace(paper=paper, sizes=sizes, names=names, note=note, name=name, part=part, last=last, detection=detection)


def test_the_paper_s_detector_has_48003705_parameters_in_the_paper_s_places(setup_2):
    paper = setup_2.paper
    part = setup_2.part
    def count(part):
        return sum(p.numel() for p in part.parameters())


    assert count(paper) == 48_003_705
    assert [count(paper.encoder), count(paper.primary), count(paper.capsules)] == [
        7_528_256,
        36_661_792,
        12_696,
    ]
    d = paper.decoder
    assert [count(x) for x in (d.up1, d.up2, d.up3, d.up4)] == [1_990_720, 221_248, 221_248, 442_496]
    assert count(d.logit) == 3_457
    assert [count(x) for x in (d.skip1, d.skip2, d.skip3)] == [479_296, 331_840, 110_656]


def test_every_size_inside_the_paper_s_detector_is_that_of_its_table(setup_2):
    sizes = setup_2.sizes
    detection = setup_2.detection
    assert sizes == dict(
        Conv3d_1a_7x7=(1, 64, 4, 112, 112),
        Conv3d_2c_3x3=(1, 192, 2, 56, 56),
        Mixed_4f=(1, 832, 1, 28, 28),
        up1=(1, 64, 28, 28),
        up2=(1, 64, 2, 56, 56),
        up3=(1, 64, 4, 112, 112),
    )
    assert [tuple(x.shape) for x in detection[:3]] == [(1, 1, 8, 224, 224), (1, 24), (1, 400 * 24)]


def test_the_paper_s_detector_takes_odd_sizes_and_long_clips_and_explains_what_is_too_small(setup_2):
    paper = setup_2.paper
    with torch.device("meta"):
        for t, h, w in [(7, 96, 128), (1, 65, 71), (16, 112, 113)]:
            assert tuple(paper(torch.zeros(2, 3, t, h, w)).logits.shape) == (2, 1, t, h, w)
        with pytest.raises(ValueError, match="at least 65x65"):
            paper(torch.zeros(1, 3, 8, 64, 96))


def test_the_weights_of_an_i3d_classifier_fill_the_encoder(setup_2):
    name = setup_2.name
    torch.manual_seed(0)
    whole = I3D(400).state_dict()
    inner = paper_detector(2, backbone=whole).encoder.i3d.state_dict()
    assert "logits.conv3d.bias" not in inner and "Mixed_5b.b0.conv3d.weight" not in inner
    for name, value in inner.items():
        torch.testing.assert_close(value, whole[name])


@pytest.mark.slow
def test_a_step_of_the_paper_s_detector_gives_finite_gradients_everywhere(setup_2):
    name = setup_2.name
    torch.manual_seed(0)
    net = paper_detector(24)
    out = net(torch.rand(1, 3, 8, 96, 96))
    (out.logits.square().mean() + (out.activations * torch.randn(24)).sum()).backward()
    for name, p in net.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), name


@pytest.fixture
def setup_3():
    results = Path("results") if Path("results").exists() else Path("nbs/results")
    clips_seen = pd.read_csv(results / "capsules.csv")
    pictures = dict(np.load(results / "capsules.npz"))  # of the first clip of every class, in 0 .. 255
    actions = sorted(clips_seen.action.unique())
    true = clips_seen.action.map(actions.index).to_numpy()
    scores_seen = clips_seen[[f"score {a}" for a in actions]].to_numpy()
    overlaps = clips_seen[[f"IoU {a}" for a in actions]].to_numpy()  # decoded through each pose
    return SimpleNamespace(results=results, clips_seen=clips_seen, pictures=pictures, actions=actions, true=true, scores_seen=scores_seen, overlaps=overlaps)


@pytest.fixture
def setup_4(setup_3):
    true = setup_3.true
    scores_seen = setup_3.scores_seen
    overlaps = setup_3.overlaps
    own = overlaps[np.arange(len(true)), true]
    other = (overlaps.sum(1) - own) / 7
    right_names = (scores_seen.argmax(1) == true).mean()
    return SimpleNamespace(own=own, other=other, right_names=right_names)


def test_the_pose_of_the_true_class_finds_the_place_best_and_approach_and_squat_are_named_least(setup_3, setup_4):
    actions = setup_3.actions
    true = setup_3.true
    scores_seen = setup_3.scores_seen
    overlaps = setup_3.overlaps
    own = setup_4.own
    other = setup_4.other
    right_names = setup_4.right_names
    assert 0.75 < right_names < 0.8
    assert own.mean() - other.mean() > 0.1 and (own > other).mean() > 0.9
    for k in range(8):
        assert overlaps[true == k].mean(0).argmax() == k
    hits = {a: (scores_seen.argmax(1) == true)[true == k].sum() for k, a in enumerate(actions)}
    assert sorted(hits, key=hits.get)[:2] == ["Squat", "Approach"]
    mistaken = [len(set(scores_seen[true == actions.index(a)].argmax(1))) - 1 for a in hits]
    assert [mistaken[actions.index(a)] for a in ("Squat", "Approach")] == [6, 5]
    jump, wave, approach = (actions.index(a) for a in ("Jump", "Wave", "Approach"))
    for clip, pose, share in ((jump, wave, 0.63), (wave, approach, 0.15)):
        assert overlaps[true == clip].mean(0)[pose] == pytest.approx(share, abs=0.01)
