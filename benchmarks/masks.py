"""Speed of the two attention masks, as ratios in one run: `python benchmarks/masks.py`.

The variance mask runs against the released way of computing it written out: numpy in float64, clip by clip, ring by ring
("clockwise" and "anticlockwise", which turn out equal) and ring frame by ring frame. Both masks run against copying their inputs and their output once into fresh memory. With a
GPU, both also run there, and any operation that makes the host wait for it is an error. Run it on an idle machine:
where other programs hold a core, every operation that is shared out to threads waits for it.
"""

import argparse
import random
import statistics
import time

import numpy as np
import torch

from vad_ssl.coherence import variance_mask
from vad_ssl.smoothness import gradient_mask


def ring_mask(ring, t, frames):
    "Variance of every stacked window of one ring, its two halves added, scaled to [0, 1]; float64."
    n, half = len(ring), frames // 2
    var = [
        np.var(np.stack([ring[(k + d) % n] for d in range(-half, half + 1)]), axis=0)
        for k in range(n)
    ]
    mask = np.stack(
        [var[k] + var[-k % n] for k in range(t)]
    )  # the ends are their own second place: doubled
    mask -= mask.min()
    return mask / (mask.max() + 1e-7)


def released_way(view1, view2, frames=5):
    "Clip by clip, the mask of the clockwise ring and that of the anticlockwise one, as the released loss asks for both."
    masks = np.zeros((2, *view1.shape))
    for i in range(len(view1)):
        one, two = (list(view[i, 0].numpy().astype(np.float64)) for view in (view1, view2))
        clockwise = one + two[-2:0:-1]
        for mask, ring in zip(masks, (clockwise, clockwise[:1] + clockwise[:0:-1])):
            mask[i, 0] = ring_mask(ring, len(one), frames)
    return torch.from_numpy(masks)


def copies(*tensors):
    "Copy every tensor once."
    return [x.clone() for x in tensors]


def seconds(runs, repeats, wait=lambda: None):
    "Median seconds of every run, in turns and in ever new order: none profits from what another left in memory."
    times, order = {name: [] for name in runs}, random.Random(0)
    for turn in range(repeats + 2):
        for name in order.sample(list(runs), len(runs)):
            wait()
            start = time.perf_counter()
            runs[name]()
            wait()
            if turn > 1:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def masks(view1, view2):
    "Name -> function, for both masks and for the copying they are compared with."
    out = torch.empty_like(view1)
    return {
        "variance mask": lambda: variance_mask(view1, view2),
        "gradient mask": lambda: gradient_mask(view1),
        "copy of 3 maps": lambda: copies(view1, view2, out),
        "copy of 2 maps": lambda: copies(view1, out),
    }


def report(name, took):
    "Print times and the two ratios to copying."
    print(name + ": " + ", ".join(f"{run} {1000 * each:.3f} ms" for run, each in took.items()))
    for mask, copy in (("variance", "3"), ("gradient", "2")):
        ratio = took[f"{mask} mask"] / took[f"copy of {copy} maps"]
        print(f"  {mask} mask takes {ratio:.2f} times as long as copying its inputs and output")


def main():
    "Measure and print."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=5, default=(8, 1, 8, 224, 224), help="b 1 t h w")
    parser.add_argument("--repeats", type=int, default=31)
    args = parser.parse_args()
    view1, view2 = torch.rand(2, *args.size, generator=torch.Generator().manual_seed(0))
    far = (released_way(view1, view2) - variance_mask(view1, view2)).abs().max()
    print(
        f"maps {tuple(args.size)}, {torch.get_num_threads()} threads, largest difference {far:.0e}"
    )
    took = seconds(
        {"released way": lambda: released_way(view1, view2)} | masks(view1, view2), args.repeats
    )
    report("CPU", took)
    print(
        f"  variance mask is {took['released way'] / took['variance mask']:.1f} times faster than the released way"
    )
    if torch.cuda.is_available():
        view1, view2 = view1.cuda(), view2.cuda()
        variance_mask(view1, view2), gradient_mask(view1)
        torch.cuda.set_sync_debug_mode("error")
        variance_mask(view1, view2), variance_mask(view1), gradient_mask(view1)
        torch.cuda.set_sync_debug_mode("default")
        print("GPU: no host synchronisation")
        report("GPU", seconds(masks(view1, view2), args.repeats, torch.cuda.synchronize))


if __name__ == "__main__":
    main()
