"Generated from nbs/06_split.ipynb: change the notebook, then `make export`."
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.data import film_of
from vad_ssl.data import save_annotations
from vad_ssl.data import ucf101_24
from vad_ssl.files import DataError
from vad_ssl.files import VideoError
from vad_ssl.records import Tube
from vad_ssl.records import Video
from vad_ssl.video import write_video
import gc
import itertools
import numpy as np
import pandas as pd
import pytest
import resource
import tempfile
import torch
import warnings

from vad_ssl.split import (
    Batches,
    Clips,
    _centres,
    batch_to,
    loaders,
    read_manifest,
    split_labelled,
    strip,
    training_clip,
    write_manifest,
)


@pytest.fixture(scope="module")
def setup_1():
    def deck(classes=6, seed=0):
        "Records like those of UCF101-24: films `gNN`, cut into clips `cNN`."
        rng = np.random.default_rng(seed)
        videos = []
        for label in range(classes):
            action = f"Act{label}"
            tubes = (Tube(label, 0, np.array([[1, 1, 9, 9]])),)
            for g in range(20 - 2 * label):
                group = f"v_{action}_g{g:02}"
                for c in range(rng.integers(4, 8)):
                    name = f"{group}_c{c:02}"
                    path = Path(f"{name}.avi")
                    video = Video(f"{action}/{name}", path, action, label, 30, tubes, group=group)
                    videos.append(video)
        return videos


    videos = deck()
    return SimpleNamespace(deck=deck, videos=videos)


def test_a_stripped_record_knows_its_pixels_and_nothing_else(setup_1):
    videos = setup_1.videos
    bare = strip(videos[0])
    assert (bare.label, bare.action, bare.tubes) == (-1, "", ())
    assert (bare.path, bare.n_frames) == (videos[0].path, 30)


@pytest.fixture
def setup_2(setup_1):
    videos = setup_1.videos
    def named(videos):
        return {v.name for v in videos}
    return SimpleNamespace(named=named)


def test_every_class_gets_its_share_nothing_is_lost_a_seed_repeats(setup_1, setup_2):
    videos = setup_1.videos
    named = setup_2.named
    for by_group, off in ((True, 3.5), (False, 0.5)):
        for fraction in (0.05, 0.2, 0.5):
            labelled, unlabelled = split_labelled(videos, fraction, 0, by_group)
            assert named(labelled) | named(unlabelled) == named(videos)
            assert not named(labelled) & named(unlabelled)
            for label in range(6):
                n, of = (sum(v.label == label for v in vs) for vs in (labelled, videos))
                assert n >= 1 and abs(n - fraction * of) <= off
            assert named(split_labelled(videos[::-1], fraction, 0, by_group)[0]) == named(labelled)
            assert named(split_labelled(videos, fraction, 1, by_group)[0]) != named(labelled)


def test_fractions_are_nested_up_to_everything(setup_1, setup_2):
    videos = setup_1.videos
    named = setup_2.named
    for seed, by_group in itertools.product(range(5), (True, False)):
        steps = (0.01, 0.05, 0.1, 0.15, 0.2, 0.6, 1)
        chain = [named(split_labelled(videos, f, seed, by_group)[0]) for f in steps]
        assert all(a <= b for a, b in zip(chain, chain[1:]))
        assert chain[-1] == named(videos) and split_labelled(videos, 1, seed, by_group)[1] == []


def test_no_film_straddles_the_border_unless_asked(setup_1):
    videos = setup_1.videos
    def groups(videos):
        return {v.group for v in videos}


    labelled, unlabelled = split_labelled(videos, 0.2)
    assert not groups(labelled) & groups(unlabelled)
    labelled, unlabelled = split_labelled(videos, 0.2, by_group=False)
    assert len(groups(labelled) & groups(unlabelled)) > 20
    mixed = [replace(v, group=f"match{k // 2}", label=k % 2) for k, v in enumerate(videos[:16])]
    for seed in range(5):  # films with clips of two actions
        labelled, unlabelled = split_labelled(mixed, 0.25, seed)
        assert not groups(labelled) & groups(unlabelled) and {v.label for v in labelled} == {0, 1}


