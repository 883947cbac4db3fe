"""Every figure of the comparison of checks, derived from what was collected."""

import json
import platform
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from benchmarks.checks_study.models import is_scaled

KINDS: Final = ("flips", "breaks", "changes")
TOOLS: Final = (
    "torch verify=True",
    "torch, random",
    "torch, real",
    "torch assert, real",
    "Optimum",
    "Polygraphy",
    "Polygraphy, 0-255",
    "Polygraphy, real",
    "certificate",
)
BINS: Final = (0.0, 0.5, 2.0, 8.0, 32.0, 128.0, 1e3, 1e4, 1e300)
"""Largest change of a logit, in noise floors."""
_PACKAGES: Final = (
    "torch",
    "onnxruntime",
    "onnx",
    "optimum-onnx",
    "optimum",
    "transformers",
    "polygraphy",
    "numpy",
)

Rows = list[dict[str, Any]]


def read(work: Path) -> Rows:
    """Return what was collected of all files."""
    return [json.loads(line) for file in sorted(work.glob("*.jsonl")) for line in file.read_text().splitlines()]


def figures(rows: Rows) -> dict[str, Any]:
    """Derive every figure from what was collected."""
    rows = [row for row in rows if row["where"] != "none"]
    honest = [row for row in rows if row["where"] == "honest" and not is_scaled(row["model"])]
    scaled = [row for row in rows if row["where"] == "honest" and is_scaled(row["model"])]
    faulty = [row for row in rows if row["where"] != "honest" and not is_scaled(row["model"])]
    other_scale = [row for row in rows if row["where"] != "honest" and is_scaled(row["model"])]
    real = [row for row in faulty if _is_real(row)]
    subjects = {f"{row['model']}, seed {row['seed']}": round(row["accuracy"], 3) for row in faulty}
    return {
        "versions": {name: version(name) for name in _PACKAGES},
        "machine": platform.machine(),
        "models": sorted({row["model"] for row in faulty}),
        "subjects": len(subjects),
        "accuracy": subjects,
        "honest_files": len(honest),
        "honest_alarms": {tool: _named(honest, tool) for tool in TOOLS},
        "scaled_files": len(scaled),
        "scaled_alarms": {tool: _named(scaled, tool) for tool in TOOLS},
        "faulty_files": len(faulty),
        "real_faults": len(real),
        "by_kind": {kind: _caught([row for row in real if row["truth"]["kind"] == kind]) for kind in KINDS},
        "without_effect": _caught([row for row in faulty if row["truth"]["kind"] == "nothing"]),
        "faults": _by_fault([row for row in faulty if row["where"] != "weight"]),
        "one_weight": _by_size([row for row in faulty if row["where"] == "weight"]),
        "other_scale": {model: _with_kinds(group) for model, group in _groups(other_scale, lambda row: row["model"])},
        "missed_by_certificate": _missed([row for row in (*real, *other_scale) if _is_real(row)], "certificate"),
        "flips_missed": {tool: _missed([r for r in real if r["truth"]["kind"] == "flips"], tool) for tool in TOOLS},
        "seconds": {tool: statistics.median(row["seconds"][tool] for row in rows) for tool in TOOLS[1:]},
    }


def _caught(rows: Rows) -> dict[str, Any]:
    counts = {tool: sum(bool(row["complaints"][tool]) for row in rows) for tool in TOOLS}
    return {"files": len(rows), "caught": counts}


def _is_real(row: dict[str, Any]) -> bool:
    return row["truth"]["kind"] in KINDS


def _by_fault(rows: Rows) -> dict[str, Any]:
    return {
        f"{where}: {fault}": _with_kinds(group)
        for (where, fault), group in _groups(rows, lambda row: (row["where"], row["fault"]))
    }


def _by_size(rows: Rows) -> list[dict[str, Any]]:
    found = []
    for low, high in pairwise(BINS):
        group = [row for row in rows if low <= row["truth"]["size"] < high]
        found.append({"from": low, "to": None if high == BINS[-1] else high} | _with_kinds(group, every=True))
    return found


def _with_kinds(group: Rows, *, every: bool = False) -> dict[str, Any]:
    real = [row for row in group if every or _is_real(row)]
    kinds = Counter(row["truth"]["kind"] for row in group)
    return {"put_in": len(group), "kinds": dict(kinds)} | _caught(real)


def _groups(rows: Rows, key: Callable[[dict[str, Any]], Any]) -> Iterable[tuple[Any, Rows]]:
    groups: dict[Any, Rows] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return sorted(groups.items())


def _named(rows: Rows, tool: str) -> dict[str, str]:
    return {f"{row['model']}, seed {row['seed']}": row["complaints"][tool] for row in rows if row["complaints"][tool]}


def _missed(rows: Rows, tool: str) -> list[str]:
    return [
        f"{row['fault']} ({row['model']}, seed {row['seed']}): {row['truth']['kind']}, "
        f"{row['truth']['size'] or float('nan'):.3g} floors, {row['truth']['flips']} flips"
        for row in rows
        if not row["complaints"][tool]
    ]
