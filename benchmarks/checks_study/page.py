"""The page of the comparison of checks: benchmarks/results/check-comparison.md and .json."""

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.places import RESULTS
from benchmarks.template import render, table_rows

_TEMPLATE: Final = Path(__file__).with_name("page.md.in")
_KINDS: Final = ("flips", "breaks", "changes")
_SHORT: Final = {
    "torch verify=True": "torch `verify=True`",
    "torch, random": "torch comparison, random",
    "torch, real": "torch comparison, real",
    "torch assert, real": "`assert_onnx_program`, real",
    "Optimum": "Optimum, random",
    "Polygraphy": "Polygraphy, default",
    "Polygraphy, 0-255": "Polygraphy, random 0-255",
    "Polygraphy, real": "Polygraphy, real",
    "certificate": "certificate",
}
_FINDING: Final = {
    "torch verify=True": "a warning",
    "torch, random": "figures",
    "torch, real": "figures",
    "torch assert, real": "raises",
    "Optimum": "raises; its command line turns that into a warning",
    "Polygraphy": "exit status 1",
    "Polygraphy, 0-255": "exit status 1",
    "Polygraphy, real": "exit status 1",
    "certificate": "exit status 1, nothing is published",
}


def write(found: dict[str, Any]) -> None:
    """Write the figures and the page."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "check-comparison.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "check-comparison.md").write_text(page(found))
    print(page(found))


def page(found: dict[str, Any]) -> str:
    """Return the page of the comparison's figures."""
    return render(
        _TEMPLATE,
        {
            **{name: str(found[name]) for name in ("faulty_files", "subjects", "honest_files", "machine")},
            "models": "; ".join(found["models"]),
            "versions": ", ".join(f"{name} {number}" for name, number in found["versions"].items()),
            "checks": " | ".join(_SHORT.values()),
            "checks_rule": "---|" * len(_SHORT),
            "summary": table_rows(_summary_cells(found, tool) for tool in _SHORT),
            "faults": table_rows((name, _kinds(item), *_cells(item)) for name, item in found["faults"].items()),
            "one_weight": table_rows(
                (f"{item['from']:g} to {_bound(item['to'])}", _kinds(item), *_cells(item))
                for item in found["one_weight"]
            ),
            "other_scale": table_rows(_scaled_cells(found, model) for model in found["other_scale"]),
            "alarms": "\n".join(_alarms(found)) or "- none",
            "missed": "\n".join(f"- {text}" for text in found["missed_by_certificate"]) or "- none",
        },
    )


def _summary_cells(found: dict[str, Any], tool: str) -> tuple[str, ...]:
    kinds, nothing, seconds = found["by_kind"], found["without_effect"], found["seconds"]
    return (
        _SHORT[tool],
        *(f"{kinds[kind]['caught'][tool]} of {kinds[kind]['files']}" for kind in _KINDS),
        f"{len(found['honest_alarms'][tool])} of {found['honest_files']}",
        f"{len(found['scaled_alarms'][tool])} of {found['scaled_files']}",
        f"{nothing['caught'][tool]} of {nothing['files']}",
        f"{seconds[tool] / seconds['certificate']:.2f}" if tool in seconds else "as the next",
        _FINDING[tool],
    )


def _scaled_cells(found: dict[str, Any], model: str) -> tuple[str, ...]:
    item = found["other_scale"][model]
    alarmed = [any(key.startswith(f"{model}, seed") for key in found["scaled_alarms"][tool]) for tool in _SHORT]
    cells = (f"{cell} *" if also else cell for cell, also in zip(_cells(item), alarmed, strict=True))
    return (model, _kinds(item), *cells)


def _alarms(found: dict[str, Any]) -> list[str]:
    return [
        f"- {_SHORT[tool]}: " + "; ".join(f"{model} ({text[:90]})" for model, text in list(items.items())[:12])
        for kind in ("honest_alarms", "scaled_alarms")
        for tool, items in found[kind].items()
        if items
    ]


def _bound(value: float | None) -> str:
    return "more" if value is None else f"{value:g}"


def _kinds(item: dict[str, Any]) -> str:
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(item["kinds"].items()))
    return f"{item['put_in']}: {counts}" if counts else "0"


def _cells(item: dict[str, Any]) -> list[str]:
    total = item["files"]
    return [f"{item['caught'][tool]} of {total}" if total else "-" for tool in _SHORT]
