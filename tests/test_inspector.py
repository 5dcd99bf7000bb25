"Generated from nbs/52_inspector.ipynb: change the notebook, then `make export`."
from functools import partial
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.actors import draw_video
from vad_ssl.checkpoint import save_checkpoint
from vad_ssl.checkpoint import save_weights
from vad_ssl.detector import small_detector
from vad_ssl.panels import Look
from vad_ssl.panels import look
from vad_ssl.panels import mirror
from vad_ssl.panels import read_clip
from vad_ssl.video import write_video
from vad_ssl.widgets import read_page
from vad_ssl.widgets import unpack
from vad_ssl.widgets import write_page
import json
import numpy as np
import pytest
import re
import shutil
import tempfile
import torch

from vad_ssl.inspector import Inspector, _packed_look, live_notebook, run_steps, serve


@pytest.fixture(scope="module")
def setup_1():
    torch.manual_seed(0)
    model = small_detector(3, width=8).train()
    home = Path(tempfile.mkdtemp())
    drawn, boxes = draw_video("Walk", np.random.default_rng(0), frames=24)
    write_video(home / "walk.avi", drawn);
    return SimpleNamespace(model=model, home=home, drawn=drawn, boxes=boxes)


def test_a_detector_without_routing_shows_none_and_a_map_beside_a_detector_leaves_classes_their_names(setup_1):
    model = setup_1.model
    film = torch.rand(3, 8, 24, 32)
    plain = small_detector(3, width=8, routing="pooled")
    steps = Inspector(film, {"routed": model, "pooled": plain}).data()["steps"]
    assert steps[0]["routing"]["shape"] == [8, 3, 3, 4] and steps[1]["routing"] is None
    beside = Inspector(film, {"mine": film[0], "detector": model}).data()
    assert beside["classes"] == ["class 1", "class 2", "class 3"]
    assert [step["activations"] is None for step in beside["steps"]] == [True, False]
    assert [step["loc2"] is None for step in beside["steps"]] == [True, False]


def test_the_live_notebook_is_one_valid_cell(setup_1):
    home = setup_1.home
    book = live_notebook(home / "walk.avi", frame=3)
    compile(book["cells"][0]["source"], "cell", "exec")
    assert book["cells"][0]["source"].endswith("walk.avi', None, frame=3)")
    with pytest.raises(ValueError, match="no frame 99"):
        serve(home / "walk.avi", frame=99)


@pytest.fixture(scope="module")
def setup_2():
    def moving_square(b, size=32, seed=0):
        "Noise with a bright square that moves to the right; the square is the action."
        g = torch.Generator().manual_seed(seed)
        clip = 0.5 * torch.rand(b, 3, 8, size, size, generator=g)
        mask = torch.zeros(b, 1, 8, size, size)
        for i in range(b):
            top, left = (int(v) for v in torch.randint(2, size - 20, (2,), generator=g))
            for k in range(8):
                mask[i, :, k, top : top + 11, left + k : left + k + 11] = 1
        return {"clip": (clip + 0.5 * mask).clamp(max=1), "mask": mask, "label": torch.arange(b) % 3}


    test_clip = moving_square(1, seed=5000)
    film, truth = test_clip["clip"][0], test_clip["mask"][0, 0].numpy()
    return SimpleNamespace(moving_square=moving_square, test_clip=test_clip, film=film, truth=truth)


def test_a_page_is_one_file_that_asks_nobody_for_anything(setup_1, setup_2):
    model = setup_1.model
    home = setup_1.home
    film = setup_2.film
    truth = setup_2.truth
    shown = Inspector(film, model, truth=truth, title="a < b")
    page = shown.to_html(home / "page.html").read_text()
    bare = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]*", "", page)
    asks = r"""(src|href)=|https?://|@import|fetch\(|import\("""
    assert "a &lt; b" in page and not re.search(asks, bare)
    assert page.count("</script>") == 2  # data cannot end the script early
    data, title = read_page(home / "page.html")
    again = write_page("inspector", data, home / "again.html", title, frame=0, ramp=1.0)
    assert title == "a < b" and again.read_text() == page


