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

from vad_ssl.dev import repository
from vad_ssl.inspector import Inspector
from vad_ssl.site import docs

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no Playwright: pip install playwright"
)
ROOT = repository()
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


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
        process.wait(20)
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
                values, expected[name].ravel(), atol=2e-3 * top, err_msg=f"{how} {name}"
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


def test_dark_mode_is_dark(page, standalone):
    page.emulate_media(color_scheme="dark")
    page.goto(standalone)
    back = page.locator(".vad").evaluate("e => getComputedStyle(e).backgroundColor")
    assert max(int(v) for v in back[4:-1].split(",")) < 64


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


def test_jupyterlab_opens_the_index_runs_the_inspector_and_it_moves(page, serve, tmp_path):
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


@pytest.mark.parametrize("size", SIZES)
def test_the_site_asks_no_other_host_and_fits(page, site, size):
    page.set_viewport_size(SIZES[size])
    for name in (
        "index",
        "_nbs/23_coherence",
        "_nbs/25_objective",
        "paper_to_code",
        "symbols",
        "api",
    ):
        page.goto(f"{site}/{name}.html", wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), name
    assert page.errors == [] and elsewhere(page, site) == []
