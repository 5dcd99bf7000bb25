"Generated from nbs/72_vos.ipynb: change the notebook, then `make export`."
from PIL import Image
from dataclasses import asdict
from dataclasses import replace
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl import vos
from vad_ssl.checkpoint import save_weights
from vad_ssl.data import youtube_vos
from vad_ssl.objects import make_objects
from vad_ssl.objects import save_ids
from vad_ssl.video import read_frames
from vad_ssl.video import write_video
from vad_ssl.views import View
import numpy as np
import pandas as pd
import pytest
import tempfile
import torch

from vad_ssl.vos import (
    ConvLSTM,
    ObjectClips,
    VOSRun,
    VOS_ARMS,
    animate,
    do_vos,
    first_only,
    load_vos,
    paper_vos,
    predict_vos,
    score_video,
    see,
    segment,
    semi_supervised_vos_step,
    small_vos,
    soft_aggregate,
    split_objects,
    supervised_vos_step,
    table5,
    vos_batches,
    vos_folder,
    vos_parts,
    vos_study,
    with_animation,
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
                    gate = lambda n: (weight[n * c + k] * window).sum() + bias[n * c + k]
                    i, f, o, g = (gate(n) for n in range(4))
                    sigmoid = lambda v: 1 / (1 + np.exp(-v))
                    out[1, k, row, col] = sigmoid(f) * memory[k, row, col] + sigmoid(i) * max(g, 0)
                    out[0, k, row, col] = sigmoid(o) * max(out[1, k, row, col], 0)
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
    cell, (x, shown, memory) = ConvLSTM(3), torch.randn(3, 1, 3, 4, 5)
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
    assert logits.shape == (2, 1, 2, 16, 24) and all(s.shape == (2, 20, 4, 6) for s in state)


def test_frame_by_frame_and_in_pieces_give_what_the_whole_sequence_gives(setup_2):
    model = setup_2.model
    clip = setup_2.clip
    first = setup_2.first
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
    torch.testing.assert_close(model(late, first)[:, :, :3], model(clip, first)[:, :, :3])
    torch.testing.assert_close(model(clip[:1], first[:1]), model(clip, first)[:1], atol=1e-5, rtol=1e-5)


def test_the_last_mask_teaches_the_initializer_through_the_memory(setup_2):
    model = setup_2.model
    clip = setup_2.clip
    first = setup_2.first
    model(clip, first)[:, :, -1].sum().backward()
    weight = model.initializer.stages[0][0][0].weight
    assert (
        weight.shape == (8, 4, 3, 3) and weight.grad[:, 3].abs().sum() > 0
    )  # the channel that reads the mask


def test_the_paper_size_network_is_vgg_16_twice_at_a_thirty_second_of_the_size():
    with torch.device("meta"):  # shapes without numbers
        big = paper_vos()
        assert big(torch.empty(1, 3, 3, 256, 448), torch.empty(1, 1, 256, 448)).shape == (
            1,
            1,
            2,
            256,
            448,
        )
        assert big.start(torch.empty(1, 3, 256, 448), torch.empty(1, 1, 256, 448))[0].shape == (
            1,
            512,
            8,
            14,
        )
    assert (
        sum(p.numel() for p in big.encoder.stages.parameters()) == 14_714_688
    )  # VGG-16's convolutions
    assert big.cell.gates.weight.shape == (2048, 1024, 3, 3)


def test_a_size_that_cannot_be_halved_is_refused(setup_2):
    model = setup_2.model
    with pytest.raises(ValueError, match="multiples of 4"):
        model(torch.rand(1, 3, 3, 16, 22), torch.rand(1, 1, 16, 22))


@pytest.fixture(scope="module")
def setup_3():
    root = make_objects(Path(tempfile.mkdtemp()) / "objects", train=4, valid=1)
    videos = youtube_vos(root, "train", holdout=0.3)
    return SimpleNamespace(root=root, videos=videos)


def test_labelled_items_have_all_masks_and_unlabelled_ones_the_first(setup_3):
    videos = setup_3.videos
    lab, unl = split_objects(videos, 0.3)
    a, b = (ObjectClips(part, k == 0, size=(24, 32))[0, 1] for k, part in enumerate((lab, unl)))
    shapes = {name: tuple(a[name].shape) for name in ("clip", "first", "mask")}
    assert shapes == {"clip": (3, 5, 24, 32), "first": (1, 24, 32), "mask": (1, 4, 24, 32)}
    assert set(b) == {"clip", "first", "index", "bad"} and b["first"].any()
    assert sorted(v.name for v in lab + unl) == sorted(v.name for v in videos)


def test_an_unlabelled_video_has_no_category_and_no_later_mask_to_give(setup_3):
    videos = setup_3.videos
    _, unl = split_objects(videos, 0.3)
    tube = unl[0].tubes[0]
    assert unl[0].label == tube.label == -1 and unl[0].action == "" and tube.masks(tube.start).any()
    with pytest.raises(KeyError):
        tube.masks(tube.start + 1)


def test_an_item_depends_on_seed_epoch_and_index_alone_and_begins_where_the_object_is_seen(setup_3):
    videos = setup_3.videos
    clips = ObjectClips(videos, True, size=(36, 48), cache=True)
    again = ObjectClips(videos, True, size=(36, 48))
    for key in ((0, 0), (0, 1), (3, 7)):
        assert all(
            torch.equal(clips[key][name], again[key][name]) for name in ("clip", "first", "mask")
        )
    assert not torch.equal(clips[0, 0]["clip"], clips[1, 0]["clip"])
    assert all(clips[0, k]["first"].any() for k in range(40))


def test_an_animated_object_is_where_its_mask_says_and_nothing_else_changes():
    given = {"clip": torch.rand(2, 3, 4, 8, 12), "first": torch.zeros(2, 1, 8, 12)}
    given["first"][:, :, 2:5, 3:7] = 1
    made = animate(given, 0.0, 0.0)
    all_masks = torch.cat([made["first"][:, :, None], made["mask"]], 2)
    assert (all_masks == given["first"][:, :, None]).all()
    for k in (0, 1):
        on = given["first"][k, 0] > 0
        for frame in range(4):
            torch.testing.assert_close(
                made["clip"][k, :, frame][:, on], given["clip"][k, :, 0][:, on], atol=1e-5, rtol=0
            )
            assert torch.equal(
                made["clip"][k, :, frame][:, ~on], given["clip"][1 - k, :, frame][:, ~on]
            )
    torch.manual_seed(0)
    moving = animate(given, 0.25, 0.0)
    torch.manual_seed(0)
    step = (
        0.25 * (2 * torch.rand(2, 1, 2) - 1)[0, 0] * torch.tensor([12, 8])
    )  # pixels right and down in a frame
    centre = lambda m: torch.stack([m.nonzero()[:, 1].float().mean(), m.nonzero()[:, 0].float().mean()])
    assert (centre(moving["mask"][0, 0, 0]) - centre(given["first"][0, 0]) - step).abs().max() < 0.6
    assert (
        animate(given | {"first": given["first"] * 0})["mask"].sum() == 0
    )  # nothing marked, nothing moved


@pytest.fixture
def setup_4(setup_2):
    model = setup_2.model
    def batch(part, labelled, n=3):
        "n items as the loop hands them to a step."
        items = [ObjectClips(part, labelled, size=(36, 48))[0, k] for k in range(n)]
        stack = lambda name: torch.stack([i[name] for i in items])
        return {"clip": stack("clip").float() / 255, "first": stack("first")} | (
            {"mask": stack("mask").float()} if labelled else {}
        )


    def losses(part, unlabelled, step=semi_supervised_vos_step):
        "Losses and gradients of one step of a fresh network."
        torch.manual_seed(0)
        model = small_vos(4)
        terms = step(model, batch(part, True), batch(unlabelled, False), (3.0, 4.0))
        sum(terms.values()).backward()
        return {k: v.item() for k, v in terms.items()}, [p.grad.clone() for p in model.parameters()]
    return SimpleNamespace(batch=batch, losses=losses)


def test_corrupting_unlabelled_masks_beyond_the_first_frame_leaves_losses_bit_identical(setup_3, setup_4):
    videos = setup_3.videos
    losses = setup_4.losses
    lab, unl = split_objects(videos, 0.3)
    names = {v.name for v in lab}
    full = np.ones((36, 48), bool)
    wrong = lambda t: replace(t, label=0, masks=lambda k: t.masks(t.start) if k == t.start else full)
    spoilt = [
        v if v.name in names else replace(v, action="?", tubes=tuple(map(wrong, v.tubes)))
        for v in videos
    ]
    assert any(t.masks(t.start + 1).all() for v in spoilt for t in v.tubes)
    rest = [first_only(v) for v in spoilt if v.name not in names]
    for step in (semi_supervised_vos_step, with_animation(semi_supervised_vos_step, 1.0)):
        before, after = losses(lab, unl, step), losses(lab, rest, step)
        assert before[0] == after[0] and before[0]["coherence"] > 0
        assert all(torch.equal(a, b) for a, b in zip(before[1], after[1]))
    assert before[0]["animated"] > 0


def test_corrupting_a_first_mask_does_change_the_coherence_loss(setup_3, setup_4):
    videos = setup_3.videos
    losses = setup_4.losses
    lab, unl = split_objects(videos, 0.3)
    moved = lambda t: replace(t, masks=lambda k: np.roll(t.masks(k), 9, 1))
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


def test_view_1_is_a_fixed_target(setup_2, setup_3, setup_4):
    model = setup_2.model
    videos = setup_3.videos
    batch = setup_4.batch
    lab, unl = split_objects(videos, 0.3)
    torch.manual_seed(0)
    model = small_vos(4)
    seen, calls = model.forward, []
    model.forward = lambda *x: calls.append(seen(*x)) or calls[-1].retain_grad() or calls[-1]
    semi_supervised_vos_step(model, batch(lab, True), batch(unl, False), (3.0, 4.0))[
        "coherence"
    ].backward()
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
    see(parrot, given, view)
    torch.testing.assert_close(told["first"][2], given["first"][2].float().flip(-1))
    torch.testing.assert_close(told["first"][1, :, 3:], given["first"][1, :, :-3].float())


def test_soft_aggregation_worked_by_hand():
    shares = soft_aggregate(torch.tensor([[0.9], [0.6]]))
    torch.testing.assert_close(
        shares.ravel(), torch.tensor([0.04 / 0.96, 9.0, 1.5]) / (9 + 1.5 + 0.04 / 0.96)
    )


def test_one_object_alone_is_decided_at_one_half_and_aggregation_is_a_share():
    p = torch.linspace(0, 1, 50)
    assert ((soft_aggregate(p[None])[1] > 0.5) == (p > 0.5)).all()
    torch.testing.assert_close(soft_aggregate(torch.rand(3, 4, 5)).sum(0), torch.ones(4, 5))
    assert soft_aggregate(torch.zeros(2, 1)).argmax() == 0  # nobody's


@pytest.fixture
def setup_5(setup_2, setup_3):
    model = setup_2.model
    root = setup_3.root
    torch.manual_seed(0)
    model = small_vos(4)
    video = next(v for v in youtube_vos(root, holdout=0) if len(v.tubes) == 2 and v.tubes[1].start > 0)
    firsts = {
        3 * n: (t.start, t.masks(t.start)) for n, t in enumerate(video.tubes, 1)
    }  # any numbers will do
    return SimpleNamespace(model=model, video=video, firsts=firsts)


def test_given_masks_are_kept_ids_are_preserved_and_blocks_change_nothing(setup_5):
    model = setup_5.model
    video = setup_5.video
    firsts = setup_5.firsts
    whole = lambda block: np.stack(
        [ids for _, ids in segment(model, video.path, firsts, (36, 48), block)]
    )
    found = {block: whole(block) for block in (2, 3, 16)}
    assert found[16].shape == (8, 36, 48) and set(np.unique(found[16])) <= {0, 3, 6}
    assert ((found[16][0] == 3) == firsts[3][1]).all()  # alone in its first frame
    assert (found[16][firsts[6][0]][firsts[6][1]] == 6).all() and not (
        found[16][: firsts[6][0]] == 6
    ).any()
    assert (found[2] == found[16]).all() and (found[3] == found[16]).all()


def test_a_network_at_another_size_answers_at_the_size_of_the_video(setup_5):
    model = setup_5.model
    video = setup_5.video
    firsts = setup_5.firsts
    ids = [ids for _, ids in segment(model, video.path, firsts, (20, 24))]
    assert len(ids) == 8 and ids[0].shape == (36, 48) and ids[0].dtype == np.uint8
    assert ((ids[0] == 3) == firsts[3][1]).all()  # although it went through the small size


def test_scores_worked_by_hand():
    rows = [
        ("a", 1, 0, 1, 1.0, 0.8),
        ("a", 1, 0, 2, 0.5, 0.4),
        ("a", 2, 5, 1, 0.2, 0.1),
        ("b", 1, 0, 1, 0.25, 0.2),
    ]
    frames = pd.DataFrame(rows, columns=["video", "object", "label", "after", "J", "F"])
    scores = table5(frames, seen={0})
    # objects first: (0.75 + 0.25) / 2 seen, 0.2 unseen; not (1 + 0.5 + 0.25) / 3
    np.testing.assert_allclose(scores.to_numpy(), [(50 + 20 + 40 + 10) / 4, 50, 20, 40, 10])
    assert scores.index.tolist() == ["average", "J_seen", "J_unseen", "F_seen", "F_unseen"]
    assert table5(frames[frames.label == 0], {0}).average == pytest.approx(45)


def test_a_network_that_knows_the_truth_scores_one_and_one_that_says_nothing_zero(setup_2, setup_5):
    clip = setup_2.clip
    video = setup_5.video
    class Oracle(nn.Module):
        "Says the same logit everywhere; or repeats what it was given."

        def __init__(self, repeat):
            super().__init__()
            self.repeat, self.unused = repeat, nn.Parameter(torch.zeros(1))

        def start(self, frame, mask):
            return mask

        def follow(self, clip, mask):
            logits = (20 * mask - 10 if self.repeat else 0 * mask - 10)[:, :, None]
            return logits.expand(-1, -1, clip.shape[2], -1, -1), mask


    tube = video.tubes[0]
    still = replace(video, tubes=(replace(tube, masks=lambda k: tube.masks(tube.start)),))
    assert (score_video(Oracle(True), still, (36, 48))[["J", "F"]] == 1).all().all()
    nothing = score_video(Oracle(False), still, (36, 48))
    assert (nothing[["J", "F"]] == 0).all().all() and nothing.after.tolist() == list(range(1, 8))


@pytest.fixture(scope="module")
def setup_6(setup_3):
    root = setup_3.root
    tiny = VOSRun(data=str(root), width=4, batch_labelled=2, batch_unlabelled=2, epochs=2, steps=1)
    out = Path(tempfile.mkdtemp())
    table = vos_study(out, 1, tiny, bar=False, picture=False)
    return SimpleNamespace(tiny=tiny, out=out, table=table)


def test_parts_are_disjoint_and_unseen_categories_are_never_trained_on(setup_3):
    root = setup_3.root
    videos = setup_3.videos
    parts = vos_parts(root)
    names = [{v.name for v in parts[k]} for k in ("train", "validation", "test")]
    assert sum(map(len, names)) == len(set.union(*names)) == 64 and min(map(len, names)) >= 6
    labels = lambda videos: {t.label for v in videos for t in v.tubes}
    assert len(labels(parts["test"]) - labels(parts["train"] + parts["validation"])) == 3
    assert labels(parts["test"]) & labels(parts["train"])


def test_a_small_row_comes_out_the_same_again_to_the_last_digit(setup_6):
    tiny = setup_6.tiny
    table = setup_6.table
    again = vos_study(Path(tempfile.mkdtemp()), 1, tiny, bar=False, picture=False)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), table.drop(columns="seconds"))
    assert table.arm.tolist() == list(VOS_ARMS) and (table.steps == 2).all()
    assert table[["average", "J_seen", "J_unseen", "F_seen", "F_unseen"]].stack().between(0, 100).all()


