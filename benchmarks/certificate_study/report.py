"""False alarms and misses from what the certificate's study collected."""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, comb
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.certificate_study.exports import CLASSES, Case, samples_of
from benchmarks.certificate_study.whole import NORM, kind_of
from torchstone_export.certificate.error_limits import EXPORT_LIMITS, Limits
from torchstone_export.certificate.golden import GOLDEN_COUNT, golden_tolerance
from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_export.certificate.split_figures import margins, split_figures
from torchstone_runtime.data.split import ArrayStore, Split

ENGINES: Final = ("onnxruntime", "onnxruntime, basic", "torchscript", "openvino")
CANDIDATES: Final = (1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 16.0, 32.0, 40.0, 64.0, 128.0)
HEADROOM: Final = 2.0
"""A limit is this many times the worst honest export of the choosing half, rounded up to a whole number."""
BEFORE: Final = {True: Limits(64.0, 40.0), False: Limits(9.0, 6.0)}
"""What was accepted in multiples of PyTorch's own error: of group and instance norm by name, and of all others."""
MAX_ONLY: Final = Limits(16.0, float("inf"))
"""What the certificate accepted before it was studied at all: the largest error alone, up to 16 times."""
BINS: Final = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, float("inf"))


@dataclass(frozen=True, slots=True)
class Honest:
    """One export on one engine: the two multiples, and decisions that differ from PyTorch's beyond float32's noise.

    `own` has the three with PyTorch's own error as the unit.
    """

    case: Case
    engine: str
    largest: float
    rms: float
    flips: int
    own: tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class Faulty:
    """A fault in an export, on ONNX Runtime.

    Attributes:
        size: largest change of a logit in exact arithmetic, as a multiple of PyTorch's own largest error.
        largest, rms: the two multiples of the faulty file.
        real: whether it changes a settled decision, leaves the floor, or changes probabilities beyond the logits.
        caught: by which checks.
    """

    case: Case
    name: str
    size: float
    largest: float
    rms: float
    real: bool
    flips: bool
    caught: dict[str, bool]


def read_cases(work: Path) -> list[tuple[Case, Path]]:
    """Return what was collected."""
    found = []
    for file in sorted(work.glob("*/case.json")):
        record = json.loads(file.read_text())
        found.append((Case(record["family"], record["dataset"], record["seed"]), file.parent))
    return found


def chooses(case: Case) -> bool:
    """Return whether a case is of the half on which limits are chosen: whole families are in one half."""
    return zlib.crc32(case.family.encode()) % 2 == 0


def read_honest(cases: Iterable[tuple[Case, Path]]) -> list[Honest]:
    """Return the figures of every export on every engine."""
    rows = []
    for case, folder in cases:
        with np.load(folder / "outputs.npz") as file:
            arrays = dict(file)
        first = samples_of(case)[0]
        parts = {"validation": slice(0, first), "test": slice(first, None)}
        for engine in (name for name in ENGINES if name in arrays):
            now, own = (_multiples(arrays, parts, engine, in_a_row=both) for both in (True, False))
            rows.append(Honest(case, engine, *now, own))
    return rows


def _multiples(
    arrays: dict[str, Any], parts: dict[str, slice], engine: str, *, in_a_row: bool
) -> tuple[float, float, int]:
    reference = _reference(arrays, parts, in_a_row=in_a_row)
    figures = [split_figures(part, arrays[engine][parts[name]], reference) for name, part in _parts(reference)]
    largest, rms = (max(item[key] for item in figures) for key in ("error_multiple", "rms_multiple"))
    return largest, rms, sum(item["flips_beyond_noise"] for item in figures)


def read_faulty(cases: Iterable[tuple[Case, Path]]) -> list[Faulty]:
    """Return what the checks make of every fault in every export."""
    rows = []
    for case, folder in cases:
        if not (folder / "faults.npz").exists():
            continue
        with np.load(folder / "outputs.npz") as file:
            arrays = dict(file)
        with np.load(folder / "faults.npz") as file:
            names, deltas, beyond = json.loads(str(file["names"])), file["logits"], file["probabilities"]
        rows += [_judge(case, arrays, *fault) for fault in zip(names, deltas, beyond, strict=True)]
    return rows


def _judge(case: Case, arrays: dict[str, Any], name: str, delta: Any, beyond: float) -> Faulty:  # noqa: ANN401
    rows = slice(0, len(delta))
    reference, own = (_reference(arrays, {"test": rows}, in_a_row=both) for both in (True, False))
    part = reference.splits["test"]
    if not np.isfinite(delta).all():
        endless = (float("inf"),) * 3
        return Faulty(
            case, name, *endless, real=True, flips=True, caught={"not finite": True, "golden": True, "before": True}
        )
    logits = (arrays["onnxruntime"][rows] + delta).astype(np.float32)
    figures = split_figures(part, logits, reference)
    # What is real is judged by PyTorch's own error, lest a wider unit hide what it misses.
    size = float(np.abs(delta).max()) / own.noise_floor
    settled = margins(part.exact) > 2 * own.noise_floor
    changed = (part.exact + delta).argmax(axis=1) != part.exact.argmax(axis=1)
    flips = bool((changed & settled).any())
    caught = {
        "largest error": not figures["error_multiple"] <= EXPORT_LIMITS.max_multiple,
        "RMS": not figures["rms_multiple"] <= EXPORT_LIMITS.rms_multiple,
        "decisions": figures["flips_beyond_noise"] > 0,
        "softmax": bool(beyond > 1e-5),
        "golden": _golden_differs(part, logits, float(beyond), reference),
        "before": _caught_before(case, own, logits) or bool(beyond > 1e-5),
        "largest error, 16 times": not figures["error_multiple"] <= MAX_ONLY.max_multiple,
    }
    real = size > 1 or flips or caught["softmax"]
    return Faulty(case, name, size, figures["error_multiple"], figures["rms_multiple"], real, flips, caught)


