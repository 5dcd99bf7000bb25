"""EM routing at the paper's size against repeating weights and poses in memory: two ratios.

python benchmarks/routing.py [--repeats 3]
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from vad_ssl.capsule import ConvCapsules, em_routing


def repeated(layer, poses, activations):
    "The same layer, written out: a copy of the weights a place, a copy of the poses a parent."
    b, i, h, w = activations.shape
    j, p = layer.weight.shape[1:3]
    poses = poses.movedim(1, -1).reshape(-1, i, 1, p, p).repeat(1, 1, j, 1, 1)
    weight = layer.weight.unsqueeze(0).repeat(len(poses), 1, 1, 1, 1)
    votes = (poses @ weight).flatten(3)
    activations = activations.movedim(1, -1).reshape(-1, i)
    out = em_routing(votes, activations, layer.beta_u, layer.beta_a)[:2]
    return [x.flatten(1).view(b, h, w, -1).movedim(-1, 1) for x in out]


def peak():
    "Largest resident memory so far, MiB."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


def measure(run, b, grid, repeats):
    "Best time and peak growth of memory of a forward and backward pass, in a fresh process."
    torch.manual_seed(0)
    layer = ConvCapsules(32, 24)
    step = run if run is repeated else lambda layer, *x: layer(*x)

    def once(b, grid):
        poses = torch.randn(b, 32 * 16, grid, grid, requires_grad=True)
        activations = torch.rand(b, 32, grid, grid, requires_grad=True)
        start = time.perf_counter()
        poses, activations = step(layer, poses, activations)
        (poses.square().mean() + activations.mean()).backward()
        return time.perf_counter() - start

    once(1, 2)
    before = peak()
    return dict(seconds=min(once(b, grid) for _ in range(repeats)), mib=peak() - before)


if __name__ == "__main__":
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--repeats", type=int, default=3)
    args.add_argument("--only", choices=["repeated", "layer"])
    args = args.parse_args()
    if args.only:
        print(
            json.dumps(measure(repeated if args.only == "repeated" else None, 8, 20, args.repeats))
        )
    else:
        out = {}
        for name in ("repeated", "layer"):
            child = [sys.executable, __file__, "--only", name, "--repeats", str(args.repeats)]
            out[name] = json.loads(
                subprocess.run(child, check=True, capture_output=True, text=True).stdout
            )
            print(f"{name:9} {out[name]['seconds']:.2f} s, {out[name]['mib']:.0f} MiB", flush=True)
        speed, memory = (out["repeated"][k] / out["layer"][k] for k in ("seconds", "mib"))
        print(f"layer is {speed:.1f} times faster with {1 / memory:.2f} of the peak memory")
