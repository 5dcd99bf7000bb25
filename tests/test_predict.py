"Generated from nbs/45_predict.ipynb: change the notebook, then `make export`."
from PIL import Image
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from unittest import mock
from urllib.error import URLError
from vad_ssl.actors import draw_video
from vad_ssl.checkpoint import save_weights
from vad_ssl.detector import Detection
from vad_ssl.detector import small_detector
from vad_ssl.files import VideoError
from vad_ssl.i3d import kinetics_path
from vad_ssl.i3d import kinetics_weights
from vad_ssl.i3d_detector import i3d_detector
from vad_ssl.video import probe
from vad_ssl.video import read_frames
from vad_ssl.video import write_video
from vad_ssl.window import window
import numpy as np
import pandas as pd
import pytest
import tempfile
import torch

from vad_ssl.predict import (
    Sight,
    _overlay_frames,
    ahead,
    build,
    doubt,
    frame_table,
    in_order,
    load_detector,
    localise,
    localise_file,
    overlay,
    predict,
    save_head,
    sight,
    unsure_below,
)


def test_a_sight_is_what_a_checkpoint_says():
    assert sight(dict(frames=4, stride=1, size=[56, 64], short=60)) == Sight(4, 1, (56, 64), 60)
    assert sight(dict(frames=8, stride=2)) == Sight()


@pytest.fixture(scope="module")
def setup_1():
    torch.manual_seed(0)
    model = small_detector(8, width=8)
    video_frames, video_tubes = draw_video("Jump", np.random.default_rng(2), frames=20)
    frames = torch.from_numpy(video_frames).permute(3, 0, 1, 2)
    return SimpleNamespace(model=model, video_frames=video_frames, video_tubes=video_tubes, frames=frames)


@pytest.fixture
def setup_2():
    class Echo(nn.Module):
        "Pretends that the red channel is the localisation."

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, clips):
            return Detection(torch.logit(clips[:, :1], eps=1e-6), clips.mean((2, 3, 4)), None)
    return SimpleNamespace(Echo=Echo)


def test_every_frame_is_predicted_once_and_in_its_own_place(setup_1, setup_2):
    frames = setup_1.frames
    Echo = setup_2.Echo
    probs, scores = localise(Echo(), frames)
    assert probs.shape == (20, 60, 80) and scores.shape == (4, 3)
    torch.testing.assert_close(probs, frames[0] / 255, atol=1e-5, rtol=0)


def test_the_answer_does_not_depend_on_the_batch_size(setup_1):
    model = setup_1.model
    frames = setup_1.frames
    one, many = (localise(model, frames, batch=n) for n in (1, 7))
    torch.testing.assert_close(one, many, atol=1e-5, rtol=0)


def test_a_network_that_diverged_gives_no_answer(setup_1):
    frames = setup_1.frames
    broken = small_detector(3, width=8)
    torch.nn.init.constant_(next(broken.parameters()), float("nan"))
    with pytest.raises(ValueError, match="the network diverged"):
        localise(broken, frames)


def test_prediction_leaves_the_model_as_it_was(setup_1):
    model = setup_1.model
    frames = setup_1.frames
    model.train()
    localise(model, frames)
    assert model.training and all(p.grad is None for p in model.parameters())


def test_a_detector_comes_back_from_its_file(setup_1):
    model = setup_1.model
    frames = setup_1.frames
    path = Path(tempfile.mkdtemp()) / "model.safetensors"
    about = dict(detector="small", width=8, classes=list("abcdefgh"), size=[56, 56], short=60)
    about |= dict(frames=8, stride=2)
    save_weights(path, model, about)
    again, read_about = load_detector(path)
    assert read_about == about and not again.training
    assert torch.equal(localise(again, frames)[0], localise(model, frames)[0])
    for key, value in build(about).state_dict().items():
        assert value.shape == model.state_dict()[key].shape


def test_weights_of_something_else_are_refused_in_one_line():
    path = Path(tempfile.mkdtemp()) / "other.safetensors"
    save_weights(path, nn.Linear(2, 2), dict(detector="small", classes=["a"]))
    with pytest.raises(ValueError, match="other.safetensors: does not describe") as caught:
        load_detector(path)
    assert "\n" not in str(caught.value)