def test_an_unsure_detector_is_doubted_and_activations_that_are_no_numbers_are_refused():
    answer = Look(torch.zeros(1, 2, 2), activations=torch.tensor([0.4, 0.2]))
    said = _packed_look("a", answer, {"unsure": {"below": 0.7}})["doubt"]
    assert said == "probably none of them: the best score, 0.40, is below 0.70"
    assert _packed_look("a", answer, {})["doubt"] == ""
    with pytest.raises(ValueError, match="a: its class activations are not finite"):
        _packed_look("a", answer._replace(activations=torch.tensor([float("nan")])), {})


def test_the_page_holds_the_maps_of_the_detector(setup_1, setup_2):
    model = setup_1.model
    film = setup_2.film
    truth = setup_2.truth
    data = Inspector(film, {"a": model, "b": model}, truth=truth).data()
    assert [step["name"] for step in data["steps"]] == ["a", "b"]
    assert data["classes"] == ["class 1", "class 2", "class 3"]
    seen = look(model, film)
    loc1 = unpack(data["steps"][1]["loc1"]).reshape(8, 32, 32)
    np.testing.assert_allclose(loc1, seen.loc1, atol=1e-5)
    assert json.loads(json.dumps(data))["t"] == 8


def test_a_detector_is_asked_once_for_both_views_and_the_viewer_begins_where_one_says(setup_1, setup_2):
    model = setup_1.model
    home = setup_1.home
    film = setup_2.film
    calls = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    live = Inspector(film, model)
    viewer = live.widget(frame=2, ramp=0.5)
    hook.remove()
    assert len(calls) == 1 and (viewer.frame, viewer.start) == (2, {"ramp": 0.5})
    for begin in (live.widget, partial(live.to_html, home / "late.html")):
        with pytest.raises(ValueError, match="ramp=2: give a number from 0 to 1"):
            begin(ramp=2)
        with pytest.raises(ValueError, match="no frame 8; the clip holds 0..7"):
            begin(frame=8)


def test_arrays_alone_a_file_alone_and_a_second_view_of_ones_own(setup_1, setup_2):
    model = setup_1.model
    home = setup_1.home
    drawn = setup_1.drawn
    film = setup_2.film
    truth = setup_2.truth
    alone = Inspector(drawn[:8])
    assert alone.stand_in == "brightness" and "enters the loss" not in alone.panels()
    given = Inspector(film, truth, second_view=truth * 0.5)
    assert given.stand_in == "" and given.panels()["squared difference"].max() == pytest.approx(0.25)
    assert Inspector(film, truth=truth).stand_in == "truth"
    assert Inspector(home / "walk.avi").numbers == read_clip(home / "walk.avi")[2]
    shifted = Inspector(film, model, second_view=mirror(1, 32)._replace(by=torch.tensor([[0, 9]])))
    assert not next(iter(shifted.looks.values())).valid.all()


@pytest.fixture
def setup_3():
    def run_folder(root, steps, **modules):  # name -> what a checkpoint holds beside the model
        "A folder as a run leaves it: a checkpoint for every step, and the finished detector."
        about = {"detector": "small", "width": 8, "classes": ["a", "b", "c"]}
        about |= {"frames": 8, "stride": 2, "short": 24, "size": [24, 24]}
        for step, detector in steps.items():
            parts = {name: wrap(detector) for name, wrap in modules.items()}
            save_checkpoint(root, step, {"model": detector} | parts, {}, keep=9)
        save_weights(root / "model.safetensors", detector, about)
        return root


    learned = {}
    for step in (0, 20, 100):
        torch.manual_seed(step)
        learned[step] = small_detector(3, width=8)
    return SimpleNamespace(run_folder=run_folder, learned=learned, step=step)


