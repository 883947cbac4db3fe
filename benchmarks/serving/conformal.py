"""How often sets of classes hold the right one: as calibrated in a bundle, over random divisions, by other scores.

Run: TORCHSTONE_DATA=DIR python -m benchmarks.serving.conformal NAME BUNDLE DATA

Adds NAME's figures to benchmarks/results/conformal.json and writes benchmarks/results/conformal.md from all of them.

- The bundle's calibration (validation images) on its test split, for sets over all classes and by class.
- 100 random divisions of the test split into halves, calibrated on one and measured on the other, sets that may be
  empty: what theory says must come out, as no choice was ever made on these images.
- Other scores over the same divisions: APS (Y. Romano, M. Sesia and E. Candes, NeurIPS 2020) with and without its
  random number, and RAPS (A. Angelopoulos et al., ICLR 2021; lambda 0.01, k 2), each with the most probable class
  always in the set, as ours.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from benchmarks.places import RESULTS
from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import UsageError
from torchstone_runtime.evaluation.choose_split import choose_split
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.conformal import ConformalCalibration, coverage_range
from torchstone_runtime.strict_json import strict_json

LEVELS: Final = (0.9, 0.95, 0.99)
DIVISIONS: Final = 100
Scores = Callable[[Float64Array, Float64Array], Float64Array]
"""From probabilities [N, K] and a random number for each image to scores [N, K], small where a class is likely."""


def _least_ambiguous(probabilities: Float64Array, _: Float64Array) -> Float64Array:
    return 1 - probabilities


def _adaptive(probabilities: Float64Array, chance: Float64Array, penalty: float = 0.0, free: int = 0) -> Float64Array:
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    ranks = np.arange(1, probabilities.shape[1] + 1)
    scores = np.empty_like(before)
    found = before + chance[:, np.newaxis] * ranked + penalty * np.maximum(0, ranks - free)
    np.put_along_axis(scores, order, found, axis=1)
    return scores


SCORES: Final[Mapping[str, Scores]] = {
    "probability of the class (ours)": _least_ambiguous,
    "APS": _adaptive,
    "APS, not random": lambda probabilities, chance: _adaptive(probabilities, np.ones_like(chance)),
    "RAPS": lambda probabilities, chance: _adaptive(probabilities, chance, 0.01, 2),
}


def _figures(inside: "np.ndarray[Any, np.dtype[np.bool_]]", labels: Int64Array) -> dict[str, float]:
    held, sizes = inside[np.arange(len(labels)), labels], inside.sum(axis=1)
    worst = min(float(held[labels == index].mean()) for index in np.unique(labels))
    return {"coverage": float(held.mean()), "size": float(sizes.mean()), "worst_class": worst}


def of_the_bundle(found: Predictions, labels: Int64Array) -> dict[str, Any]:
    """Return coverage, mean size and the worst class's coverage by level, for both kinds of sets."""
    assert found.statistics is not None
    images = len(found.statistics.read().conformal)
    result: dict[str, Any] = {"calibration_images": images}
    for level in LEVELS:
        for by_class in (False, True):
            try:
                figures: dict[str, Any] = _figures(found.members(level, by_class=by_class), labels)
            except UsageError as error:
                figures = {"refused": error.problem}
            else:
                figures["expected"] = None if by_class else coverage_range(level, images, len(labels))
            result[f"{level}{' by class' if by_class else ''}"] = figures
    return result