def test_a_study_that_was_killed_goes_on_where_it_was(setup_6):
    tiny = setup_6.tiny
    table = setup_6.table
    late = Path(tempfile.mkdtemp())
    do_vos(tiny, late, bar=False)  # then comes the kill
    finished = next(late.glob("runs/*/model.safetensors"))
    before = finished.stat().st_mtime_ns
    rows = vos_study(late, 1, tiny, bar=False, picture=False)
    assert finished.stat().st_mtime_ns == before and len(
        list(late.glob("runs/*/model.safetensors"))
    ) == len(VOS_ARMS)
    pd.testing.assert_frame_equal(rows.drop(columns="seconds"), table.drop(columns="seconds"))
    from vad_ssl import vos  # processes of their own import the package, they do not know this notebook

    pd.testing.assert_frame_equal(
        vos.vos_study(late, 1, vos.VOSRun(**asdict(tiny)), False, False, jobs=2), rows
    )


def test_both_methods_see_the_same_labelled_clips(setup_3, setup_6):
    root = setup_3.root
    tiny = setup_6.tiny
    train = vos_parts(root)["train"]
    streams = [
        vos_batches(replace(tiny, method=method), train) for method in ("supervised", "semi-supervised")
    ]
    (a, none), (b, unl) = (next(iter(s)) for s in streams)
    assert none is None and torch.equal(a["clip"], b["clip"]) and torch.equal(a["mask"], b["mask"])
    assert set(unl) == {"clip", "first", "index"}


