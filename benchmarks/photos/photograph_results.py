"""The page of results on photographs, docs/reference/photograph-results.md, from what the studies have kept.

Run: python -m benchmarks.photos.photograph_results
"""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.photos.equal_time import CORES
from benchmarks.places import DOCS, RESULTS
from benchmarks.template import render, table_rows

PAGE: Final = DOCS / "reference" / "photograph-results.md"
_TEMPLATE: Final = Path(__file__).with_name("photograph_results.md.in")
_LOADED: Final = ("ours, no cache", "ours, first epoch", "ours, in memory", "ours, on disk")
_MARGIN: Final = 1.1
"""How far over its budget a training may be: the same work takes more processor time beside other work."""
_KEPT: Final = ("photos-accuracy", "small-pictures-accuracy", "photos-pretrained", "photos-loading")
_PARTS: Final = ("head", "rule", "rows", "machine")

Document = Mapping[str, Any]


def read_documents() -> dict[str, Document]:
    """Return the kept results by their name; those that are not there are left out."""
    files = {name: RESULTS / f"{name}.json" for name in _KEPT}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}


def page(documents: Mapping[str, Document]) -> str:
    """Return the page; the section of a document that is not there is left out."""
    return render(
        _TEMPLATE,
        _accuracy("photograph", documents.get("photos-accuracy"))
        | _accuracy("small", documents.get("small-pictures-accuracy"))
        | _pretrained(documents.get("photos-pretrained"))
        | _loading(documents.get("photos-loading")),
    )


def _accuracy(slot: str, document: Document | None) -> dict[str, str | None]:
    if document is None:
        return {f"{slot}_{part}": None for part in _PARTS}
    rows: list[dict[str, Any]] = document["rows"]
    budgets = sorted({row["minutes"] for row in rows})
    sides = list(dict.fromkeys(row["side"] for row in rows))
    return {
        f"{slot}_head": " | ".join(f"{minutes:g} {_counted('minute', minutes)}" for minutes in budgets),
        f"{slot}_rule": "---|" * len(budgets),
        f"{slot}_rows": table_rows(
            (side, *(_cell([row for row in rows if (row["side"], row["minutes"]) == (side, m)]) for m in budgets))
            for side in sides
        ),
        f"{slot}_machine": _machine(document["machine"]),
    }


def _cell(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "—"
    minutes = fmean(row["seconds"] for row in rows) / 60 / CORES
    if minutes > rows[0]["minutes"] * _MARGIN:
        return f"— (takes {minutes:.1f} minutes)"
    found, epochs = [row["accuracy"] for row in rows], rows[0]["epochs"]
    seeds = f"{len(rows)} {_counted('seed', len(rows))}"
    spread = f"{min(found):.4f} to {max(found):.4f}, " if len(rows) > 1 else ""
    return f"{fmean(found):.4f} ({spread}{seeds}, {epochs} {_counted('epoch', epochs)})"


def _counted(noun: str, count: float) -> str:
    return noun if count == 1 else f"{noun}s"


def _machine(machine: Mapping[str, Any]) -> str:
    versions = machine.get("versions") or {name: machine[name] for name in ("torch", "torchvision", "pillow")}
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"{machine['processors']} processors of an {machine['processor']}, {listed}"


def _pretrained(document: Document | None) -> dict[str, str | None]:
    if document is None:
        return {f"pretrained_{name}": None for name in ("count", "right", "bundle", "differ", "machine")}
    count, right = document["photographs"], document["right"]
    return {
        "pretrained_count": f"{count:,}",
        "pretrained_right": f"{right['pytorch']:,} ({right['pytorch'] / count:.4f})",
        "pretrained_bundle": f"{right['bundle']:,} ({right['bundle'] / count:.4f})",
        "pretrained_differ": f"{document['differ']:,}",
        "pretrained_machine": _machine(document["machine"]),
    }


def _loading(document: Document | None) -> dict[str, str | None]:
    names = ("load", "rows", "command", "machine")
    if document is None:
        return {f"loading_{name}": None for name in names}
    machine = document["machine"]
    rows = (
        (case, *(_ratio(found["ratio_to_best_data_loader"].get(side)) for side in _LOADED))
        for case, found in document["results"].items()
    )
    texts = (f"{machine['load_average'][0]:.0f}", table_rows(rows), document["command"], _machine(machine))
    return {f"loading_{name}": text for name, text in zip(names, texts, strict=True)}


def _ratio(found: Mapping[str, float] | None) -> str:
    return "—" if found is None else f"{found['median']:.2f} ({found['smallest']:.2f} to {found['largest']:.2f})"


if __name__ == "__main__":
    PAGE.write_text(page(read_documents()), encoding="utf-8")