def over_divisions(probabilities: Float64Array, labels: Int64Array) -> dict[str, Any]:
    """Return the mean coverage over random halves beside theory's bounds, and what other scores give."""
    generator, total = np.random.default_rng(0), len(labels)
    known = total // 2
    ours: dict[float, list[float]] = {level: [] for level in LEVELS}
    others: dict[str, list[dict[str, float]]] = {}
    for _ in range(DIVISIONS):
        order, chance = generator.permutation(total), generator.random(total)
        first, rest = order[:known], order[known:]
        right = probabilities[first, labels[first]].astype(np.float32)
        calibration = ConformalCalibration.of(right, labels[first], probabilities.shape[1])
        for level in LEVELS:
            inside = calibration.members(probabilities[rest].astype(np.float32), level, allow_empty=True)
            ours[level].append(float(inside[np.arange(len(rest)), labels[rest]].mean()))
        for name, score in SCORES.items():
            scores = score(probabilities, chance)
            for level in LEVELS:
                rank = int(np.ceil((known + 1) * level - 1e-9)) - 1
                threshold = np.sort(scores[first, labels[first]])[rank]
                inside = scores[rest] <= threshold
                inside[np.arange(len(rest)), probabilities[rest].argmax(axis=1)] = True
                others.setdefault(f"{name}|{level}", []).append(_figures(inside, labels[rest]))
    return {
        "calibration_images": known,
        "levels": {
            str(level): {"mean": float(np.mean(found)), "deviation": float(np.std(found))}
            for level, found in ours.items()
        },
        "scores": {
            name: {figure: float(np.mean([item[figure] for item in items])) for figure in items[0]}
            for name, items in others.items()
        },
    }


def measure(bundle: str, data: str) -> dict[str, Any]:
    """Measure one bundle."""
    with Classifier.load(bundle) as classifier:
        names = classifier.class_names
        source = Dataset.for_model(DatasetRef.parse(data), default_data_dir(), classifier.input_spec, names)
        split, _ = choose_split(source, "test", classifier.provenance)
        found = classifier.predict(np.concatenate(list(split.batches(256))))
        accuracy = {name: classifier.bundle.manifest.metrics[name]["accuracy"] for name in ("validation", "test")}  # type: ignore[union-attr]  # it is a bundle
        return {
            "model": classifier.name,
            "variant": classifier.plan.variant,
            "test_images": len(split),
            "accuracy": accuracy,
            "bundle": of_the_bundle(found, split.labels),
            "divisions": over_divisions(found.probabilities.astype(np.float64), split.labels),
        }


def page(results: dict[str, Any]) -> str:
    """Return the tables of all that was measured."""
    lines = ["<!-- Written by python -m benchmarks.serving.conformal; don't edit. -->", ""]
    for name, found in results.items():
        accuracy, bundle, divisions = found["accuracy"], found["bundle"], found["divisions"]
        what = (
            f"{found['model']} ({found['variant']}), {bundle['calibration_images']:,} validation images (accuracy of "
            f"fp32 {accuracy['validation']:.4f}), {found['test_images']:,} test images ({accuracy['test']:.4f})."
        )
        lines += [
            f"## {name}",
            "",
            what,
            "",
            "| sets | coverage on test | expected | classes in a set | worst class |",
            "|---|---|---|---|---|",
        ]
        for sets, row in bundle.items():
            if sets == "calibration_images":
                continue
            if "refused" in row:
                lines.append(f"| {sets} | refused: too few images of some class | | | |")
                continue
            expected = "{:.4f} to {:.4f}".format(*row["expected"]) if row["expected"] else ""
            lines.append(
                f"| {sets} | {row['coverage']:.4f} | {expected} | {row['size']:.2f} | {row['worst_class']:.4f} |"
            )
        known = divisions["calibration_images"]
        lines += ["", f"{DIVISIONS} random divisions of the test images, {known:,} to calibrate on:", ""]
        lines += ["| asked | mean coverage | standard deviation | theory: mean between |", "|---|---|---|---|"]
        lines += [
            f"| {level} | {row['mean']:.4f} | {row['deviation']:.4f} | {level} and "
            f"{float(level) + 1 / (known + 1):.4f} |"
            for level, row in divisions["levels"].items()
        ]
        lines += ["", "| score, coverage asked | coverage | classes in a set | worst class |", "|---|---|---|---|"]
        lines += [
            f"| {score.replace('|', ', ')} | {row['coverage']:.4f} | {row['size']:.2f} | {row['worst_class']:.4f} |"
            for score, row in divisions["scores"].items()
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("bundle")
    parser.add_argument("data")
    asked = parser.parse_args()
    file = RESULTS / "conformal.json"
    stored = json.loads(file.read_text()) if file.exists() else {}
    stored[asked.name] = measure(asked.bundle, asked.data)
    write_atomic(file, strict_json(stored, indent=2) + "\n")
    write_atomic(RESULTS / "conformal.md", page(stored))
