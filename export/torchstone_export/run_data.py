"""The data that a run was trained on, found again and checked."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.certified_sample import certified_sample, sample_json
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.system.memory import memory_available
from torchstone_train.data.selection import Selection
from torchstone_train.data.training_data import TrainingData, load_training_data
from torchstone_train.recipes.recipe import Recipe

_MOST_HELD: Final = 2 << 30


def load_run_data(info: dict[str, Any], dataset: DatasetRef | None, data_dir: Path) -> TrainingData:
    """Return the three splits of a run; the fingerprints of validation and test are checked.

    Args:
        info: the run's `run.json`.
        dataset: reference of the data where it lies now; the one that the run was trained from if None.
        data_dir: directory of the downloaded datasets.

    Raises:
        DataError: the data is missing or is not what the run was trained on.
    """
    data = load_training_data(
        dataset or DatasetRef.parse(info["dataset"]["source"]),
        data_dir,
        Recipe.from_json(info["recipe"]),
        int(info["seed"]),
        spec=InputSpec.from_json(info["input"]),
        selection=Selection.recorded(info["dataset"]),
    )
    data = held(data)
    for split in (data.validation, data.test):
        stated = info["dataset"][split.name]["fingerprint"]
        if split.fingerprint != stated:
            raise DataError(
                f"The {split.name} split of {data.ref} is not the one of the run: fingerprint "
                f"{split.fingerprint[:16]}…, the run states {stated[:16]}….",
                "Restore the data, or train again on what is there now.",
            )
    return data


def certified_part(data: TrainingData, limit: int | None) -> tuple[TrainingData, dict[str, Any]]:
    """Return the data that is certified, held in memory where it is small, and what is recorded of a sample.

    Args:
        data: the three splits.
        limit: most images of validation and of test that are run, see `certified_sample`; None: all.
    """
    splits = {"validation": data.validation, "test": data.test}
    cut = {name: len(split) for name, split in splits.items() if limit is not None and len(split) > limit}
    sampled = {name: certified_sample(splits[name], limit) for name in cut}
    return held(_with(data, sampled)), sample_json(limit, cut) if limit is not None and cut else {}


def held(data: TrainingData) -> TrainingData:
    """Return the data with validation and test images in memory, the smaller split first, as far as they take little.

    An export walks through them half a dozen times, and decoding would take most of it. What is in memory is also what
    the fingerprint was made of: no file can change between the two.
    """
    room = min(_MOST_HELD, (memory_available() or _MOST_HELD) // 4)
    splits = {"validation": data.validation, "test": data.test}
    for name, split in sorted(splits.items(), key=lambda item: len(item[1])):
        room -= len(split) * math.prod(split.image_shape)
        if room >= 0:
            splits[name] = split.in_memory()
    return _with(data, splits)


def _with(data: TrainingData, splits: Mapping[str, Split]) -> TrainingData:
    return replace(data, validation=splits.get("validation", data.validation), test=splits.get("test", data.test))
