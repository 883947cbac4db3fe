"""What a confidence cascade gives: a small bundle answers where it is sure, a large one answers the rest.

Run: python benchmarks/cascade.py SMALL LARGE [--data-dir DIR]

The threshold is the smallest at which the cascade is right as often as the large bundle on the validation split, which
both must have held out alike; then the test split is looked at, once. Speed: both bundles are timed on one thread in
turns, and an image costs one answer of the small one and, with the measured share, one of the large one.
Writes benchmarks/results/cascade.json.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from torchstone_runtime import Classifier
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.holdout import stratified_holdout
from torchstone_runtime.data.split import Split
from torchstone_runtime.measurement import compare
from torchstone_runtime.predictions import Predictions

OUT = Path(__file__).parent / "results" / "cascade.json"
TIMED = 2_048


def validation(dataset: Dataset, provenance: dict[str, Any]) -> Split:
    pool = dataset.training()
    _, held_out = stratified_holdout(
        pool.labels, provenance["recipe"]["val_fraction"], provenance["seed"], pool.class_names
    )
    return pool.select(held_out, "validation")


def pixels(split: Split) -> np.ndarray:
    return split.store.read(np.arange(len(split)))


def decide(small: Predictions, large: Predictions, threshold: float) -> np.ndarray:
    return np.where(small.confidences >= threshold, small.indices, large.indices)


def choose(small: Predictions, large: Predictions, labels: np.ndarray) -> float:
    asked = (large.indices == labels).sum()
    for threshold in np.unique(np.quantile(small.confidences, np.linspace(0, 1, 201))):
        if (decide(small, large, threshold) == labels).sum() >= asked:
            return float(threshold)
    return 1.0


def main() -> None:
    """Choose, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("TORCHSTONE_DATA", "data")))
    options = parser.parse_args()
    provenances = [
        json.loads((path / "manifest.json").read_text())["provenance"] for path in (options.small, options.large)
    ]
    prints = {provenance["dataset"]["validation"]["fingerprint"] for provenance in provenances}
    if len(prints) > 1:
        raise SystemExit("The bundles held out different images: train both with the same seed.")
    dataset = Dataset(DatasetRef.parse(provenances[0]["dataset"]["kind"]), options.data_dir)
    with Classifier.load(options.small, threads=1) as small, Classifier.load(options.large, threads=1) as large:
        held_out = validation(dataset, provenances[0])
        images = pixels(held_out)
        threshold = choose(small.predict(images), large.predict(images), held_out.labels)
        test = dataset.test()
        images = pixels(test)
        answers = [classifier.predict(images) for classifier in (small, large)]
        timed = images[:TIMED]
        slower = compare(lambda: large.predict(timed), lambda: small.predict(timed))
    asked = float((answers[0].confidences < threshold).mean())
    decided = {"small": answers[0].indices, "large": answers[1].indices, "cascade": decide(*answers, threshold)}
    found = {
        "names": [provenance["recipe"]["name"] for provenance in provenances],
        "seed": provenances[0]["seed"],
        "threshold": threshold,
        "share_of_large": asked,
        "accuracy": {name: float((indices == test.labels).mean()) for name, indices in decided.items()},
        "large_over_small": slower.ratio.to_json(),
        "cascade_over_large": slower.ratio.value / (1 + asked * slower.ratio.value),
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
