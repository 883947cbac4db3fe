"""The plots of docs/reference/benchmarks.md."""

from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.places import DOCS

PLOTS = DOCS / "figures"
COLORS = {"fp32": "#3060a8", "int8": "#c8641e"}
NETWORKS = {"cnn3": "cnn3, {:.2f} M multiply-adds an image", "wide": "a network of {:.1f} M multiply-adds"}

Document = dict[str, Any]


def draw_plots(document: Document) -> None:
    """Draw both plots of what `growth` measured."""
    PLOTS.mkdir(exist_ok=True)
    mpl.rcParams.update({"svg.hashsalt": "torchstone", "font.size": 8})
    draw_growth(document)
    draw_roofline(document)


def draw_growth(document: Document) -> None:
    """Draw images a second by batch size, a line for each variant and number of threads."""
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    for axes, (network, title) in zip(figure.subplots(1, 2), NETWORKS.items(), strict=True):
        for variant, threads, cells in _lines(document, network):
            speeds = [row["images_per_second"]["value"] for row in cells]
            style = "--" if threads == 1 else "-"
            label = f"{variant}, {threads} thread{'s' if threads > 1 else ''}"
            axes.plot([row["batch"] for row in cells], speeds, style, marker=".", color=COLORS[variant], label=label)
        axes.set_xscale("log", base=2)
        axes.set(title=title.format(document["multiply_adds"][network] / 1e6), xlabel="images a call", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("images a second")
    _legend_above(figure.axes[0])
    figure.savefig(PLOTS / "growth.svg", metadata={"Date": None})


def draw_roofline(document: Document) -> None:
    """Draw operations a second beside the measured peak."""
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    peaks = document["peak"]["operations_per_second"]
    for axes, variant in zip(figure.subplots(1, 2), ("fp32", "int8"), strict=True):
        for network in NETWORKS:
            for found, threads, cells in _lines(document, network):
                if found == variant:
                    _draw_rates(axes, network, threads, cells, document["multiply_adds"][network])
        for threads in sorted({row["threads"] for row in document["rows"]}):
            axes.axhline(peaks[variant] * threads / 1e9, color="black", linewidth=0.8, linestyle=":")
            axes.annotate(f"peak of {threads}", (1, peaks[variant] * threads / 1e9), va="bottom", fontsize=7)
        axes.set_xscale("log", base=2)
        axes.set(title=variant, xlabel="images a call", ylim=(0, None))
        _legend_above(axes)
    figure.axes[0].set_ylabel("G operations a second")
    figure.savefig(PLOTS / "roofline.svg", metadata={"Date": None})


def _legend_above(axes: Axes) -> None:
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for it above the lines
    axes.legend(frameon=False, fontsize=7, loc="upper left", handlelength=3, ncols=2)


def _draw_rates(axes: Axes, network: str, threads: int, cells: list[Document], multiply_adds: int) -> None:
    rates = [2 * multiply_adds * row["images_per_second"]["value"] / 1e9 for row in cells]
    color = {"cnn3": "#3060a8", "wide": "#2b8a57"}[network]
    style = "--" if threads == 1 else "-"
    axes.plot(
        [row["batch"] for row in cells],
        rates,
        style,
        marker=".",
        color=color,
        label=f"{network}, {threads} thread{'s' * (threads > 1)}",
    )


def _lines(document: Document, network: str) -> list[tuple[str, int, list[Document]]]:
    rows = [row for row in document["rows"] if row["network"] == network]
    keys = sorted({(row["variant"], row["threads"]) for row in rows})
    return [(*key, [row for row in rows if (row["variant"], row["threads"]) == key]) for key in keys]
