"Generated from nbs/01_video.ipynb: change the notebook, then `make export`."
from PIL import Image
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.files import VideoError
import av
import numpy as np
import pytest
import tempfile
import torch
import warnings

from vad_ssl.video import (
    Packet,
    _warn_slow,
    can_jump,
    clip_indices,
    decode,
    eval_clips,
    fetch,
    image_files,
    open_video,
    probe,
    read_frames,
    read_image,
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
    with pytest.raises(VideoError, match="StopIteration"):
        write_video(tmp / "none.avi", [])


def test_every_frame_comes_back_in_order(setup_1, setup_2):
    ruler = setup_1.ruler
    numbers = setup_1.numbers
    avi = setup_2.avi
    mp4 = setup_2.mp4
    for path in (avi, mp4):
        frames = np.stack(list(decode(path)))
        assert frames.shape == (60, 48, 96, 3) and frames.dtype == np.uint8
        assert numbers(frames) == list(range(60))
        assert np.abs(frames.astype(int) - ruler()).mean() < 2  # of 255 levels: what compression costs


def test_walking_gives_the_frames_asked_for(setup_1, setup_2):
    numbers = setup_1.numbers
    avi = setup_2.avi
    assert numbers(walk(avi, [3, 5, 59])) == [3, 5, 59]


def test_jumping_and_walking_give_the_same_bytes(setup_2):
    avi = setup_2.avi
    mp4 = setup_2.mp4
    for path in (avi, mp4):
        assert (fetch(path, [3, 30, 31, 59]) == walk(path, [3, 30, 31, 59])).all()


@pytest.fixture(scope="module")
def setup_3(setup_1, setup_2):
    ruler = setup_1.ruler
    tmp = setup_2.tmp
    def film(name, codec="libx264", gop=12, b=0, pts=None, tag=None, options=None):
        "Our numbered film, encoded with less care: B-frames, any options, any time stamps (ms)."
        with av.open(str(tmp / name), "w") as container:
            s = container.add_stream(codec, rate=25, options=options or {})
            s.height, s.width, s.pix_fmt = 48, 96, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            s.codec_context.gop_size = gop
            s.codec_context.max_b_frames = b
            s.codec_context.thread_count = 1
            if codec != "libx264":
                s.bit_rate = 2 * 10**6
            if tag:
                s.codec_context.codec_tag = tag
            if pts is not None:
                s.codec_context.time_base = Fraction(1, 1000)
            for i, f in enumerate(ruler()):
                picture = av.VideoFrame.from_ndarray(f, format="rgb24").reformat(format=s.pix_fmt)
                if pts is not None:
                    picture.pts, picture.time_base = int(pts[i]), Fraction(1, 1000)
                container.mux(s.encode(picture))
            container.mux(s.encode())
        return tmp / name
    return SimpleNamespace(film=film)


def test_the_rule_on_packets_written_by_hand():
    def make(*shown, keys=(0,)):
        return [Packet(s, d, d in keys, False, 1, False) for d, s in enumerate(shown)]


    assert can_jump(make(0, 1, 2, 3), "avi", "mpeg4")
    assert can_jump(make(0, 2, 1, 3), "mp4", "h264")  # disorder behind one door
    assert not can_jump(make(0, 2, 1, 3), "avi", "h264")  # but not where time stamps are guesses
    assert not can_jump(make(0, 1, 4, 3, keys=(0, 2)), "mp4", "h264")  # 3 is stored after keyframe 4
    assert not can_jump(make(0, 1, 2, 3, keys=(2,)), "mp4", "h264")  # starts without a keyframe
    assert not can_jump(make(0, 1, 2, 3), "mp4", "libdav1d")  # a codec that decord does not know


def test_frames_sort_by_number_and_a_palette_is_read_as_numbers(setup_2):
    tmp = setup_2.tmp
    for name in ("2.png", "10.png", "1.png"):
        (tmp / "sorted").mkdir(exist_ok=True)
        Image.fromarray(np.full((2, 3), int(name[:-4]), np.uint8), "L").save(tmp / "sorted" / name)
    files = image_files(tmp / "sorted")
    assert [f.stem for f in files] == ["1", "2", "10"]
    assert read_image(files[2], palette=True).tolist() == [[10] * 3] * 2
    assert read_image(files[2]).shape == (2, 3, 3)


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


@pytest.fixture(scope="module")
def setup_4(setup_2, setup_3):
    tmp = setup_2.tmp
    film = setup_3.film
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


    def zoo():
        "One real file of each kind."
        jitter = np.cumsum(np.random.default_rng(0).integers(20, 90, 60))
        open_gop = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0"}
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
            "MPEG-4 mp4, B-frames": film("j.mp4", "mpeg4", b=2),
            "MPEG-2 mpg": film("n.mpg", "mpeg2video", b=2),
            "MPEG-2 mpg, no B-frames": film("r.mpg", "mpeg2video"),
            "MJPEG avi": film("k.avi", "mjpeg"),
            "VP8 webm": film("s.webm", "libvpx"),
            "VP9 webm": film("l.webm", "libvpx-vp9"),
            "HEVC mp4": film(
                "t.mp4", "libx265", b=2, options={"x265-params": "log-level=0:open-gop=0"}
            ),
        }
        files["cut between keyframes"] = cut(files["H.264 mp4"], "o.mp4", 5)
        files["cut, B-frames"] = cut(files["H.264 mp4, B-frames"], "p.mp4", 14)
        files["edit list"] = cut(files["H.264 mp4"], "q.mp4", 0, shift=3 * 512)
        return files
    return SimpleNamespace(cut=cut, zoo=zoo)