def test_a_wrong_fraction_answers_in_one_line_test_videos_and_unknown_videos_are_never_labelled(setup_1, setup_2):
    videos = setup_1.videos
    named = setup_2.named
    for wrong in (0, -1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"label fraction {wrong} is not in .0, 1.: give 0.2"):
            split_labelled(videos, wrong)
    test = [replace(v, split="test") for v in videos[:50]]
    unknown = [replace(v, label=-1) for v in videos[50:60]]
    labelled, unlabelled = split_labelled(test + unknown + videos[60:], 1)
    assert named(labelled) == named(videos[60:]) and named(unlabelled) == named(unknown)


def test_an_unlabelled_record_knows_its_pixels_and_nothing_else(setup_1):
    videos = setup_1.videos
    _, unlabelled = split_labelled(videos, 0.2)
    for v in unlabelled:
        assert (v.label, v.action, v.tubes) == (-1, "", ()) and v.path.name and v.n_frames == 30


@pytest.fixture(scope="module")
def setup_3():
    box = tempfile.TemporaryDirectory()
    tmp = Path(box.name)
    return SimpleNamespace(box=box, tmp=tmp)


def test_a_training_video_that_is_a_test_video_under_another_name_stays_out(setup_3):
    tmp = setup_3.tmp
    film = tmp / "one.avi"
    film.write_bytes(b"the same film")
    (tmp / "two.avi").write_bytes(b"the same film")
    (tmp / "other.avi").write_bytes(b"another films")
    three = [Video(n, tmp / f"{n}.avi", action="a", label=0) for n in ("one", "two", "other")]
    three[1] = replace(three[1], split="test")
    with pytest.warns(UserWarning, match="they are test videos: one"):
        labelled, unlabelled = split_labelled(three, 1)
    assert [v.name for v in labelled] == ["other"] and unlabelled == []


def test_a_manifest_gives_the_split_back(setup_1, setup_2, setup_3):
    videos = setup_1.videos
    named = setup_2.named
    tmp = setup_3.tmp
    labelled, unlabelled = split_labelled(videos, 0.2)
    write_manifest(tmp / "split.csv", labelled, unlabelled)
    lab, unl = read_manifest(tmp / "split.csv", videos)
    assert named(lab) == named(labelled) and named(unl) == named(unlabelled)
    assert all(v.tubes for v in lab) and not any(v.tubes or v.label >= 0 for v in unl)
    table = pd.read_csv(tmp / "split.csv")
    assert (
        table.action[table.subset == "unlabelled"].isna().all() and table.name.is_monotonic_increasing
    )


def test_a_folder_of_videos_without_labels_cannot_be_split(setup_1):
    videos = setup_1.videos
    with pytest.raises(DataError, match="none of 1 training videos has a label"):
        split_labelled([strip(videos[0])], 0.2)


def test_wrong_manifests_are_named(setup_1, setup_3):
    videos = setup_1.videos
    tmp = setup_3.tmp
    for text, why in (
        ("name,subset\nAct0/v_Act0_g00_c00,maybe\n", "'maybe' is neither"),
        ("a,b\n1,2\n", "not a manifest"),
        ("", "not a manifest"),
        ("name,subset\nnobody,labelled\n", "1 videos not in the data, as 'nobody'"),
        ("name,subset\n" + "Act0/v_Act0_g00_c00,labelled\n" * 2, "twice"),
    ):
        (tmp / "wrong.csv").write_text(text)
        with pytest.raises(DataError, match=f"wrong.csv: .*{why}"):
            read_manifest(tmp / "wrong.csv", videos)
    write_manifest(tmp / "wrong.csv", [videos[0]], [])
    with pytest.raises(DataError, match="is labelled here and has no action"):
        read_manifest(tmp / "wrong.csv", [strip(videos[0])])
    for sides in ([videos[0]], []), ([], [videos[0]]):
        write_manifest(tmp / "wrong.csv", *sides)
        with pytest.raises(DataError, match="wrong.csv: .*_c00' is a test video. Remove it"):
            read_manifest(tmp / "wrong.csv", [replace(videos[0], split="test")])
    with pytest.raises(DataError, match="not a manifest .FileNotFound"):
        read_manifest(tmp / "none.csv", videos)


