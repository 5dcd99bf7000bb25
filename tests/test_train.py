"Generated from nbs/32_train.ipynb: change the notebook, then `make export`."
from collections import OrderedDict
from pathlib import Path
from torch import nn
from types import SimpleNamespace
from vad_ssl.checkpoint import checkpoints
from vad_ssl.files import TrainingError
from vad_ssl.split import batch_to
import itertools
import math
import numpy as np
import pandas as pd
import pytest
import random
import subprocess
import sys
import tempfile
import torch

from vad_ssl.train import (
    _Engine,
    _piece,
    _share_gradients,
    fit,
    make_optimiser,
    make_schedule,
    seed_step,
    tensorboard,
    with_options,
)


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
                yield (
                    {"clip": torch.full((2, 3, 1, 2, 2), 100 + 5 * k + self.epoch, dtype=torch.uint8)},
                    None,
                )
    return SimpleNamespace(OneNumber=OneNumber, towards=towards, Batches=Batches)


def test_chance_in_a_step_depends_on_seed_and_step_alone():
    def draw(seed, step):
        seed_step(seed, step)
        return [*torch.rand(2).tolist(), random.random(), float(np.random.rand())]


    assert draw(0, 7) == draw(0, 7)
    assert len({tuple(draw(seed, step)) for seed in range(3) for step in range(3)}) == 9


@pytest.fixture
def setup_2():
    def two_parts():
        torch.manual_seed(0)
        return nn.Sequential(OrderedDict(encoder=nn.Linear(2, 2), head=nn.Linear(2, 1)))
    return SimpleNamespace(two_parts=two_parts)


def test_an_encoder_of_its_own_rate_learns_at_that_rate_under_either_schedule_at_rate_0_not_at_all(setup_2):
    two_parts = setup_2.two_parts
    def moved(rate, **how):
        "How far each weight of the encoder and of the head moves in Adam's first update."
        model = two_parts()
        before = [p.detach().clone() for p in model.parameters()]
        optimiser = make_optimiser(model, lr=0.1, encoder_rate=rate)
        model(torch.ones(1, 2)).square().sum().backward()
        optimiser.step()
        steps = [(p - q).abs().max().item() for p, q in zip(model.parameters(), before)]
        return max(steps[:2]), max(steps[2:])


    # Adam's first step is the rate itself, whatever the gradient
    assert moved(1.0) == pytest.approx((0.1, 0.1), rel=1e-4)
    assert moved(0.25) == pytest.approx((0.025, 0.1), rel=1e-4)
    assert moved(0.0) == pytest.approx((0.0, 0.1), rel=1e-4)

    for kind in ("plateau", "cosine"):
        optimiser = make_optimiser(two_parts(), [nn.Parameter(torch.ones(1))], 0.1, 0.25)
        schedule = make_schedule(optimiser, kind, 20)
        for _ in range(12):  # the loss does not improve
            optimiser.step()
            schedule.step(*([1.0] if kind == "plateau" else []))
        rest, encoder = (group["lr"] for group in optimiser.param_groups)
        assert encoder == pytest.approx(0.25 * rest) and rest < 0.1
        assert [len(group["params"]) for group in optimiser.param_groups] == [3, 2]


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


def test_a_run_with_two_rates_killed_and_resumed_ends_with_the_same_bits(setup_1, setup_2):
    Batches = setup_1.Batches
    two_parts = setup_2.two_parts
    def shrink(die_at=None):
        count = [0]

        def step(model, *_):
            count[0] += 1
            if count[0] == die_at:
                raise Killed
            return {"size": model(torch.ones(1, 2)).square().sum()}

        return step


    class Killed(BaseException):
        pass


    def both_rates(folder, step, rate):
        model = two_parts()
        fit(model, step, Batches(), 3, folder, lr=0.05, encoder_rate=rate, bar=False)
        return [p.cpu() for p in model.parameters()]


    folder = Path(tempfile.mkdtemp())
    with pytest.raises(Killed):
        both_rates(folder, shrink(7), 0.25)
    resumed = both_rates(folder, shrink(), 0.25)
    whole = both_rates(Path(tempfile.mkdtemp()), shrink(), 0.25)
    assert all(torch.equal(p, q) for p, q in zip(resumed, whole))

    start = [*two_parts().parameters()]
    fixed = both_rates(Path(tempfile.mkdtemp()), shrink(), 0.0)
    still = [torch.equal(p, q) for p, q in zip(fixed, start)]
    assert still == [True, True, False, False]  # encoder, head


