"Generated from nbs/65_detection.ipynb: change the notebook, then `make export`."
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.actors import actors
from vad_ssl.data import read_data
from vad_ssl.split import split_labelled
from vad_ssl.split import strip
from vad_ssl.split import write_manifest
import pytest
import shutil
import tempfile

from vad_ssl.detection import _validation, evenly, only, split_videos


@pytest.fixture(scope="module")
def setup_1():
    root = actors(train=5, test=1)
    train = [v for v in read_data(root) if v.split == "train"]


    def parts(classes=(), **how):
        "Labelled, unlabelled and held videos for some settings."
        usual = dict(manifest="", label_fraction=0.2, trimmed=False, extra="", unlabelled=0.0)
        data = SimpleNamespace(**usual | {"validation": 0.0} | how)
        return split_videos(data, 0, train, classes)
    return SimpleNamespace(root=root, train=train, parts=parts)


def test_fewer_unlabelled_videos_and_further_ones(setup_1):
    root = setup_1.root
    parts = setup_1.parts
    lab, everything, _ = parts()
    _, few, _ = parts(unlabelled=2.0)
    assert len(few) == 2 * len(lab) < len(everything)
    assert {v.name for v in few} < {v.name for v in everything}
    assert len({v.name.split("/")[0] for v in few}) > 3  # drawn from all classes
    assert len(parts(unlabelled=0.01)[1]) == 1  # never none
    _, more, _ = parts(extra=str(root))
    assert len(more) > len(everything) and all(v.label < 0 and not v.tubes for v in more)


def test_trimmed_unlabelled_videos_begin_with_their_action_and_tell_nothing_else(setup_1):
    train = setup_1.train
    parts = setup_1.parts
    _, as_they_are, _ = parts()
    _, cut, _ = parts(trimmed=True)
    begin = {v.name: min(t.start for t in v.tubes) for v in train}
    assert [v.name for v in cut] == [v.name for v in as_they_are] and any(begin[v.name] for v in cut)
    for v in cut:
        assert v.offset == begin[v.name] and v.n_frames < 32 + 1 and v.label < 0 and not v.tubes


def test_a_manifest_decides_the_split(setup_1):
    train = setup_1.train
    parts = setup_1.parts
    labelled, unlabelled = split_labelled(train, 0.5, seed=7)
    file = Path(tempfile.mkdtemp()) / "split.csv"
    write_manifest(file, labelled[1:], unlabelled)  # one video is in neither part
    lab, unl, held = parts(manifest=str(file))
    assert [v.name for v in lab] == sorted(v.name for v in labelled[1:])
    assert len(unl) == len(unlabelled) and all(not v.tubes for v in unl) and held == []
    lab, unl, _ = parts(manifest=str(file), label_fraction=1.0)  # the ceiling: all that it names
    assert len(lab) == len(train) - 1 and unl == [] and all(v.tubes for v in lab)
    bare = replace(strip(train[0]), name="bare/video")
    write_manifest(file, labelled[1:], [*unlabelled, bare])
    settings = SimpleNamespace(
        manifest=str(file), label_fraction=1.0, trimmed=False, extra="", unlabelled=0.0, validation=0.0
    )
    lab, unl, _ = split_videos(settings, 0, [*train, bare])
    assert len(lab) == len(train) - 1 and [v.name for v in unl] == ["bare/video"]


def test_held_videos_are_taken_from_the_labelled_ones(setup_1):
    train = setup_1.train
    parts = setup_1.parts
    lab, unl, held = ({v.name for v in part} for part in parts(label_fraction=0.8, validation=0.4))
    assert lab and len(held) >= 8
    assert len(lab | unl | held) == len(lab) + len(unl) + len(held) == len(train)
    with pytest.raises(ValueError, match="validation=0.9: no labelled video is left"):
        parts(validation=0.9)
    two = Path(tempfile.mkdtemp()) / "two.csv"
    labelled, unlabelled = split_labelled(train, 0.5, seed=7)
    write_manifest(two, labelled[:2], unlabelled)
    with pytest.raises(
        ValueError, match="validation=0.5: no labelled video of .* to hold out; label more"
    ):
        parts(validation=0.5, manifest=str(two))
    import shutil

    twice = Path(tempfile.mkdtemp())
    copies = []
    for v in train:  # the same file under another name and in another group
        shutil.copy(v.path, twice / f"{v.path.stem}-copy.avi")
        path = twice / f"{v.path.stem}-copy.avi"
        copies.append(replace(v, name=f"copy/{v.path.stem}", path=path, group=f"{v.group}-copy"))
    settings = SimpleNamespace(
        manifest="", label_fraction=0.8, trimmed=False, extra="", unlabelled=0.0, validation=0.4
    )
    with pytest.warns(UserWarning, match="left out of training, as they are held out"):
        lab, unl, held = split_videos(settings, 0, [*train, *copies])
    held = {v.path.stem.removesuffix("-copy") for v in held}
    assert not held & {v.path.stem.removesuffix("-copy") for v in [*lab, *unl]}
    with pytest.raises(ValueError, match="no labelled video of 'Eel' to hold out"):  # tested alone
        parts([*{v.action for v in train}, "Eel"], label_fraction=0.8, validation=0.4)


def test_some_actions_as_many_test_videos_of_each_class_and_settings_are_chosen_on_films_that_are_then_left_out(setup_1):
    train = setup_1.train
    videos = [SimpleNamespace(name=f"{k}/{i:02d}", label=k) for k in (0, 1) for i in range(10)]
    assert [v.name[2:] for v in evenly(videos, 4)] == ["00", "03", "06", "09"] * 2
    assert len(evenly(videos, 40)) == 20
    few = only(train, "Walk, Kick")
    assert {(v.action, v.label) for v in few} == {("Kick", 0), ("Walk", 1)} and only(train, "") is train
    assert all(tube.label == v.label for v in few for tube in v.tubes)
    assert [v.label for v in only(train, "Walk, Kick, Walk")] == [v.label for v in few]
    assert [v.label for v in only(train, ["Walk", "Kick"])] == [v.label for v in few]
    walk, kick = (next(v for v in train if v.action == name) for name in ("Walk", "Kick"))
    mixed = replace(walk, tubes=(*walk.tubes[:1], *kick.tubes[:1]))
    for names, labels in (("Walk", [0]), ("Walk, Kick", [1, 0])):  # each its own, none of others
        found = next(v for v in only([*train, mixed], names)[::-1] if v.name == walk.name)
        assert [t.label for t in found.tubes] == labels and found.label == labels[0]
    with pytest.raises(ValueError, match="actions=Wolk: the data set knows .*Walk"):
        only(train, "Walk,Wolk")
    with pytest.raises(ValueError, match="actions=Walk: .*no class names: do its annotations"):
        only([], "Walk")
    learned, scored = _validation(train)
    assert len(learned) + len(scored) == len(train) and {v.label for v in scored} == set(range(8))
    assert not {v.group for v in learned} & {v.group for v in scored}
