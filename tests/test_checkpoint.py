"Generated from nbs/07_checkpoint.ipynb: change the notebook, then `make export`."
from pathlib import Path
from torch import nn
from vad_ssl.files import TrainingError
import os
import pytest
import resource
import safetensors.torch
import shutil
import tempfile
import torch

from vad_ssl.checkpoint import (
    checkpoints,
    describing,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)


def test_what_a_file_cannot_build_is_one_line_that_names_it():
    with pytest.raises(ValueError, match="^old.safetensors: does not describe a net of this version"):
        with describing("old.safetensors", "a net"):
            nn.Linear(2, 3).load_state_dict(nn.Linear(3, 3).state_dict())


def test_weights_come_back_as_they_went():
    folder = Path(tempfile.mkdtemp())
    save_weights(folder / "model.safetensors", nn.Linear(3, 2), {"classes": ["a", "b"]})
    state, about = load_weights(folder / "model.safetensors")
    assert tuple(state["weight"].shape) == (2, 3) and about == {"classes": ["a", "b"]}
    assert [p.name for p in folder.iterdir()] == ["model.safetensors"]  # nothing temporary is left


def test_a_missing_or_foreign_checkpoint_is_one_clear_error():
    folder = Path(tempfile.mkdtemp())
    (folder / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match="text.safetensors: not a checkpoint"):
        load_weights(folder / "text.safetensors")
    weight = {"weight": torch.ones(2)}
    for told in (None, {"format": "pt"}, {"about": "[]"}, {"about": "{"}):
        safetensors.torch.save_file(weight, folder / "other.safetensors", told)
        with pytest.raises(ValueError, match="other.safetensors: not a checkpoint") as caught:
            load_weights(folder / "other.safetensors")
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="no such checkpoint"):
        load_weights(folder / "nothing.safetensors")


def test_a_checkpoint_that_changed_on_the_disk_is_named_and_the_one_before_it_used():
    folder, said = Path(tempfile.mkdtemp()), []
    for step in (1, 2, 3):
        save_checkpoint(folder, step, {"model": nn.Linear(2, 1)}, {"step": step})
    assert [p.name for p in checkpoints(folder)] == ["step-00000003", "step-00000002"]
    for damage in (
        lambda data: data[:-9],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    ):  # cut short; one bit turned over
        save_checkpoint(folder, 3, {"model": nn.Linear(2, 1)}, {"step": 3})
        file = folder / "step-00000003" / "model.safetensors"
        file.write_bytes(damage(file.read_bytes()))
        assert load_checkpoint(folder, {"model": nn.Linear(2, 1)}, said.append)["step"] == 2
    assert (
        len(said) == 2
        and "step-00000003: broken checkpoint (the checksum of model.safetensors differs)" in said[1]
    )
    for path in checkpoints(folder):
        (path / "sha256.json").write_text("{}")
    assert load_checkpoint(folder, {"model": nn.Linear(2, 1)}, said.append) is None
    assert "(sha256.json lists no state.pt); going back to the one before" in said[2]
    assert "step-00000002" in said[3] and "none is whole, training starts anew" in said[3]


def test_every_module_finds_its_own_weights_again():
    folder = Path(tempfile.mkdtemp())
    model, teacher = nn.Linear(2, 1), nn.Linear(2, 1)
    save_checkpoint(folder, 1, {"model": model, "teacher": teacher}, {})
    both = {"model": nn.Linear(2, 1), "teacher": nn.Linear(2, 1)}
    assert load_checkpoint(folder, both) == {}
    assert torch.equal(both["model"].weight, model.weight)
    assert torch.equal(both["teacher"].weight, teacher.weight)


def test_a_folder_of_another_network_is_refused_in_one_line_and_a_copy_beside_is_nobody_s_checkpoint():
    folder, two = Path(tempfile.mkdtemp()), {"model": nn.Linear(2, 1), "teacher": nn.Linear(2, 1)}
    save_checkpoint(folder, 1, two, {})
    shutil.copytree(folder / "step-00000001", folder / "step-00000001.bak")
    assert [p.name for p in checkpoints(folder)] == ["step-00000001"]
    with pytest.raises(TrainingError, match="holds model and teacher, to be trained is model; choose"):
        load_checkpoint(folder, {"model": nn.Linear(2, 1)})
    with pytest.raises(TrainingError, match="step-00000001: teacher is another network; choose"):
        load_checkpoint(folder, {"model": nn.Linear(2, 1), "teacher": nn.Linear(3, 1)})


def test_the_best_checkpoint_outlives_newer_ones():
    folder = Path(tempfile.mkdtemp())
    for step in range(1, 6):
        save_checkpoint(
            folder, step, {"model": nn.Linear(2, 1)}, {}, keep=2, best=2 if step > 1 else None
        )
    assert [p.name[-1] for p in checkpoints(folder)] == ["5", "4", "2"]


def test_a_full_disk_is_one_clear_error_and_the_earlier_checkpoint_is_intact():
    folder = Path(tempfile.mkdtemp())
    save_checkpoint(folder, 1, {"model": nn.Linear(2, 1)}, {"step": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(
            TrainingError, match="step 2 cannot be written .*; step-00000001 is intact. Make room"
        ):
            save_checkpoint(folder, 2, {"model": nn.Linear(200, 100)}, {"step": 2})
        with pytest.raises(TrainingError, match="a.safetensors: weights cannot be .*. Make room"):
            save_weights(folder / "a.safetensors", nn.Linear(200, 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in folder.iterdir()] == ["step-00000001"]
    assert load_checkpoint(folder, {"model": nn.Linear(2, 1)})["step"] == 1


def test_a_read_only_folder_is_one_clear_error_and_the_earlier_checkpoint_is_intact():
    folder = Path(tempfile.mkdtemp())
    save_checkpoint(folder, 1, {"model": nn.Linear(2, 1)}, {"step": 1})
    folder.chmod(0o555)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # the superuser may write everywhere: be nobody for a moment
    try:
        with pytest.raises(TrainingError, match="Permission denied.*correct the rights"):
            save_checkpoint(folder, 2, {"model": nn.Linear(2, 1)}, {"step": 2})
    finally:
        os.seteuid(me)
        folder.chmod(0o755)
    assert load_checkpoint(folder, {"model": nn.Linear(2, 1)})["step"] == 1