def test_a_head_finds_its_encoder_again():
    if not kinetics_path().exists():
        pytest.skip("Kinetics weights are not on this machine")
    path = Path(tempfile.mkdtemp()) / "head.safetensors"
    about = dict(detector="i3d", learns="none", width=8, classes=["a", "b"], frames=8, stride=2)
    whole = i3d_detector(2, kinetics_weights(), width=8).eval()
    save_head(path, whole, about)
    assert path.stat().st_size < 4e6
    again, said = load_detector(path)
    assert said == about | {"encoder": "kinetics"}
    clip = torch.rand(1, 3, 8, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again(clip).logits, whole(clip).logits, atol=5e-3, rtol=0)


def test_without_a_connection_the_message_is_about_the_encoder_and_not_about_the_file():
    path = Path(tempfile.mkdtemp()) / "head.safetensors"
    about = dict(detector="i3d", learns="none", width=8, classes=["a"], encoder="kinetics")
    save_weights(path, nn.Linear(2, 2), about)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAD_SSL_CACHE", tempfile.mkdtemp())
        patch.setattr("vad_ssl.i3d._fetch_tree", mock.Mock(side_effect=URLError("no network")))
        with pytest.raises(RuntimeError, match="no network.*Run `vad-ssl weights kinetics` once"):
            load_detector(path)


def test_four_of_five_foreign_videos_are_refused_and_a_sentence_says_so():
    others = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    below = unsure_below(others)
    assert (others < below).mean() == 0.8 and below == pytest.approx(0.42)
    assert doubt(0.41, {"unsure": {"below": below}}).startswith(
        "probably none of them: the best score, 0.41"
    )
    assert doubt(0.43, {"unsure": {"below": below}}) == doubt(0.1, {}) == ""


def test_blocks_do_not_change_the_answer(setup_1):
    model = setup_1.model
    video_frames = setup_1.video_frames
    path = Path(tempfile.mkdtemp()) / "jump.avi"
    write_video(path, video_frames)
    one, four = (localise_file(model, path, Sight(short=60), blocks=n) for n in (1, 4))
    assert one[0].shape == (20, 60, 80)
    torch.testing.assert_close(one, four, atol=1e-5, rtol=0)


def test_a_video_shorter_than_a_clip_has_a_map_for_every_frame_of_its_own(setup_1, setup_2):
    model = setup_1.model
    video_frames = setup_1.video_frames
    Echo = setup_2.Echo
    path = Path(tempfile.mkdtemp()) / "blink.avi"
    write_video(path, video_frames[:3])
    probs, scores = localise_file(Echo(), path, Sight())
    red = torch.from_numpy(read_frames(path, range(3))[..., 0])
    torch.testing.assert_close(probs, red / 255, atol=1e-5, rtol=0)
    assert localise_file(model, path, Sight(short=60))[0].shape == (3, 60, 80)


def test_the_overlay_tints_the_foreground_only():
    picture = np.full((1, 8, 8, 3), 100, np.uint8)
    probs = np.zeros((1, 8, 8))
    probs[0, 2:7, 2:7] = 1
    tinted = overlay(picture, probs)
    assert (tinted[0, 0, 0] == 100).all()
    assert tinted[0, 4, 4].tolist() == [162, 116, 60]  # 0.6 * 100 + 0.4 * (255, 140, 0)


def test_the_box_of_a_frame_in_source_pixels():
    probs = torch.zeros(2, 30, 40)
    probs[0, 10:20, 5:15] = 0.9
    table = frame_table(probs, window((60, 80), short=30))
    assert table.iloc[0, :5].tolist() == [0, 10, 20, 29, 39]  # pixels 5..14 are source pixels 10..29
    assert table.iloc[1, 1:5].tolist() == [-1] * 4
    np.testing.assert_allclose(table[["area", "confidence"]], [[100 / 1200, 0.9], [0, 0]], rtol=1e-6)


def test_a_video_is_read_in_order_whole_and_the_overlay_of_a_large_one_is_half_as_large():
    with tempfile.TemporaryDirectory() as home:
        large = np.random.default_rng(0).integers(0, 255, (3, 1080, 1200, 3), np.uint8)
        film, pictures, masks = (Path(home) / name for name in ("large.mp4", "pictures", "masks"))
        write_video(film, large, preset="ultrafast")
        pictures.mkdir(), masks.mkdir()
        for k, frame in enumerate(read_frames(film, range(3))):
            Image.fromarray(frame).save(pictures / f"{k}.png")
        for path in (film, pictures):
            read = np.stack(list(ahead(in_order(path))))
            np.testing.assert_array_equal(read, read_frames(film, range(3)))
        seen = window((1080, 1200), short=27)
        shown = list(_overlay_frames(film, torch.ones(3, 27, 30), seen, masks))
        assert [frame.shape for frame in shown] == [(540, 600, 3)] * 3
        assert [Image.open(path).size for path in sorted(masks.iterdir())] == [(1200, 1080)] * 3


