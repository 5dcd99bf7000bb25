"Generated from nbs/95_cli.ipynb: change the notebook, then `make export`."
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl import __version__
from vad_ssl.actors import draw_video
from vad_ssl.actors import make_actors
from vad_ssl.checkpoint import save_weights
from vad_ssl.config import PRESETS
from vad_ssl.config import Run
from vad_ssl.config import settings
from vad_ssl.detector import small_detector
from vad_ssl.dev import repository
from vad_ssl.i3d import kinetics_path
from vad_ssl.video import write_video
from vad_ssl.vos import small_vos
from vad_ssl.widgets import read_page
import contextlib
import io
import numpy as np
import os
import pytest
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from vad_ssl.cli import COMMANDS, _parsed, main, one_line


def test_a_box_of_tyro_becomes_one_line():
    box = """
╭─ Unrecognized options ────╮
│ Unrecognized options: --x │
│ ───────────────────────── │
│ Perhaps you meant:        │
│     --lr FLOAT            │
│         learning rate     │
╰───────────────────────────╯"""
    assert one_line(box) == "Unrecognized options: --x Perhaps you meant: --lr FLOAT"


@pytest.fixture
def setup_1():
    def attempt(*words):
        "Run the command in this process: exit status and what it printed on standard error."
        import contextlib
        import io

        text = io.StringIO()
        with contextlib.redirect_stderr(text), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = main([str(w) for w in words])
            except SystemExit as stop:
                status = stop.code
        return status, text.getvalue()


    home = Path(tempfile.mkdtemp())
    (home / "text.avi").write_text("this is not a video")
    (home / "taken").write_text("in the way")
    (home / "empty").mkdir()
    write_video(home / "blink.avi", draw_video("Walk", np.random.default_rng(0), frames=3)[0]);
    return SimpleNamespace(attempt=attempt, home=home)


def test_help_lists_every_field_of_a_run_with_its_meaning_and_default():
    import re

    from vad_ssl.config import PRESETS, Run, settings

    env = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-m", "vad_ssl.cli", "train", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, env=env).stdout
    for name in settings(Run()):
        line = re.search(rf"--(no-)?{name.replace('_', '-')}\b.*", shown)
        assert line, name
    for words in ("learning rate of Adam (default: 0.001)", "folder of a data set (see DATA.md)"):
        assert words in " ".join(shown.split())
    assert "Which videos there are, and who has labels." in shown


def test_options_win_over_the_file_and_the_file_over_the_preset(setup_1):
    attempt = setup_1.attempt
    file = Path(tempfile.mkdtemp()) / "run.yaml"
    file.write_text("preset: ucf101_24\nepochs: 7\nseed: 3\n")


    def asked(*words):
        "The run that options ask for."
        return _parsed("train", [str(w) for w in words]).run


    assert asked() == Run()
    assert all(asked("--preset", name) == run for name, run in PRESETS.items())
    assert asked("--preset=jhmdb21") == PRESETS["jhmdb21"]
    assert asked("--task", "vos") == asked("--preset", "vos") == PRESETS["vos"]
    run = asked("--config", file, "--seed", 5, "--no-hold", "--workers", 2)
    assert (run.clip.size, run.training.epochs, run.seed) == ((224, 224), 7, 5)
    assert (run.consistency.hold, run.machine.workers) == (False, 2)
    assert asked("--preset", "ucf101_24", "--method", "mean-teacher").consistency.lam is None
    file.write_text("preset: ucf101_24\n")
    assert asked("--config", file, "--method", "mean-teacher").consistency.lam is None
    file.write_text("lam: 7\nwarmup: 0\n")  # what a file says stays, whatever the method
    run = asked("--config", file, "--method", "semi-supervised")
    assert (run.method, run.consistency.lam, run.consistency.warmup) == ("semi-supervised", 7, 0)
    file.write_text("epoch: 7\n")
    status, text = attempt("train", "--config", file)
    assert "run.yaml: no field 'epoch'; the nearest is 'epochs'" in text
    assert status == 2 and text.count("\n") == 1


