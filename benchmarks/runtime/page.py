"""Writes docs/reference/benchmarks.md and its plots from benchmarks/results/*.json, and measures nothing.

Run: python -m benchmarks.runtime.page
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.places import DOCS, RESULTS, ROOT
from benchmarks.runtime.plots import draw_plots
from benchmarks.template import render, table_rows

PAGE: Final = DOCS / "reference" / "benchmarks.md"
_TEMPLATE: Final = Path(__file__).with_name("page.md.in")

Document = dict[str, Any]


def main() -> None:
    """Write the page and the plots."""
    found = read_documents()
    if "growth" in found:
        draw_plots(found["growth"])
    PAGE.write_text(page(found), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


def read_documents() -> dict[str, Document]:
    """Return what the benchmarks of the runtime recorded, by their names."""
    documents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    # Other studies keep their results in the same folder and have pages of their own.
    return {name: document for name, document in documents.items() if "targets" in document}


def page(found: Mapping[str, Document]) -> str:
    """Return the page of what each benchmark recorded, by its name; one that is missing has no section."""
    return render(
        _TEMPLATE,
        {
            "benchmarks": table_rows(_benchmark_cells(name, document) for name, document in found.items()),
            "targets": table_rows(cells for document in found.values() for cells in _target_cells(document)),
            **{name: _table(found, name) for name in ("throughput", "latency", "whole_process")},
            **_folder_memory(found.get("folder_memory")),
            **_growth(found.get("growth")),
            **_tiles(found.get("tiles")),
        },
    )


def _note(document: Document) -> str:
    return " (a quick try)" if document.get("quick") else ""


def _benchmark_cells(name: str, document: Document) -> tuple[object, ...]:
    machine = document["machine"]
    versions = ", ".join(f"{key} {value}" for key, value in machine["versions"].items() if value)
    return (
        f"`python -m benchmarks.runtime.{name}`{_note(document)}",
        document["date"],
        f"{machine['processor']}, {machine['processors']} processors",
        machine["load_average"],
        versions,
    )


def _target_cells(document: Document) -> Iterator[tuple[str, ...]]:
    for target in document["targets"]:
        sign = "at least" if target["at_least"] else "at most"
        verdict = f"{target['verdict']}{_note(document)}"
        yield target["what"], f"{sign} {target['aim']:g}", _interval(target["ratio"]), verdict


def _table(found: Mapping[str, Document], name: str) -> str | None:
    cells = {"throughput": _throughput_cells, "latency": _latency_cells, "whole_process": _whole_process_cells}[name]
    return table_rows(map(cells, found[name]["rows"])) if name in found else None


def _throughput_cells(row: Document) -> tuple[str, ...]:
    return row["name"], row["how"], _interval(row["images_per_second"], ",.0f"), _interval(row["ratio"])


def _latency_cells(row: Document) -> tuple[str, ...]:
    return row["name"], _interval(row["seconds"], ".0f", 1e6), _interval(row["ratio"])


def _whole_process_cells(row: Document) -> tuple[str, ...]:
    return (
        *(row["name"], _interval(row["seconds"], ".2f"), f"{row['cpu_seconds']:.2f}"),
        f"{row['peak_bytes'] / 1e6:.0f} MB",
    )


def _folder_memory(document: Document | None) -> dict[str, str | None]:
    if document is None:
        return dict.fromkeys(("many_files", "folder_memory", "idle_milliseconds", "idle_seconds"))
    rows = (
        (
            *(row["name"], f"{row['few_peak_bytes'] / 1e6:.0f} MB", f"{row['many_peak_bytes'] / 1e6:.0f} MB"),
            f"{row['many_seconds']:.1f}",
        )
        for row in document["rows"]
    )
    return {
        "many_files": "10,000" if document.get("quick") else "100,000",
        "folder_memory": table_rows(rows),
        "idle_milliseconds": f"{document['idle_cpu_seconds'] * 1000:.2f}",
        "idle_seconds": str(document["idle_seconds"]),
    }


def _growth(document: Document | None) -> dict[str, str | None]:
    if document is None:
        return dict.fromkeys(("peak_fp32", "peak_int8", "growth"))
    peak, rows = document["peak"]["operations_per_second"], document["rows"]
    cells = []
    for key in sorted({(row["network"], row["variant"], row["threads"]) for row in rows}):
        group = [row for row in rows if (row["network"], row["variant"], row["threads"]) == key]
        best = max(group, key=lambda row: row["images_per_second"]["value"])
        speed = _interval(best["images_per_second"], ",.0f")
        cells.append((*key, best["batch"], speed, f"{best['share_of_peak']:.0%}"))
    return {
        **{f"peak_{variant}": f"{peak[variant] / 1e9:.0f}" for variant in ("fp32", "int8")},
        "growth": table_rows(cells),
    }


def _tiles(document: Document | None) -> dict[str, str | None]:
    if document is None:
        return dict.fromkeys(("tile_sizes", "tile_rule", "tiles"))
    sizes = list(document["rows"][0]["images_per_cpu_second"])
    rows = (
        (row["name"], row["chosen"], *(f"{speed:,.0f}" for speed in row["images_per_cpu_second"].values()))
        for row in document["rows"]
    )
    return {"tile_sizes": " | ".join(sizes), "tile_rule": "---|" * len(sizes), "tiles": table_rows(rows)}


def _interval(estimate: dict[str, float | None], form: str = ".2f", factor: float = 1.0) -> str:
    value, low, high = (
        "..." if (end := estimate[key]) is None else format(end * factor, form) for key in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"


if __name__ == "__main__":
    main()
