"Generated from nbs/50_widgets.ipynb: change the notebook, then `make export`."
from matplotlib import colormaps
from pathlib import Path
import base64
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tempfile
import zlib

from vad_ssl.widgets import (
    KIND,
    bundle,
    flip_book,
    fragment,
    pack,
    palettes,
    picture,
    read_page,
    unpack,
    write_page,
)


def test_packing_loses_next_to_nothing():
    x = np.random.default_rng(0).random((8, 20, 30)) * 0.25 - 0.1
    np.testing.assert_allclose(unpack(pack(x)).reshape(x.shape), x, atol=0.25 / 131070 * 1.001)
    assert (unpack(pack(np.full((2, 3), 0.5))) == 0.5).all()
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="1 of 3 numbers are not finite"):
            pack(np.array([0, bad, 1]))


def test_a_palette_is_what_matplotlib_says():
    from matplotlib import colormaps

    raw = zlib.decompress(base64.b64decode(palettes("magma")["magma"]))
    colours = np.frombuffer(raw, np.uint8).reshape(256, 3)
    np.testing.assert_allclose(colours / 255, colormaps["magma"].colors, atol=1 / 255)
    assert picture(np.zeros((4, 4, 3), np.uint8)).startswith("data:image/webp;base64,")


def test_a_page_gives_its_data_back():
    path = Path(tempfile.mkdtemp()) / "small.html"
    data, title = read_page(write_page("inspector", {"t": "</b>"}, path, "a < b"))
    assert (data, title) == ({"t": "</b>"}, "a < b")
    odd = {"classes": ["<!--<script>", "</script>", "a&b"]}  # a page that reads these as HTML is dead
    assert read_page(write_page("inspector", odd, path, "again"))[0] == odd
    assert "<!--<script>" not in path.read_text() and "safe(classes[j])" in path.read_text()
    film = path.with_name("film.mp4")
    film.write_bytes(b"no page")
    with pytest.raises(ValueError, match="film.mp4: exists and is no page"):
        write_page("inspector", odd, film, "lost")
    assert film.read_bytes() == b"no page"


def test_a_widget_brings_its_picture_and_what_a_page_needs():
    kinds, _ = bundle("playground", {"t": "</p>"}, {"frame": 3}, plt.figure(figsize=(1, 1)))
    assert {"application/vnd.jupyter.widget-view+json", "image/png", KIND} <= set(kinds)
    assert base64.b64decode(kinds["image/png"]).startswith(b"\x89PNG")
    text = fragment(kinds, 'a "picture"')
    assert (
        'alt="a &quot;picture&quot;"' in text
        and '{"t": "\\u003c/p>"}' in text
        and '{"frame": 3}' in text
    )


def test_a_flip_book_has_a_page_for_every_combination_and_begins_at_the_defaults():
    drawn = []


    def page(a=2, b=True):
        drawn.append((a, b))
        return plt.figure(figsize=(1, 1))


    data = flip_book(page, "nothing", a=(1, 2, 3), b=(False, True)).data()
    assert drawn == [(1, False), (1, True), (2, False), (2, True), (3, False), (3, True)]
    assert len(data["pages"]) == 6 and data["at"] == {"a": 1, "b": 1}
    with pytest.raises(ValueError):
        flip_book(page, "nothing", a=(1, 3), b=(True,))