@pytest.fixture
def setup_7(setup_3, setup_5, setup_6):
    root = setup_3.root
    video = setup_5.video
    tiny = setup_6.tiny
    out = setup_6.out
    checkpoint = vos_folder(out, tiny) / "model.safetensors"
    video = next(v for v in youtube_vos(root, "valid") if len(v.tubes) == 2)
    given = root / "valid" / "Annotations" / video.name
    return SimpleNamespace(checkpoint=checkpoint, video=video, given=given)


def test_predictions_are_palette_pngs_with_the_given_numbers_colours_and_frame_names(setup_2, setup_7):
    first = setup_2.first
    video = setup_7.video
    checkpoint = setup_7.checkpoint
    given = setup_7.given
    folder = predict_vos(video.path, checkpoint, given, Path(tempfile.mkdtemp()))
    assert folder.parts[-2:] == ("Annotations", video.name)
    assert [p.stem for p in sorted(folder.iterdir())] == [p.stem for p in sorted(video.path.iterdir())]
    first = sorted(given.iterdir())[0]
    for path in folder.iterdir():
        with Image.open(path) as picture, Image.open(first) as mask:
            assert (
                picture.mode == "P"
                and picture.size == mask.size
                and picture.getpalette() == mask.getpalette()
            )
            assert set(np.unique(picture)) <= {0, 1, 2}
            if path.stem == first.stem:
                assert (np.asarray(picture) == np.asarray(mask)).all()