def test_the_manifests_in_the_repository_are_what_this_chapter_makes(setup_3):
    tmp = setup_3.tmp
    home = next(p for p in (Path("manifests"), Path("../manifests")) if p.exists())
    for name, by_group, n in (("ucf101_24_20", True, 458), ("ucf101_24_20_clips", False, 458)):
        table = pd.read_csv(home / f"{name}.csv", keep_default_na=False)
        assert len(table) == 2284 and (table.subset == "labelled").sum() == n
        lab, unl = (set(table.group[table.subset == s]) for s in ("labelled", "unlabelled"))
        assert (not lab & unl) == by_group
        places = (Path(d) / "shared/data/ucf101_24" for d in ("..", "../..", "../../.."))
        for real in (p for p in places if p.exists()):
            write_manifest(tmp / "again.csv", *split_labelled(ucf101_24(real), 0.2, 0, by_group))
            assert (tmp / "again.csv").read_bytes() == (home / f"{name}.csv").read_bytes()


def test_the_jhmdb_manifests_follow_from_their_own_list_of_videos(setup_3):
    tmp = setup_3.tmp
    home = next(p for p in (Path("manifests"), Path("../manifests")) if p.exists())
    for name, by_group, n in (("jhmdb21_30", True, 189), ("jhmdb21_30_clips", False, 197)):
        listed = pd.read_csv(home / f"{name}.csv").name.tolist()
        actions = sorted({v.split("/")[0] for v in listed})
        assert len(listed) == 660 and len(actions) == 21
        known = []
        for v in listed:
            action = v.split("/")[0]
            label = actions.index(action)
            known.append(Video(v, Path(v), action, label, 40, group=film_of(v)))
        labelled, unlabelled = split_labelled(known, 0.3, 0, by_group)
        write_manifest(tmp / "again.csv", labelled, unlabelled)
        assert (tmp / "again.csv").read_bytes() == (home / f"{name}.csv").read_bytes()
        assert len(labelled) == n


@pytest.fixture(scope="module")
def setup_4(setup_3):
    tmp = setup_3.tmp
    def draw(root, n=12, frames=20, h=40, w=56):
        "Small videos in UCF101-24's layout."
        truth = {}
        for i in range(n):
            film = np.empty((frames, h, w, 3), np.uint8)
            film[:] = 15 + 15 * i % 180, 120, 190 - 15 * i
            x = np.arange(frames) + 5 + i
            for f, left in zip(film, x):
                f[12:28, left : left + 12] = 255
            name = f"Act{i % 2}/v_Act{i % 2}_g{i // 4:02}_c{i // 2 % 2:02}"
            (root / "videos" / f"Act{i % 2}").mkdir(parents=True, exist_ok=True)
            write_video(root / "videos" / f"{name}.avi", film)
            boxes = np.stack([x, *np.full((3, frames), [[12], [12], [16]])], axis=1)
            tube = {"label": i % 2, "sf": 4, "ef": 16, "boxes": boxes[4:16]}
            truth[name] = {"numf": frames, "label": i % 2, "annotations": [tube]}
        save_annotations(root, truth, [])
        return ucf101_24(root)


    small = draw(tmp / "small")
    labelled, unlabelled = split_labelled(small, 0.34)
    return SimpleNamespace(draw=draw, small=small, labelled=labelled, unlabelled=unlabelled)


def test_the_target_fits_the_picture_after_cropping_enlarging_and_shrinking(setup_4):
    small = setup_4.small
    for video in small[:4]:
        for size, short in (((36, 36), None), ((96, 80), None), ((20, 24), 24)):
            c = training_clip(video, np.random.default_rng(1), size=size, short=short)
            assert tuple(c["clip"].shape) == (3, 8, *size) and c["clip"].dtype == torch.uint8
            assert tuple(c["mask"].shape) == (1, 8, *size) and c["mask"].dtype == torch.bool
            assert c["label"] == video.label
            with_actor = c["mask"].flatten(2).any(2)[0]
            agree = (c["clip"].float().mean(0) > 180) == c["mask"][0]
            assert with_actor.any() and agree[with_actor].float().mean() > 0.93