def test_wrong_use_is_one_line_and_status_two(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    cases = {
        "none.avi": ["predict", home / "none.avi", "--checkpoint", "m", "--out", home / "o"],
        "text.avi": ["predict", home / "text.avi", "--checkpoint", "m", "--out", home / "o"],
        "none.safetensors": ["evaluate", "--checkpoint", home / "none.safetensors"],
        "empty": ["train", "--data", home / "empty", "--out", home / "o"],
        "label_fraction=0": ["demo", "--label-fraction", "0"],
        "labels=1.5": ["split", "--labels", "1.5"],
        "seed=-1": ["split", "--seed", "-1"],
        "is a folder": ["split", "--out", home],
        "text.avi: exists and is something else": ["split", "--out", home / "text.avi"],
        "text.avi: exists": ["check-data", home, "--fix-manifest", home / "text.avi"],
        "names of their own": ["check-data", home, *("--out", "a.csv"), *("--fix-manifest", "a.csv")],
        "steps=-5: from": ["weights", "drawn", "--out", home / "w.safetensors", "--steps", "-5"],
        "of the run": ["weights", "real", "--run", home, "--out", home / "model.safetensors"],
        "bad_files=-4": ["evaluate", "--checkpoint", "m", "--bad-files", "-4"],
        "cannot be read as YAML": ["train", "--config", ""],
        "seeds=0, jobs": ["study", "vos", "--seeds", "0", "--out", home / "o"],
        f"{home}: is a folder": ["check-data", home, "--fix-manifest", home],
        "taken: cannot be written": ["check-data", home / "empty", "--out", home / "taken" / "r.csv"],
        "/x: cannot": ["split", "--data", home / "empty", "--out", "/proc/x/split.csv"],
        "empty: give": ["weights", "drawn", "--out", home / "empty"],
        "kinetics: leave out --out": ["weights", "kinetics", "--out", home / "w.safetensors"],
        "drawn: leave out --run": ["weights", "drawn", "--run", home],
        "--out: leave out --seed, --steps": ["weights", "drawn", "--seed", "5", "--steps", "10"],
        "--run: leave out --others": ["weights", "real", "--others", home],
        "nothing: leave out --bad-files": ["evaluate", "--detections", home / "a", "--bad-files", "3"],
        "own: leave out --budget": ["study", "vos", "--budget", "full", "--out", home / "o"],
        "export: leave out --slow": ["dev", "export", "--slow"],
        "method=mixmatch": ["demo", "--method", "mixmatch", "--out", home / "o"],
        "workers=-1": ["check-data", home, "--workers", "-1"],
        "manifest=split.csv: the task vos": ["train", "--preset", "vos", "--manifest", "split.csv"],
        "knows supervised": ["demo", "--preset", "vos", "--out", home / "o"],
        "as --data": ["split", "--csv", "boxes.csv"],
        "seeds=0": ["demo", "--seeds", "0", "--out", home / "o"],
        "label_fraction=-1": ["demo", "--label-fraction=-1"],
        "COMMAND": [],
        "fly": ["fly"],
        "epochs=0": ["train", "--epochs", "0"],
        "lam=nan": ["demo", "--lam", "nan"],
        "'luck'": ["train", "--schedule", "luck"],
        "--epochz": ["train", "--epochz", "3"],
        "video": ["predict", "--out", home / "o"],
        "study 'everything'": ["study", "everything"],
        "give --checkpoint": ["evaluate"],
        "leave out --protocol": ["evaluate", "--detections", home / "a.csv", "--protocol", "act"],
        "cannot be written": ["demo", "--out", "/proc/nothing"],
    }
    for named, words in cases.items():
        status, text = attempt(*words)
        assert status == 2 and named in text, (words, text)
        assert text.count("\n") == 1 and "Traceback" not in text, (words, text)


def test_a_study_or_a_demo_in_several_processes_is_refused_and_a_folder_that_nothing_fills_is_not_made(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        for name in ("demo", "study vos"):
            status, text = attempt(*name.split(), "--out", home / "several")
            assert status == 2 and "start it once; --jobs" in text and not (home / "several").exists()
    assert not (home / "o").exists() or not list((home / "o").iterdir())


def test_the_inspector_writes_a_page_and_refuses_what_it_cannot_read_in_one_line(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    said = dict(detector="small", width=4, classes=["a", "b"], frames=4, stride=1, short=24)
    save_weights(home / "two.safetensors", small_detector(2, width=4), said)
    known = "--checkpoint", home / "two.safetensors"
    page = home / "pages" / "blink.html"
    assert attempt("inspect", home / "blink.avi", *known, "--out", page) == (0, "")
    assert "<canvas" not in page.read_text() and "two" in page.read_text()
    for named, words in {
        "none.avi": [home / "none.avi"],
        "text.avi": [home / "text.avi", "--out", home / "p.html"],
        "no frame 7": [home / "blink.avi", *known, "--frame", "7"],
        "give one of them": [home / "blink.avi", *known, "--kinetics"],
        "'x'": [home / "blink.avi", "--frame", "x"],
        "none.safetensors": [home / "blink.avi", "--checkpoint", home / "none.safetensors"],
    }.items():
        status, text = attempt("inspect", *words)
        assert status == 2 and named in text and text.count("\n") == 1, text


def test_without_a_checkpoint_the_packaged_detector_looks_and_with_kinetics_the_classifier(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    if not kinetics_path().exists():
        pytest.skip("Kinetics weights are not on this machine")
    page, film = home / "default.html", home / "walk.avi"
    write_video(film, draw_video("Walk", np.random.default_rng(0), frames=40)[0])
    for words, classes in (((), 9), (("--kinetics",), 400)):
        assert attempt("inspect", film, *words, "--out", page) == (0, "")
        assert len(read_page(page)[0]["classes"]) == classes


def test_a_run_is_inspected_step_by_step(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    import shlex

    from vad_ssl.actors import make_actors

    root = make_actors(home / "few", train=5, test=1, workers=1)
    few = "--method mean-teacher --width 8 --epochs 3 --steps 2 --keep 9"
    few += " --batch-labelled 2 --batch-unlabelled 2"
    assert attempt("train", "--data", root, *shlex.split(few), "--out", home / "run")[0] == 0
    (folder,) = (home / "run" / "runs").iterdir()
    video, page = root / "videos" / "Walk" / "v_Walk_g02_c01.avi", home / "steps.html"
    assert attempt("inspect", video, "--checkpoint", folder, "--out", page) == (0, "")
    data, _ = read_page(page)
    assert [step["name"] for step in data["steps"]] == ["step 0", "step 2", "step 4", "step 6"]
    assert len({step["loc1"]["data"] for step in data["steps"]}) == 4


def test_every_command_has_help(setup_1):
    attempt = setup_1.attempt
    for command in COMMANDS:
        assert attempt(command, "--help")[0] == 0
    assert attempt("--help")[0] == 0


def test_the_packaged_weights_say_how_they_were_made_and_a_place_for_new_ones_is_asked_for_first(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    assert attempt("weights", "drawn") == (0, "")
    status, text = attempt("weights", "drawn", "--out", home / "taken" / "new.safetensors")
    assert status == 2 and text.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_named_before_any_work(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    status, text = attempt("demo", "--out", home / "taken" / "demo")
    assert status == 2 and "taken" in text and text.count("\n") == 1


def test_a_data_set_is_checked_and_damage_is_found_and_left_out_of_the_manifest(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    from vad_ssl.actors import make_actors

    root = make_actors(home / "checked", train=1, test=1, workers=1)
    assert attempt("check-data", root)[0] == 0
    victim = root / "videos" / "Walk" / "v_Walk_g02_c01.avi"
    victim.write_bytes(victim.read_bytes()[:9000])
    files = ["--out", home / "report.csv", "--fix-manifest", home / "good.csv"]
    assert attempt("check-data", root, *files)[0] == 1
    assert "v_Walk_g02_c01" in (home / "report.csv").read_text()
    assert (home / "good.csv").read_text().count(",labelled,") == 7


def test_a_split_is_written_as_a_manifest(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    from vad_ssl.actors import make_actors

    root = make_actors(home / "actors", train=5, test=1, workers=1)
    assert attempt("split", "--data", root, "--labels", "0.2", "--out", home / "split.csv") == (0, "")
    assert (home / "split.csv").read_text().count(",labelled,") == 8
    assert attempt("split", "--data", root, "--labels", "0.4", "--out", home / "split.csv") == (0, "")
    assert (home / "split.csv").read_text().count(",labelled,") == 16  # a manifest may be replaced


def test_a_detector_of_some_actions_is_scored_on_these_and_never_under_each_other_s_names(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    from vad_ssl.checkpoint import save_weights
    from vad_ssl.detector import small_detector

    root = make_actors(home / "two", train=1, test=1, workers=1)
    about = dict(detector="small", width=4, frames=4, stride=1, size=[24, 24], short=24)
    weights = home / "two.safetensors"
    for classes, status in ((["Kick", "Walk"], 0), (["Walk", "Kick"], 2)):
        save_weights(weights, small_detector(2, 4), about | {"classes": classes})
        said = attempt("evaluate", "--checkpoint", weights, "--data", root, "--out", home / "scored")
        assert said[0] == status, said
    assert "trained for ['Walk', 'Kick'], but the data set has ['Kick', 'Walk']" in said[1]


def test_objects_are_drawn_scored_and_followed_and_the_wrong_checkpoint_is_named(setup_1):
    attempt = setup_1.attempt
    home = setup_1.home
    from torch import nn

    from vad_ssl.checkpoint import save_weights
    from vad_ssl.vos import small_vos

    assert attempt("data", "vos", "--out", home / "vos", "--train", "2", "--test", "1")[0] == 0
    film = sorted((home / "vos" / "valid" / "JPEGImages").iterdir())[0]
    mask = home / "vos" / "valid" / "Annotations" / film.name / "00000.png"
    about = {
        "task": "vos",
        "network": "small",
        "width": 4,
        "size": [36, 48],
        "classes": ["bat", "ball"],
    }
    save_weights(home / "vos.safetensors", small_vos(4), about)
    save_weights(home / "old.safetensors", nn.Linear(1, 1), {"detector": "small", "classes": ["a"]})


    def call(checkpoint, *mask):
        out = ["--out", home / "p"]
        return attempt("predict", film, "--checkpoint", home / checkpoint, *out, *mask)


    assert call("vos.safetensors", "--mask", mask) == (0, "")
    assert len(list((home / "p" / "Annotations" / film.name).glob("*.png"))) == 8
    score = ["--checkpoint", home / "vos.safetensors", "--data", home / "vos", "--out", home / "s"]
    assert attempt("evaluate", *score) == (0, "")
    assert "J,F" in (home / "s" / "frames.csv").read_text().splitlines()[0]
    assert "leave out --protocol" in attempt("evaluate", *score, "--protocol", "strict")[1]
    looked = attempt("inspect", film, *score[:2], "--out", home / "p.html")
    assert looked[0] == 2 and "follows objects" in looked[1]
    for words, reason in (
        (("vos.safetensors",), "with --mask"),
        (("old.safetensors", "--mask", mask), "takes no --mask"),
        (("vos.safetensors", "--mask", home / "none.png"), "no such mask"),
    ):
        status, text = call(*words)
        assert status == 2 and reason in text and text.count("\n") == 1


def test_the_installed_command_answers(setup_1):
    home = setup_1.home
    from vad_ssl import __version__

    program = Path(sys.executable).parent / "vad-ssl"
    words = ["predict", home / "text.avi", "--checkpoint", "m", "--out", home / "o"]
    run = subprocess.run([program, *words], capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "text.avi" in run.stderr
    run = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip()) == (0, __version__)


def test_importing_everything_pulls_in_neither_jupyter_nor_matplotlib():
    code = """
import importlib, pkgutil, sys, vad_ssl
for module in pkgutil.iter_modules(vad_ssl.__path__):
    importlib.import_module(f"vad_ssl.{module.name}")
heavy = ("matplotlib", "seaborn", "IPython", "ipywidgets", "jupyterlab", "nbdev")
print([name for name in heavy if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


def test_the_help_of_a_light_command_loads_no_torch():
    code = "import sys; from vad_ssl.cli import main; main(['--help']); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip().endswith("False"), run.stdout + run.stderr


def test_make_clean_deletes_no_folder_that_the_environment_names():
    import shutil

    from vad_ssl.dev import repository

    if not shutil.which("make"):
        pytest.skip("no make")
    for words in (["clean"], ["clean", "OUT=/my/films"]):
        how = dict(cwd=repository(), env={**os.environ, "OUT": "/my/films"})
        run = subprocess.run(["make", "-n", *words], capture_output=True, text=True, **how)
        assert "rm -rf" in run.stdout and "/my/films" not in run.stdout
