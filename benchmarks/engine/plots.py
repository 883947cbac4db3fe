"""The plot of docs/reference/large-networks.md: how cost grows with threads and pictures a call."""

from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.places import DOCS

PLOT: Final = DOCS / "figures" / "engine-growth.svg"


def draw_growth(networks: dict[str, Any]) -> None:
    """Draw images a second, and the share of the peak, by pictures a call; a line for each number of threads."""
    mpl.rcParams.update({"svg.hashsalt": "torchstone", "font.size": 8})
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    speed, share = figure.subplots(1, 2)
    for name, found in networks.items():
        for threads in sorted({row["threads"] for row in found["rows"]}):
            rows = [row for row in found["rows"] if row["threads"] == threads]
            batches = [row["batch"] for row in rows]
            label = f"{name}, {threads} thread{'s' * (threads > 1)}"
            speed.plot(batches, [row["images_per_second"]["value"] for row in rows], marker=".", label=label)
            share.plot(batches, [100 * row["share_of_peak"] for row in rows], marker=".")
    for axes, what in ((speed, "images a second"), (share, "% of the measured peak")):
        axes.set_xscale("log", base=2)
        axes.set(xlabel="pictures a call", ylabel=what)
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        axes.grid(alpha=0.3)
    speed.legend(frameon=False, fontsize=7, loc="upper left")
    figure.savefig(PLOT, metadata={"Date": None})
