"Generated from nbs/01_video.ipynb: change the notebook, then `make export`."
from PIL import Image
from fractions import Fraction
from pathlib import Path
from threading import Event
from threading import Thread
from torch.utils.data import DataLoader
from types import SimpleNamespace
from vad_ssl.files import VideoError
import av
import numpy as np
import pandas as pd
import pytest
import tempfile
import time
import torch
import warnings

from vad_ssl.video import (
    _complaints,
    _groups,
    _store,
    _stored_index,
    _upright,
    _warn_slow,
    bikes,
    clip_indices,
    constant_rate,
    decode,
    eval_clips,
    fetch,
    image_files,
    index_file,
    jump,
    missing_bytes,
    numbered,
    open_video,
    pictures,
    probe,
    read_frames,
    read_image,
    scan,
    show_strip,
    to_tensor,
    verify,
    walk,
    write_video,
)


@pytest.fixture(scope="module")
def setup_1():
    def ruler(n=60, h=48, w=96):
        "`n` frames, uint8 (n, h, w, 3), each with its number written on it."
        film = np.zeros((n, h, w, 3), np.uint8)
        film[:] = (120 + 80 * np.sin((np.arange(w) - 3 * np.arange(n)[:, None]) / 9))[:, None, :, None]
        bits = (np.arange(n)[:, None] >> np.arange(8)) & 1
        film[:, : h // 2] = np.repeat(20 + 210 * bits, w // 8, axis=1)[:, None, :, None]
        return film


    def numbers(frames):
        "Read the numbers back."
        n, h, w = frames.shape[:3]
        blocks = frames[:, 4 : h // 2 - 4].mean((1, 3)).reshape(n, 8, w // 8)[:, :, 2:-2].mean(2)
        return [int(x) for x in (blocks > 120) @ (1 << np.arange(8))]
    return SimpleNamespace(ruler=ruler, numbers=numbers)


def test_the_film_s_numbers_can_be_read_back(setup_1):
    ruler = setup_1.ruler
    numbers = setup_1.numbers
    assert ruler().shape == (60, 48, 96, 3)
    assert numbers(ruler()) == list(range(60))


def test_a_strip_takes_arrays_and_tensors_with_masks_and_has_one_picture_a_frame(setup_1):
    ruler = setup_1.ruler
    film = ruler(4)
    strip = show_strip(film, masks=film[..., 0] > 120, titles="abcd")
    assert [ax.get_title() for ax in strip.axes] == list("abcd")
    assert len(show_strip(torch.rand(3, 5, 8, 8), masks=torch.zeros(1, 5, 8, 8)).axes) == 5


@pytest.fixture(scope="module")
def setup_2(setup_1):
    ruler = setup_1.ruler
    box = tempfile.TemporaryDirectory()
    tmp = Path(box.name)
    avi, mp4 = write_video(tmp / "plain.avi", ruler()), write_video(tmp / "plain.mp4", ruler())
    return SimpleNamespace(box=box, tmp=tmp, avi=avi, mp4=mp4)


def test_the_same_frames_give_the_same_bytes(setup_1, setup_2):
    ruler = setup_1.ruler
    tmp = setup_2.tmp
    avi = setup_2.avi
    mp4 = setup_2.mp4
    assert write_video(tmp / "again.mp4", ruler()).read_bytes() == mp4.read_bytes()
    assert write_video(tmp / "again.avi", ruler()).read_bytes() == avi.read_bytes()


def test_a_writer_that_fails_half_way_leaves_the_old_file_and_nothing_beside_it(setup_1, setup_2):
    ruler = setup_1.ruler
    tmp = setup_2.tmp
    def broken():
        yield from ruler(5)
        raise OSError("disk full")


    target = write_video(tmp / "whole.avi", ruler(3))
    before = target.read_bytes()
    with pytest.raises(VideoError, match="whole.avi: cannot be written"):
        write_video(target, broken())
    assert target.read_bytes() == before and not list(tmp.glob(".*"))
    with pytest.raises(VideoError, match="Check folder"):
        write_video(tmp / "nowhere" / "a.avi", ruler(3))
    with pytest.raises(VideoError, match="StopIteration.*Check the frames"):
        write_video(tmp / "none.avi", [])


    def unreadable():
        yield from ruler(2)
        raise VideoError("source.avi: empty file. Download it again.")


    with pytest.raises(VideoError, match="^source.avi: empty file"):  # not the fault of the new file
        write_video(tmp / "copy.avi", unreadable())
    assert not (tmp / "copy.avi").exists()


def test_a_picture_is_turned_and_mirrored_as_its_matrix_says(setup_1):
    ruler = setup_1.ruler
    picture = av.VideoFrame.from_ndarray(ruler(1)[0], format="rgb24")
    stored = picture.to_ndarray()
    for turn in range(4):
        sine = (0, 1, 0, -1)[turn]
        cosine = (1, 0, -1, 0)[turn]
        matrix = np.array([cosine, sine, 0, -sine, cosine, 0, 0, 0, 1], np.int32)
        shown = _upright(picture, matrix.tobytes())
        assert (shown == np.rot90(stored, -turn)).all()  # clockwise
        assert torch.from_numpy(shown).shape == shown.shape  # which refuses a view that runs backwards
    mirror = np.array([-1, 0, 0, 0, 1, 0, 0, 0, 1], np.int32)
    assert (_upright(picture, mirror.tobytes()) == stored[:, ::-1]).all()
    assert _upright(picture).shape == (48, 96, 3)


def test_every_picture_comes_back_in_order(setup_1, setup_2):
    ruler = setup_1.ruler
    numbers = setup_1.numbers
    avi = setup_2.avi
    mp4 = setup_2.mp4
    for path in (avi, mp4):
        frames = np.stack(list(pictures(path)))
        assert frames.shape == (60, 48, 96, 3) and frames.dtype == np.uint8
        assert numbers(frames) == list(range(60))
        assert np.abs(frames.astype(int) - ruler()).mean() < 2  # of 255 levels: what compression costs


def test_walking_gives_the_frames_asked_for(setup_1, setup_2):
    numbers = setup_1.numbers
    avi = setup_2.avi
    assert numbers(walk(avi, [3, 5, 59])) == [3, 5, 59]
    for wrong, why in (([3, 60], "1 of 2"), ([], "0 of 0")):
        with pytest.raises(VideoError, match=f"plain.avi: {why} frames asked are there. Check"):
            walk(avi, wrong)


@pytest.fixture(scope="module")
def setup_3(setup_1, setup_2):
    ruler = setup_1.ruler
    tmp = setup_2.tmp
    def film(name, codec="libx264", gop=12, b=0, pts=None, tag=None, options=None, ticks=1000):
        "Our numbered film, encoded with less care: B-frames, any options, any time stamps (ms)."
        with av.open(str(tmp / name), "w") as container:
            s = container.add_stream(codec, rate=25, options=options or {})
            s.height, s.width, s.pix_fmt = 48, 96, "yuv420p"
            s.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8", "apng": "rgb24"}.get(codec, s.pix_fmt)
            s.codec_context.gop_size = gop
            s.codec_context.max_b_frames = b
            s.codec_context.thread_count = 1
            if codec not in ("libx264", "gif", "apng"):
                s.bit_rate = 2 * 10**6
            if tag:
                s.codec_context.codec_tag = tag
            if pts is not None:
                s.codec_context.time_base = Fraction(1, ticks)
            for i, f in enumerate(ruler(60 if pts is None else len(pts))):
                picture = av.VideoFrame.from_ndarray(f, format="rgb24").reformat(format=s.pix_fmt)
                if pts is not None:
                    picture.pts, picture.time_base = int(pts[i]), Fraction(1, ticks)
                container.mux(s.encode(picture))
            container.mux(s.encode())
        return tmp / name


    def ticking(name, pts, **how):
        "A film whose pictures lie at these ticks of a clock of 25 a second; the others are empty."
        return film(name, "mpeg4", pts=pts, ticks=25, **how)


    gaps = ticking("gaps.avi", [0, 1, 2, 6, 7, 8, 10, 11, 12])
    open_gop = film(
        "open_gop.mp4", b=2, options={"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0"}
    )
    closed_gop = film("closed_gop.mp4", b=2)
    return SimpleNamespace(film=film, ticking=ticking, gaps=gaps, open_gop=open_gop, closed_gop=closed_gop)


def test_frames_of_a_constant_rate_extraction_what_the_ffmpeg_program_5_1_vsync_cfr_wrote():
    assert constant_rate(range(5)) == [0, 1, 2, 3, 4]
    for ticks, wrote in {
        (0, 1, 2, 4, 5, 6): [0, 1, 2, 3, 3, 4, 5],  # one tick empty
        (0, 1, 2, 6, 7, 8): [0, 1, 2, 2, 2, 3, 3, 4, 5],  # three
        (1, 2, 3, 4): [0, 0, 1, 2, 3],  # one tick late
        (3, 4, 5, 6): [0, 0, 0, 0, 1, 2, 3],  # three
        (0, 1, 2, 3, 7): [0, 1, 2, 3, 3, 3, 4, 4],
        (2, 4, 6, 8, 11, 12): [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5],
    }.items():
        assert constant_rate(ticks) == wrote
    with pytest.raises(ValueError, match="more than 1000000 frames"):
        constant_rate([0, 10**9])


def test_jumping_and_walking_give_the_same_bytes(setup_2):
    avi = setup_2.avi
    mp4 = setup_2.mp4
    for path in (avi, mp4):
        assert (fetch(path, [3, 30, 31, 59]) == walk(path, [3, 30, 31, 59])).all()


def test_a_walk_notes_times_doors_and_frames(setup_2, setup_3):
    avi = setup_2.avi
    gaps = setup_3.gaps
    index = scan(avi)
    assert index.times.tolist() == list(range(60)) and index.doors.tolist() == list(range(0, 60, 12))
    assert index.shown.tolist() == list(range(60)) and (index.size, index.fps) == ((48, 96), 25)
    assert len(set(index.sums)) == 60
    assert scan(gaps).shown.tolist() == [0, 1, 2, 2, 2, 3, 3, 4, 5, 6, 6, 7, 8]


def test_a_complaint_is_heard_although_another_walk_has_ended_meanwhile(setup_2):
    avi = setup_2.avi
    inside, leave = Event(), Event()


    def other():
        with _complaints():
            inside.set()
            leave.wait(9)


    def complain(picture):
        leave.set()
        walker.join()
        av.logging.log(av.logging.ERROR, "decoder", "patched up")
        return 0


    walker = Thread(target=other)
    level = av.logging.get_level()
    walker.start()
    inside.wait(9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{scan.__module__}._checksum", complain)
        assert scan(avi).damaged == 1  # seen with the picture after
    assert av.logging.get_level() == level and scan(avi).damaged == -1


def test_jumping_and_walking_give_the_same_bytes_and_a_jump_that_brings_anything_else_is_noticed(setup_1, setup_2, setup_3):
    numbers = setup_1.numbers
    avi = setup_2.avi
    mp4 = setup_2.mp4
    open_gop = setup_3.open_gop
    closed_gop = setup_3.closed_gop
    for path in (avi, mp4, closed_gop, open_gop):
        index = scan(path)
        for which in ([3], [30, 31, 59], [3, 5, 57, 58]):
            got = jump(path, index, which)
            assert got is None or (got == walk(path, which)).all()
    assert numbers(jump(mp4, scan(mp4), [3, 30, 31, 59])) == [3, 30, 31, 59]
    assert [len(g) for g in _groups([0, 2, 13, 40, 41], np.arange(0, 60, 12))] == [2, 1, 2]
    liar = scan(mp4)._replace(sums=scan(mp4).sums + 1)
    assert jump(mp4, liar, [30]) is None


def test_bytes_that_are_missing_are_missed(setup_2, setup_3):
    tmp = setup_2.tmp
    avi = setup_2.avi
    mp4 = setup_2.mp4
    film = setup_3.film
    webm = film("whole.webm", "libvpx-vp9")
    whole = [film(f"whole.{ending}") for ending in ("ts", "m2ts")]
    for path in (avi, mp4, webm, film("whole.gif", "gif"), film("whole.flv", "flv"), *whole):
        with open_video(path) as container:
            kind = container.format.name
        assert missing_bytes(path, kind) == 0
        cut = tmp / f"cut{path.suffix}"
        for lost in (1, 500, 1500):
            cut.write_bytes(path.read_bytes()[:-lost])
            assert missing_bytes(cut, kind) > 0, (kind, lost)


def test_an_index_kept_on_disk_is_the_same_and_a_damaged_one_is_made_again(setup_2):
    tmp = setup_2.tmp
    mp4 = setup_2.mp4
    index = index_file(str(mp4), 0, 0)
    assert index.proven and not scan(mp4).proven
    _store(tmp / "index" / "a.npz", index)
    kept = _stored_index(tmp / "index" / "a.npz")
    assert all((a == b).all() for a, b in zip(kept[:4], index[:4])) and kept[4:] == index[4:]
    (tmp / "index" / "a.npz").write_bytes(b"PK nonsense")
    assert _stored_index(tmp / "index" / "a.npz") is None


def test_frames_sort_by_number_a_palette_is_read_as_numbers_deep_grey_as_grey(setup_2):
    tmp = setup_2.tmp
    for name in ("2.png", "10.png", "1.png"):
        (tmp / "sorted").mkdir(exist_ok=True)
        Image.fromarray(np.full((2, 3), int(name[:-4]), np.uint8), "L").save(tmp / "sorted" / name)
    files = image_files(tmp / "sorted")
    assert [f.stem for f in files] == ["1", "2", "10"]
    assert read_image(files[2], palette=True).tolist() == [[10] * 3] * 2
    assert read_image(files[2]).shape == (2, 3, 3)
    deep = np.array([[0, 25700, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp / "deep.png")
    assert read_image(tmp / "deep.png")[..., 0].tolist() == [[0, 100, 255]]
    turned = Image.Exif()
    turned[274] = 6  # orientation: a phone held upright
    Image.fromarray(np.zeros((2, 5, 3), np.uint8)).save(tmp / "phone.jpg", exif=turned)
    assert read_image(tmp / "phone.jpg").shape == (5, 2, 3) and read_image(files[0]).flags.writeable


def test_a_missing_frame_leaves_a_hole_and_nothing_moves(setup_2):
    tmp = setup_2.tmp
    def files(*names):
        place = tmp / f"places{len(list(tmp.iterdir()))}"
        place.mkdir()
        for name in names:
            Image.new("L", (4, 2)).save(place / f"{name}.png")
        return [p and p.stem for p in numbered(place)]


    assert files("01", "02", "04") == ["01", "02", None, "04"]
    assert files("a_0", "a_5", "a_15") == ["a_0", "a_5", None, "a_15"]
    assert files("3", "1001") == ["3", "1001"]  # one step
    assert files("10", "43", "77", "110") == ["10", "43", "77", "110"]  # times, not numbers
    assert files("1", "2", "900") == ["1", "2", "900"]
    assert files("a1", "b2", "b4") == ["a1", "b2", "b4"] and files("x") == ["x"]


def test_a_colon_and_a_name_that_is_no_utf_8_are_names(setup_2):
    tmp = setup_2.tmp
    for name in ("12:30.mp4", "caf\udce9.mp4"):
        write_video(tmp / name, np.zeros((3, 16, 16, 3), np.uint8))
        assert probe(tmp / name).frames == 3


def test_wrong_files_are_named_in_one_line_with_a_remedy(setup_2):
    tmp = setup_2.tmp
    avi = setup_2.avi
    (tmp / "text.avi").write_text("this is not a video")
    (tmp / "list.avi").write_text(
        f"ffconcat version 1.0\nfile {avi}\n"
    )  # a playlist: plain FFmpeg follows it
    (tmp / "empty.avi").touch()
    (tmp / "folder").mkdir(exist_ok=True)
    for name, why in {
        "text.avi": "not a readable video",
        "list.avi": "not a readable video",
        "empty.avi": "empty file",
        "absent.avi": "no such file",
        "folder": "no images",
    }.items():
        with pytest.raises(VideoError, match=f"{name}: .*{why}.*\\. [A-Z]") as error:
            probe(tmp / name)
        assert "\n" not in str(error.value)


def test_truncated_files_are_found_in_every_container(setup_2, setup_3):
    tmp = setup_2.tmp
    avi = setup_2.avi
    mp4 = setup_2.mp4
    film = setup_3.film
    for path in (avi, mp4, film("x.webm", "libvpx-vp9"), film("x_b.avi", "mpeg4", b=2)):
        part = tmp / f"part{path.suffix}"
        for share in (0.3, 0.6, 0.9):
            part.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
            with pytest.raises(VideoError, match="truncated|not a readable video"):
                probe(part)
        probe(path)


def test_enormous_pictures_are_refused_before_they_are_unpacked(setup_2):
    tmp = setup_2.tmp
    Image.new("L", (6000, 6000)).save(tmp / "bomb.png")  # 36 million pixels in 35 kB
    with pytest.raises(VideoError, match="bomb.png: .*6000x6000 pixels"):
        read_image(tmp / "bomb.png")
    with av.open(str(tmp / "bomb.avi"), "w") as container:
        s = container.add_stream("mjpeg", rate=25)
        s.width, s.height, s.pix_fmt = 6000, 6000, "yuvj420p"
        container.mux(s.encode(av.VideoFrame(6000, 6000, "yuvj420p")))
        container.mux(s.encode())
    with pytest.raises(VideoError, match="6000x6000 pixels are too many"):
        probe(tmp / "bomb.avi")


def test_decode_gives_every_frame_those_that_an_avi_repeats_twice(setup_1, setup_3):
    numbers = setup_1.numbers
    gaps = setup_3.gaps
    assert numbers(np.stack(list(decode(gaps)))) == [0, 1, 2, 2, 2, 3, 3, 4, 5, 6, 6, 7, 8]
    assert read_frames(gaps, [4, 5, 3]).shape == (3, 48, 96, 3)


@pytest.fixture(scope="module")
def setup_4(setup_2, setup_3):
    tmp = setup_2.tmp
    film = setup_3.film
    ticking = setup_3.ticking
    open_gop = setup_3.open_gop
    def cut(source, name, skip, shift=0):
        "Copy packets into a new file, leaving out the first few: what a stream recorder does."
        keep = {"avoid_negative_ts": "disabled"}
        with open_video(source) as a, av.open(str(tmp / name), "w", options=keep) as b:
            stream = b.add_stream_from_template(a.streams.video[0])
            for i, p in enumerate(p for p in a.demux(video=0) if p.size):
                p.stream = stream
                p.pts -= shift
                p.dts -= shift
                if i >= skip:
                    b.mux(p)
        return tmp / name


    def lying(source, name):
        "Every sample claims to be a keyframe."
        with open_video(source) as a, av.open(str(tmp / name), "w") as b:
            stream = b.add_stream_from_template(a.streams.video[0])
            for p in [p for p in a.demux(video=0) if p.size]:
                p.stream = stream
                p.is_keyframe = True
                b.mux(p)
        return tmp / name


    def zoo():
        "One real file of each kind."
        jitter = np.cumsum(np.random.default_rng(0).integers(20, 90, 60))
        open_gop = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0"}
        refresh = {"x264-params": "intra-refresh=1:keyint=24:bframes=0"}
        hidden = {"auto-alt-ref": "1", "lag-in-frames": "16"}
        files = {
            "H.264 mp4": film("a.mp4"),
            "H.264 mp4, B-frames": film("b.mp4", b=2),
            "H.264 mp4, one keyframe": film("c.mp4", gop=250, b=2),
            "H.264 mp4, variable rate": film("d.mp4", b=2, pts=jitter),
            "H.264 mp4, open GOP": film("e.mp4", b=2, options=open_gop),
            "H.264 avi, B-frames": film("f.avi", b=2),
            "H.264 mkv, B-frames": film("m.mkv", b=2),
            "MPEG-4 avi": film("g.avi", "mpeg4"),
            "XviD avi": film("h.avi", "mpeg4", tag="XVID"),
            "XviD avi, B-frames": film("i.avi", "mpeg4", b=2, tag="XVID"),
            "MPEG-4 avi, empty ticks": ticking("v.avi", sorted({*range(66)} - {7, 20, 21, 22, 40, 41})),
            "MPEG-4 mp4, B-frames": film("j.mp4", "mpeg4", b=2),
            "MPEG-2 mpg": film("n.mpg", "mpeg2video", b=2),
            "MPEG-2 mpg, no B-frames": film("r.mpg", "mpeg2video"),
            "MPEG-2 ts": film("r.ts", "mpeg2video", b=2),
            "H.264 ts": film("u.ts", b=2),
            "H.264 m2ts": film("u.m2ts", b=2),
            "MJPEG avi": film("k.avi", "mjpeg"),
            "VP8 webm, hidden frames": film("s.webm", "libvpx", options=hidden),
            "VP9 webm": film("l.webm", "libvpx-vp9"),
            "HEVC mp4": film(
                "t.mp4", "libx265", b=2, options={"x265-params": "log-level=0:open-gop=0"}
            ),
            "H.264, refreshed by columns": film("w.mp4", gop=250, options=refresh),
            "GIF": film("x.gif", "gif"),
            "APNG": film("x.apng", "apng"),
            "WMV": film("x.wmv", "wmv2"),
            "FLV": film("x.flv", "flv1"),
            "3GP": film("x.3gp", "mpeg4"),
            "MOV": film("x.mov", b=2),
            "VOB": film("x.vob", "mpeg2video", b=2),
            "MXF": film("x.mxf", "mpeg2video"),
            "OGV": film("x.ogv", "libvpx"),
        }
        files["cut between keyframes"] = cut(files["H.264 mp4"], "o.mp4", 5)
        files["cut, B-frames"] = cut(files["H.264 mp4, B-frames"], "p.mp4", 14)
        files["edit list"] = cut(files["H.264 mp4"], "q.mp4", 0, shift=3 * 512)
        files["all marked as keyframes"] = lying(files["H.264 mp4"], "y.mp4")
        return files


    animals = zoo()
    return SimpleNamespace(cut=cut, lying=lying, zoo=zoo, animals=animals)


def test_read_frames_equals_a_full_sequential_decode_on_every_kind_of_file(setup_4):
    animals = setup_4.animals
    for name, path in animals.items():
        whole = np.stack(list(decode(path)))
        assert probe(path).frames == len(whole), name
        picks = np.random.default_rng(1).integers(-1, len(whole), 30)
        frames = read_frames(path, picks)
        assert frames.shape == (30, 48, 96, 3)
        assert (frames[picks >= 0] == whole[picks[picks >= 0]]).all(), name
        assert (frames[picks < 0] == 0).all()
        for i in picks[picks >= 0][:6]:
            assert (read_frames(path, [i])[0] == whole[i]).all(), name


def test_every_stored_picture_is_read_in_order_and_an_avi_by_its_clock(setup_1, setup_4):
    numbers = setup_1.numbers
    animals = setup_4.animals
    for name, path in animals.items():
        frames = numbers(read_frames(path, range(probe(path).frames)))
        if name in ("XviD avi, B-frames", "MPEG-4 avi, empty ticks", "H.264 avi, B-frames"):
            assert sorted(set(frames)) == list(range(60)) and len(frames) > 60
        elif not name.startswith(("cut", "edit")):
            assert frames == list(range(60)), name
    assert not probe(animals["all marked as keyframes"]).seekable


def test_decord_alone_would_fail_that_test_and_the_fall_back_says_so_once(setup_1, setup_4):
    numbers = setup_1.numbers
    animals = setup_4.animals
    path = animals["all marked as keyframes"]
    assert numbers(read_frames(path, range(60), exact=True)) == list(range(60))
    assert numbers(read_frames(path, [20, 33, 45], exact=False)) != [20, 33, 45]
    _warn_slow.cache_clear()
    with pytest.warns(UserWarning, match="decoded from the start"):
        read_frames(path, [0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_frames(path, [1])


def test_a_size_that_decord_refuses_is_read(setup_2):
    tmp = setup_2.tmp
    wide = np.random.default_rng(0).integers(0, 255, (4, 36, 48, 3), dtype=np.uint8)
    write_video(tmp / "wide.avi", wide)
    with pytest.raises(VideoError, match="cannot be decoded"):
        fetch(tmp / "wide.avi", [0])
    assert read_frames(tmp / "wide.avi", [2, 0]).shape == (2, 36, 48, 3)


def test_a_jump_that_goes_wrong_after_all_is_replaced_by_a_walk(setup_2):
    mp4 = setup_2.mp4
    whole = read_frames(mp4, range(60))
    stat = mp4.stat()
    index_file.cache_clear()
    honest = index_file(str(mp4), stat.st_size, stat.st_mtime_ns)
    honest.times[30] += 1  # as if the file were not as it was
    assert (read_frames(mp4, [30, 31]) == whole[[30, 31]]).all()
    index_file.cache_clear()


def test_folders_of_frames_read_as_videos_do_and_a_missing_frame_is_named(setup_1, setup_2):
    ruler = setup_1.ruler
    numbers = setup_1.numbers
    tmp = setup_2.tmp
    shots = tmp / "shots"
    shots.mkdir(exist_ok=True)
    for i, f in enumerate(ruler(12)):
        Image.fromarray(f).save(shots / f"{i}.png")
    assert probe(shots)[:3] == (12, 48, 96)
    for exact in (True, False):
        assert (read_frames(shots, [0, 11], exact=exact) == ruler(12)[[0, 11]]).all()
    assert (
        read_frames(shots, [11, 2, 2, -1]) == np.stack([*ruler(12)[[11, 2, 2]], np.zeros((48, 96, 3))])
    ).all()
    Image.fromarray(ruler(1)[0, :20]).save(shots / "12.png")
    with pytest.raises(VideoError, match="vary in size"):
        read_frames(shots, [0, 12])
    (shots / "5.png").unlink()
    (shots / "12.png").unlink()
    assert probe(shots).frames == 12 and numbers(read_frames(shots, [4, 6, 11])) == [4, 6, 11]
    with pytest.raises(VideoError, match="frame 5 is missing"):
        read_frames(shots, [4, 5])


def test_frames_beyond_the_end_are_an_error_not_a_black_picture(setup_2):
    avi = setup_2.avi
    with pytest.raises(VideoError, match="plain.avi: frames 0..60 asked, it holds 0..59"):
        read_frames(avi, [0, 60])
    with pytest.raises(VideoError, match="-2"):
        read_frames(avi, [-2])
    assert read_frames(avi, []).shape == (0, 48, 96, 3)


@pytest.fixture(scope="module")
def setup_5():
    def shared(name):
        "A folder of files that are not part of the project, or None."
        places = (Path(d) / "shared/data" / name for d in ("..", "../..", "../../.."))
        return next((p for p in places if p.exists()), None)


    def fields(frames):
        "Mean brightness of 8 x 8 fields, (n, 8, 8)."
        luma = [0.299, 0.587, 0.114] if frames.shape[1] == 240 else [1 / 3] * 3  # as they were made
        grey = frames @ np.array(luma)
        for axis in (1, 2):
            edges = np.linspace(0, grey.shape[axis], 9).astype(int)
            sums = np.add.reduceat(grey, edges[:-1], axis)
            sides = np.diff(edges).reshape((8, 1) if axis == 1 else 8)
            grey = sums / sides
        return grey


    def answers(name):
        "Every file of a folder with its right answer."
        with np.load(shared(name) / "expected.npz") as kept:
            for key in kept:
                if not key.endswith("__size"):
                    size = kept[key + "__size"] if key + "__size" in kept else (240, 320)
                    yield shared(name) / key, kept[key].astype(float), tuple(size)


    class Loaded(torch.utils.data.Dataset):
        "Frames read in a worker."

        def __init__(self, jobs):
            self.jobs = jobs

        def __len__(self):
            return len(self.jobs)

        def __getitem__(self, i):
            return fields(read_frames(*self.jobs[i]))
    return SimpleNamespace(shared=shared, fields=fields, answers=answers, Loaded=Loaded)


def test_the_world_s_files_read_as_the_ffmpeg_program_reads_them_in_order_at_random_in_a_worker(setup_5):
    shared = setup_5.shared
    fields = setup_5.fields
    answers = setup_5.answers
    Loaded = setup_5.Loaded
    jobs, right = [], []
    for folder in ("world_files", "ucf_genuine"):
        if shared(folder) is None:
            pytest.skip(f"{folder} is not present")
        for path, expected, size in answers(folder):
            info = probe(path)
            assert (info.frames, info.height, info.width) == (len(expected), *size), path.name
            whole = read_frames(path, range(info.frames))
            error = fields(whole) - expected
            error -= np.median(error, 0)  # what rounding to colours costs, field by field
            assert abs(error).mean((1, 2)).max() < 1, path.name
            picks = np.random.default_rng(info.frames).integers(0, info.frames, 12)
            assert (read_frames(path, picks) == whole[picks]).all(), path.name
            for i in picks[:5]:
                assert (read_frames(path, [i])[0] == whole[i]).all(), path.name
            jobs.append((path, picks))
            right.append(fields(whole[picks]))
    loader = DataLoader(Loaded(jobs), batch_size=None, num_workers=1)
    for got, expected, (path, _) in zip(loader, right, jobs):
        assert (got.numpy() == expected).all(), path.name


def test_deep_grey_pictures_and_a_folder_with_a_hole(setup_5):
    shared = setup_5.shared
    world = shared("world_files")
    if world is None:
        pytest.skip("world_files is not present")
    assert 111 < read_frames(world / "png16", [0, 1, 2]).mean() < 113
    hole = next((world / "frames_with_a_hole").rglob("*.jpg")).parent
    assert probe(hole).frames == 64
    with pytest.raises(VideoError, match="frame 9 is missing"):
        read_frames(hole, [9])


def test_verify_passes_sound_files_and_finds_damage_in_the_middle_of_a_file(setup_2, setup_3):
    tmp = setup_2.tmp
    avi = setup_2.avi
    mp4 = setup_2.mp4
    film = setup_3.film
    for path in (avi, mp4, film("xvid.avi", "mpeg4", b=2)):
        assert verify(path) == probe(path)
    data = bytearray(avi.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    (tmp / "damaged.avi").write_bytes(data)
    with pytest.warns(UserWarning, match="damaged.avi: damaged about picture"):
        probe(tmp / "damaged.avi")
    with pytest.raises(VideoError, match="damaged.avi: (cannot be decoded|not a readable video)"):
        verify(tmp / "damaged.avi")


@pytest.fixture(scope="module")
def setup_6(setup_2):
    tmp = setup_2.tmp
    def harm(path, rng):
        "One of a file's harmed versions: cut off, bits flipped, renamed."
        data = bytearray(path.read_bytes())
        way = rng.integers(3)
        suffix = path.suffix
        if way == 0:
            data = data[: rng.integers(1, len(data))]
        elif way == 1:
            for at in rng.integers(0, len(data), rng.integers(1, 30)):
                data[at] ^= 1 << rng.integers(8)
        else:
            suffix = rng.choice([".avi", ".mp4", ".webm", ".ts", ".gif", ""])
        harmed = tmp / f"harmed{suffix}"
        harmed.write_bytes(data)
        return harmed, ("cut", "flipped", "renamed")[way]


    def survive(files, times, seed=0):
        "How each harmed version ended."
        ended = []
        rng = np.random.default_rng(seed)
        for _ in range(times):
            path = files[rng.integers(len(files))]
            frames = probe(path).frames
            harmed, way = harm(path, rng)
            start = time.perf_counter()
            try:
                with warnings.catch_warnings(record=True) as heard:
                    warnings.simplefilter("always")
                    info = probe(harmed)
                picks = rng.integers(0, info.frames, 8)
                got = read_frames(harmed, picks)
                assert got.shape == (8, info.height, info.width, 3)
                end = "same length" if info.frames == frames else "other length"
                if any("damaged about" in str(w.message) for w in heard):
                    end += ", warned"
                if way == "renamed" or end == "same length" and way == "cut":
                    assert (got == read_frames(path, picks)).all(), path.name
            except VideoError as e:
                assert "\n" not in str(e) and str(harmed) in str(e)
                end = "named error"
            assert time.perf_counter() - start < 20, path.name
            ended.append((path.name, path.suffix, way, end))
        return pd.DataFrame(ended, columns=["name", "kind", "harm", "end"])
    return SimpleNamespace(harm=harm, survive=survive)


def test_harmed_files_end_in_a_named_error_or_in_frames(setup_4, setup_6):
    animals = setup_4.animals
    survive = setup_6.survive
    ended = survive(list(animals.values()), 50)
    assert not (ended[ended.harm == "renamed"].end == "other length").any()
    cut_short = ended[(ended.harm == "cut") & (ended.end == "other length")]
    assert set(cut_short.kind) <= {".ts", ".m2ts", ".mpg", ".vob", ".mxf"}
    flipped = ended[(ended.harm == "flipped") & (ended.end == "other length")]
    assert not set(flipped.kind) & {".mp4", ".mov", ".3gp"}


@pytest.mark.slow
def test_five_hundred_harmed_versions_of_the_world_s_files_end_in_a_named_error_or_in_frames(setup_5, setup_6):
    shared = setup_5.shared
    answers = setup_5.answers
    survive = setup_6.survive
    if shared("world_files") is None:
        pytest.skip("world_files is not present")
    files = [path for folder in ("world_files", "ucf_genuine") for path, *_ in answers(folder)]
    ended = survive(files, 500, seed=1)
    print(pd.crosstab(ended.harm, ended.end))
    cut_short = ended[(ended.harm == "cut") & (ended.end == "other length")]
    assert set(cut_short.name) <= {"clip.ts", "long_mpeg2.ts", "tv_recording.mpg", "live.webm"}


@pytest.fixture(scope="module")
def setup_7():
    places = (Path(d) / "shared/data/ucf101_24/videos" for d in ("..", "../..", "../../.."))
    real = next((p / "Biking/v_Biking_g01_c03.avi" for p in places if p.exists()), None)
    return SimpleNamespace(places=places, real=real)


def test_the_real_clip_151_frames_and_jumping_agrees_with_walking(setup_7):
    real = setup_7.real
    if real is None:
        pytest.skip("the UCF101 clip is not present")
    assert verify(real) == (151, 240, 320, pytest.approx(29.97, abs=0.01), True)
    assert (read_frames(real, [140, 3, 77]) == read_frames(real, [140, 3, 77], exact=True)).all()


def test_clips_worked_out_by_hand():
    assert clip_indices(50, 100).tolist() == [42, 44, 46, 48, 50, 52, 54, 56]
    assert clip_indices(3, 100).tolist() == [1, 3, 5, 7, 9, 11, 13, 15]  # slid to the right
    assert clip_indices(99, 100).tolist() == [85, 87, 89, 91, 93, 95, 97, 99]  # slid to the left
    assert clip_indices(6, 12).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]  # 15 frames are not there: stride 1
    assert clip_indices(1, 3).tolist() == [0, 1, 2, 2, 2, 2, 2, 2]  # a film of three frames
    assert clip_indices(5, 40, clip_len=4, stride=3).tolist() == [2, 5, 8, 11]


def test_every_clip_of_every_film_holds_its_centre_lies_inside_and_is_evenly_spaced():
    for n in range(1, 40):
        for center in range(n):
            for stride in (1, 2, 3):
                clip = clip_indices(center, n, 8, stride)
                assert clip.shape == (8,) and 0 <= clip.min() and clip.max() < n
                steps = set(np.diff(clip))
                if n >= 8:
                    assert center in clip and len(steps) == 1 and steps <= set(range(1, stride + 1))
                    assert steps == {stride} or n < 8 * stride
                else:
                    assert clip.tolist() == [min(i, n - 1) for i in range(8)]


@pytest.fixture
def setup_8():
    def naive_clips(n_frames):
        "Blocks of 16; in each the frames 0, 2, .. 14, then 1, 3, .. 15; -1 beyond the end."
        clips = []
        for block in range(0, n_frames, 16):
            for j in (0, 1):
                clip = [block + j + 2 * k for k in range(8)]
                clip = [i if i < n_frames else -1 for i in clip]
                if max(clip) >= 0:
                    clips.append(clip)
        return clips
    return SimpleNamespace(naive_clips=naive_clips)


def test_the_fast_version_equals_the_loop_and_every_frame_comes_once(setup_8):
    naive_clips = setup_8.naive_clips
    for n in range(1, 70):
        assert eval_clips(n).tolist() == naive_clips(n)
        for clip_len, stride in ((8, 2), (4, 3), (5, 1)):
            clips = eval_clips(n, clip_len, stride)
            assert clips.shape[1] == clip_len
            assert sorted(clips[clips >= 0]) == list(range(n))


def test_clip_c_holds_frames_16_c_2_c_2_2_k():
    c, k = np.ogrid[:10, :8]
    assert (eval_clips(80) == 16 * (c // 2) + c % 2 + 2 * k).all()


def test_layout_and_scale():
    frames = np.zeros((8, 4, 6, 3), np.uint8)
    frames[5, 1, 2, 0] = 255
    clip = to_tensor(frames)
    assert tuple(clip.shape) == (3, 8, 4, 6) and clip.dtype == torch.float32
    assert clip[0, 5, 1, 2] == 1 and clip.sum() == 1


def test_where_the_real_film_cannot_be_had_the_message_says_what_to_do():
    with pytest.MonkeyPatch.context() as env:
        env.setenv("VAD_SSL_CACHE", tempfile.mkdtemp())
        env.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        with pytest.raises(RuntimeError, match="bikes.mp4 is not there .* or copy the file"):
            bikes()