@pytest.fixture(scope="module")
def setup_3():
    KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from vad_ssl.train import fit
import accelerate

class Batches:
    def __len__(self): return 8
    def set_epoch(self, epoch): self.epoch = epoch
    def __iter__(self):
        for k in range(8):
            value = 90 + 5 * k + self.epoch
            yield {"clip": torch.full((2, 3, 1, 2, 2), value, dtype=torch.uint8)}, None

def step(model, labelled, unlabelled, progress):
    x = labelled["clip"].flatten(1)
    return {"distance": (model(x) - x + 0.01 * torch.randn_like(x)).square().mean()}

def train(folder):
    torch.manual_seed(0)
    model = torch.nn.Linear(12, 12)
    fit(model, step, Batches(), 12, folder, lr=0.01, bar=False, accumulate=2, save_every=2)
    return model.weight.detach().numpy().tobytes().hex()

def child(folder):
    pid = os.fork()
    if pid == 0:
        (Path(folder) / "answer").write_text(train(folder))
        os._exit(0)
    return pid

random.seed(0)
killed = 0
while killed < int(sys.argv[3]):
    pid = child(sys.argv[2])
    time.sleep(random.uniform(0.02, 0.25))
    os.kill(pid, signal.SIGKILL)
    killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
    if (Path(sys.argv[2]) / "answer").exists(): break
