"Generated from nbs/72_vos_data.ipynb: change the notebook, then `make export`."
from types import SimpleNamespace
from vad_ssl.data import youtube_vos
from vad_ssl.objects import objects
import pytest
import torch

from vad_ssl.vos_data import ObjectClips, animate, split_objects


@pytest.fixture(scope="module")
def setup_1():
    root = objects(train=4, valid=1)
    videos = youtube_vos(root, "train", holdout=0.3)
    return SimpleNamespace(root=root, videos=videos)


def test_labelled_items_have_all_masks_and_unlabelled_ones_the_first(setup_1):
    videos = setup_1.videos
    lab, unl = split_objects(videos, 0.3)
    a, b = (ObjectClips(part, k == 0, size=(24, 32))[0, 1] for k, part in enumerate((lab, unl)))
    shapes = {name: tuple(a[name].shape) for name in ("clip", "first", "mask")}
    assert shapes == {"clip": (3, 5, 24, 32), "first": (1, 24, 32), "mask": (1, 4, 24, 32)}
    assert set(b) == {"clip", "first", "index", "bad"} and b["first"].any()
    assert sorted(v.name for v in lab + unl) == sorted(v.name for v in videos)


def test_an_unlabelled_video_has_no_category_and_no_later_mask_to_give(setup_1):
    videos = setup_1.videos
    _, unl = split_objects(videos, 0.3)
    tube = unl[0].tubes[0]
    assert unl[0].label == tube.label == -1 and unl[0].action == "" and tube.masks(tube.start).any()
    with pytest.raises(KeyError):
        tube.masks(tube.start + 1)


def test_an_item_depends_on_seed_epoch_and_index_alone_and_begins_where_the_object_is_seen(setup_1):
    videos = setup_1.videos
    clips = ObjectClips(videos, True, size=(36, 48), cache=True)
    again = ObjectClips(videos, True, size=(36, 48))
    for key in ((0, 0), (0, 1), (3, 7)):
        assert all(
            torch.equal(clips[key][name], again[key][name]) for name in ("clip", "first", "mask")
        )
    assert not torch.equal(clips[0, 0]["clip"], clips[1, 0]["clip"])
    assert all(clips[0, k]["first"].any() for k in range(40))


def test_an_animated_object_is_where_its_mask_says_and_nothing_else_changes():
    given = {"clip": torch.rand(3, 3, 4, 8, 12), "first": torch.zeros(3, 1, 8, 12)}
    given["first"][:, :, 2:5, 3:7] = 1
    made = animate(given, 0.0, 0.0)
    all_masks = torch.cat([made["first"][:, :, None], made["mask"]], 2)
    assert (all_masks == given["first"][:, :, None]).all()
    for k in range(3):
        on = given["first"][k, 0] > 0
        for frame in range(4):
            torch.testing.assert_close(
                made["clip"][k, :, frame][:, on], given["clip"][k, :, 0][:, on], atol=1e-5, rtol=0
            )
            assert torch.equal(
                made["clip"][k, :, frame][:, ~on], given["clip"][k - 1, :, frame][:, ~on]
            )
    torch.manual_seed(0)
    moving = animate(given, 0.25, 0.0)
    torch.manual_seed(0)
    share = 0.25 * (2 * torch.rand(3, 1, 2) - 1)[0, 0]
    step = share * torch.tensor([12, 8])  # pixels right and down in a frame


    def centre(mask):
        "x and y of the middle of a mask."
        return mask.nonzero().float().mean(0).flip(0)


    moved = centre(moving["mask"][0, 0, 0]) - centre(given["first"][0, 0])
    assert (moved - step).abs().max() < 0.6
    nothing = animate(given | {"first": given["first"] * 0})
    assert nothing["mask"].sum() == 0  # nothing marked, nothing moved
    with pytest.raises(ValueError, match="animated: needs two clips.*raise batch_unlabelled"):
        animate({name: x[:1] for name, x in given.items()})
