"""Writes docs/benchmarks.md and its plots from benchmarks/results/*.json, and measures nothing.

Run: python -m benchmarks.runtime.page
"""

import json
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.places import DOCS, RESULTS, ROOT

PAGE, PLOTS = DOCS / "benchmarks.md", DOCS / "figures"
COLORS = {"fp32": "#3060a8", "int8": "#c8641e"}
NETWORKS = {"cnn3": "cnn3, {:.2f} M multiply-adds an image", "wide": "a network of {:.1f} M multiply-adds"}

Document = dict[str, Any]


def main() -> None:
    """Write the page and the plots."""
    documents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    # Other studies keep their results in the same folder and have pages of their own.
    found = {name: document for name, document in documents.items() if "targets" in document}
    PLOTS.mkdir(exist_ok=True)
    mpl.rcParams.update({"svg.hashsalt": "torchstone", "font.size": 8})
    sections = [_introduction(found), _targets(found)]
    sections += [write(found[name]) for name, write in SECTIONS.items() if name in found]
    PAGE.write_text("\n".join(sections), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


def _introduction(found: dict[str, Document]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` from `benchmarks/results/*.json`; don't edit it by hand.",
        "",
        "Every comparison is of sides that took turns in one run, on the `cnn3` bundle and real Fashion-MNIST images.",
        (
            "A ratio is the median over the rounds, with the 95% interval of the sign test; for memory over many "
            "files, with the range of a few runs."
        ),
        "A target is *met* or *missed* where the whole interval says so, and *not settled* where it lies inside.",
        "*Too noisy*: the same thing, measured twice in that run, gave different times.",
        (
            "A load average much above the number of busy threads means that other work took part of the machine: then "
            "only ratios mean something, and those with a wide interval little."
        ),
        "",
        "| benchmark | date | machine | load | versions |",
        "|---|---|---|---|---|",
    ]
    for name, document in found.items():
        machine = document["machine"]
        versions = ", ".join(f"{key} {value}" for key, value in machine["versions"].items() if value)
        note = " (a quick try)" if document.get("quick") else ""
        lines.append(
            f"| `python -m benchmarks.runtime.{name}`{note} | {document['date']} | {machine['processor']}, "
            f"{machine['processors']} processors | {machine['load_average']} | {versions} |"
        )
    return "\n".join([*lines, ""])


def _targets(found: dict[str, Document]) -> str:
    lines = ["## Targets", "", "| what | aim | measured | verdict |", "|---|---|---|---|"]
    for document in found.values():
        note = " (a quick try)" if document.get("quick") else ""
        for target in document["targets"]:
            sign = "at least" if target["at_least"] else "at most"
            lines.append(
                f"| {target['what']} | {sign} {target['aim']:g} | {_figures(target['ratio'])} "
                f"| {target['verdict']}{note} |"
            )
    return "\n".join([*lines, ""])


def _throughput(document: Document) -> str:
    lines = [
        "## Throughput",
        "",
        (
            "10,000 uint8 images of 1 x 28 x 28, in images a second; the ratio is against one `session.run` over all "
            "of them on one thread."
        ),
        "",
        "| engine | called | images/s | ratio |",
        "|---|---|---|---|",
        *(
            f"| {row['name']} | {row['how']} | {_figures(row['images_per_second'], ',.0f')} "
            f"| {_figures(row['ratio'])} |"
            for row in document["rows"]
        ),
    ]
    return "\n".join([*lines, ""])


def _latency(document: Document) -> str:
    lines = [
        "## One image",
        "",
        "| engine | microseconds | times `session.run` |",
        "|---|---|---|",
        *(
            f"| {row['name']} | {_figures(row['seconds'], '.0f', 1e6)} | {_figures(row['ratio'])} |"
            for row in document["rows"]
        ),
    ]
    return "\n".join([*lines, ""])


def _whole_process(document: Document) -> str:
    lines = [
        "## Whole processes",
        "",
        "From the start of Python to its end; the scripts are in `benchmarks/runtime/peers`.",
        "",
        "| command | seconds | processor seconds | peak memory |",
        "|---|---|---|---|",
        *(
            f"| {row['name']} | {_figures(row['seconds'], '.2f')} | {row['cpu_seconds']:.2f} "
            f"| {row['peak_bytes'] / 1e6:.0f} MB |"
            for row in document["rows"]
        ),
    ]
    return "\n".join([*lines, ""])


def _folder_memory(document: Document) -> str:
    many = "10,000" if document.get("quick") else "100,000"
    lines = [
        "## Memory over many files, and idling",
        "",
        f"| way | peak over 1,000 PNG files | over {many} | seconds for those |",
        "|---|---|---|---|",
        *(
            f"| {row['name']} | {row['few_peak_bytes'] / 1e6:.0f} MB | {row['many_peak_bytes'] / 1e6:.0f} MB "
            f"| {row['many_seconds']:.1f} |"
            for row in document["rows"]
        ),
        "",
        (
            f"A loaded classifier that waits used {document['idle_cpu_seconds'] * 1000:.2f} ms of processor time in "
            f"{document['idle_seconds']} s."
        ),
    ]
    return "\n".join([*lines, ""])


def _growth(document: Document) -> str:
    _growth_plot(document)
    _roofline(document)
    peak = document["peak"]["operations_per_second"]
    rows = document["rows"]
    lines = [
        "## How cost grows",
        "",
        "![Images a second by batch size, threads and variant](figures/growth.svg)",
        "",
        "![Operations a second against the measured peak](figures/roofline.svg)",
        "",
        (
            f"The peak of one thread, measured in the same run: {peak['fp32'] / 1e9:.0f} G operations/s in float32, "
            f"{peak['int8'] / 1e9:.0f} G in int8 (products of 1024 x 1024 matrices in ONNX Runtime; a multiply-add is "
            "two operations)."
        ),
        "",
        "| network | variant | threads | fastest batch | images/s | share of the peak |",
        "|---|---|---|---|---|---|",
    ]
    for network, variant, threads in sorted({(row["network"], row["variant"], row["threads"]) for row in rows}):
        cells = [row for row in rows if (row["network"], row["variant"], row["threads"]) == (network, variant, threads)]
        best = max(cells, key=lambda row: row["images_per_second"]["value"])
        lines.append(
            f"| {network} | {variant} | {threads} | {best['batch']} | {_figures(best['images_per_second'], ',.0f')} "
            f"| {best['share_of_peak']:.0%} |"
        )
    return "\n".join([*lines, ""])


def _tiles(document: Document) -> str:
    tiles = list(document["rows"][0]["images_per_cpu_second"])
    lines = [
        "## Images a call",
        "",
        (
            "Images a second of processor time on one thread, by images a call; the engine takes at most the number in "
            "the second column."
        ),
        "",
        f"| network, pictures | at most | {' | '.join(tiles)} |",
        "|---|---|" + "---|" * len(tiles),
        *(
            f"| {row['name']} | {row['chosen']} "
            f"| {' | '.join(f'{speed:,.0f}' for speed in row['images_per_cpu_second'].values())} |"
            for row in document["rows"]
        ),
    ]
    return "\n".join([*lines, ""])


SECTIONS = {
    "throughput": _throughput,
    "latency": _latency,
    "whole_process": _whole_process,
    "folder_memory": _folder_memory,
    "growth": _growth,
    "tiles": _tiles,
}


def _growth_plot(document: Document) -> None:
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


def _roofline(document: Document) -> None:
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


def _figures(estimate: dict[str, float | None], form: str = ".2f", factor: float = 1.0) -> str:
    value, low, high = (
        "..." if (end := estimate[key]) is None else format(end * factor, form) for key in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"


if __name__ == "__main__":
    main()