os.waitpid(child(sys.argv[2]), 0)
whole = train(sys.argv[1])
print(killed, (Path(sys.argv[2]) / "answer").read_text() == whole)
"""


    def kill(times):
        folder = Path(tempfile.mkdtemp())
        (folder / "killer.py").write_text(KILLER)
        for name in ("whole", "mortal"):
            (folder / name).mkdir()
        job = [sys.executable, "killer.py", "whole", "mortal", str(times)]
        return subprocess.run(job, cwd=folder, capture_output=True, text=True)
    return SimpleNamespace(KILLER=KILLER, kill=kill)


def test_killed_at_twenty_random_moments_and_resumed_a_run_ends_with_the_same_bits(setup_3):
    kill = setup_3.kill
    done = kill(20)
    assert done.stdout.split() == ["20", "True"], done.stdout + done.stderr


@pytest.fixture
def setup_4(setup_1):
    towards = setup_1.towards
    Batches = setup_1.Batches
    class Named(Batches):
        def names(self, labelled, unlabelled):
            return [f"film{int(labelled['clip'].flatten()[0])}"]


    def spoilt(number):
        "A step that fails on the clip with this value."

        def step(model, labelled, unlabelled, progress):
            bad = float("nan") if round(float(labelled["clip"].mean()) * 255) == number else 1.0
            return {"distance": bad * towards(model, labelled, unlabelled, progress)["distance"]}

        return step
    return SimpleNamespace(Named=Named, spoilt=spoilt)


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_the_files(setup_1, setup_4):
    OneNumber = setup_1.OneNumber
    Batches = setup_1.Batches
    Named = setup_4.Named
    spoilt = setup_4.spoilt
    folder = Path(tempfile.mkdtemp())
    with pytest.raises(TrainingError, match="batch 8: .*film116; last good checkpoint: step-00000004"):
        fit(OneNumber(), spoilt(116), Named(), 3, folder, bar=False)
    with pytest.raises(TrainingError, match="on files unnamed; last good checkpoint: step-00000000"):
        fit(OneNumber(), spoilt(100), Batches(), 3, Path(tempfile.mkdtemp()), bar=False)


def test_or_the_update_is_left_out_and_counted(setup_1, setup_4):
    OneNumber = setup_1.OneNumber
    Batches = setup_1.Batches
    Named = setup_4.Named
    spoilt = setup_4.spoilt
    log = fit(
        OneNumber(),
        spoilt(116),
        Named(),
        3,
        Path(tempfile.mkdtemp()),
        lr=0.05,
        bar=False,
        on_nan="skip",
    )
    assert log.skipped.fillna(0).tolist() == [0, 1, 0] and log.distance.notna().all()
    with pytest.raises(TrainingError, match="not one update was finite"):
        fit(
            OneNumber(),
            lambda *x: {"d": x[0].level * float("nan")},
            Batches(),
            1,
            Path(tempfile.mkdtemp()),
            bar=False,
            on_nan="skip",
        )


def test_a_gradient_that_is_not_a_number_changes_nothing_either(setup_1):
    OneNumber = setup_1.OneNumber
    Batches = setup_1.Batches
    def root(model, labelled, unlabelled, progress):
        return {"root": (model.level * 0).sqrt()}  # 0, but its slope is infinite


    model = OneNumber()
    with pytest.raises(TrainingError, match="loss or gradient not finite"):
        fit(model, root, Batches(), 1, Path(tempfile.mkdtemp()), bar=False)
    assert model.level == 0


def test_what_a_forward_pass_and_a_teacher_moved_before_an_update_was_left_out_is_put_back(setup_1):
    Batches = setup_1.Batches
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.last = nn.BatchNorm1d(2), nn.Linear(2, 1)


    def follow(teacher, model, progress):
        teacher.last.weight.data.lerp_(model.last.weight.data, 0.5)


    def gap(number):
        "The step is spoilt from this batch of four on."
        count = [0]

        def step(model, labelled, unlabelled, progress, teacher):
            count[0] += 1
            x = model.norm(labelled["clip"].flatten(1)[:, :2] + torch.randn(2, 2))
            return {"gap": model.last(x).square().mean() * (1 if count[0] < number else math.nan)}

        return step


    class Two(Batches):
        "The first two of four."

        def __len__(self):
            return 2

        def __iter__(self):
            return itertools.islice(super().__iter__(), 2)


    ends = []
    for batches, number in ((Two(), 9), (Batches(), 3)):
        torch.manual_seed(0)
        model, teacher = Normed(), Normed().requires_grad_(False)
        how = dict(lr=0.05, bar=False, teacher=teacher, follow=follow, on_nan="skip")
        fit(model, gap(number), batches, 1, Path(tempfile.mkdtemp()), **how)
        ends.append([*model.state_dict().values(), *teacher.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*ends))


def test_adding_up_two_batches_equals_one_batch_of_both(setup_1):
    OneNumber = setup_1.OneNumber
    Batches = setup_1.Batches
    class Twice(Batches):
        "The same clips, two batches in one."

        def __len__(self):
            return 2

        def __iter__(self):
            one = [labelled["clip"] for labelled, _ in super().__iter__()]
            for k in (0, 2):
                yield {"clip": torch.cat(one[k : k + 2])}, None


    def plain(model, labelled, unlabelled, progress):
        return {"distance": (model.level - labelled["clip"]).square().mean()}


    pieces, whole = OneNumber(), OneNumber()
    fit(pieces, plain, Batches(), 3, Path(tempfile.mkdtemp()), lr=0.05, bar=False, accumulate=2)
    fit(whole, plain, Twice(), 3, Path(tempfile.mkdtemp()), lr=0.05, bar=False)
    torch.testing.assert_close(pieces.level, whole.level)
    with pytest.raises(ValueError, match="an epoch has 4 batches"):
        fit(OneNumber(), plain, Batches(), 1, Path(tempfile.mkdtemp()), bar=False, accumulate=3)


def test_in_bfloat16_products_are_coarse_and_weights_stay_fine_and_the_model_is_given_back_as_it_was(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    seen = []


    class Product(OneNumber):
        def forward(self, x):
            out = x @ self.level.expand(4, 4)
            seen.append(out.dtype)
            return out


    def step(model, labelled, unlabelled, progress):
        return {"size": model(labelled["clip"].flatten()[:4].expand(4, 4)).square().mean()}


    model = Product()
    for precision in ("bf16", "float32"):  # one after the other in the same Python
        fit(model, step, Batches(), 1, Path(tempfile.mkdtemp()), bar=False, precision=precision)
    assert seen == 4 * [torch.bfloat16] + 4 * [torch.float32] and model.level.dtype == torch.float32
    assert model(torch.ones(4, 4)).dtype == torch.float32
    with pytest.raises(ValueError, match="float32 or bf16"):
        fit(OneNumber(), towards, Batches(), 1, Path(tempfile.mkdtemp()), precision="fp8")


def test_broken_checkpoints_make_way_for_new_ones_and_are_never_called_good(setup_1, setup_4):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    spoilt = setup_4.spoilt
    folder = Path(tempfile.mkdtemp())
    fit(OneNumber(), towards, Batches(), 3, folder, bar=False)
    (checkpoints(folder)[0] / "state.pt").write_bytes(b"x")
    with pytest.raises(TrainingError, match="last good checkpoint: step-00000008"):
        fit(OneNumber(), spoilt(112), Batches(), 3, folder, bar=False)
    for path in checkpoints(folder):
        (path / "state.pt").write_bytes(b"x")
    with pytest.raises(TrainingError, match="last good checkpoint: step-00000000"):
        fit(OneNumber(), spoilt(105), Batches(), 3, folder, bar=False)
    assert [p.name for p in checkpoints(folder)] == ["step-00000000"]


def test_a_teacher_is_followed_before_each_update_given_to_the_step_and_found_again_after_a_kill(setup_1):
    OneNumber = setup_1.OneNumber
    Batches = setup_1.Batches
    class Killed(BaseException):
        pass


    def follow(teacher, model, progress):
        teacher.level.data.lerp_(model.level.data, 0.5)


    def taught(die_at=0):
        count = [0]

        def step(model, labelled, unlabelled, progress, teacher):
            count[0] += 1
            if count[0] == die_at:
                raise Killed
            return {"gap": (model.level - teacher.level - labelled["clip"].mean()) ** 2}

        return step


    def both(folder, die_at=0):
        model, teacher = OneNumber(), OneNumber().requires_grad_(False)
        how = dict(lr=0.05, bar=False, teacher=teacher, follow=follow)
        fit(model, taught(die_at), Batches(), 3, folder, **how)
        return model.level.item(), teacher.level.item()


    whole = both(Path(tempfile.mkdtemp()))
    assert 0 < whole[1] < whole[0]
    folder = Path(tempfile.mkdtemp())
    with pytest.raises(Killed):
        both(folder, die_at=7)
    assert both(folder) == whole


def test_what_of_a_teacher_requires_a_gradient_learns_beside_the_model_and_is_found_again_after_a_kill(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    class Killed(BaseException):
        pass


    class Beside(OneNumber):
        "A teacher that does not follow, with a number of its own that learns."

        def __init__(self):
            super().__init__()
            self.requires_grad_(False)
            self.own = OneNumber()


    def apart(die_at=0):
        count = [0]

        def step(model, labelled, unlabelled, progress, teacher):
            count[0] += 1
            if count[0] == die_at:
                raise Killed
            own = (teacher.own.level - model.level.detach() - 1) ** 2
            return {**towards(model, labelled, unlabelled, progress), "own": own}

        return step


    def three(folder, die_at=0):
        model, teacher = OneNumber(), Beside()
        fit(model, apart(die_at), Batches(), 3, folder, lr=0.05, bar=False, teacher=teacher)
        return model.level.item(), teacher.level.item(), teacher.own.level.item()


    whole = three(Path(tempfile.mkdtemp()))
    alone = OneNumber()
    fit(alone, towards, Batches(), 3, Path(tempfile.mkdtemp()), lr=0.05, bar=False)
    assert whole[0] == alone.level.item() and whole[1] == 0 and whole[2] > 0
    folder = Path(tempfile.mkdtemp())
    with pytest.raises(Killed):
        three(folder, die_at=7)
    assert three(folder) == whole


def test_the_gradient_beside_the_model_is_that_of_one_process_whatever_their_number():
    from types import SimpleNamespace

    own = nn.Parameter(torch.zeros(2))
    own.grad = torch.tensor([4.0, 8.0])  # the whole batch, times the number of processes
    four = SimpleNamespace(num_processes=4, reduce=lambda grad, how: {"mean": grad}[how])
    _share_gradients(_Engine(None, None, None, four, None, None, [own, nn.Parameter(own.data)]))
    assert own.grad.tolist() == [1.0, 2.0]


def test_the_best_epoch_on_validation_is_kept(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    folder, scores = Path(tempfile.mkdtemp()), iter([1.0, 5.0, 2.0, 3.0, 4.0])
    log = fit(
        OneNumber(),
        towards,
        Batches(),
        5,
        folder,
        lr=0.05,
        bar=False,
        validate=lambda model: next(scores),
        keep=1,
    )
    assert log.validation.tolist() == [1, 5, 2, 3, 4]
    assert [p.name for p in checkpoints(folder)] == ["step-00000020", "step-00000008"]


def test_another_seed_or_rate_in_the_same_folder_is_refused(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    folder = Path(tempfile.mkdtemp())
    fit(OneNumber(), towards, Batches(), 1, folder, bar=False)
    with pytest.raises(TrainingError, match="trained with seed 0, not 1; choose another folder"):
        fit(OneNumber(), towards, Batches(), 2, folder, seed=1, bar=False)
    with pytest.raises(TrainingError, match="trained with lr 0.0001, not 0.05; choose another folder"):
        fit(OneNumber(), towards, Batches(), 2, folder, lr=0.05, bar=False)
    assert len(fit(OneNumber(), towards, Batches(), 2, folder, bar=False)) == 2  # longer, on a plateau
    folder = Path(tempfile.mkdtemp())
    fit(OneNumber(), towards, Batches(), 1, folder, schedule="cosine", bar=False)
    with pytest.raises(TrainingError, match="trained with epochs 1, not 2"):  # its rate fell to nothing
        fit(OneNumber(), towards, Batches(), 2, folder, schedule="cosine", bar=False)


def test_every_listener_hears_every_row_and_the_log_is_a_file_after_each_epoch(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    folder, heard = Path(tempfile.mkdtemp()), []


    def listen(row):
        heard.append((row["epoch"], len(pd.read_csv(folder / "log.csv"))))


    fit(OneNumber(), towards, Batches(), 3, folder, bar=False, tell=(listen,))
    assert heard == [(1, 1), (2, 2), (3, 3)]


def test_without_tensorboard_one_line_says_what_to_install(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    try:
        import torch.utils.tensorboard
    except ImportError:
        with pytest.raises(TrainingError, match="pip install"):
            tensorboard(Path(tempfile.mkdtemp()))
    else:
        folder = Path(tempfile.mkdtemp())
        fit(
            OneNumber(),
            towards,
            Batches(),
            2,
            folder,
            bar=False,
            tell=(tensorboard(folder / "events"),),
        )
        assert len(list((folder / "events").iterdir())) == 1


@pytest.mark.slow
def test_a_compiled_model_trains_to_the_same_numbers(setup_1):
    Batches = setup_1.Batches
    models = []
    for compiled in (False, True):
        torch.manual_seed(0)
        models.append(nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 1)))

        def step(model, labelled, unlabelled, progress):
            return {"size": model(labelled["clip"].flatten(1)).square().mean()}

        fit(models[-1], step, Batches(), 2, Path(tempfile.mkdtemp()), bar=False, compiled=compiled)
    for x, y in zip(*(model.state_dict().values() for model in models)):
        torch.testing.assert_close(x, y)


def test_an_unknown_schedule_names_the_choices(setup_1):
    OneNumber = setup_1.OneNumber
    towards = setup_1.towards
    Batches = setup_1.Batches
    with pytest.raises(ValueError, match="plateau or cosine"):
        fit(OneNumber(), towards, Batches(), 1, Path(tempfile.mkdtemp()), schedule="luck", bar=False)


@pytest.fixture(scope="module")
def setup_5():
    results = Path("results") if Path("results").exists() else Path("nbs/results")
    seen = dict(np.load(results / "learning.npz"))  # uint8; maps: (arms, steps, kinds, clips, h, w)
    learned = pd.read_csv(results / "learning.csv")
    arms = {"supervised": "supervised", "V, cyclic": "ours", "mean teacher": "mean teacher"}
    return SimpleNamespace(results=results, seen=seen, learned=learned, arms=arms)


def test_what_is_said_about_learning_is_in_the_committed_numbers(setup_5):
    seen = setup_5.seen
    learned = setup_5.learned
    arms = setup_5.arms
    assert (seen["maps"][:, 0] == seen["maps"][0, 0]).all()  # one detector before the first step
    course = {row: part.set_index("step") for row, part in learned.groupby("row")}
    for x in (course[row] for row in arms):
        assert x.IoU[0] < x.IoU[50] < x.IoU[400]
        assert x.IoU[50] - x.IoU[0] > 0.8 * (x.IoU[400] - x.IoU[0])
        assert 5 < x.band[400] < 8 < x.band[50] < x.band[0] and round(x.band[0]) == 37
        for mask in ("variance", "gradient"):
            assert x.chance[0] < x[mask][0] < 0.2 and 0.25 <= x[mask][400] < 0.28
    plain, ours, mean = (course[row] for row in arms)
    assert max(ours.IoU[400], mean.IoU[400]) - plain.IoU[400] < 0.005
    assert ours["IoU 1"][400] < 0.1 < 0.25 < ours["IoU 1"][50]
    assert ours.band[400] > mean.band[400] > plain.band[400]
    assert mean.band[50] > 2 * max(plain.band[50], ours.band[50])
    scratch = course["supervised, random weights"]
    assert scratch.IoU[[50, 400]].round(2).tolist() == [0.46, 0.41]
    assert plain.localisation[400] < min(ours.localisation[400], mean.localisation[400])


def test_the_masks_lie_where_the_detector_is_unsure_in_spin_and_wave_and_say_much_the_same(setup_5):
    seen = setup_5.seen
    for maps in seen["maps"][:, 2:].reshape(-1, 3, 3, 52, 69):  # arms, steps from 150 on
        for sure, *masks in maps[:, 1:].swapaxes(0, 1) / 255:
            rim, body = (sure > 0.1) & (sure < 0.9), sure >= 0.9
            assert all(mask[rim].mean() > 1.5 * mask[body].mean() for mask in masks)
    for _, variance, gradient in seen["maps"][:, 3].swapaxes(1, 2).reshape(-1, 3, 52 * 69):
        assert np.corrcoef(variance, gradient)[0, 1] > 0.5


def test_a_step_gets_the_options_it_has_arguments_for_and_no_others():
    def step(model, labelled, unlabelled, progress, lam=1.0, warmup=0.5):
        return lam, warmup


    assert with_options(step, {"lam": 3.0, "lr": 1e-3})(None, None, None, None) == (3.0, 0.5)


def test_a_batch_that_processes_cannot_share_is_refused_by_field():
    from types import SimpleNamespace

    shared = SimpleNamespace(batch_labelled=8, batch_unlabelled=2, accumulate=2)
    assert _piece(shared, "batch_labelled", 2) == 2
    with pytest.raises(ValueError, match="batch_unlabelled=2: not a multiple of 4 .2 processes, acc"):
        _piece(shared, "batch_unlabelled", 2)
