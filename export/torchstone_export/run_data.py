"""The data that a run was trained on, found again and checked."""

from pathlib import Path
from typing import Any

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.splits import TrainingData, load_training_data
from torchstone_train.recipes.recipe import Recipe


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
    )
    for split in (data.validation, data.test):
        stated = info["dataset"][split.name]["fingerprint"]
        if split.fingerprint != stated:
            raise DataError(
                f"The {split.name} split of {data.ref} is not the one of the run: fingerprint "
                f"{split.fingerprint[:16]}…, the run states {stated[:16]}….",
                "Restore the data, or train again on what is there now.",
            )
    return data
