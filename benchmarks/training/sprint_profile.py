"""Where an epoch's time goes: the sprint recipe by stage, and the starting document's loop.

Run: python -m benchmarks.training.sprint_profile [--images 12800] [--threads 2] [--plot-only]

Each stage is timed on its own around the very calls of the loop, in CPU seconds, so that other work on
the machine counts little. Writes benchmarks/results/sprint_profile.json and docs/images/training-profile.png.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import transforms

from benchmarks.places import DOCS, RESULTS
from benchmarks.training.document_loop import read
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_train.compute.precision import choose_precision
from torchstone_train.data.augment import Augmentation
from torchstone_train.data.batches import make_batches
from torchstone_train.data.training_data import load_training_data
from torchstone_train.networks.architectures import ModelShape, build_network
from torchstone_train.networks.image_classifier import build_classifier
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.report.drawing import BLUE, ORANGE, STYLE, encode
from torchstone_train.training.ema import EMA
from torchstone_train.training.optimization import make_optimizer
from torchstone_train.training.validate import RunningMetrics

OUT = RESULTS / "sprint_profile.json"
PLOT = DOCS / "images" / "training-profile.png"
CPU = torch.device("cpu")


class Stopwatch:
    """Adds up seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block to a stage."""
        started = time.process_time()
        yield
        self.seconds[name] += time.process_time() - started


def sprint(data_dir: Path, images: int) -> dict[str, float]:
    recipe, watch = get_recipe("sprint"), Stopwatch()
    data = load_training_data(DatasetRef.parse("fashion-mnist"), data_dir, recipe, 0)
    batches = make_batches(data.train, CPU)
    model = build_classifier(recipe.architecture, data.spec, 10).to(memory_format=torch.channels_last)
    optimizer, ema = make_optimizer(recipe, model), EMA(model.network, recipe.ema)
    augmentation = Augmentation(recipe.augment, recipe.flips, len(data.train), 0)
    precision, running = choose_precision(recipe.amp, CPU), RunningMetrics(data.train.class_names, CPU)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(data.train), generator=generator)[:images]
    walk = batches.walk(order, recipe.batch_size)
    for indices in torch.split(order, recipe.batch_size):
        with watch.stage("gather the batch"):
            pixels, labels = next(walk)
        with watch.stage("augment"):
            pixels = augmentation(pixels, indices, 1, generator)
        with watch.stage("forward and loss"):
            with precision.autocast():
                logits = model(pixels).float()
            loss = nn.functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        with watch.stage("backward"):
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        with watch.stage("optimiser"):
            optimizer.step()
        with watch.stage("average of the weights"):
            ema.update()
        with watch.stage("running metrics"):
            running.add(logits, labels, loss)
    return dict(watch.seconds)


def document(data_dir: Path, images: int) -> dict[str, float]:
    watch = Stopwatch()
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    pool = read("fashion-mnist", data_dir, train=True, transform=transform)
    loader = iter(DataLoader(Subset(pool, range(images)), batch_size=64, shuffle=True))
    model = build_network("bn-cnn", ModelShape(1, 28, 28, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=1e-4)
    for _ in range(images // 64):
        with watch.stage("load and transform, image by image"):
            pixels, labels = next(loader)
        with watch.stage("forward and loss"):
            loss = nn.functional.cross_entropy(model(pixels), labels)
        with watch.stage("backward"):
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        with watch.stage("optimiser"):
            optimizer.step()
    return dict(watch.seconds)


def measure(images: int, threads: int, data_dir: Path) -> dict[str, Any]:
    """Measure both in turns, twice; keep each one's faster round."""
    torch.set_num_threads(threads)
    rounds = [(sprint(data_dir, images), document(data_dir, images)) for _ in range(2)]
    names = ("train sprint", "the document's loop (bn-cnn)")
    loops = {name: min((r[i] for r in rounds), key=lambda parts: sum(parts.values())) for i, name in enumerate(names)}
    return {"images": images, "threads": threads, "torch": torch.__version__, "loops": loops}


def draw(profile: dict[str, Any]) -> bytes:
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        heights = [len(parts) for parts in profile["loops"].values()]
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        for axis, color, (name, parts) in zip(axes, (BLUE, ORANGE), profile["loops"].items(), strict=True):
            times = [1e6 * seconds / profile["images"] for seconds in parts.values()]
            bars = axis.barh(list(parts), times, color=color)
            axis.bar_label(bars, [f"{value:.0f}" if value >= 10 else f"{value:.1f}" for value in times], padding=3)
            axis.set_title(f"{name}: {sum(times):.0f} in all", color=color, fontsize=9, fontweight="normal")
            axis.invert_yaxis()
            axis.grid(visible=True, axis="x")
            axis.set_axisbelow(True)
        axes[-1].set_xlabel("µs an image, CPU time")
        figure.suptitle("Where the time of a training step goes", x=0.012, ha="left")
        return encode(figure)["png"]


def main() -> None:
    """Measure, write, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=12_800)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("TORCHSTONE_DATA", "data")))
    parser.add_argument("--plot-only", action="store_true", help="draw what was measured before")
    options = parser.parse_args()
    if not options.plot_only:
        found = measure(options.images, options.threads, options.data_dir)
        OUT.write_text(json.dumps(found, indent=1) + "\n")
    profile = json.loads(OUT.read_text())
    for name, parts in profile["loops"].items():
        print(name)
        for stage, seconds in parts.items():
            print(f"  {stage:<36} {1e6 * seconds / profile['images']:6.1f} µs an image")
    PLOT.write_bytes(draw(profile))


if __name__ == "__main__":
    main()
