"""A real browser: JupyterLab, Voila, the site and the standalone page.

Skipped, with the reason, where there is no browser.
"""

import functools
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from vad_ssl.checkpoint import save_checkpoint, save_weights
from vad_ssl.coherence import coherence_loss, coherence_weight, exp_rampup, variance_mask
from vad_ssl.consistency import l2_consistency
from vad_ssl.detector import small_detector
from vad_ssl.dev import repository
from vad_ssl.inspector import Inspector
from vad_ssl.playground import SCENES, Playground, pull, slope
from vad_ssl.site import docs
from vad_ssl.smoothness import gradient_mask, smoothness_loss
from vad_ssl.widgets import asset

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no Playwright: pip install playwright"
)
ROOT = repository()
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 812}}


@pytest.fixture(scope="module")
def browser():
    """Chromium: the system's, or the one that `python -m playwright install chromium` fetched."""
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    with sync_api.sync_playwright() as play:
        try:
            chromium = play.chromium.launch(
                executable_path=found, args=["--no-sandbox", "--disable-gpu"]
            )
        except sync_api.Error as error:
            pytest.skip(
                "no browser: apt-get install chromium, or python -m playwright install chromium "
                f"({error.message[:60]})"
            )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A fresh profile that notes every request and every error."""
    context = browser.new_context(viewport=SIZES["desktop"])
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    yield page
    context.close()


def elsewhere(page, home):
    """Requests to anywhere but `home`."""
    return [url for url in page.asked if not url.startswith((home, "data:", "blob:"))]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def serve(tmp_path):
    """Start a Jupyter server of some kind and wait until it answers."""
    running, runtime = (
        [],
        tempfile.mkdtemp(prefix="jupyter"),
    )  # a short path: sockets have names of at most 107 letters

    def start(module, *options):
        port = free_port()
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
            "JUPYTER_RUNTIME_DIR": runtime,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", *module, *(o.format(port=port) for o in options)],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                return f"http://127.0.0.1:{port}"
            except urllib.error.HTTPError:
                return f"http://127.0.0.1:{port}"
            except OSError:
                time.sleep(0.2)
        raise TimeoutError("the server did not answer")

    yield start
    for process in running:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:  # a busy machine: the test has had its answer
            process.kill()
            process.wait()
    shutil.rmtree(runtime, ignore_errors=True)


def canvases(scope):
    """The pixels of all panels, as text."""
    return scope.locator(".vad .screen canvas").evaluate_all("all => all.map(c => c.toDataURL())")


def moves(scope):
    """Does pressing the arrow key on the frame slider change the frame number and the pictures?"""
    slider = scope.get_by_role("slider", name="frame", exact=True)
    slider.wait_for()
    before, pictures = slider.input_value(), canvases(scope)
    slider.press("ArrowRight")
    return (
        slider.input_value() != before
        and sum(a != b for a, b in zip(pictures, canvases(scope))) > 3
    )


@pytest.fixture(scope="module")
def film():
    """A bright square that moves, a prediction that is late, and its second view."""
    truth = torch.zeros(8, 24, 32)
    for k in range(8):
        truth[k, 6:16, 2 + 2 * k : 12 + 2 * k] = 1
    return (
        truth.expand(3, -1, -1, -1) * 0.7 + 0.1,
        0.9 * truth.roll(1, 0).numpy(),
        0.8 * truth.numpy(),
        truth.numpy(),
    )


@pytest.fixture(scope="module")
def inspector(film):
    clip, late, second, truth = film
    return Inspector(clip, {"early": 0.3 * late, "late": late}, second, truth)


@pytest.fixture(scope="module")
def standalone(inspector, tmp_path_factory):
    return inspector.to_html(tmp_path_factory.mktemp("page") / "inspector.html").as_uri()


@pytest.mark.parametrize("size", SIZES)
def test_the_standalone_page_moves_and_fits(page, standalone, size):
    page.set_viewport_size(SIZES[size])
    page.goto(standalone)
    assert moves(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.errors == [] and elsewhere(page, standalone) == []


def test_the_page_computes_what_python_computes(page, standalone, inspector):
    page.goto(standalone)
    page.locator(".vad").wait_for()
    choices = [
        dict(window=5, ramp=1.0),
        dict(window=3, ramp=0.25),
        dict(window=3, ramp=0.5, normalise=False),
        dict(attention="gradient"),
        dict(attention="none"),
        dict(attention="both", ramp=0.5),
        dict(cyclic=False, ramp=0.5),
        dict(window=7),
    ]
    for how in choices:
        page.get_by_label("attention", exact=True).select_option(
            how.get("attention", "variance" if how.get("cyclic", True) else "variance, clip alone")
        )
        page.get_by_label("frames in the window").select_option(str(how.get("window", 5)))
        page.get_by_label("normalise").set_checked(how.get("normalise", True))
        page.get_by_label("ramp weight").fill(str(how.get("ramp", 1.0)))
        maps = page.evaluate(
            "Object.fromEntries(Object.entries(viewer.maps).map(([k, m]) => [k, [...m.values]]))"
        )
        expected = inspector.panels(**how)
        assert list(maps) == [name for name in expected if name != "frame"]
        for name, values in maps.items():
            top = max(1e-9, float(expected[name].max()))
            np.testing.assert_allclose(
                values, expected[name].ravel(), atol=2e-4 * top, err_msg=f"{how} {name}"
            )


def test_a_click_holds_a_pixel_and_fills_in_the_formulas(page, standalone):
    page.goto(standalone)
    box = page.locator(".screen").nth(2).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 12.5 / 32, box["y"] + box["height"] * 10.5 / 24)
    assert "pixel (12, 10) over time" in page.locator(".vad").inner_text()
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    text = page.locator(".vad").inner_text()
    assert (
        "pixel (12, 10) over time, held" in text
        and "Eq. 4 on the ring" in text
        and "Eq. 6" in text
        and "Eq. 3" in text
    )


def test_formulas_agree_with_the_masks_that_python_made(page, standalone):
    page.goto(standalone)
    page.get_by_label("frames in the window").select_option("3")
    slider = page.get_by_role("slider", name="frame", exact=True)
    for frame in ("0", "3", "7"):
        for x, y in ((12, 10), (4, 15), (20, 6)):
            page.evaluate("([x, y]) => Object.assign(viewer.s, { x, y })", [x, y])
            slider.fill("6")
            slider.fill(frame)
            lines = page.locator(".formula").all_inner_texts()
            assert len(lines) == 4 and not any(
                word in " ".join(lines) for word in ("NaN", "undefined", "Infinity")
            )
            for line in lines[
                :3
            ]:  # worked out from the shown probabilities; and what Python stored, before scaling
                by_hand, stored = re.search(
                    r"(?:mean|=) ([\d.e-]+); scaled over the clip: \(([\d.e-]+) −", line
                ).groups()
                assert float(by_hand) == pytest.approx(float(stored), abs=2e-3), line


def test_keys_play_and_checkpoints(page, standalone):
    page.goto(standalone)
    root = page.locator(".vad")
    root.focus()
    root.press("End")
    assert root.get_attribute("data-frame") == "7"
    root.press("ArrowRight")
    assert root.get_attribute("data-frame") == "0"
    root.press(" ")
    page.wait_for_function("document.querySelector('.vad').dataset.frame > 0")
    page.get_by_role("button", name="pause").click()
    before = canvases(page)
    page.get_by_role("slider", name="checkpoint").press("ArrowLeft")
    assert page.get_by_text("early").is_visible() and canvases(page) != before


def test_a_folder_of_a_run_is_a_slider_that_changes_the_maps(page, film, tmp_path):
    """Every checkpoint of a run, by its step, with the map that Python computes."""
    about = {"detector": "small", "width": 8, "classes": ["a", "b", "c"]}
    about |= {"frames": 8, "stride": 2, "short": 24, "size": [24, 24]}
    for step in (0, 50, 150, 400):
        torch.manual_seed(step)
        model = small_detector(3, width=8)
        save_checkpoint(tmp_path, step, {"model": model}, {}, keep=4)
    save_weights(tmp_path / "model.safetensors", model, about)
    run = Inspector(film[0], tmp_path)
    page.goto(run.to_html(tmp_path / "run.html").as_uri())
    slider, pictures = page.get_by_role("slider", name="checkpoint"), set()
    slider.wait_for()
    for k, name in enumerate(["step 0", "step 50", "step 150", "step 400"]):
        slider.fill(str(k))
        assert slider.get_attribute("aria-valuetext") == name
        assert page.get_by_text(name, exact=True).is_visible()
        shown = page.evaluate("[...viewer.maps.prediction.values]")
        close(shown, run.panels(name)["prediction"], 1e-4)
        pictures.add(canvases(page)[1])
    assert len(pictures) == 4


@pytest.mark.parametrize("names", [("map", "detector"), ("detector", "map")])
def test_a_map_beside_a_detector_shows_of_each_in_the_inspector_what_it_has(
    page, film, tmp_path, names
):
    torch.manual_seed(0)
    known = {"map": film[1], "detector": small_detector(3, width=8)}
    both = Inspector(film[0], {name: known[name] for name in names}, truth=film[3])
    page.goto(both.to_html(tmp_path / "both.html").as_uri())
    slider = page.get_by_role("slider", name="checkpoint")
    slider.wait_for()
    for k in (0, 1, 0):
        slider.fill(str(k))
        shown = page.locator("figcaption").filter(visible=True).all_inner_texts()
        assert shown == list(both.panels(names[k]))
        titles = page.get_by_text("class activations"), page.get_by_text("routing assignments")
        for found in (*titles, page.get_by_label("attention", exact=True)):
            assert found.is_visible() == (names[k] == "detector")
    assert page.errors == []


def test_dark_mode_is_dark(page, standalone):
    page.emulate_media(color_scheme="dark")
    page.goto(standalone)
    back = page.locator(".vad").evaluate("e => getComputedStyle(e).backgroundColor")
    assert max(int(v) for v in back[4:-1].split(",")) < 64


def close(found, expected, tolerance=1e-12):
    """Do the browser's numbers agree with Python's, both in float64?"""
    np.testing.assert_allclose(found, np.ravel(expected), rtol=tolerance, atol=tolerance)


def test_the_equations_of_the_browser_are_those_of_python(page):
    """On random maps, in float64: Eqs. 2 to 6, the slope and the ramp agree to twelve digits."""
    page.goto("about:blank")
    page.evaluate(
        f"() => {{ {asset('equations.js')}; window.eq = {{ minMax, ringVariance, clipVariance, "
        "gradientMask, coefficients, placeWeights, loss, slope, ramp }; }"
    )
    ask = """([one, two, t, window, w]) => {
      const a = Float64Array.from(one), b = Float64Array.from(two), masks = {}, losses = {};
      const raw = {
        ring: eq.ringVariance(a, b, t, window),
        clip: eq.clipVariance(a, t, window),
        gradient: eq.gradientMask(a, t),
      };
      for (const name in raw) masks[name] = eq.minMax(raw[name]).values;
      for (const attention of ["none", "variance", "variance, clip alone", "gradient"]) {
        const weight = eq.placeWeights(masks, { attention, ramp: w });
        losses[attention] = [eq.loss(a, b, weight), ...eq.slope(a, b, weight)];
      }
      const lists = (x) => Object.fromEntries(Object.entries(x).map(([k, v]) => [k, [...v]]));
      return { raw: lists(raw), masks: lists(masks), losses, ramp: eq.ramp(100 * w, 100) };
    }"""
    g = torch.Generator().manual_seed(0)
    for t, window, w in (
        (8, 5, 0.7),
        (8, 3, 1.0),
        (8, 7, 0.0),
        (5, 5, 0.3),
        (2, 3, 0.5),
        (1, 5, 0.5),
    ):
        one, two = torch.rand(2, 1, 1, t, 6, 7, generator=g, dtype=torch.float64)
        found = page.evaluate(ask, [one.ravel().tolist(), two.ravel().tolist(), t, window, w])
        close(found["raw"]["ring"], variance_mask(one, two, window, normalise=False))
        close(found["raw"]["clip"], variance_mask(one, None, window, normalise=False))
        close(found["raw"]["gradient"], gradient_mask(one, normalise=False))
        close(found["masks"]["ring"], variance_mask(one, two, window))
        close(found["masks"]["gradient"], gradient_mask(one))
        close(found["ramp"], exp_rampup(100 * w, 100))
        expected = {
            "none": (l2_consistency(one, two), torch.ones_like(one)),
            "variance": (
                coherence_loss(one, two, w, None, window),
                coherence_weight(one, two, w, None, window),
            ),
            "variance, clip alone": (
                coherence_loss(one, two, w, None, window, cyclic=False),
                coherence_weight(one, two, w, None, window, cyclic=False),
            ),
            "gradient": (smoothness_loss(one, two), gradient_mask(one)),
        }
        for name, (loss, weight) in expected.items():
            close(found["losses"][name], [loss.item(), *slope(one, two, weight).ravel().tolist()])


def test_stillness_is_exactly_nothing_in_the_browser(page):
    """A map that never changes has a mask of zeros, whatever its values are, as in Python."""
    page.goto("about:blank")
    page.evaluate(f"() => {{ {asset('equations.js')}; window.eq = {{ minMax, ringVariance }}; }}")
    still = np.tile(np.random.default_rng(0).random(30), 8).tolist()
    mask = page.evaluate(
        """(m) => {
          const still = Float64Array.from(m);
          return [...eq.minMax(eq.ringVariance(still, still, 8, 5)).values];
        }""",
        still,
    )
    assert not any(mask)


@pytest.fixture(scope="module")
def playground(tmp_path_factory):
    return Playground().to_html(tmp_path_factory.mktemp("page") / "playground.html").as_uri()


def judged(page):
    """What the playground shows, as lists."""
    return page.evaluate("""() => {
      const { seen, s } = viewer, { one, two, masks, shares, losses, gradient, arrows } = seen;
      return {
        one: [...one], two: [...two], ring: [...masks[s.cyclic ? "ring" : "clip"]],
        gradient: [...masks.gradient], shares, losses, slope: [...gradient],
        arrows: arrows.two.flat(),
      };
    }""")


def test_the_playground_computes_what_python_computes(page, playground):
    page.goto(playground)
    page.locator(".playground").wait_for()
    r = np.random.default_rng(0)
    starts = [dict(scene) for scene in SCENES.values()]
    for _ in range(8):
        starts.append(
            dict(
                speed=r.uniform(0, 2),
                across=r.uniform(-9, 9),
                down=r.uniform(-9, 9),
                late=r.uniform(0, 4),
                flicker=r.uniform(),
                size=r.uniform(0, 20),
                both=bool(r.integers(2)),
                window=int(r.choice([3, 5, 7])),
                ramp=r.uniform(),
                lam=r.uniform(0, 0.5),
                cyclic=bool(r.integers(2)),
                normalise=bool(r.integers(2)),
                pulls=str(r.choice(["Eq. 2", "Eq. 3", "Eq. 5"])),
            )
        )
    for start in starts:
        play = Playground(**start)
        page.evaluate("(start) => viewer.set(start)", play.start)
        found = judged(page)
        close(found["one"], play.views[0])
        close(found["two"], play.views[1])
        close(found["ring"], play.masks()[0], 1e-9)
        close(found["gradient"], play.masks()[1], 1e-9)
        for name, shares in play.shares().items():
            close(found["shares"][name], shares, 1e-9)
            close(found["losses"][name], shares.sum(), 1e-9)
        one, two = play.views
        by_view2 = play.start["lam"] * slope(one, two, play.weights()[play.start["pulls"]])
        close(found["slope"], by_view2, 1e-9)
        close(found["arrows"], pull(two, by_view2), 1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_the_playground_fits_and_every_slider_answers_the_keyboard(page, playground, size):
    page.set_viewport_size(SIZES[size])
    page.goto(playground)
    sliders = page.get_by_role("slider")
    sliders.first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    order = page.evaluate("""() => [".rows", ".controls"].map(
        (x) => document.querySelector(x).getBoundingClientRect().top)""")
    assert (order[0] < order[1]) == (size == "phone")  # there, the sliders lie below the thumb
    page.get_by_role("button", name="walks, a frame late").click()
    names = sliders.evaluate_all("all => all.map(s => s.getAttribute('aria-label'))")
    assert len(names) == len(set(names)) == 10 and all(names)
    for name in names:
        slider = page.get_by_role("slider", name=name, exact=True)
        before, said = slider.input_value(), page.locator(".playground table").inner_text()
        key = "ArrowRight" if before == slider.get_attribute("min") else "ArrowLeft"
        slider.press(key)
        slider.press(key)
        assert slider.input_value() != before, name
        assert page.locator(".playground table").inner_text() != said, name
    for box in page.get_by_role("checkbox").all():
        before = judged(page)
        box.press(" ")
        assert judged(page) != before or box.get_attribute("aria-label").startswith("view 1")
    assert page.errors == [] and elsewhere(page, playground) == []


def test_the_playground_opens_where_the_ring_is_blind(page, playground):
    """Eq. 3 charges the ends of the clip only, Eq. 5 nothing; in the middle there is no arrow."""
    page.goto(playground)
    page.locator(".playground").wait_for()
    shares = judged(page)["shares"]
    assert (
        min(shares["Eq. 2"]) > 0
        and shares["Eq. 3"][3] == shares["Eq. 3"][4] == 0 < shares["Eq. 3"][0]
    )
    assert not any(shares["Eq. 5"]) and "Eq. 5 hardly notices" in page.locator(".said").inner_text()
    assert page.locator(".over").nth(1).locator("line").count() == 6


def test_the_body_of_view_2_can_be_dragged(page, playground):
    page.goto(playground)
    strip = page.locator(".strip").nth(1)
    box = strip.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 60 + 4 * box["width"] / 263, box["y"] + 60 - 6 * box["width"] / 263)
    page.mouse.up()
    assert page.evaluate("[viewer.s.across, viewer.s.down]") == [4, 0]


def test_a_move_of_the_playground_is_fast(page, playground):
    """The median of 40 moves stays below 50 ms (about 10 ms on two busy cores)."""
    page.goto(playground)
    page.locator(".playground").wait_for()
    took = page.evaluate("""() => Array.from({ length: 40 }, (_, k) => {
      viewer.set({ across: k % 12 });
      return Number(viewer.root.dataset.milliseconds);
    })""")
    print(f"{np.median(took):.0f} ms (median of {len(took)} moves), {took[0]:.0f} ms the first")
    assert np.median(took) < 50


def start_lab(serve, tmp_path):
    """JupyterLab on a copy of the notebooks, without news and without a token."""
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs")
    settings = tmp_path / "config" / "lab" / "user-settings" / "@jupyterlab"
    for plugin, name, value in (
        ("apputils-extension", "notification", {"fetchNews": "false", "checkForUpdates": False}),
        ("notebook-extension", "tracker", {"windowingMode": "none"}),
    ):
        (settings / plugin).mkdir(parents=True, exist_ok=True)
        (settings / plugin / f"{name}.jupyterlab-settings").write_text(json.dumps(value))
    return serve(
        ["jupyter", "lab"],
        "--no-browser",
        "--ip=127.0.0.1",
        "--port={port}",
        "--ServerApp.token=",
        "--allow-root",
        "--KernelManager.transport=ipc",
        f"--ServerApp.root_dir={tmp_path / 'nbs'}",
    )


def test_jupyterlab_opens_the_index_and_runs_inspector_and_playground(page, serve, tmp_path):
    home = start_lab(serve, tmp_path)
    page.goto(f"{home}/lab/tree/index.ipynb")
    page.get_by_role("heading", name="In twenty lines").wait_for()
    page.get_by_text("| Idle").wait_for()
    page.goto(f"{home}/lab/workspaces/inspector/tree/52_inspector.ipynb")
    page.get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".vad").wait_for(timeout=120_000)
    assert moves(page)
    assert page.get_by_role("slider", name="checkpoint").is_visible()
    page.goto(f"{home}/lab/workspaces/playground/tree/53_playground.ipynb")
    page.get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".playground").wait_for(timeout=120_000)
    said = page.locator(".playground table").inner_text()
    page.get_by_role("slider", name="the body walks").press("ArrowRight")
    assert page.locator(".playground table").inner_text() != said
    assert elsewhere(page, home) == []


def test_voila_serves_the_live_inspector(page, serve, tmp_path):
    from vad_ssl.actors import draw_video
    from vad_ssl.inspector import live_notebook
    from vad_ssl.video import write_video

    write_video(tmp_path / "walk.avi", draw_video("Walk", np.random.default_rng(0), frames=24)[0])
    (tmp_path / "live.ipynb").write_text(json.dumps(live_notebook(tmp_path / "walk.avi")))
    home = serve(
        ["voila"],
        "--no-browser",
        "--Voila.ip=127.0.0.1",
        "--port={port}",
        str(tmp_path / "live.ipynb"),
    )
    page.goto(home)
    assert moves(page)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """The site, built if anything has changed, and served from this machine."""
    folder = ROOT / "docs" / "_build" / "html"
    with FileLock(
        Path(tempfile.gettempdir()) / f"vad_ssl_site_{zlib.crc32(str(ROOT).encode())}.lock"
    ):  # one worker at a time
        assert docs() == 0
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_every_picture_of_the_site_has_words(site):
    pages = sorted((ROOT / "docs" / "_build" / "html").rglob("*.html"))
    pictures = [
        (page.name, tag)
        for page in pages
        for tag in re.findall(r"<img[^>]*>", page.read_text())
        if "_images/" in tag
    ]
    silent = [
        (name, tag[:200])
        for name, tag in pictures
        if len((re.search(r'alt="([^"]*)"', tag) or ["", ""])[1]) < 12 or 'alt="_images' in tag
    ]
    assert len(pictures) > 50 and silent == []


@pytest.mark.parametrize("size", SIZES)
def test_the_sites_inspector_moves_with_no_kernel(page, site, size):
    page.set_viewport_size(SIZES[size])
    page.goto(f"{site}/inspector.html")
    assert moves(page.frame_locator("iframe"))
    assert page.errors == [] and elsewhere(page, site) == []


def test_the_sites_playground_has_a_page_that_the_landing_page_names(page, site):
    page.goto(f"{site}/index.html")
    page.get_by_role("link", name="drag two views apart and see which loss notices").click()
    frame = page.frame_locator("iframe")
    frame.locator(".playground").wait_for()
    said = frame.locator(".said").inner_text()
    frame.get_by_role("button", name="all agree").click()
    assert frame.locator(".said").inner_text() != said
    assert page.errors == [] and elsewhere(page, site) == []


WIDGETS = {
    "06_split": 1,
    "23_capsule": 1,
    "14_coherence": 2,
    "15_smoothness": 1,
    "41_protocol": 1,
    "50_widgets": 1,
    "52_inspector": 1,
    "53_playground": 1,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", WIDGETS)
def test_the_widgets_of_a_chapter_live_on_its_page(page, site, name, size):
    page.set_viewport_size(SIZES[size])
    page.goto(f"{site}/_nbs/{name}.html")
    page.locator(".vad").first.wait_for()
    homes = page.locator(".vad-home")
    assert homes.count() == WIDGETS[name] == page.locator(".vad").count()
    for home in homes.all():
        pictures = """(home) => [...home.querySelectorAll("canvas, img")].map(
            (x) => x.src ?? x.toDataURL()).join()"""
        for slider in home.get_by_role("slider").all()[:3]:
            before = home.evaluate(pictures)
            slider.press(
                "ArrowLeft" if slider.input_value() == slider.get_attribute("max") else "ArrowRight"
            )
            assert home.evaluate(pictures) != before, slider.get_attribute("aria-label")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    assert page.errors == [] and elsewhere(page, site) == []


def test_code_of_100_letters_does_not_scroll_at_1280_pixels(page, site):
    page.set_viewport_size(SIZES["desktop"])
    for name in ("_nbs/03_records", "_nbs/14_coherence", "_nbs/52_inspector", "_nbs/53_playground"):
        page.goto(f"{site}/{name}.html")
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        wide = page.locator(".cell_input pre").evaluate_all(
            """(all) => all.filter((p) => p.scrollWidth > p.clientWidth + 1)
                .map((p) => p.textContent.slice(0, 80))"""
        )
        assert wide == [], name


def test_runs_of_tests_are_folded_under_a_line_that_counts_them(page, site):
    page.goto(f"{site}/_nbs/14_coherence.html")
    line = page.get_by_text("tests: what they pin down").first
    code = line.locator("xpath=ancestor::details//pre").first
    assert not code.is_visible()
    line.click()
    assert code.is_visible() and code.inner_text().count("# test: ") == int(
        line.inner_text().split()[0]
    )


@pytest.mark.parametrize("size", SIZES)
def test_the_site_asks_no_other_host_and_fits(page, site, size):
    page.set_viewport_size(SIZES[size])
    for name in (
        "index",
        "_nbs/14_coherence",
        "_nbs/31_objective",
        "paper_to_code",
        "symbols",
        "api",
    ):
        page.goto(f"{site}/{name}.html", wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), name
    assert page.errors == [] and elsewhere(page, site) == []
