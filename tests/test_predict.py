"Generated from nbs/45_predict.ipynb: change the notebook, then `make export`."
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.actors import draw_video
from vad_ssl.checkpoint import save_weights
from vad_ssl.detector import small_detector
from vad_ssl.video import VideoError
from vad_ssl.video import probe
from vad_ssl.video import write_video
import numpy as np
import pandas as pd
import pytest
import tempfile
import torch

from vad_ssl.predict import frame_table, load_detector, localise, localise_file, overlay, predict


@pytest.fixture(scope="module")
def setup_1():
    torch.manual_seed(0)
    model = small_detector(8, width=8)
    video_frames, video_tubes = draw_video("Jump", np.random.default_rng(2), frames=20)
    frames = torch.from_numpy(video_frames).permute(3, 0, 1, 2)
    return SimpleNamespace(model=model, video_frames=video_frames, video_tubes=video_tubes, frames=frames)


def test_every_frame_is_predicted_once_and_in_its_own_place(setup_1):
    frames = setup_1.frames
    class Echo(nn.Module):
        "Pretends that the red channel is the localisation."

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, clips):
            return type(
                "Out",
                (),
                dict(logits=torch.logit(clips[:, :1], eps=1e-6), activations=clips.mean((2, 3, 4))),
            )


    probs, scores = localise(Echo(), frames)
    assert probs.shape == (20, 60, 80) and scores.shape == (4, 3)
    np.testing.assert_allclose(probs, frames[0].numpy() / 255, atol=1e-5)


def test_the_answer_does_not_depend_on_the_batch_size(setup_1):
    model = setup_1.model
    frames = setup_1.frames
    one, many = localise(model, frames, batch=1), localise(model, frames, batch=7)
    np.testing.assert_allclose(one[0], many[0], atol=1e-5)
    np.testing.assert_allclose(one[1], many[1], atol=1e-5)


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
    about = dict(
        detector="small", width=8, classes=list("abcdefgh"), size=[56, 56], short=60, frames=8, stride=2
    )
    save_weights(path, model, about)
    again, read_about = load_detector(path)
    assert read_about == about and not again.training
    np.testing.assert_array_equal(localise(again, frames)[0], localise(model, frames)[0])


def test_weights_of_something_else_are_refused_in_one_line():
    path = Path(tempfile.mkdtemp()) / "other.safetensors"
    save_weights(path, nn.Linear(2, 2), dict(detector="small", classes=["a"]))
    with pytest.raises(ValueError, match="other.safetensors: does not describe") as caught:
        load_detector(path)
    assert "\n" not in str(caught.value)


def test_blocks_do_not_change_the_answer(setup_1):
    model = setup_1.model
    video_frames = setup_1.video_frames
    path = Path(tempfile.mkdtemp()) / "jump.avi"
    write_video(path, video_frames)
    about = dict(frames=8, stride=2, short=60)
    a, b = localise_file(model, path, about, blocks=1), localise_file(model, path, about, blocks=4)
    assert a[0].shape == (20, 60, 80)
    np.testing.assert_allclose(a[0], b[0], atol=1e-5)
    np.testing.assert_allclose(a[1], b[1], atol=1e-5)


def test_a_video_shorter_than_a_clip_is_refused_by_name(setup_1):
    model = setup_1.model
    video_frames = setup_1.video_frames
    path = Path(tempfile.mkdtemp()) / "blink.avi"
    write_video(path, video_frames[:3])
    with pytest.raises(VideoError, match="blink.avi: only 3 frames"):
        localise_file(model, path, dict(frames=8, stride=2, short=60))


def test_predict_writes_everything_it_promises(setup_1):
    model = setup_1.model
    video_frames = setup_1.video_frames
    home = Path(tempfile.mkdtemp())
    write_video(home / "jump.avi", video_frames)
    names = [f"action {k}" for k in range(8)]
    save_weights(
        home / "model.safetensors",
        model,
        dict(detector="small", width=8, classes=names, frames=8, stride=2, short=40),
    )
    classes = predict(home / "jump.avi", home / "model.safetensors", home / "out")
    assert {p.name for p in (home / "out").iterdir()} == {
        "overlay.mp4",
        "masks",
        "frames.csv",
        "detections.csv",
        "classes.csv",
    }
    assert (
        probe(home / "out" / "overlay.mp4").frames == 20
        and len(list((home / "out" / "masks").iterdir())) == 20
    )
    table = pd.read_csv(home / "out" / "frames.csv")
    assert len(table) == 20 and table.x2.max() < 80 and table.y2.max() < 60
    assert classes.score.is_monotonic_decreasing and set(classes.action) == set(names)


def test_the_box_of_a_frame_in_source_pixels():
    probs = np.zeros((2, 30, 40))
    probs[0, 10:20, 5:15] = 0.9
    table = frame_table(probs, (2, 2))
    assert table.iloc[0, :5].tolist() == [0, 10, 20, 29, 39]  # pixels 5..14 are source pixels 10..29
    assert table.iloc[1, 1:5].tolist() == [-1] * 4


def test_the_overlay_tints_the_foreground_only():
    picture, probs = np.full((1, 8, 8, 3), 100, np.uint8), np.zeros((1, 8, 8))
    probs[0, 2:7, 2:7] = 1
    tinted = overlay(picture, probs)
    assert (tinted[0, 0, 0] == 100).all() and tinted[0, 4, 4].tolist() == [
        162,
        116,
        60,
    ]  # 0.6 * 100 + 0.4 * (255, 140, 0)
