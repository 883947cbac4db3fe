"""What an evaluation of many classes costs: seconds, memory and bytes of every report, by the number of classes.

Run: python -m benchmarks.probes.many_classes [--samples 50000]

The answers are random, half of them right: with real ones fewer cells of the confusion matrix are filled. Each number
of classes is measured in a process of its own; the peak is its largest resident set beyond that before the work.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import time
from typing import Any

import numpy as np

from benchmarks.places import RESULTS
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.metrics.probability_scores import Estimate, ProbabilityScores
from torchstone_runtime.report import csv_files, html, terminal
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.measured_file import MeasuredFile
from torchstone_runtime.strict_json import strict_json

CLASSES = (10, 100, 1000, 5000)
OUT = RESULTS / "many-classes.json"
_PLAN = ExecutionPlan("fp32", "cpu", "as asked for", 1, 64)
_UNKNOWN = Estimate(0.5, (0.4, 0.6))


def peak() -> int:
    """Return the largest resident set of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def document(classes: int, samples: int) -> EvaluationDocument:
    """Return an evaluation of random answers, half of them right."""
    generator = np.random.default_rng(0)
    true, other = generator.integers(0, classes, (2, samples))
    predicted = np.where(generator.random(samples) < 0.5, true, other)
    names = tuple(f"species {index}" for index in range(classes))
    pixels = generator.integers(0, 256, (samples, 1, 8, 8), dtype=np.uint8)
    split = Split("test", ArrayStore(pixels), true, names, list(map(str, range(samples))))
    sure = generator.random(samples, dtype=np.float32)
    found, scores = (split.ids, names, true, predicted, sure), ProbabilityScores(_UNKNOWN, _UNKNOWN, {})
    evaluation = Evaluation(*found, split=split, scores=scores, seconds=1.0)
    file = MeasuredFile(
        model="random",
        bundle="random",
        sha256=None,
        plan=_PLAN,
        dataset="random",
        split=split,
        split_reason="every image",
        certified=False,
    )
    return EvaluationDocument(file, evaluation)


def measure(given: tuple[int, int]) -> dict[str, Any]:
    """Return seconds and bytes by report, and the peak of memory in bytes."""
    classes, samples = given
    before, started = peak(), time.perf_counter()
    found = document(classes, samples)
    steps: dict[str, Any] = {
        "intervals": lambda: found.overall,
        "terminal": lambda: terminal.render_text(found),
        "json": lambda: strict_json(found.to_json(), indent=2),
        "html": lambda: html.render_html(found),
        "csv": lambda: csv_files.metrics_csv(found.evaluation.metrics),
    }
    seconds = {"metrics": time.perf_counter() - started}
    sizes = {}
    for name, step in steps.items():
        began = time.perf_counter()
        result = step()
        seconds[name] = time.perf_counter() - began
        if isinstance(result, str):
            sizes[name] = len(result.encode())
    reports = peak() - before
    began = time.perf_counter()
    sizes["confusion csv"] = len(csv_files.confusion_csv(found.evaluation.metrics))
    seconds["confusion csv"] = time.perf_counter() - began
    return {"classes": classes, "samples": samples, "seconds": seconds, "bytes": sizes, "peak": reports}


def main() -> None:
    """Measure, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000)
    samples = parser.parse_args().samples
    context = multiprocessing.get_context("spawn")
    rows = []
    for classes in CLASSES:
        with context.Pool(1) as pool:
            rows.append(pool.apply(measure, ((classes, samples),)))
        row = rows[-1]
        took = ", ".join(f"{name} {value:.2f} s" for name, value in row["seconds"].items())
        size = ", ".join(f"{name} {value:,}" for name, value in row["bytes"].items())
        print(f"{classes:,} classes, {samples:,} samples: {took}; peak {row['peak'] / 1e6:.0f} MB; bytes: {size}")
    load = round(os.getloadavg()[0], 2)
    machine = {
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load": load,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    OUT.write_text(json.dumps({**machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