def test_a_labelled_clip_holds_annotated_frames_file_and_memory_give_the_same(setup_4):
    small = setup_4.small
    whole = dict(clip_len=1, stride=1, size=(40, 56))
    for video in small[:2]:
        first = [training_clip(video, np.random.default_rng(s), **whole) for s in range(30)]
        assert all(c["mask"].any() for c in first)  # the centre is annotated
        tube = video.tubes[0]  # a second action later in the film has its own name
        two = [replace(tube, label=k, start=k * 5, boxes=tube.boxes[:5]) for k in (0, 1)]
        told = replace(video, label=0, tubes=tuple(two))
        for s in range(20):
            item = training_clip(told, np.random.default_rng(s), **whole)
            centre = _centres(told, True)[np.random.default_rng(s).integers(10)]
            assert item["label"] == centre // 5
        late = replace(video, tubes=(replace(video.tubes[0], start=1000),))
        with pytest.raises(DataError, match="annotated from frame 1000 on, the video has"):
            training_clip(late, np.random.default_rng(0), **whole)
        empty = replace(video, tubes=(replace(video.tubes[0], boxes=video.tubes[0].boxes[:0]),))
        with pytest.raises(DataError, match=f"{video.name}: its tubes have no boxes"):
            training_clip(empty, np.random.default_rng(0), **whole)
        for s, a in enumerate(first):
            b = training_clip(video, np.random.default_rng(s), cache={}, **whole)
            for key in ("clip", "mask"):
                torch.testing.assert_close(a[key], b[key], rtol=0, atol=0)


def test_an_unlabelled_clip_has_no_target_and_no_annotation_can_change_it(setup_4):
    small = setup_4.small
    video = small[0]
    lies = Tube(1, 0, np.full((20, 4), 7)), Tube(0, 3, np.zeros((2, 4)))
    poison = replace(video, label=1, action="?", tubes=lies)
    clips = []
    for v in (video, poison, strip(video)):
        clips.append(training_clip(v, np.random.default_rng(3), labelled=False, size=(32, 32)))
    assert all(set(c) == {"clip"} for c in clips)
    assert torch.equal(clips[0]["clip"], clips[1]["clip"])
    assert torch.equal(clips[0]["clip"], clips[2]["clip"])
    places = set()
    for s in range(200):
        c = training_clip(video, np.random.default_rng(s), False, None, 1, 1, (40, 56))
        places.add((c["clip"][:, 0].float().mean(0) > 180).nonzero()[:, 1].min().item())
    assert len(places) > 16  # any frame, annotated or not


def test_an_item_holds_what_it_should_and_only_what_it_may(setup_4):
    small = setup_4.small
    labelled = setup_4.labelled
    unlabelled = setup_4.unlabelled
    item = Clips(labelled, True, size=(36, 30))[1]
    assert set(item) == {"clip", "mask", "label", "index", "bad"} and item["bad"] == ""
    assert tuple(item["clip"].shape) == (3, 8, 36, 30) and item["clip"].dtype == torch.uint8
    assert tuple(item["mask"].shape) == (1, 8, 36, 30) and item["mask"].dtype == torch.bool
    assert item["label"] == labelled[item["index"]].label
    assert set(Clips(unlabelled, False)[1]) == {"clip", "index", "bad"}
    empty = replace(small[0], tubes=(Tube(0, 4, np.zeros((0, 4), int)),))  # skipped, as bad files are
    items = [Clips([empty, small[1]], True, size=(36, 30))[i] for i in range(2)]
    assert [item["index"] for item in items] == [1, 1]
    assert sum("no boxes" in item["bad"] for item in items) == 1
    other = Tube(0, 4, np.full((12, 4), -1), lambda frame: np.ones((9, 9), bool))  # of another size
    items = [Clips([replace(small[0], tubes=(other,)), small[1]], True)[i] for i in range(2)]
    assert [item["index"] for item in items] == [1, 1]
    assert sum("has 56x40 pixels and its mask 9x9" in item["bad"] for item in items) == 1
    with pytest.raises(DataError, match="no videos to draw clips from"):
        Clips([], True)