def test_odd_numbers_and_a_video_file_work_and_one_mask_is_enough(setup_7):
    video = setup_7.video
    checkpoint = setup_7.checkpoint
    from vad_ssl.video import write_video

    home = Path(tempfile.mkdtemp())
    write_video(home / "film.avi", read_frames(video.path, range(8)).repeat(2, 1).repeat(2, 2))  # 72x96
    ids = np.zeros((72, 96), np.uint8)
    ids[4:20, 5:25], ids[22:30, 30:44] = 7, 200
    save_ids(home / "first.png", ids)
    folder = predict_vos(home / "film.avi", checkpoint, home / "first.png", home)
    assert sorted(p.name for p in folder.iterdir()) == [f"{k:05}.png" for k in range(8)]
    assert set(np.unique(Image.open(folder / "00000.png"))) == {0, 7, 200}


def test_masks_that_cannot_be_used_are_refused_in_one_line(setup_7):
    video = setup_7.video
    checkpoint = setup_7.checkpoint
    home = Path(tempfile.mkdtemp())
    Image.fromarray(np.zeros((36, 48, 3), np.uint8)).save(home / "colour.png")
    save_ids(home / "small.png", np.ones((18, 24), np.uint8))
    save_ids(home / "empty.png", np.zeros((36, 48), np.uint8))
    (home / "text.png").write_text("no picture")
    reasons = {
        "none.png": "no such mask",
        "colour.png": "not a palette image .mode RGB",
        "small.png": "18x24 .* 36x48",
        "empty.png": "marks no object",
        "text.png": "not a usable image",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=f"{name}.*{reason}") as error:
            predict_vos(video.path, checkpoint, home / name, home)
        assert "\n" not in str(error.value)


def test_a_detector_is_not_taken_for_a_segmentation_network():
    path = Path(tempfile.mkdtemp()) / "detector.safetensors"
    save_weights(path, nn.Linear(2, 2), {"detector": "small", "width": 8, "classes": ["a"]})
    with pytest.raises(ValueError, match="detector takes no --mask"):
        load_vos(path)
