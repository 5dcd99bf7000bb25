"Generated from nbs/46_evaluate.ipynb: change the notebook, then `make export`."
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.actors import make_actors
from vad_ssl.data import class_names
from vad_ssl.data import truth_mask
from vad_ssl.data import ucf101_24
from vad_ssl.detector import small_detector
from vad_ssl.metrics import summarise
from vad_ssl.metrics import truth_table
from vad_ssl.metrics import write_table
import numpy as np
import pandas as pd
import pytest
import tempfile
import torch
import warnings

from vad_ssl.evaluate import (
    PROTOCOLS,
    cut,
    evaluate,
    evaluation_key,
    score_detections,
    tables,
    view_window,
    write_evaluation,
)


@pytest.fixture(scope="module")
def setup_1():
    root = make_actors(Path(tempfile.mkdtemp()) / "actors", train=1, test=1, workers=1)
    videos = [v for v in ucf101_24(root) if v.split == "test"]
    torch.manual_seed(0)
    model = small_detector(8, width=8)


    class Constant(nn.Module):
        "Says the same everywhere."

        def __init__(self, value):
            super().__init__()
            self.value = nn.Parameter(torch.tensor(value))

        def forward(self, clips):
            b, _, t, h, w = clips.shape
            return type(
                "Out",
                (),
                dict(logits=self.value.expand(b, 1, t, h, w), activations=torch.ones(b, 8) / 8),
            )
    return SimpleNamespace(root=root, videos=videos, model=model, Constant=Constant)


def test_the_crop_sits_in_the_middle_and_the_whole_frame_is_whole():
    assert view_window((240, 320), (224, 224)) == ((240, 320), (8, 48), (224, 224))
    assert view_window((240, 320), None, 60) == ((60, 80), (0, 0), (60, 80))


def test_pixels_and_truth_are_cut_alike(setup_1):
    videos = setup_1.videos
    video = videos[0]
    whole, box, _ = cut(video)
    inner, inner_box, _ = cut(video, (56, 56))
    assert whole.shape == (3, 32, 60, 80) and inner.shape == (3, 32, 56, 56)
    assert torch.equal(inner, whole[:, :, 2:58, 12:68]) and (inner_box == box[:, 2:58, 12:68]).all()


def test_a_full_map_scores_at_low_overlap_and_an_empty_one_never(setup_1):
    videos = setup_1.videos
    Constant = setup_1.Constant
    empty = summarise(evaluate(Constant(-9.0), videos, (56, 56), bar=False), 8)
    full = summarise(evaluate(Constant(9.0), videos, (56, 56), bar=False), 8)
    assert empty.f_map[1] == empty.v_map[1] == 0  # at overlap 0.05
    assert full.v_map[1] > 0.7 and full.f_map[10] < 0.3
    assert empty.accuracy == 1 / 8  # a constant class is right for one class in eight


def test_scores_do_not_depend_on_the_batch_size(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    one, many = (evaluate(model, videos[:3], (56, 56), batch=b, bar=False) for b in (1, 8))
    assert one == many


def test_an_interrupted_evaluation_goes_on_and_ends_with_the_same_digits(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    path = Path(tempfile.mkdtemp()) / "records.jsonl"
    whole = evaluate(model, videos, (56, 56), bar=False)
    evaluate(model, videos[:3], (56, 56), path=path, bar=False)
    path.write_text(path.read_text() + '{"video": "half a li')
    assert evaluate(model, videos, (56, 56), path=path, bar=False) == whole


def test_boxes_come_back_to_source_pixels(setup_1):
    videos = setup_1.videos
    Constant = setup_1.Constant
    class Square(Constant):
        "Finds rows 10 to 19 and columns 20 to 39 of what it sees."

        def forward(self, clips):
            out = super().forward(clips)
            out.logits = torch.full_like(out.logits, -9.0)
            out.logits[..., 10:20, 20:40] = 9.0
            return out


    record = evaluate(Square(0.0), videos[:1], None, 30, protocol="act", bar=False)[
        0
    ]  # frames of 60 x 80, halved
    tubes = pd.DataFrame(record["tubes"])
    assert len(tubes) == 3 * videos[0].n_frames  # one tube, entered for the three best classes
    assert tubes[["x1", "y1", "x2", "y2"]].drop_duplicates().values.tolist() == [[40, 20, 79, 39]]


def test_every_protocol_gives_a_table_and_a_summary(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    names = class_names(videos)
    for protocol in PROTOCOLS:
        found = evaluate(model, videos, (56, 56), protocol=protocol, bar=False)
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
            self.truth, self.label = (
                torch.from_numpy(truth_mask(video, range(video.n_frames), 60, 80)),
                video.label,
            )

        def forward(self, clips):
            from vad_ssl.video import eval_clips

            clip = self.truth[torch.from_numpy(eval_clips(len(self.truth)))][: len(clips)].float()
            scores = torch.nn.functional.one_hot(torch.tensor([self.label] * len(clips)), 8).float()
            return type("Out", (), dict(logits=clip[:, None] * 18 - 9, activations=scores))


    single = [v for v in videos if len(v.tubes) == 1]
    for protocol in PROTOCOLS:
        found = [
            evaluate(Oracle(v), [v], None, batch=99, protocol=protocol, bar=False)[0] for v in single
        ]
        table, summary = tables(found, single, class_names(videos), protocol)
        best = {"paper": "f@0.5", "strict": "v@0.5", "act": "v@0.75", "davis": "J mean"}[protocol]
        column = table[best].drop("mean", errors="ignore").dropna()
        column = (
            column[column.index.isin([v.action for v in single])] if protocol != "davis" else column
        )
        assert len(column) >= 5 and np.allclose(column, 1 if protocol == "davis" else 100)


def test_the_folder_of_results_is_complete_and_the_second_time_costs_nothing(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    Constant = setup_1.Constant
    out = Path(tempfile.mkdtemp())
    about = dict(size=[56, 56], short=60, frames=8, stride=2)
    first, _ = write_evaluation(out, model, videos, class_names(videos), "paper", about, bar=False)
    assert {
        "paper_per_class.csv",
        "paper_summary.json",
        "videos.csv",
        "paper_curves.png",
        "worst-01.png",
        "worst-08.png",
    } <= {p.name for p in out.iterdir()}


    class Never(Constant):
        def forward(self, clips):
            raise AssertionError("predicted again")


    records = evaluate(Never(0.0), videos, (56, 56), path=next(out.glob("paper-*.jsonl")), bar=False)
    pd.testing.assert_frame_equal(tables(records, videos, class_names(videos))[0], first)


def test_another_checkpoint_never_finds_the_records_of_the_first(setup_1):
    videos = setup_1.videos
    model = setup_1.model
    about = dict(size=[56, 56], short=60, frames=8, stride=2)
    assert evaluation_key(model, videos, about) == evaluation_key(model, videos, about)
    torch.manual_seed(1)
    others = (
        evaluation_key(small_detector(8, width=8), videos, about),
        evaluation_key(model, videos[1:], about),
    )
    assert (
        len(
            {
                evaluation_key(model, videos, about),
                *others,
                evaluation_key(model, videos, dict(about, short=30)),
            }
        )
        == 4
    )


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