def test_an_item_depends_on_seed_epoch_and_number_alone(setup_4):
    labelled = setup_4.labelled
    make = partial(Clips, labelled, True, size=(24, 24), length=9)
    a, b = make(), make(cache=True)
    for _ in range(2):
        [b[i] for i in (5, 3, 8)]  # another history
    for epoch, i in itertools.product(range(3), range(9)):
        b.set_epoch(epoch)
        x, y = a[epoch, i], b[i]
        assert torch.equal(x["clip"], y["clip"]) and torch.equal(x["mask"], y["mask"])
        assert x["index"] == y["index"]
    same = 0
    for i in range(9):
        for other in (a[1, i], make(seed=1)[0, i]):
            same += torch.equal(a[0, i]["clip"], other["clip"])
    assert same < 4


def test_every_video_is_used_equally_often_whatever_the_length_of_an_epoch(setup_4):
    unlabelled = setup_4.unlabelled
    for n_items in (3, 5, 8):
        clips = Clips(unlabelled, False, length=n_items)
        n = len(unlabelled)
        used = [clips.order(place) for place in range(n * n_items)]  # n epochs = n_items turns
        assert [used.count(k) for k in range(n)] == [n_items] * n
        assert sorted(used[:n]) == list(range(n)) and used[:n] != used[n : 2 * n]


def test_balanced_clips_show_every_class_equally_often_and_every_video_of_a_class_as_well(setup_1):
    videos = setup_1.videos
    videos = [
        Video(f"{k}/{i}", Path(f"{k}/{i}.avi"), label=k)
        for k, n in enumerate((4, 2, 1))
        for i in range(n)
    ]
    clips = Clips(videos, True, balanced=True)
    used = [clips.order(place) for place in range(3 * 8)]
    assert [sum(videos[u].label == k for u in used) for k in range(3)] == [8, 8, 8]
    assert [used.count(k) for k in range(7)] == [2, 2, 2, 2, 4, 4, 8]
    assert all(len({videos[u].label for u in used[k : k + 3]}) == 3 for k in range(0, 24, 3))
    assert used == [Clips(videos, True, balanced=True).order(place) for place in range(3 * 8)]


def test_two_devices_share_out_what_one_would_do():
    one = list(Batches(4, 3))
    two = [list(Batches(2, 3, (rank, 2))) for rank in (0, 1)]
    assert one[1] == [(0, 4), (0, 5), (0, 6), (0, 7)]
    assert [a + b for a, b in zip(*two)] == one


def test_a_batch_holds_floats_in_0_to_1_and_the_unlabelled_part_no_target(setup_4):
    labelled = setup_4.labelled
    unlabelled = setup_4.unlabelled
    lab, unl = next(iter(loaders(Clips(labelled, True), Clips(unlabelled, False), 3, 2, steps=1)))
    assert set(lab) == {"clip", "mask", "label", "index"} and set(unl) == {"clip", "index"}
    moved = batch_to(lab, "cpu")
    assert tuple(moved["clip"].shape) == (3, 3, 8, 112, 112) and moved["clip"].dtype == torch.float32
    assert tuple(moved["mask"].shape) == (3, 1, 8, 112, 112)
    assert set(moved["mask"].unique().tolist()) == {0, 1}
    torch.testing.assert_close(moved["clip"] * 255, lab["clip"].float())
    assert moved["label"].dtype == torch.int64 and "mask" not in batch_to(unl, "cpu")


def test_pairs_know_the_names_of_their_videos(setup_4):
    labelled = setup_4.labelled
    unlabelled = setup_4.unlabelled
    parts = Clips(labelled, True, size=(24, 24)), Clips(unlabelled, False, size=(24, 24))
    pairs = loaders(*parts, 2, 1, steps=1)
    lab, unl = next(iter(pairs))
    names = [labelled[i].name for i in lab["index"]]
    assert pairs.names(lab, unl) == [*names, unlabelled[unl["index"][0]].name]
    assert pairs.names(lab, None) == names


