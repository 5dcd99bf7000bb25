"Generated from nbs/14_train.ipynb: change the notebook, then `make export`."
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.split import batch_to
import pytest
import tempfile
import torch

from vad_ssl.train import TrainingError, fit, load_checkpoint, load_weights, save_weights, seed_step


@pytest.fixture
def setup_1():
    class OneNumber(nn.Module):
        def __init__(self):
            super().__init__()
            self.level = nn.Parameter(torch.zeros(()))

    def towards(model, labelled, unlabelled, progress):
        noise = 0.01 * torch.randn(())  # chance belongs to training; resuming must reproduce it
        return {"distance": (model.level - labelled["clip"].mean() + noise) ** 2}

    class Batches:
        "Four batches an epoch, bytes between 0 and 255, different in every epoch."
        def set_epoch(self, epoch):
            self.epoch = epoch

        def __len__(self):
            return 4

        def __iter__(self):
            for k in range(4):
                yield {"clip": torch.full((2, 3, 1, 2, 2), 100 + 5 * k + self.epoch, dtype=torch.uint8)}, None
    return SimpleNamespace(OneNumber=OneNumber, towards=towards, Batches=Batches)


def test_chance_in_a_step_depends_on_seed_and_step_alone():
    def draw(seed, step):
        seed_step(seed, step)
        return torch.rand(3).tolist()
    assert draw(0, 7) == draw(0, 7)
    assert len({tuple(draw(seed, step)) for seed in range(3) for step in range(3)}) == 9


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
    with pytest.raises(ValueError, match="no such checkpoint"):
        load_weights(folder / "nothing.safetensors")


def test_the_loop_agrees_with_seven_plain_lines(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    model = OneNumber()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    batches = Batches()
    for epoch in range(3):
        batches.set_epoch(epoch)
        for k, (labelled, _) in enumerate(batches):
            seed_step(0, epoch * 4 + k)
            loss = towards(model, batch_to(labelled, "cpu"), None, None)["distance"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    fitted = OneNumber()
    log = fit(fitted, towards, Batches(), 3, Path(tempfile.mkdtemp()), lr=0.05, bar=False)
    assert fitted.level.cpu() == model.level
    assert list(log.columns) == ["epoch", "distance", "total", "lr", "seconds"] and len(log) == 3


def test_a_run_that_is_killed_and_resumed_ends_with_the_same_bits(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    class Killed(BaseException):
        pass

    def mortal(die_at):
        count = [0]
        def step(*args):
            count[0] += 1
            if count[0] == die_at:
                raise Killed
            return towards(*args)
        return step

    whole = OneNumber()
    fit(whole, towards, Batches(), 4, Path(tempfile.mkdtemp()), lr=0.05, bar=False)
    for die_at in (1, 6, 13):
        folder = Path(tempfile.mkdtemp())
        with pytest.raises(Killed):
            fit(OneNumber(), mortal(die_at), Batches(), 4, folder, lr=0.05, bar=False)
        resumed = OneNumber()
        log = fit(resumed, towards, Batches(), 4, folder, lr=0.05, bar=False)
        assert torch.equal(resumed.level, whole.level) and log.epoch.tolist() == [1, 2, 3, 4]


def test_a_broken_checkpoint_is_skipped_and_named(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    folder = Path(tempfile.mkdtemp())
    fit(OneNumber(), towards, Batches(), 3, folder, lr=0.05, bar=False)
    (folder / "epoch-0003" / "model.safetensors").write_bytes(b"half a file")
    done, state = load_checkpoint(folder, OneNumber())
    assert done == 2 and len(state["log"]) == 2


def test_a_finished_run_is_not_trained_again(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    folder = Path(tempfile.mkdtemp())
    fit(OneNumber(), towards, Batches(), 2, folder, lr=0.05, bar=False)
    def forbidden(*args):
        raise AssertionError("trained again")
    again = OneNumber()
    assert len(fit(again, forbidden, Batches(), 2, folder, lr=0.05, bar=False)) == 2 and again.level != 0


def test_a_loss_that_is_not_a_number_stops_the_run(setup_1):
    OneNumber = setup_1.OneNumber
    Batches = setup_1.Batches
    def broken(model, labelled, unlabelled, progress):
        return {"distance": model.level * float("nan")}
    folder = Path(tempfile.mkdtemp())
    with pytest.raises(TrainingError, match="distance"):
        fit(OneNumber(), broken, Batches(), 2, folder, bar=False)
    assert not list(folder.glob("epoch-*"))


def test_an_unknown_schedule_names_the_choices(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    with pytest.raises(ValueError, match="plateau or cosine"):
        fit(OneNumber(), towards, Batches(), 1, Path(tempfile.mkdtemp()), schedule="luck", bar=False)
