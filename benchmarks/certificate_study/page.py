"""The page of the certificate's study: benchmarks/results/certificate-long-sums.md and .json."""

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.places import RESULTS
from benchmarks.template import render, table_rows

_TEMPLATE: Final = Path(__file__).with_name("page.md.in")
_FAULT_COUNTS: Final = ("put in", "real", "caught", "largest error", "RMS", "decisions", "softmax", "golden")
_WEIGHT_COUNTS: Final = (
    "changes",
    "caught",
    "largest error",
    "largest error, 16 times",
    "golden",
    "flips",
    "flips_missed",
)
_CANDIDATE_COUNTS: Final = ("alarms_largest", "alarms_rms", "missed_largest", "missed_rms")


def write(found: dict[str, Any], name: str) -> None:
    """Write the figures and the page of that name."""
    found = found | {"page": name}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    (RESULTS / f"{name}.md").write_text(page(found))


def page(found: dict[str, Any]) -> str:
    """Return the page of the study's figures."""
    first = found["candidates"][0]
    return render(
        _TEMPLATE,
        {
            **{name: str(found[name]) for name in ("page", "exports", "families", "machine")},
            **{name: str(found[name]) for name in ("faulty_exports", "named_missed")},
            **_whole_certificate(found["whole_certificate"]),
            "versions": ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
            "limits": _pair(found["limits"]),
            "asked_for": _pair(found["asked_for_by_the_choosing_half"]),
            "honest": table_rows(_engine_cells(item) for item in found["engines"] if item["exports"]),
            "candidate_exports": str(first["exports"]),
            "candidate_faults": str(first["real_faults"]),
            "candidates": table_rows(
                (f"{item['multiple']:g}", *(item[key] for key in _CANDIDATE_COUNTS)) for item in found["candidates"]
            ),
            "by_kind": table_rows(map(_kind_cells, found["by_kind"])),
            "faults": table_rows(
                (name, *(counts.get(key, 0) for key in _FAULT_COUNTS)) for name, counts in found["faults"].items()
            ),
            "one_weight": table_rows(
                (f"{item['from']:g} to {_upper_edge(item['to'])}", *(item[key] for key in _WEIGHT_COUNTS))
                for item in found["one_weight"]
            ),
            "file_faults": _file_faults(found["file_faults"]),
        },
    )


def _whole_certificate(whole: dict[str, Any]) -> dict[str, str | None]:
    measured = bool(whole["exports"])
    return {
        "whole_exports": str(whole["exports"]) if measured else None,
        "whole_refused": str(len(whole["refused"])),
        "whole_identical": str(whole["neighbours_identical"]),
    }


def _engine_cells(item: dict[str, Any]) -> tuple[object, ...]:
    largest, rms = item["own_worst"]
    return (
        item["engine"],
        item["kind"],
        item["exports"],
        _quantiles(item["largest"]),
        _quantiles(item["rms"]),
        _pair(item["limits"]),
        item["alarms"],
        _held_out(item),
        item["flips"],
        f"{largest:.2f} / {rms:.2f}",
        item["alarms_before"],
    )


def _kind_cells(item: dict[str, Any]) -> tuple[object, ...]:
    return (
        item["kind"],
        item["exports"],
        item["real"],
        item["missed"],
        f"{item['largest_missed']:.1f}",
        item["flips_missed"],
        item["missed_before"],
    )


def _file_faults(faults: dict[str, Any]) -> str | None:
    rows = [(name, item["files"], item["caught"], ", ".join(item["missed"]) or "-") for name, item in faults.items()]
    return table_rows(rows) if rows else None


def _quantiles(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _held_out(item: dict[str, Any]) -> str:
    bound = item["upper_bound_held_out"]
    return f"{item['alarms_held_out']} of {item['held_out']}" + (f" (< {bound:.1%})" if bound is not None else "")


def _pair(limits: list[float]) -> str:
    largest, rms = limits
    return f"{largest:g} / {rms:g}"


def _upper_edge(value: float | None) -> str:
    return "more" if value is None else f"{value:g}"
