"Generated from nbs/46_evaluate.ipynb: change the notebook, then `make export`."
from dataclasses import replace
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.actors import make_actors
from vad_ssl.ap import truth_table
from vad_ssl.ap import write_table
from vad_ssl.data import ucf101_24
from vad_ssl.detector import Detection
from vad_ssl.detector import small_detector
from vad_ssl.files import VideoError
from vad_ssl.predict import Sight
from vad_ssl.predict import sight
from vad_ssl.protocol import summarise
from vad_ssl.protocol import video_record
from vad_ssl.records import Tube
from vad_ssl.records import class_names
from vad_ssl.records import read
from vad_ssl.records import trim
from vad_ssl.records import truth_mask
from vad_ssl.video import eval_clips
import contextlib
import io
import json
import numpy as np
import pandas as pd
import pytest
import tempfile
import torch
import warnings

from vad_ssl.evaluate import (
    PROTOCOLS,
    _origin,
    cut,
    evaluate,
    read_records,
    score_detections,
    tables,
    why_nan,
    write_evaluation,
)


@pytest.fixture(scope="module")
def setup_1():
    root = make_actors(Path(tempfile.mkdtemp()) / "actors", train=1, test=1, workers=1)
    videos = [v for v in ucf101_24(root) if v.split == "test"]
    torch.manual_seed(0)
    model = small_detector(8, width=8)
    middle = Sight(size=(56, 56))


    class Constant(nn.Module):
        "Says the same everywhere."

        def __init__(self, value):
            super().__init__()
            self.value = nn.Parameter(torch.tensor(value))

        def forward(self, clips):
            b, _, t, h, w = clips.shape
            return Detection(self.value.expand(b, 1, t, h, w), torch.ones(b, 8) / 8, None)
    return SimpleNamespace(root=root, videos=videos, model=model, middle=middle, Constant=Constant)


def test_pixels_and_truth_are_cut_alike(setup_1):
    videos = setup_1.videos
    middle = setup_1.middle
    whole, everywhere, _ = cut(videos[0], Sight())
    inner, inside, seen = cut(videos[0], middle)
    assert whole.shape == (3, 32, 60, 80) and inner.shape == (3, 32, 56, 56)
    assert seen.corner == (2, 12)
    assert torch.equal(inner, whole[:, :, 2:58, 12:68])
    assert torch.equal(inside, everywhere[:, 2:58, 12:68])


def test_a_video_cut_frame_by_frame_is_the_video_cut_at_once(setup_1):
    videos = setup_1.videos
    middle = setup_1.middle
    for video in (videos[0], trim(videos[0])):
        frames = range(video.n_frames)
        pixels = torch.from_numpy(read(video, frames)).permute(3, 0, 1, 2)
        truth = torch.from_numpy(truth_mask(video, frames, 60, 80))
        for how in (middle, Sight(size=(30, 40), short=33), Sight(short=14)):
            *found, seen = cut(video, how)
            assert torch.equal(found[0], seen.frames(pixels))
            assert torch.equal(found[1], seen.masks(truth[None])[0])
    with pytest.raises(VideoError, match="33 frames from frame 0 on, it holds 32 in all"):
        cut(replace(videos[0], n_frames=33), middle)


def test_one_record_holds_what_every_protocol_needs(setup_1):
    videos = setup_1.videos
    middle = setup_1.middle
    probs, truth, seen = torch.zeros(32, 56, 56), *cut(videos[0], middle)[1:]
    probs[:, 20:40, 10:30] = 0.9
    args = (videos[0], probs.numpy(), truth.numpy(), np.ones((4, 8)), middle, seen)
    record = {}
    for key, measure in PROTOCOLS.values():
        assert key in measure(*args)
        record |= measure(*args)
    assert set(record) == {"label", "predicted", "frames", "hits", "iou", "tubes", "J", "F"}
    assert record["tubes"]["x1"][0] == 10 + 12 and len(record["J"]) == 32


def test_a_full_map_scores_at_low_overlap_and_an_empty_one_never(setup_1):
    videos = setup_1.videos
    middle = setup_1.middle
    Constant = setup_1.Constant
    empty = summarise(evaluate(Constant(-9.0), videos, middle, bar=False), 8)
    full = summarise(evaluate(Constant(9.0), videos, middle, bar=False), 8)
    assert empty.f_map[1] == empty.v_map[1] == 0  # at overlap 0.05
    assert full.v_map[1] > 0.7 and full.f_map[10] < 0.3
    assert empty.accuracy == 1 / 8  # a constant class is right for one class in eight


