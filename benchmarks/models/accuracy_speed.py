"""Accuracy against speed: every recipe of docs/reference/results.json, and published networks rebuilt and timed.

Run: python -m benchmarks.models.accuracy_speed [--rounds 60] [--plot-only]

Speeds are those of exported files, one thread, tiles of 64 images, in turns in one run, as ratios to `cnn3` in float32
(median, quartiles); weights are random. Accuracies of recipes are means over the seeds of docs/reference/results.json,
those of published networks are their authors'. The plot also has the cascades of benchmarks/models/cascade.py.
Writes benchmarks/results/accuracy_speed.json and docs/images/accuracy-speed.png.
"""

import argparse
import json
import statistics
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.models.published_networks import PUBLISHED
from benchmarks.models.stones import compared, files, open_session, time_in_turns
from benchmarks.places import DOCS, RESULTS
from torchstone_train.networks.architectures import ModelShape, build_network
from torchstone_train.report.drawing import BLUE, ORANGE, SOFT, STYLE, encode

OUT = RESULTS / "accuracy_speed.json"
PLOT = DOCS / "images" / "accuracy-speed.png"
CASCADES = RESULTS / "cascade.json"
SHAPE = ModelShape(1, 28, 28, 10)
DATASET = "fashion-mnist"
BELOW = {"stone-l"}  # whose point lies on that of the network it is built after, so beside it there is no room


def recipes() -> dict[str, dict[str, Any]]:
    """Return by recipe its mean accuracy and settings, of those measured on Fashion-MNIST."""
    results = json.loads((DOCS / "reference" / "results.json").read_text())["results"]
    return {
        result["recipe"]: {
            "accuracy": statistics.fmean(seed["test"]["accuracy"] for seed in result["seeds"]),
            "seeds": len(result["seeds"]),
        }
        for result in results
        if result["dataset"] == DATASET and "+" not in result["recipe"]
    }


def cascades() -> list[dict[str, Any]]:
    """Return what `cascade` measured of cascades: their speed depends on trained weights and on images."""
    if not CASCADES.exists():
        return []
    entries = [entry for entry in json.loads(CASCADES.read_text())["entries"] if "asked" in entry and "int8" in entry]
    return [{**entry, "source": "docs/reference/results.json"} for entry in entries]


def measure(rounds: int) -> list[dict[str, Any]]:
    measured = recipes()
    networks = {name: build_network(name, SHAPE) for name in dict.fromkeys(("cnn3", *measured))}
    networks |= {published.name: published.build() for published in PUBLISHED}
    sessions = {
        (name, kind): open_session(file) for name, network in networks.items() for kind, file in files(network).items()
    }
    seconds = time_in_turns(sessions, rounds)
    points = [{"name": name, "source": "docs/reference/results.json", **facts} for name, facts in measured.items()]
    points += [{"name": item.name, "accuracy": item.accuracy, "source": item.source} for item in PUBLISHED]
    for point in points:
        for kind in ("fp32", "int8"):
            point[kind] = compared(seconds["cnn3", "fp32"], seconds[point["name"], kind])
    return points


def draw(points: list[dict[str, Any]]) -> bytes:
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 5.4), layout="constrained")
        axis = figure.add_subplot()
        for point in points:
            _draw_point(axis, point)
        axis.set_xscale("log")
        axis.set_xlim(0.005, 60)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_xlabel("images a second, as a multiple of cnn3 in float32; one thread, batches of 64")
        axis.set_ylabel("test accuracy, Fashion-MNIST")
        axis.grid(visible=True)
        axis.plot([], [], "o", color=BLUE, label="Torchstone's recipes, int8 file")
        axis.plot([], [], "o", color=BLUE, mfc="white", label="the same, float32 file")
        axis.plot([], [], "s", color=ORANGE, label="published network, rebuilt, int8 file")
        axis.plot([], [], "s", color=ORANGE, mfc="white", label="the same, float32 file")
        axis.legend(loc="lower left", frameon=False, labelcolor=SOFT)
        figure.suptitle("Accuracy against speed of the exported files", x=0.012, ha="left")
        return encode(figure)["png"]


def _draw_point(axis: Axes, point: dict[str, Any]) -> None:
    ours = point["source"] == "docs/reference/results.json"
    color, marker = (BLUE, "o") if ours else (ORANGE, "s")
    speeds = [point[kind]["ratio"] for kind in ("fp32", "int8")]
    axis.plot(speeds, [point["accuracy"]] * 2, color=color, linewidth=0.8)
    axis.plot(speeds[0], point["accuracy"], marker, color=color, mfc="white")
    axis.plot(speeds[1], point["accuracy"], marker, color=color)
    side: dict[str, Any] = {"ha": "left", "xytext": (6, 0)} if ours else {"ha": "right", "xytext": (-6, 0)}
    if point["name"] in BELOW:
        side = {"ha": "right", "xytext": (3, -10)}
    at = (max(speeds) if ours else min(speeds), point["accuracy"])
    axis.annotate(point["name"], at, textcoords="offset points", va="center", color=color, **side)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--plot-only", action="store_true", help="draw what was measured before")
    options = parser.parse_args()
    if not options.plot_only:
        points = measure(options.rounds)
        OUT.write_text(json.dumps({"rounds": options.rounds, "points": points}, indent=1) + "\n")
    PLOT.write_bytes(draw([*json.loads(OUT.read_text())["points"], *cascades()]))


if __name__ == "__main__":
    main()