def test_a_folder_of_a_run_is_a_slider_through_its_steps(setup_2, setup_3):
    film = setup_2.film
    run_folder = setup_3.run_folder
    learned = setup_3.learned
    step = setup_3.step
    folder = run_folder(Path(tempfile.mkdtemp()), learned)
    run = Inspector(film, folder)
    assert list(run.looks) == ["step 0", "step 20", "step 100"]
    assert run.classes == ["a", "b", "c"]
    page = run.to_html(folder / "page.html")
    steps = read_page(page)[0]["steps"]
    assert [step["name"] for step in steps] == list(run.looks)
    for step, net in zip(steps, learned.values()):
        loc1 = unpack(step["loc1"]).reshape(8, 32, 32)
        np.testing.assert_allclose(loc1, look(net, film).loc1, atol=1e-5)


def test_of_a_mean_teacher_the_average_is_shown(setup_2, setup_3):
    film = setup_2.film
    run_folder = setup_3.run_folder
    learned = setup_3.learned
    def average(other):
        "A teacher that holds other weights than the model beside it."
        return lambda net: nn.ModuleDict({"module": other})


    def part(other):
        return lambda net: nn.ModuleDict({"average": average(other)(net), "corrector": nn.Linear(2, 2)})


    def labeller(other):
        return lambda net: other


    first, last = learned[0], learned[100]
    for wrap, shown in ((average, last), (part, last), (labeller, first)):
        folder = run_folder(Path(tempfile.mkdtemp()), {0: first}, teacher=wrap(last))
        found, _ = run_steps(folder)
        assert torch.equal(look(found["step 0"], film).loc1, look(shown, film).loc1)


def test_a_run_that_is_not_finished_or_kept_nothing_is_one_line(setup_1, setup_2, setup_3):
    model = setup_1.model
    home = setup_1.home
    film = setup_2.film
    run_folder = setup_3.run_folder
    folder = run_folder(Path(tempfile.mkdtemp()), {0: model})
    shutil.rmtree(folder / "step-00000000")
    with pytest.raises(ValueError, match="holds no checkpoints step-"):
        Inspector(film, folder)
    with pytest.raises(ValueError, match="model.safetensors: no such checkpoint"):
        Inspector(film, home)


def test_what_does_not_fit_is_named(setup_1, setup_2):
    model = setup_1.model
    home = setup_1.home
    film = setup_2.film
    with pytest.raises(
        ValueError, match=r"truth: shape \(8, 3, 3\), but the clip has \(t, h, w\) = \(8, 32, 32\)"
    ):
        Inspector(film, model, truth=np.zeros((8, 3, 3)))
    with pytest.raises(ValueError, match="no such checkpoint"):
        Inspector(film, home / "none.safetensors")
    with pytest.raises(ValueError, match="map 1: of 3 classes, but there are 2 names"):
        Inspector(film, [model], classes=["a", "b"])


def test_several_checkpoints_keep_their_names_apart_and_agree_on_classes_and_clips(setup_1, setup_2):
    model = setup_1.model
    film = setup_2.film
    root, about = Path(tempfile.mkdtemp()), {"detector": "small", "width": 8, "frames": 8, "stride": 2}
    files = [root / top / "run" / "model.safetensors" for top in ("one", "two")]


    def kept(classes, short):
        "Two checkpoints; the second is trained for these."
        for file, *said in (files[0], ["a", "b", "c"], 24), (files[1], classes, short):
            file.parent.mkdir(parents=True, exist_ok=True)
            save_weights(file, model, about | dict(zip(("classes", "short"), said)))
        return files


    both = Inspector(film, kept(["a", "b", "c"], 24))
    assert list(both.looks) == ["one/run/model", "two/run/model"]
    assert list(Inspector(film, [files[0]] * 2).looks) == ["1", "2"]
    for classes, short in ((["c", "a", "b"], 24), (["a", "b", "c"], 48)):
        with pytest.raises(ValueError, match="one/run/model and two/run/model: trained for different"):
            Inspector(film, kept(classes, short))