def test_read_frames_equals_a_full_sequential_decode_on_every_kind_of_file(setup_4):
    zoo = setup_4.zoo
    for name, path in zoo().items():
        whole = np.stack(list(decode(path)))
        assert probe(path).frames == len(whole), name
        picks = np.random.default_rng(1).integers(-1, len(whole), 30)
        frames = read_frames(path, picks)
        assert frames.shape == (30, 48, 96, 3)
        assert (frames[picks >= 0] == whole[picks[picks >= 0]]).all(), name
        assert (frames[picks < 0] == 0).all()


def test_decord_alone_would_fail_that_test_and_the_fall_back_says_so_once(setup_1, setup_3):
    numbers = setup_1.numbers
    film = setup_3.film
    path = film("i.avi", "mpeg4", b=2, tag="XVID")
    assert numbers(read_frames(path, range(60), exact=True)) == list(range(60))
    assert numbers(read_frames(path, [20, 33, 45], exact=False)) != [20, 33, 45]
    _warn_slow.cache_clear()
    with pytest.warns(UserWarning, match="decoded from the start"):
        read_frames(path, [0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_frames(path, [1])


def test_a_size_that_one_decoder_refuses_is_read_by_the_other(setup_2):
    tmp = setup_2.tmp
    wide = np.random.default_rng(0).integers(0, 255, (4, 36, 48, 3), dtype=np.uint8)
    write_video(tmp / "wide.avi", wide)
    with pytest.raises(VideoError, match="cannot be decoded"):
        fetch(tmp / "wide.avi", [0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = read_frames(tmp / "wide.avi", [2, 0])
    assert got.shape == (2, 36, 48, 3)
    assert (got == read_frames(tmp / "wide.avi", [2, 0], exact=True)).all()


def test_folders_of_frames_read_as_videos_do(setup_1, setup_2):
    ruler = setup_1.ruler
    tmp = setup_2.tmp
    shots = tmp / "shots"
    shots.mkdir(exist_ok=True)
    for i, f in enumerate(ruler(12)):
        Image.fromarray(f).save(shots / f"{i}.png")
    assert probe(shots)[:3] == (12, 48, 96)
    assert (
        read_frames(shots, [11, 2, 2, -1]) == np.stack([*ruler(12)[[11, 2, 2]], np.zeros((48, 96, 3))])
    ).all()
    Image.fromarray(ruler(1)[0, :20]).save(shots / "12.png")
    with pytest.raises(VideoError, match="vary in size"):
        read_frames(shots, [0, 12])


def test_frames_beyond_the_end_are_an_error_not_a_black_picture(setup_2):
    avi = setup_2.avi
    with pytest.raises(VideoError, match="plain.avi: frames 0..60 asked, it holds 0..59"):
        read_frames(avi, [0, 60])
    with pytest.raises(VideoError, match="-2"):
        read_frames(avi, [-2])
    assert read_frames(avi, []).shape == (0, 48, 96, 3)


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
    assert probe(tmp / "damaged.avi").frames == 60  # the packets are all there
    with pytest.raises(VideoError, match="damaged.avi: cannot be decoded"):
        verify(tmp / "damaged.avi")


@pytest.fixture(scope="module")
def setup_5():
    places = (Path(d) / "shared/data/ucf101_24/videos" for d in ("..", "../..", "../../.."))
    real = next((p / "Biking/v_Biking_g01_c03.avi" for p in places if p.exists()), None)
    return SimpleNamespace(places=places, real=real)


def test_the_real_clip_151_frames_and_jumping_agrees_with_walking(setup_5):
    real = setup_5.real
    if real is None:
        pytest.skip("the UCF101 clip is not present")
    assert verify(real, samples=60) == (151, 240, 320, pytest.approx(29.97, abs=0.01), True)


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
                else:
                    assert clip.tolist() == [min(i, n - 1) for i in range(8)]


@pytest.fixture
def setup_6():
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


def test_the_fast_version_equals_the_loop_and_every_frame_comes_once(setup_6):
    naive_clips = setup_6.naive_clips
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