def test_every_image_of_a_folder_is_opened_once_and_a_hole_or_an_odd_size_is_refused(setup_1):
    video_frames = setup_1.video_frames
    with tempfile.TemporaryDirectory() as home:
        for k, frame in enumerate(video_frames[:5]):
            Image.fromarray(frame).save(Path(home) / f"{k}.png")
        opened, listed = (mock.Mock(side_effect=f) for f in (Image.open, Path.iterdir))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Image, "open", opened)
            patch.setattr(Path, "iterdir", lambda folder: listed(folder))
            np.testing.assert_array_equal(np.stack(list(in_order(home))), video_frames[:5])
        assert (opened.call_count, listed.call_count) == (5, 1)
        np.testing.assert_array_equal(np.stack(list(in_order(home, 1, 3))), video_frames[1:3])
        Image.fromarray(frame[:9]).save(Path(home) / "4.png")
        with pytest.raises(VideoError, match="frames vary in size. Extract"):
            list(in_order(home))
        (Path(home) / "2.png").unlink()
        with pytest.raises(VideoError, match="frame 2 is missing"):
            list(in_order(home))
        assert len(list(in_order(home, stop=2))) == 2


def test_predict_writes_everything_it_promises(setup_1):
    model = setup_1.model
    video_frames = setup_1.video_frames
    home = Path(tempfile.mkdtemp())
    write_video(home / "jump.avi", video_frames)
    names = [f"action {k}" for k in range(8)]
    about = dict(detector="small", width=8, classes=names, frames=8, stride=2, short=40)
    save_weights(home / "model.safetensors", model, about)
    bare = {key: x for key, x in about.items() if key != "short"}  # frames as they are
    save_weights(home / "bare.safetensors", model, bare)
    predict(home / "jump.avi", home / "bare.safetensors", home / "out")
    assert Image.open(home / "out" / "masks" / "000000.png").size == (80, 60)
    classes = predict(home / "jump.avi", home / "model.safetensors", home / "out")
    written = {p.name for p in (home / "out").iterdir()}
    assert written == {"overlay.mp4", "masks", "frames.csv", "detections.csv", "classes.csv"}
    assert probe(home / "out" / "overlay.mp4").frames == 20
    assert len(list((home / "out" / "masks").iterdir())) == 20
    write_video(home / "short.avi", video_frames[:8])
    (home / "out" / "masks" / "mine.txt").write_text("kept")
    predict(home / "short.avi", home / "model.safetensors", home / "again")
    predict(home / "short.avi", home / "model.safetensors", home / "out")
    assert len(list((home / "out" / "masks").iterdir())) == 9  # eight masks, and what is not ours
    predict(home / "jump.avi", home / "model.safetensors", home / "out")
    table = pd.read_csv(home / "out" / "frames.csv")
    assert len(table) == 20 and table.x2.max() < 80 and table.y2.max() < 60
    assert classes.score.is_monotonic_decreasing and set(classes.action) == set(names)


def test_what_a_user_has_where_results_would_go_is_left_alone():
    home = Path(tempfile.mkdtemp())
    about = dict(detector="small", width=4, classes=["a", "b"], frames=4, stride=1, short=24)
    save_weights(home / "m.safetensors", small_detector(2, 4), about)
    pictures = home / "film" / "masks"
    pictures.mkdir(parents=True)
    for k in range(6):
        Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(pictures / f"{k:06d}.png")
    write_video(home / "film" / "overlay.mp4", np.zeros((6, 24, 32, 3), np.uint8))
    write_video(home / "other.mp4", np.zeros((6, 24, 32, 3), np.uint8))
    cases = {"film/masks": "lies where", "film/overlay.mp4": "lies where", "other.mp4": "of yours"}
    for name, why in cases.items():
        with pytest.raises(ValueError, match=f"{why}.*choose another folder"):
            predict(home / name, home / "m.safetensors", home / "film")
    assert len(list(pictures.iterdir())) == 6 and probe(home / "film" / "overlay.mp4").frames == 6
    predict(pictures, home / "m.safetensors", home / "run.1")
    assert len(list((home / "run.1" / "masks").iterdir())) == 6
