"""How the time of a training grows with data, width and cores, in turns in one run.

Run: python -m benchmarks.training.training_growth [--rounds 7] [--plot-only]

What is timed is the training step of `stone-s` (augmentation, forward and backward pass in mixed precision, optimiser,
average of the weights) on real images. Each round runs every arm once; figures are medians of ratios to the arm of the
same round that stands for 1, with quartiles. Writes benchmarks/results/training_growth.json and
docs/images/training-growth.png.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch import nn

from benchmarks.places import ROOT
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_train.compute.precision import choose_precision
from torchstone_train.data.augment import Augmentation
from torchstone_train.data.batches import Batches, make_batches
from torchstone_train.data.training_data import TrainingData, load_training_data
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.networks.residual import Stage, residual_network
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.report.drawing import BLUE, ORANGE, STYLE, encode
from torchstone_train.training.ema import EMA
from torchstone_train.training.optimization import Optimization

OUT = ROOT / "benchmarks" / "results" / "training_growth.json"
PLOT = ROOT / "docs" / "images" / "training-growth.png"
CPU = torch.device("cpu")
RECIPE = get_recipe("stone-s")
FILTERS = (32, 64, 64)
WIDTHS = (0.25, 0.5, 1.0, 2.0)
IMAGES = (1_280, 2_560, 5_120, 10_240)
STANDARD = 2_560
CORES = tuple(range(1, len(os.sched_getaffinity(0)) + 1))
AT_BEST = {"images": "as the images", "width": "as the width squared", "cores": "as the cores"}


def network(width: float) -> nn.Module:
    first, second, third = (int(filters * width) for filters in FILTERS)
    return residual_network(1, 10, (Stage(first, 0, 2, kernel=5), Stage(second, 1, 2), Stage(third, 1, 2)))


def arm(data: TrainingData, batches: Batches, width: float, images: int, threads: int) -> Callable[[], None]:
    """Return a function that trains once on so many images; what it needs is made beforehand."""
    recipe = RECIPE
    model = ImageClassifier(network(width), data.spec).to(memory_format=torch.channels_last)
    optimization = Optimization(recipe, model, choose_precision(recipe.amp, CPU), 1_000_000)
    ema = EMA(model.network, recipe.ema)
    augmentation = Augmentation(recipe.augment, recipe.flips, len(batches), 0)
    generator = torch.Generator().manual_seed(0)

    def run() -> None:
        torch.set_num_threads(threads)
        order = torch.randperm(len(batches), generator=generator)[:images]
        walk = zip(torch.split(order, recipe.batch_size), batches.walk(order, recipe.batch_size), strict=True)
        for indices, (pixels, labels) in walk:
            optimization.step(augmentation(pixels, indices, 1, generator), labels)
            ema.update()

    return run


def measure(rounds: int, data_dir: Path) -> dict[str, Any]:
    data = load_training_data(DatasetRef.parse("fashion-mnist"), data_dir, RECIPE, 0)
    batches = make_batches(data.train, CPU)
    arms = {f"width {width}": arm(data, batches, width, STANDARD, 1) for width in WIDTHS}
    arms |= {f"images {count}": arm(data, batches, 1.0, count, 1) for count in IMAGES}
    arms |= {f"cores {count}": arm(data, batches, 1.0, STANDARD, count) for count in CORES}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(rounds + 1):
        for name, run in arms.items():
            started = time.perf_counter()
            run()
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    found = {
        "images": series(seconds, "images", IMAGES, f"images {IMAGES[0]}"),
        "width": series(seconds, "width", WIDTHS, "width 1.0"),
        "cores": series(seconds, "cores", CORES, "cores 1"),
    }
    return {"rounds": rounds, "torch": torch.__version__, "series": found}


def series(
    seconds: dict[str, list[float]], kind: str, values: tuple[float, ...], base: str
) -> list[dict[str, float | list[float]]]:
    found: list[dict[str, float | list[float]]] = []
    for value in values:
        pairs = zip(seconds[f"{kind} {value}"], seconds[base], strict=True)
        low, middle, high = statistics.quantiles([own / other for own, other in pairs], n=4)
        found.append({"value": value, "time": middle, "quartiles": [low, high]})
    return found


def draw(found: dict[str, list[dict[str, Any]]]) -> bytes:
    titles = {"images": "images trained on", "width": "width of the network", "cores": "cores"}
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 3), layout="constrained")
        for axis, (kind, points) in zip(figure.subplots(1, 3), found.items(), strict=True):
            values, times = [point["value"] for point in points], [point["time"] for point in points]
            errors = [[point["time"] - point["quartiles"][0] for point in points]]
            errors += [[point["quartiles"][1] - point["time"] for point in points]]
            axis.errorbar(values, times, yerr=errors, color=BLUE, marker="o", capsize=2)
            axis.plot(values, [ideal(kind, value, values) for value in values], color=ORANGE, linestyle=":")
            axis.set_title(AT_BEST[kind], color=ORANGE, fontsize=9, fontweight="normal")
            axis.set_xscale("log", base=2)
            axis.set_yscale("log", base=2)
            axis.set_xticks(values, [f"{value / 1000:.1f}k" if value >= 1000 else f"{value:g}" for value in values])
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
            axis.set_xlabel(titles[kind])
            axis.grid(visible=True)
        figure.suptitle("Time of stone-s's training steps (blue), and of perfect growth (dotted)", x=0.012, ha="left")
        return encode(figure)["png"]


def ideal(kind: str, value: float, values: list[float]) -> float:
    if kind == "images":
        return value / values[0]
    return value**2 if kind == "width" else 1 / value


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plot-only", action="store_true", help="draw what was measured before")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("TORCHSTONE_DATA", "data")))
    options = parser.parse_args()
    if not options.plot_only:
        OUT.write_text(json.dumps(measure(options.rounds, options.data_dir), indent=1) + "\n")
    PLOT.write_bytes(draw(json.loads(OUT.read_text())["series"]))


if __name__ == "__main__":
    main()