def test_the_same_batches_come_from_any_number_of_processes_and_randomness_outside_is_left_alone(setup_4):
    labelled = setup_4.labelled
    unlabelled = setup_4.unlabelled
    def run(workers):
        made = []
        parts = Clips(labelled, True, size=(24, 24)), Clips(unlabelled, False, size=(24, 24))
        pairs = loaders(*parts, 2, 3, 2, workers)
        for epoch in (0, 1, 0):
            pairs.set_epoch(epoch)
            made += [
                (lab["clip"], lab["mask"], unl["clip"], lab["index"], unl["index"])
                for lab, unl in pairs
            ]
        return made


    torch.manual_seed(0)
    before = torch.get_rng_state()
    here, there = run(0), run(2)
    assert torch.equal(torch.get_rng_state(), before) and len(here) == 6
    for a, b in zip(here, there):
        assert all(map(torch.equal, a, b))
    assert all(map(torch.equal, here[0], here[4])) and not torch.equal(here[0][0], here[2][0])


def test_supervised_training_has_no_unlabelled_part(setup_4):
    labelled = setup_4.labelled
    unlabelled = setup_4.unlabelled
    for other, batch in ((None, 2), (Clips(unlabelled, False), 0)):
        pairs = loaders(Clips(labelled, True), other, 2, batch, 3)
        assert len(pairs) == 3 and [unl for _, unl in pairs] == [None] * 3


def test_the_labels_of_unlabelled_videos_change_no_batch(setup_4):
    labelled = setup_4.labelled
    unlabelled = setup_4.unlabelled
    lie = (Tube(9, 0, np.ones((20, 4), int)),)
    poison = [replace(v, label=9, action="?", tubes=lie) for v in unlabelled]
    clean, lied = (
        loaders(Clips(labelled, True), Clips(u, False), 1, 3, 2) for u in (unlabelled, poison)
    )
    for (_, a), (_, b) in zip(clean, lied):
        assert set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def setup_5(setup_1, setup_3, setup_4):
    videos = setup_1.videos
    tmp = setup_3.tmp
    draw = setup_4.draw
    def spoilt(k):
        "Our small videos, `k` of them broken."
        root = Path(tempfile.mkdtemp(dir=tmp))
        videos = draw(root)
        for v in videos[:k]:
            v.path.write_text("not a video")
        return videos
    return SimpleNamespace(spoilt=spoilt)


def test_bad_videos_are_skipped_named_once_counted_and_never_turned_into_zeros(setup_5):
    spoilt = setup_5.spoilt
    for workers in (0, 2):
        broken = spoilt(3)
        pairs = loaders(Clips(broken, True, size=(24, 24)), None, 4, 0, 6, workers)
        with pytest.warns(UserWarning, match="skipped Act.*not a readable video") as said:
            for lab, _ in pairs:
                assert lab["clip"].flatten(1).any(1).all() and lab["index"].min() >= 3
        assert sorted(pairs.bad) == sorted(v.name for v in broken[:3])
        assert len(said) == 3 and sum(pairs.bad.values()) >= 6


def test_what_several_processes_skipped_counts_together(setup_4):
    small = setup_4.small
    pairs = loaders(Clips(small, True, size=(24, 24), max_bad=2), None, 4, 0, steps=6)
    pairs.bad.update({"a": 2})
    pairs.pool([Counter({"a": 2}), Counter({"b": 1})])
    pairs.pool([Counter({"a": 2, "b": 1}), Counter({"a": 3})])  # after another epoch
    assert pairs.bad == {"a": 3, "b": 1}
    with pytest.raises(VideoError, match="3 unreadable videos .a, b, c .., allowed: 2"):
        pairs.pool([Counter({"c": 1})])


def test_too_many_bad_videos_stop_training_with_one_line(setup_5):
    spoilt = setup_5.spoilt
    for workers, k in itertools.product((0, 2), (3, 12)):
        gc.collect()  # loaders of the tests above, lest a forked process tries to end their workers
        pairs = loaders(Clips(spoilt(k), True, size=(24, 24), max_bad=2), None, 4, 0, 6, workers)
        with (
            warnings.catch_warnings(),
            pytest.raises(VideoError, match="3 (unread|videos in a row)") as error,
        ):
            warnings.simplefilter("ignore")
            for _ in pairs:
                pass
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_memory_does_not_grow_over_an_epoch(setup_4):
    small = setup_4.small
    clips = Clips(small, True, size=(32, 32), length=1500)


    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


    for i in range(500):
        clips[i]
    before = peak()
    for i in range(500, 1500):
        clips[i]
    assert peak() - before < 20_000  # kB