def test_scores_do_not_depend_on_the_batch_size(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    middle = setup_1.middle
    one, many = (evaluate(model, videos[:3], middle, batch=b, bar=False) for b in (1, 8))
    assert one == many


def test_an_interrupted_evaluation_goes_on_and_ends_with_the_same_digits(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    middle = setup_1.middle
    folder = Path(tempfile.mkdtemp())
    whole = evaluate(model, videos, middle, folder=folder, bar=False)
    (path,) = folder.glob("records-*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:4]) + lines[4][:20])  # three records and a piece of the fourth
    calls = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    assert evaluate(model, videos, middle, folder=folder, bar=False) == whole
    assert len(calls) == len(videos) - 3
    assert read_records(path)[1].keys() == {v.name for v in videos}
    hook.remove()


def test_all_protocols_of_one_way_of_seeing_cost_one_prediction(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    middle = setup_1.middle
    folder = Path(tempfile.mkdtemp()) / "a" / "new one"
    calls = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    evaluate(model, videos, middle, ("paper", "davis"), folder, bar=False)
    once = len(calls)
    assert once == len(videos)
    evaluate(model, videos, middle, ("strict",), folder, bar=False)
    evaluate(model, videos, middle, ("davis", "paper"), folder, bar=False)
    assert len(calls) == once
    evaluate(model, videos, middle, ("act",), folder, bar=False)  # was not recorded
    assert len(calls) == 2 * once
    evaluate(model, videos, middle, ("paper", "act"), folder, bar=False)  # and has displaced nothing
    assert len(calls) == 2 * once
    hook.remove()


def test_whatever_changed_is_named_and_scored_again(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    middle = setup_1.middle
    folder = Path(tempfile.mkdtemp())


    def said(model, videos, sight=middle):
        "What an evaluation says, and how many files of records there are then."
        with contextlib.redirect_stdout(io.StringIO()) as out:
            evaluate(model, videos, sight, folder=folder, bar=False)
        return out.getvalue().split(" changed since ")[0], len(list(folder.glob("records-*")))


    torch.manual_seed(1)
    other = small_detector(8, width=8)
    assert said(model, videos) == ("", 1)
    assert said(model, videos) == ("", 1)
    assert said(other, videos) == ("weights", 2)
    assert said(model, videos, Sight(size=(48, 56))) == ("", 3)  # another setting is no change
    tube = replace(videos[0].tubes[0], boxes=videos[0].tubes[0].boxes + 1)
    moved = [replace(videos[0], tubes=(tube, *videos[0].tubes[1:])), *videos[1:]]
    assert said(other, moved) == ("videos or annotations", 4)
    assert said(model, videos[1:]) == ("weights, videos or annotations", 5)  # than the last one
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_origin.__globals__, "MEASURE", 0)
        assert said(model, videos[1:]) == ("way of measuring", 6)


def test_boxes_come_back_to_source_pixels(setup_1):
    videos = setup_1.videos
    Constant = setup_1.Constant
    class Square(Constant):
        "Finds rows 10 to 19 and columns 20 to 39 of what it sees."

        def forward(self, clips):
            out = super().forward(clips)
            logits = torch.full_like(out.logits, -9.0)
            logits[..., 10:20, 20:40] = 9.0
            return out._replace(logits=logits)


    # frames of 60 x 80, halved
    (record,) = evaluate(Square(0.0), videos[:1], Sight(short=30), ("act",), bar=False)
    tubes = pd.DataFrame(record["tubes"])
    assert len(tubes) == 3 * videos[0].n_frames  # one tube, entered for the three best classes
    assert tubes[["x1", "y1", "x2", "y2"]].drop_duplicates().values.tolist() == [[40, 20, 79, 39]]


def test_every_protocol_gives_a_table_and_a_summary(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    middle = setup_1.middle
    names = class_names(videos)
    found = evaluate(model, videos, middle, tuple(PROTOCOLS), bar=False)
    for protocol in PROTOCOLS:
        with warnings.catch_warnings():  # an untrained detector enters its tubes for three classes
            warnings.simplefilter("ignore")
            table, summary = tables(found, videos, names, protocol)
        assert len(table) >= len(names) and len(summary) >= 4


def test_the_perfect_detector_scores_one_hundred_under_every_protocol(setup_1):
    videos = setup_1.videos
    Constant = setup_1.Constant
    class Oracle(Constant):
        "Knows the truth of one video."

        def __init__(self, video):
            super().__init__(0.0)
            self.truth = torch.from_numpy(truth_mask(video, range(video.n_frames), 60, 80))
            self.label = torch.tensor(video.label)

        def forward(self, clips):
            clip = self.truth[torch.from_numpy(eval_clips(len(self.truth)))][: len(clips)].float()
            scores = torch.nn.functional.one_hot(self.label.expand(len(clips)), 8).float()
            return Detection(clip[:, None] * 18 - 9, scores, None)


    single = [v for v in videos if len(v.tubes) == 1]
    found = []
    for v in single:
        found += evaluate(Oracle(v), [v], Sight(), tuple(PROTOCOLS), batch=99, bar=False)
    for protocol, best in dict(paper="f@0.5", strict="v@0.5", act="v@0.75").items():
        table, _ = tables(found, single, class_names(videos), protocol)
        column = table[best].drop("mean").dropna()
        column = column[column.index.isin([v.action for v in single])]
        assert len(column) >= 5 and np.allclose(column, 100)
    table, _ = tables(found, single, class_names(videos), "davis")
    assert len(table) == len(single) and np.allclose(table["J mean"], 100)


def test_nan_comes_with_its_reason():
    scores = pd.DataFrame({"f-AP": [1.0, np.nan, np.nan]}, index=["dive", "ski", "mean"])
    assert "scored of ski, and so is the mean" in why_nan(scores) and why_nan(scores[:1]) == ""
    mask = np.ones((2, 4, 4), bool)
    alone = [{"video": "a"} | video_record(mask * 1.0, mask, 0, np.eye(2)[[0, 0]])]
    for protocol in ("paper", "strict"):
        table, summary = tables(alone, [], ["bow", "run"], protocol)
        assert table.loc["bow", "f@0.5"] == 100 and np.isnan(summary["f_map@0.5"]).all()
        assert table.loc["mean", ["f@0.2", "v@0.5"]].isna().all()
        assert "scored of run, and so is the mean" in why_nan(table)


def test_unreadable_videos_are_borne_with_up_to_a_number_counted_and_named(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    middle = setup_1.middle
    bad = [replace(videos[0], name="gone", path=Path("gone.avi")), *videos[1:]]
    with pytest.raises(ValueError, match="1 unreadable test videos, allowed: 0. The last is gone"):
        evaluate(model, bad, middle, bar=False)
    left = {}
    records = evaluate(model, bad, middle, bar=False, bad_files=1, left=left)
    assert [r["video"] for r in records] == [v.name for v in videos[1:]]
    assert list(left) == ["gone"] and "no such file" in left["gone"]
    with pytest.raises(ValueError, match="none of 1 test videos"):
        evaluate(model, bad[:1], middle, bar=False, bad_files=5)
    bare = Tube(0, 0, np.full((9, 4), -1), lambda frame: np.ones((9, 9), bool))  # masks of another size
    bad[0] = replace(videos[0], name="other", tubes=(bare,))
    left = {}
    records = evaluate(model, bad, middle, bar=False, bad_files=1, left=left)
    assert "other: frame 0 has 80x60 pixels and its mask 9x9" in left["other"]
    assert [r["video"] for r in records] == [v.name for v in videos[1:]]
    with pytest.raises(ValueError, match="tubes with masks, but no boxes"):
        evaluate(pytest.fail, bad, middle, ("act",), bar=False)  # before the detector is asked


def test_the_folder_of_results_is_complete_and_the_second_time_costs_nothing(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    out = Path(tempfile.mkdtemp())
    about = dict(size=[56, 56], short=60, frames=8, stride=2)
    first, _ = write_evaluation(out, model, videos, class_names(videos), "paper", about, bar=False)
    written = {p.name for p in out.iterdir()}
    assert {"paper_per_class.csv", "paper_summary.json", "videos.csv"} <= written
    assert {"paper_curves.png", "worst-01.png", "worst-08.png"} <= written
    calls = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    records = evaluate(model, videos, sight(about), ("strict", "davis"), out, bar=False)
    pd.testing.assert_frame_equal(tables(records, videos, class_names(videos))[0], first)
    assert not calls
    write_evaluation(out, model, videos, class_names(videos), "davis", about, bar=False)
    assert not calls
    hook.remove()
    few = Path(tempfile.mkdtemp())  # with a single video most classes have no score
    write_evaluation(few, model, videos[:1], class_names(videos), "paper", about, bar=False)
    text = (few / "paper_summary.json").read_text()
    assert "null" in text and json.loads(text, parse_constant=pytest.fail)


def test_the_truth_itself_scores_one_hundred_as_a_table_of_detections(setup_1):
    videos = setup_1.videos
    path = Path(tempfile.mkdtemp()) / "boxes.csv"
    write_table(truth_table(videos).assign(score=0.9), path)
    table = score_detections(path, videos, class_names(videos))
    assert np.allclose(table.filter(like="f@"), 100)
    alone = [k for k, v in enumerate(videos) if len(v.tubes) == 1]  # tube NMS merges actors who overlap
    assert np.allclose(table.filter(like="v@").iloc[alone], 100)


def test_exported_detections_score_the_same_when_they_come_back_as_a_table(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    about, out = dict(size=[56, 56], short=60, frames=8, stride=2), Path(tempfile.mkdtemp())
    table, _ = write_evaluation(out, model, videos, class_names(videos), "act", about, bar=False)
    again = score_detections(out / "detections.csv", videos, class_names(videos))
    pd.testing.assert_frame_equal(again, table)


def test_detections_of_another_data_set_are_refused_by_name(setup_1):
    videos = setup_1.videos
    path = Path(tempfile.mkdtemp()) / "boxes.csv"
    write_table(truth_table(videos[:1]).assign(score=0.9, video="somewhere/else"), path)
    with pytest.raises(ValueError, match="boxes.csv: column video: 'somewhere/else'"):
        score_detections(path, videos, class_names(videos))
