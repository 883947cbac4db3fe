"""Every figure of the certificate's study, derived from what was collected."""

import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.certificate_study.report import (
    BEFORE,
    CANDIDATES,
    ENGINES,
    Honest,
    alarms,
    by_size,
    caught_by_certificate,
    choose,
    chooses,
    read_cases,
    read_faulty,
    read_honest,
    summarize_faults,
    upper_bound,
)
from benchmarks.certificate_study.whole import KINDS, NORM, kind_of
from torchstone_export.certificate.error_limits import EXPORT_LIMITS, Limits, limits_elsewhere


def figures(work: Path) -> dict[str, Any]:
    """Derive every figure."""
    cases = read_cases(work)
    honest, faulty = read_honest(cases), read_faulty(cases)
    whole, files = _kept(cases, "honest.json"), _kept(cases, "file_faults.json")
    real = [row for row in faulty if row.real]
    weights = [row for row in faulty if row.name.startswith("one weight")]
    return {
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
        "machine": platform.machine(),
        "exports": len(cases),
        "families": len({case.family for case, _ in cases}),
        "limits": list(_pair(EXPORT_LIMITS)),
        "asked_for_by_the_choosing_half": list(choose(honest)),
        "engines": [_engine(engine, kind, honest) for kind in KINDS for engine in ENGINES],
        "candidates": [_candidate(limit, honest, faulty) for limit in CANDIDATES],
        "by_kind": [_by_kind(kind, real) for kind in KINDS],
        "missed_that_flip": sum(r.flips and not caught_by_certificate(r) for r in real),
        "faults": {name: dict(counts) for name, counts in sorted(summarize_faults(faulty).items())},
        "one_weight": by_size(faulty),
        "real_faults": len(real),
        "missed": [[r.case.key, r.name, r.size] for r in real if not caught_by_certificate(r)],
        "named_missed": sum(not caught_by_certificate(r) for r in real if r not in weights),
        "faulty_exports": len({row.case.key for row in faulty}),
        "whole_certificate": {
            "exports": len(whole),
            "refused": {key: item["failures"] for key, item in whole.items() if item["failures"]},
            "neighbours_identical": sum(_still(item) for item in whole.values()),
        },
        "file_faults": _file_faults(files),
    }


def _engine(engine: str, kind: str, rows: list[Honest]) -> dict[str, Any]:
    of = [row for row in rows if row.engine == engine and kind_of(row.case) == kind]
    limits = limits_elsewhere() if engine == "openvino" else EXPORT_LIMITS
    held_out = [row for row in of if not chooses(row.case)]
    result: dict[str, Any] = {"engine": engine, "kind": kind, "exports": len(of), "limits": list(_pair(limits))}
    for name, values in (("largest", [r.largest for r in of]), ("rms", [r.rms for r in of])):
        result[name] = [float(np.quantile(values, q)) for q in (0.5, 0.95, 1.0)] if values else []
    own = [replace(row, largest=row.own[0], rms=row.own[1], flips=row.own[2]) for row in of]
    result["own_worst"] = [max((row.own[index] for row in of), default=0.0) for index in (0, 1)]
    result["alarms_before"] = alarms(own, BEFORE[kind == NORM])
    result["flips"] = sum(row.flips for row in of)
    result["held_out"] = len(held_out)
    result["alarms"], result["alarms_held_out"] = alarms(of, limits), alarms(held_out, limits)
    result["upper_bound_held_out"] = upper_bound(alarms(held_out, limits), len(held_out)) if held_out else None
    return result


def _by_kind(kind: str, real: list[Any]) -> dict[str, Any]:
    of = [row for row in real if kind_of(row.case) == kind]
    missed = [row for row in of if not caught_by_certificate(row)]
    return {
        "kind": kind,
        "exports": len({row.case.key for row in of}),
        "real": len(of),
        "missed": len(missed),
        "largest_missed": max((row.size for row in missed), default=0.0),
        "flips_missed": sum(row.flips for row in missed),
        "missed_before": sum(not row.caught["before"] for row in of),
    }


def _candidate(limit: float, honest: list[Honest], faulty: list[Any]) -> dict[str, Any]:
    here = [r for r in honest if r.engine == "onnxruntime" and not chooses(r.case)]
    elsewhere = [replace(r, flips=0) for r in honest if r.engine == "openvino"]
    infinite = float("inf")
    return {
        "multiple": limit,
        "alarms_largest": alarms([replace(r, flips=0) for r in here], Limits(limit, infinite)),
        "alarms_rms": alarms([replace(r, flips=0) for r in here], Limits(infinite, limit)),
        "exports": len(here),
        "alarms_openvino_largest": alarms(elsewhere, Limits(limit, infinite)),
        "alarms_openvino_rms": alarms(elsewhere, Limits(infinite, limit)),
        "openvino": len(elsewhere),
        **_misses(limit, faulty),
    }


def _misses(limit: float, faulty: list[Any]) -> dict[str, int]:
    # Judged by one figure alone, on the half that chose nothing.
    rows = [r for r in faulty if r.real and np.isfinite(r.size) and not chooses(r.case)]
    numeric = [r for r in rows if r.size > 1]
    return {
        "real_faults": len(numeric),
        "missed_largest": sum(r.largest <= limit for r in numeric),
        "missed_rms": sum(r.rms <= limit for r in numeric),
    }


def _file_faults(files: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    names = sorted({name for found in files.values() for name in found})
    return {
        name: {
            "files": sum(name in found for found in files.values()),
            "caught": sum(bool(found.get(name)) for found in files.values()),
            "missed": [key for key, found in files.items() if name in found and not found[name]],
            "said": next((found[name][0] for found in files.values() if found.get(name)), ""),
        }
        for name in names
    }


def _kept(cases: list[Any], file: str) -> dict[str, Any]:
    return {case.key: json.loads((folder / file).read_text()) for case, folder in cases if (folder / file).exists()}


def _still(item: dict[str, Any]) -> bool:
    return all(item["batches"]["fp32"].get(key) == 0 for key in ("neighbours", "places"))


def _pair(limits: Limits) -> tuple[float, float]:
    return limits.max_multiple, limits.rms_multiple
