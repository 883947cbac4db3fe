"""Add `validation.npz` to a bundle that was exported before there was such a file, without its training run.

    python -m benchmarks.serving.add_statistics runtime/torchstone_runtime/bundle/builtin/fashion

An export writes it by itself. Here the images are found by what the bundle records of its training, their fingerprint
is checked, and each variant's answers are ONNX Runtime's. A signature would no longer hold: sign the bundle again.
"""

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from torchstone_runtime.arrays import Float32Array
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.manifest import MANIFEST_FILE, FileEntry
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.data.split import Split
from torchstone_runtime.drift.features import image_features
from torchstone_runtime.errors import DataError
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.statistics_source import PURPOSE
from torchstone_runtime.inference.validation_statistics import (
    FILE_NAME,
    ValidationStatistics,
    statistics_file,
)
from torchstone_runtime.strict_json import strict_json
from torchstone_train.data.training_data import load_training_data
from torchstone_train.recipes.recipe import Recipe

_BATCH = 1024


def validation_split(bundle: Bundle) -> Split:
    """Return the validation images of a bundle's training."""
    provenance = bundle.manifest.provenance
    stated = provenance["dataset"]["validation"]["fingerprint"]
    data = load_training_data(
        DatasetRef.parse(provenance["dataset"]["kind"]),
        default_data_dir(),
        Recipe.from_json(provenance["recipe"]),
        int(provenance["seed"]),
        spec=bundle.manifest.input_spec,
    )
    if data.validation.fingerprint != stated:
        raise DataError("The validation images are not those of the training.")
    return data.validation


def add_statistics(bundle: Bundle, split: Split) -> None:
    """Write the file and the manifest that lists it."""
    features = np.concatenate([image_features(images) for images in split.batches(_BATCH)])
    temperature = bundle.manifest.temperature
    lossy = [name for name, entry in bundle.manifest.variants.items() if entry.golden_tolerance is not None]
    found = {
        name: ValidationStatistics.of(features, _logits(bundle, name, split), split.labels, temperature)
        for name in ("fp32", *lossy)
    }
    content = statistics_file(found.pop("fp32"), found)
    entry = FileEntry(FILE_NAME, hashlib.sha256(content).hexdigest(), len(content))
    manifest = replace(bundle.manifest, files={**bundle.manifest.files, PURPOSE: entry})
    write_atomic(bundle.path / FILE_NAME, content)
    write_atomic(bundle.path / MANIFEST_FILE, strict_json(manifest.to_json(), indent=2, sort_keys=True) + "\n")


def _logits(bundle: Bundle, variant: str, split: Split) -> Float32Array:
    with Classifier.load(bundle.path, variant=variant) as classifier:
        return np.concatenate([classifier.predict(images).logits for images in split.batches(_BATCH)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    opened = Bundle.open(parser.parse_args().bundle)
    add_statistics(opened, validation_split(opened))
    print(f"wrote {opened.path / FILE_NAME}")
