"""A training step of the paper's detector against the released way: `python benchmarks/step.py`.

Both arms do the same work on the same clips from the same weights: decode a batch (one labelled,
one unlabelled clip), two views of each, all losses of Eqs. 7-9, backward. The plain arm does it
as the released code does, written out: the whole video is decoded for eight frames; one forward
pass a view; routing repeats weights and poses in memory; the last transposed convolution writes
128 channels at full size; the attention mask is computed by numpy in float64, clip by clip, ring
by ring ("clockwise" and "anticlockwise", which turn out equal) and ring frame by ring frame. All
in float32 otherwise, each arm in processes of its own, in turns; medians of wall time, CPU time
and peak memory, and the largest difference between the answers and between the gradients.

So that there is one answer, dropout draws the same channels in both arms, and batch norms use
stored statistics (taken from one clip beforehand): two passes of two clips and one pass of four
would normalise differently. On a GPU: not measured.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from decode import encode
from routing import repeated
from safetensors.torch import load_file, save_file
from torch import nn
from torch.profiler import profile

from vad_ssl.coherence import exp_rampup
from vad_ssl.consistency import js_divergence, l2_consistency
from vad_ssl.detector import Detection, chosen, class_mask, paper_detector
from vad_ssl.objective import Progress, Seen, join, labelled_losses, semi_supervised_step
from vad_ssl.video import clip_indices, decode, read_frames, to_tensor
from vad_ssl.views import apply, invert, random_view

LAM, LAM1, LAM2, TRUST, NOW = 0.1, 0.3, 0.7, 0.1, Progress(20.0, 100)


def straight(b, size):
    "View 1: the clip as it is."
    return random_view(b, flip=0.0)


def mirrored(b, size):
    "View 2: its mirror image."
    return random_view(b, flip=1.0)


VIEWS = straight, mirrored


class Fixed(nn.Module):
    "Dropout of whole channels, chosen for every row, come they at once or in two halves."

    def __init__(self, rows, channels):
        super().__init__()
        self.scale, self.at = 2 * (torch.rand(rows, channels, 1, 1, 1) < 0.5).float(), 0

    def forward(self, x):
        rows = self.scale[self.at : self.at + len(x)]
        self.at = (self.at + len(x)) % len(self.scale)
        return x * rows


def network(b):
    "The paper's detector with fixed dropout and batch norms that know one clip."
    torch.manual_seed(0)
    net = paper_detector(24)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm3d)]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        net.encoder(torch.rand(1, 3, 8, 224, 224))
    for m in norms:
        m.eval()
    net.encoder.dropout, net.decoder.dropout = Fixed(2 * b, 832), Fixed(2 * b, 128)
    return net


def ring_mask(ring, t, frames):
    "Variance of every stacked window of one ring, its two halves added, scaled to [0, 1]; float64."
    n, half = len(ring), frames // 2
    var = [
        np.var(np.stack([ring[(k + d) % n] for d in range(-half, half + 1)]), axis=0)
        for k in range(n)
    ]
    # the ends are their own second place: doubled
    mask = np.stack([var[k] + var[-k % n] for k in range(t)])
    mask -= mask.min()
    return mask / (mask.max() + 1e-7)


def released_way(view1, view2, frames=5):
    "Clip by clip, the masks of the clockwise ring and of the anticlockwise one, as released."
    masks = np.zeros((2, *view1.shape))
    for i in range(len(view1)):
        one, two = (list(view[i, 0].numpy().astype(np.float64)) for view in (view1, view2))
        clockwise = one + two[-2:0:-1]
        for mask, ring in zip(masks, (clockwise, clockwise[:1] + clockwise[:0:-1])):
            mask[i, 0] = ring_mask(ring, len(one), frames)
    return torch.from_numpy(masks)


def beside(x, skip):
    "Two maps as one."
    return torch.cat([F.relu(x), F.relu(skip)], 1)


def plain_decoder(decoder, poses, skips, size):
    "The decoder layer by layer."
    fine, middle, grid = skips
    moments = -(-middle.shape[2] // 2)
    x = beside(decoder.up1(poses), decoder.skip1(grid))
    x = x.unsqueeze(2).repeat(1, 1, moments, 1, 1)
    x = beside(decoder.up2(x, middle.shape[2:]), decoder.skip2(middle))
    x = beside(decoder.up3(x, fine.shape[2:]), decoder.skip3(fine))
    return decoder.logit(decoder.dropout(decoder.up4(x, size)))


def plain_forward(net, clips, keep):
    "One view through the detector."
    grid, skips = net.encoder(clips)
    poses, activations = repeated(net.capsules, *net.primary(grid))
    scores = activations.mean((2, 3))
    keep = chosen(keep, scores).repeat_interleave(16, 1)[..., None, None]
    logits = plain_decoder(net.decoder, poses * keep, skips, clips.shape[2:])
    return Detection(logits, scores, activations.flatten(2).transpose(1, 2).flatten(1))


def plain_step(model, labelled, unlabelled):
    "Two passes, numpy masks; the losses of `semi_supervised_step`."
    clips, labels = join(labelled, unlabelled)
    views = [draw(len(clips), 224) for draw in VIEWS]
    keep = class_mask(labels, 24, NOW.epoch, TRUST * NOW.epochs)
    outs = [model(apply(view, clips), keep) for view in views]
    (loc1, known1), (loc2, known2) = (
        invert(view, out.logits.sigmoid()) for view, out in zip(views, outs)
    )
    w, mask = exp_rampup(*NOW), released_way(loc1.detach(), loc2.detach()).mean(0).float()
    features = [out.features.view(len(clips), -1, 24) for out in outs]
    place = l2_consistency(loc1, loc2, known1 * known2 * (w * mask + 1 - w))
    losses = labelled_losses(Seen(tuple(views), tuple(outs)), labelled, NOW)
    classes = js_divergence(*features)
    return {
        **losses,
        "class consistency": LAM * LAM1 * classes,
        "place consistency": LAM * LAM2 * place,
    }


def our_step(model, labelled, unlabelled):
    "The package's step."
    return semi_supervised_step(
        model, labelled, unlabelled, NOW, VIEWS, LAM, LAM1, LAM2, trust=TRUST
    )


def whole(path, indices):
    "Eight frames from a video decoded from end to end."
    return np.stack(list(decode(path)))[indices]


def load(paths, read):
    "The batch: one labelled clip in every two; the truth is a rectangle."
    clips = torch.stack(
        [to_tensor(read(p, clip_indices(70, 150)))[..., 8:232, 48:272] for p in paths]
    )
    n = len(clips) // 2
    mask = torch.zeros(n, 1, 8, 224, 224)
    mask[..., 60:160, 80:140] = 1
    return {"clip": clips[:n], "mask": mask, "label": torch.arange(n) % 24}, {"clip": clips[n:]}


class Watched:
    "A detector whose answers are remembered."

    def __init__(self, net, forward):
        self.n_classes, self.forward, self.outs = net.n_classes, forward, []

    def __call__(self, clips, keep):
        out = self.forward(clips, keep)
        self.outs.append(
            {"answer logits": out.logits.detach(), "answer activations": out.activations.detach()}
        )
        return out

    def answers(self):
        "All rows, view by view."
        return {k: torch.cat([out[k] for out in self.outs]) for k in self.outs[0]}


def measure(arm, paths, answers, recompute):
    "Seconds, CPU seconds, peak MiB of one step here; answers and gradients go into a file."
    warnings.simplefilter("ignore")
    net = network(len(paths))
    net.recompute = recompute
    read, step = {"plain": (whole, plain_step), "ours": (read_frames, our_step)}[arm]
    model = Watched(net, net if arm == "ours" else partial(plain_forward, net))
    read(paths[0], clip_indices(70, 150))  # the disk's cache is warm
    began, cpu = time.perf_counter(), time.process_time()
    losses = step(model, *load(paths, read))
    sum(losses.values()).backward()
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    took["MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )
    tensors = {f"loss {k}": v.detach() for k, v in losses.items()} | model.answers()
    tensors |= {f"grad {k}": p.grad for k, p in net.named_parameters()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, answers)
    return took


def differences(one, two):
    "Largest differences: losses and answers; gradients, relative to their largest entry."
    one, two = (load_file(path) for path in (one, two))

    def largest(x):
        return x.abs().max().item()

    def part(kind):
        names = [k for k in one if k.startswith(kind)]
        return {k: (largest(one[k] - two[k]), largest(one[k])) for k in names}

    def plain(kind):
        return max(far for far, _ in part(kind).values())

    grads = part("grad")
    worst = max(grads, key=lambda k: grads[k][0] / grads[k][1])
    return {
        "losses": plain("loss"),
        "logits and activations": plain("answer"),
        "gradients, of the largest entry": plain("grad") / max(size for _, size in grads.values()),
        f"gradient of one tensor, at worst ({worst.removeprefix('grad ')})": grads[worst][0]
        / grads[worst][1],
    }


def profiled(paths, top=12):
    "Where the time of our step goes: share of CPU time by operation and shapes."
    model = network(len(paths))
    with profile(record_shapes=True) as record:
        sum(our_step(model, *load(paths, read_frames)).values()).backward()
    rows = sorted(
        record.key_averages(group_by_input_shape=True), key=lambda row: -row.self_cpu_time_total
    )
    total = sum(row.self_cpu_time_total for row in rows)
    for row in rows[:top]:
        shapes = " ".join("x".join(map(str, shape)) for shape in row.input_shapes[:3] if shape)
        print(
            f"{row.self_cpu_time_total / total:4.0%}  {row.count:4} x "
            f"{row.key.split('::')[-1]:22}{shapes}"
        )


def run(arm, paths, answers, flags):
    "One step in a process of its own."
    job = [
        sys.executable,
        __file__,
        "--arm",
        arm,
        "--answers",
        str(answers),
        "--paths",
        *map(str, paths),
        *flags,
    ]
    return json.loads(subprocess.run(job, check=True, stdout=subprocess.PIPE, text=True).stdout)


def films(box, batch):
    "Drawn videos, one a clip."
    return [encode(Path(box, f"{k}.avi"), 150, "mpeg4", 12, 0, seed=k) for k in range(batch)]


def compare(batch, repeats, flags):
    "Both arms in turns."
    with tempfile.TemporaryDirectory() as box:
        paths = films(box, batch)
        rows = {"plain": [], "ours": []}
        for _ in range(repeats):
            for arm in rows:
                rows[arm].append(run(arm, paths, Path(box, arm), flags if arm == "ours" else []))
                print(
                    f"{arm:6}" + "".join(f"{v:9.1f} {k}" for k, v in rows[arm][-1].items()),
                    flush=True,
                )
        far = differences(Path(box, "plain"), Path(box, "ours"))
    for name in ("seconds", "cpu", "MiB"):
        ours, plain = (
            statistics.median(row[name] for row in rows[arm]) for arm in ("ours", "plain")
        )
        print(f"{name}: {ours:.1f} against {plain:.1f}, ratio {ours / plain:.2f}")
    print("differences: " + "; ".join(f"{name} {value:.0e}" for name, value in far.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2, help="clips, half of them labelled")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--recompute", action="store_true", help="our arm computes its encoder twice to save memory"
    )
    parser.add_argument(
        "--profile", action="store_true", help="show where the time of our step goes, and stop"
    )
    parser.add_argument("--arm", choices=("plain", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--paths", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--answers", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arm:
        print(json.dumps(measure(args.arm, args.paths, args.answers, args.recompute)))
    elif args.profile:
        with tempfile.TemporaryDirectory() as box:
            profiled(films(box, args.batch))
    else:
        compare(args.batch, args.repeats, ["--recompute"] if args.recompute else [])


if __name__ == "__main__":
    main()
