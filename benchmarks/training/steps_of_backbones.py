"""Processor time of a training step of a backbone: memory kept or not, layout, and precision.

Run: python -m benchmarks.training.steps_of_backbones [NAME ...] [--batch 16] [--rounds 3]

Each setting runs in a process of its own, on one thread; a step is forward and backward on images of 224 x 224. The
figures are milliseconds of processor time (user and system) for one image, the smallest of the rounds.
"""

import argparse
import multiprocessing
import os
from contextlib import nullcontext

import torch
from torchvision import models

from torchstone_train.compute.allocator import freed_memory_kept

NAMES = ("resnet18", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x1_0", "convnext_tiny")
SETTINGS = ((False, False, False), (True, False, False), (True, True, False), (True, True, True))


def _milliseconds(given: tuple[str, int, bool, bool, bool]) -> float:
    name, batch, kept, channels_last, bf16 = given
    torch.set_num_threads(1)
    with freed_memory_kept() if kept else nullcontext():
        network = models.get_model(name)
        if channels_last:
            network = network.to(memory_format=torch.channels_last)
        images = torch.randn(batch, 3, 224, 224)
        for _ in range(2):  # the first makes what is made once
            before = os.times()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = network(images).square().mean()
            loss.backward()
            after = os.times()
    return 1000 * (after.user + after.system - before.user - before.system) / batch


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'network':20} plain  memory kept  + channels last  + bfloat16")
    for name in arguments.names:
        found: list[list[float]] = [[] for _ in SETTINGS]
        for _ in range(arguments.rounds):
            for column, setting in zip(found, SETTINGS, strict=True):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    column.append(pool.apply(_milliseconds, ((name, arguments.batch, *setting),)))
        print(f"{name:20} {'  '.join(f'{min(column):9.1f}' for column in found)}", flush=True)


if __name__ == "__main__":
    main()