def _caught_before(case: Case, own: Reference, logits: Any) -> bool:  # noqa: ANN401 - float32 [N, K]
    figures, limits = split_figures(own.splits["test"], logits, own), BEFORE[kind_of(case) == NORM]
    passes = figures["error_multiple"] <= limits.max_multiple and figures["rms_multiple"] <= limits.rms_multiple
    return not passes or figures["flips_beyond_noise"] > 0


def _golden_differs(part: SplitReference, logits: Any, beyond: float, reference: Reference) -> bool:  # noqa: ANN401
    tolerance = golden_tolerance(reference)
    safe = np.flatnonzero(margins(part.exact) > 4 * tolerance)
    candidates = safe if len(safe) else np.arange(len(part.exact))
    chosen = candidates[np.linspace(0, len(candidates) - 1, min(GOLDEN_COUNT, len(candidates))).astype(np.int64)]
    error = float(np.abs(logits[chosen] - part.logits[chosen]).max())
    flips = (logits[chosen].argmax(axis=1) != part.logits[chosen].argmax(axis=1)).any()
    return bool(flips or not error <= tolerance or beyond > tolerance)


def caught_by_certificate(fault: Faulty) -> bool:
    """Return whether any check of the export finds it."""
    keys = ("largest error", "RMS", "decisions", "softmax", "not finite")
    return any(fault.caught.get(key, False) for key in keys)


def summarize_faults(rows: Iterable[Faulty]) -> dict[str, dict[str, int]]:
    """Return by fault: how many were put in, were real, and were caught by each check."""
    table: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        if row.name.startswith("one weight"):
            continue
        counts = table[row.name]
        counts["put in"] += 1
        counts["real"] += row.real
        if row.real:
            for check, found in row.caught.items():
                counts[check] += found
            counts["caught"] += caught_by_certificate(row)
    return table


def by_size(rows: Iterable[Faulty]) -> list[dict[str, Any]]:
    """Return, for changes of one weight, how many were caught by the size of what they do to the logits."""
    weights = [row for row in rows if row.name.startswith("one weight")]
    table = []
    for low, high in pairwise(BINS):
        inside = [row for row in weights if low <= row.size < high]
        table.append(
            {
                "from": low,
                "to": high if np.isfinite(high) else None,
                "changes": len(inside),
                "flips": sum(row.flips for row in inside),
                "flips_missed": sum(row.flips and not caught_by_certificate(row) for row in inside),
                "caught": sum(caught_by_certificate(row) for row in inside),
                "largest error": sum(row.caught.get("largest error", False) for row in inside),
                "largest error, 16 times": sum(row.caught.get("largest error, 16 times", False) for row in inside),
                "golden": sum(row.caught["golden"] for row in inside),
            }
        )
    return table


def choose(rows: Iterable[Honest]) -> tuple[float, float]:
    """Return the two multiples that the choosing half asks for, on ONNX Runtime and TorchScript."""
    half = [row for row in rows if chooses(row.case) and row.engine != "openvino"]
    largest, rms = max(row.largest for row in half), max(row.rms for row in half)
    return float(ceil(HEADROOM * largest)), float(ceil(HEADROOM * rms))


def alarms(rows: Iterable[Honest], limits: Limits) -> int:
    """Return how many honest exports limits refuse."""
    return sum(row.largest > limits.max_multiple or row.rms > limits.rms_multiple or row.flips > 0 for row in rows)


def upper_bound(alarmed: int, total: int) -> float:
    """Return the upper end of the one-sided 95% interval of a rate (Clopper and Pearson), by bisection."""
    low, high = alarmed / total, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(alarmed, total, middle) > 0.05 else (low, middle)
    return high


def _at_most(count: int, total: int, rate: float) -> float:
    return sum(comb(total, k) * rate**k * (1 - rate) ** (total - k) for k in range(count + 1))


def _parts(reference: Reference) -> list[tuple[str, SplitReference]]:
    return list(reference.splits.items())


def _reference(arrays: dict[str, Any], parts: dict[str, slice], *, in_a_row: bool) -> Reference:
    made = {}
    for name, rows in parts.items():
        labels = arrays["labels"][rows]
        # The pixels are not needed any more: the outputs are there.
        store = ArrayStore(np.zeros((len(labels), 1, 1, 1), dtype=np.uint8))
        split = Split(name, store, labels, CLASSES, [str(index) for index in range(len(labels))])
        made[name] = SplitReference(
            split, arrays["pytorch"][rows], arrays["exact"][rows], arrays["in_a_row"][rows] if in_a_row else None
        )
    return Reference(made)
