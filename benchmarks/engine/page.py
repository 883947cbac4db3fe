"""Write docs/reference/large-networks.md from what `benchmarks.engine.study` has kept.

Run: python -m benchmarks.engine.page
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.engine.plots import draw_growth
from benchmarks.places import DOCS, RESULTS
from benchmarks.template import render, table_rows

PAGE: Final = DOCS / "reference" / "large-networks.md"
KEPT: Final = RESULTS / "engine-study.json"
TEMPLATE: Final = Path(__file__).with_name("page.md.in")
OURS: Final = "Torchstone"
_ONE: Final = 1.05
_DISK: Final = 1.15
_THROUGHPUT: Final = 1.1
_LATENCY: Final = 0.7
_EAGER: Final = 3.0
Document = dict[str, Any]


def page(document: Document) -> str:
    """Return the page; a section without a cell is left out."""
    tables = {
        "pictures": _pictures(document),
        "callers": _callers(document),
        "files": _files(document),
        "certificate": _certificate(document),
        "floor": _floor(document),
        "growth": _growth(document),
    }
    filled: dict[str, str | None] = {name: table_rows(rows) if rows else None for name, rows in tables.items()}
    cores = [cell["cores"] for _, cell in _of(document, "floor")]
    filled["floor_cores"] = str(cores[0]) if cores else None
    return render(TEMPLATE, {**filled, "machine": _machine(document), "kind": _kind(document)})


def verdict(ratio: Document, aim: float, *, at_least: bool) -> str:
    """Return the aim with `met`, `missed` or `not settled`.

    Args:
        ratio: estimate with `low` and `high`, None where there is no such end.
        aim: ratio aimed at.
        at_least: whether it is the smallest accepted; otherwise the largest.
    """
    low, high = (float("-inf") if ratio["low"] is None else ratio["low"]), (ratio["high"] or float("inf"))
    met, missed = (low >= aim, high < aim) if at_least else (high <= aim, low > aim)
    return f"{aim:.2f}: {'met' if met else 'missed' if missed else 'not settled'}"


def _pictures(document: Document) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for _, cell in _of(document, "pictures"):
        count = cell["found"]["count"]
        for name, found in cell["found"]["networks"].items():
            times = {side: _number(item["value"]) for side, item in found["milliseconds"].items()}
            others = ", ".join(f"{side} {time}" for side, time in times.items() if side != OURS)
            aim = verdict(found["ratio"], _ONE if count == 1 else 1.0, at_least=False)
            rows.append((name, cell["cores"], count, times[OURS], others, text(found["ratio"]), aim, _load(cell)))
    return rows


def _callers(document: Document) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for _, cell in _of(document, "callers"):
        for name, found in cell["found"]["networks"].items():
            speed, slow = found["throughput"], found["latency, 99%"]
            first = text(speed), verdict(speed, _THROUGHPUT, at_least=True)
            rows.append((name, *first, text(slow), verdict(slow, _LATENCY, at_least=False), _load(cell)))
    return rows


def _files(document: Document) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for _, cell in _of(document, "pictures_from_disk"):
        for name, sizes in cell["found"]["networks"].items():
            for size, found in sizes.items():
                speeds = {side: f"{item['median']:.0f}" for side, item in found["images per second"].items()}
                whole, reduced, _ = found["ratios of the times"].values()
                ours = ", ".join(speeds[f"torchstone, {rule}"] for rule in ("full", "reduced"))
                others = ", ".join(speeds[side] for side in ("opencv", "opencv, reduced", "torchvision"))
                judged = text(whole), verdict(whole, _DISK, at_least=True)
                files = f"{cell['found']['pictures']} of {size}"
                rows.append((name, files, ours, others, *judged, text(reduced), _load(cell)))
    return rows


def _certificate(document: Document) -> list[tuple[object, ...]]:
    return [
        (
            item["network"],
            item["pictures"],
            item["both passes"],
            item["whole"],
            item["whole / both passes"],
            _load(cell),
        )
        for _, cell in _of(document, "certificate_cost")
        for item in [cell["found"]]
    ]


def _floor(document: Document) -> list[tuple[object, ...]]:
    return [
        (
            name,
            _number(row["microseconds"]["value"]),
            text(row["eager"]),
            verdict(row["eager"], _EAGER, at_least=True) if name.startswith("Classifier") else "",
        )
        for _, cell in _of(document, "floor")
        for name, row in cell["found"]["rows"].items()
    ]


def _growth(document: Document) -> list[tuple[object, ...]]:
    return [
        (name, row["threads"], row["batch"], f"{row['images_per_second']['value']:.1f}", f"{row['share_of_peak']:.0%}")
        for _, cell in _of(document, "growth")
        for name, found in cell["found"]["networks"].items()
        for row in found["rows"]
    ]


def _of(document: Document, script: str) -> Iterator[tuple[str, Document]]:
    return ((name, cell) for name, cell in document["cells"].items() if cell["script"] == script)


def _machine(document: Document) -> str:
    machines = [cell["found"].get("machine", {}) | cell["found"] for cell in document["cells"].values()]
    found: dict[str, str] = {}
    for machine in machines:
        found |= {name: version for name, version in machine.get("versions", {}).items() if version}
    versions = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
    names = {machine["processor"] for machine in machines if "processor" in machine}
    most = max(cell["cores"] for cell in document["cells"].values())
    return f"{' or '.join(sorted(names))}, {most} processors; {versions}; {document['date']}"


def _kind(document: Document) -> str:
    return "A quick study: few pictures, networks and rounds." if document["quick"] else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _load(cell: Document) -> str:
    return f"{cell['load before']:.1f} to {cell['load after']:.1f}"


def text(estimate: Document) -> str:
    """Return an estimate as `1.20 (1.10 to 1.30)`."""
    value = estimate.get("value", estimate.get("median"))
    low, high = ("..." if estimate[end] is None else f"{estimate[end]:.2f}" for end in ("low", "high"))
    return f"{value:.2f} ({low} to {high})"


def main() -> None:
    """Write the page and its plot from the kept results."""
    document = json.loads(KEPT.read_text(encoding="utf-8"))
    for _, cell in _of(document, "growth"):
        draw_growth(cell["found"]["networks"])
    PAGE.write_text(page(document), encoding="utf-8")


if __name__ == "__main__":
    main()
