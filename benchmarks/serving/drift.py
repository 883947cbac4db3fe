"""How often drift is found where there is none, and how many images it takes to find each corruption.

Run: TORCHSTONE_DATA=DIR python -m benchmarks.serving.drift NAME BUNDLE DATA
     [--severities 1 2 3 4 5] [--images 4000] [--windows 10000]

Every image is one of the bundle's test split, which the reference knows nothing of: that is the validation images'.
Adds NAME's figures to benchmarks/results/drift.json and writes benchmarks/results/drift.md from all that are there.

No drift: windows drawn from the test images, beside the bundle's reference; and, since all those share one reference,
random divisions of the test images into a reference and windows, ten windows a division.
Corruptions: 100 random windows of each of some sizes; found within n images means that 95 of those of size n are an
alarm. Each window is judged once: a stream that is looked at after every image has as many windows as images.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.places import RESULTS
from torchstone_runtime.arrays import Float64Array, Int64Array, Uint8Array
from torchstone_runtime.corruption import CORRUPTIONS, corrupt
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.drift.drift_report import ALARM_LEVEL
from torchstone_runtime.drift.features import CLASSES, confidence_log_odds, image_features
from torchstone_runtime.drift.reference_images import FEATURES, DriftReference
from torchstone_runtime.drift.significance import class_p_value, sketch_p_value
from torchstone_runtime.evaluation.choose_split import choose_split
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.binomial import share_interval
from torchstone_runtime.strict_json import strict_json

WINDOWS: Final = 10_000
WINDOW_SIZES: Final = (50, 200, 1000)
WINDOWS_A_DIVISION: Final = 10
ORDERS: Final = 100
FOUND: Final = 95
SIZES: Final = (5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000)
BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Measured:
    """Images with what is compared of them: features [N, 8], log odds [N], chosen classes [N]."""

    features: Float64Array
    odds: Float64Array
    chosen: Int64Array

    @classmethod
    def of(cls, classifier: Classifier, images: Uint8Array) -> "Measured":
        """Classify and measure images."""
        temperature = classifier.bundle.manifest.temperature if classifier.bundle else 1.0
        logits = np.concatenate([classifier.predict(part).logits for part in _parts(images)])
        return cls(image_features(images), confidence_log_odds(logits, temperature), logits.argmax(axis=1))

    def __getitem__(self, rows: Int64Array) -> "Measured":
        return Measured(self.features[rows], self.odds[rows], self.chosen[rows])

    def reference(self, classes: int) -> DriftReference:
        """Return these images as a reference."""
        return DriftReference.of(self.features, self.odds, self.chosen, classes)


class Judge:
    """Judges windows of measured images beside a reference, their cells looked up once."""

    def __init__(self, reference: DriftReference, measured: Measured) -> None:
        self._reference = reference
        self._cells = reference.cells(measured.features, measured.odds)
        self._chosen = measured.chosen

    def p_values(self, rows: Int64Array) -> dict[str, float]:
        """Return the p-value of each number of a window."""
        counts = np.bincount(self._chosen[rows], minlength=len(self._reference.class_counts))
        found = {CLASSES: class_p_value(self._reference.class_counts, counts.astype(np.int64))}
        for column, name in enumerate(FEATURES):
            sketch = self._reference.sketches[name]
            distance, _ = sketch.distance(np.bincount(self._cells[rows, column], minlength=sketch.cell_count))
            found[name] = sketch_p_value(distance, sketch.total, len(rows))
        return found

    def alarm(self, rows: Int64Array) -> bool:
        """Judge a window as `DriftReport` does."""
        found = self.p_values(rows)
        return len(found) * min(found.values()) <= ALARM_LEVEL


def _parts(images: Uint8Array) -> Iterator[Uint8Array]:
    return (images[start : start + BATCH] for start in range(0, len(images), BATCH))


def false_alarms(reference: DriftReference, measured: Measured, classes: int, windows: int) -> list[dict[str, Any]]:
    """Count alarms over windows of unchanged images, in both ways."""
    generator, total, rows = np.random.default_rng(0), len(measured.chosen), []
    beside = Judge(reference, measured)
    for size in (size for size in WINDOW_SIZES if size <= total // 2):
        alarms = sum(beside.alarm(generator.choice(total, size, replace=False)) for _ in range(windows))
        rows.append({"reference": reference.images, "fresh": False, "size": size, "windows": windows, "alarms": alarms})
    for size in (size for size in WINDOW_SIZES if size <= total // 4):
        alarms = 0
        for _ in range(windows // WINDOWS_A_DIVISION):
            order = generator.permutation(total)
            known, rest = order[: total // 2], order[total // 2 :]
            judge = Judge(measured[known].reference(classes), measured)
            alarms += sum(judge.alarm(generator.choice(rest, size, replace=False)) for _ in range(WINDOWS_A_DIVISION))
        rows.append({"reference": total // 2, "fresh": True, "size": size, "windows": windows, "alarms": alarms})
    return rows


def images_needed(reference: DriftReference, measured: Measured) -> tuple[int | None, list[str]]:
    """Return the least window size at which 95 of 100 windows are an alarm, and the numbers that tell most there."""
    generator, judge, total = np.random.default_rng(1), Judge(reference, measured), len(measured.chosen)
    for size in (size for size in SIZES if size <= total):
        found = [judge.p_values(generator.choice(total, size, replace=False)) for _ in range(ORDERS)]
        alarms = sum(len(item) * min(item.values()) <= ALARM_LEVEL for item in found)
        if alarms >= FOUND:
            median = {name: float(np.median([item[name] for item in found])) for name in found[0]}
            return size, sorted(median, key=median.__getitem__)[:2]
    return None, []


def measure(bundle: str, data: str, severities: Sequence[int], most: int, windows: int) -> dict[str, Any]:
    """Measure one bundle on its test images."""
    with Classifier.load(bundle) as classifier:
        reference = classifier.statistics.read().drift
        names = classifier.class_names
        source = Dataset.for_model(DatasetRef.parse(data), default_data_dir(), classifier.input_spec, names)
        split, _ = choose_split(source, "test", classifier.provenance)
        images = np.concatenate(list(split.batches(BATCH)))
        unchanged = Measured.of(classifier, images)
        result: dict[str, Any] = {
            "model": classifier.name,
            "variant": classifier.plan.variant,
            "test_images": len(images),
            "no_drift": false_alarms(reference, unchanged, len(names), windows),
            "corruptions": {},
        }
        print(result["no_drift"], flush=True)
        result["corrupted_images"] = min(most, len(images))
        some = images[np.random.default_rng(2).permutation(len(images))[:most]]
        for name in CORRUPTIONS:
            for severity in severities:
                size, tells = images_needed(reference, Measured.of(classifier, corrupt(some, name, severity)))
                result["corruptions"].setdefault(name, {})[str(severity)] = {"images": size, "tells": tells}
                print(name, severity, size, tells, flush=True)
    return result


def page(results: dict[str, Any]) -> str:
    """Return the tables of all that was measured."""
    lines = ["<!-- Written by python -m benchmarks.serving.drift; don't edit. -->", ""]
    for name, found in results.items():
        lines += [f"## {name}", "", f"{found['model']} ({found['variant']}), {found['test_images']:,} test images.", ""]
        lines += [
            "| reference | images in a window | windows | alarms | 95% interval of the rate |",
            "|---|---|---|---|---|",
        ]
        for row in found["no_drift"]:
            low, high = share_interval(row["alarms"], row["windows"])
            which = (
                "test images, divided anew for every ten windows" if row["fresh"] else "the bundle's validation images"
            )
            lines.append(
                f"| {row['reference']:,} {which} | {row['size']:,} | {row['windows']:,} | {row['alarms']} | "
                f"{100 * low:.3f}% to {100 * high:.3f}% |"
            )
        largest = max(size for size in SIZES if size <= found["corrupted_images"])
        severities = list(next(iter(found["corruptions"].values())))
        lines += [
            "",
            f"| corruption, severity | {' | '.join(severities)} | told by |",
            "|---" * (len(severities) + 2) + "|",
        ]
        for corruption, by_severity in found["corruptions"].items():
            cells = [str(item["images"] or f"more than {largest}") for item in by_severity.values()]
            tells = next(iter(by_severity.values()))["tells"]
            lines.append(f"| {corruption} | {' | '.join(cells)} | {', '.join(tells)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("bundle")
    parser.add_argument("data")
    parser.add_argument("--severities", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--images", type=int, default=4000, help="that are corrupted")
    parser.add_argument("--windows", type=int, default=WINDOWS)
    asked = parser.parse_args()
    file: Path = RESULTS / "drift.json"
    measured = measure(asked.bundle, asked.data, asked.severities, asked.images, asked.windows)
    known = {**(json.loads(file.read_text()) if file.exists() else {}), asked.name: measured}
    write_atomic(file, strict_json(known, indent=2) + "\n")
    write_atomic(RESULTS / "drift.md", page(known))
