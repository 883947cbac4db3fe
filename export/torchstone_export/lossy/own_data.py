"""Data of one's own for a lossy variant: pictures to calibrate on, and more labelled ones to decide on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.evaluation.choose_split import align_classes
from torchstone_train.data.training_data import TrainingData


@dataclass(frozen=True, slots=True)
class OwnData:
    """What a lossy variant is made from and judged on.

    Attributes:
        calibration: images that it is calibrated on.
        certify: labelled images that decide on its accuracy.
        given: names of those that are not the model's own training and test part.
    """

    calibration: Split
    certify: Split
    given: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return size and fingerprint of what was given, as JSON data."""
        splits = {"calibration": self.calibration, "certify": self.certify}
        return {
            f"{name}_data": {"samples": len(splits[name]), "fingerprint": splits[name].fingerprint}
            for name in self.given
        }


def own_data(
    data: TrainingData,
    data_dir: Path,
    calibration: DatasetRef | None = None,
    certify: DatasetRef | None = None,
    chosen_on: Split | None = None,
) -> OwnData:
    """Load what was given; the model's own training and test parts stand in for what was not.

    Of a source with a test part, the rest is calibrated on and the test part decides; of one without, all of it.

    Args:
        data: the model's own data.
        data_dir: directory of the downloaded datasets.
        calibration: reference of the images for calibration.
        certify: reference of the labelled images that decide.
        chosen_on: images that the model's epoch was chosen on, where `data` has a sample of them alone.

    Raises:
        DataError: it is missing, has other classes, or pictures to decide on were learnt or calibrated on.
    """
    given = {name: ref for name, ref in (("calibration", calibration), ("certify", certify)) if ref is not None}
    calibrated = data.train if calibration is None else _load(calibration, data, data_dir, test=False)
    deciding = data.test if certify is None else _load(certify, data, data_dir, test=True)
    if certify is not None:
        chosen = data.validation if chosen_on is None else chosen_on
        _require_unseen(deciding, certify, {"trained": data.train, "calibrated": calibrated, "chosen": chosen})
    elif calibration is not None:
        _require_other(calibrated, calibration, deciding)
    return OwnData(calibrated, deciding, tuple(given))


def _load(ref: DatasetRef, data: TrainingData, data_dir: Path, *, test: bool) -> Split:
    names = data.train.class_names
    dataset = Dataset.for_model(ref, data_dir, data.spec, names)
    part = dataset.test if test else dataset.training
    split = part() if dataset.has_test_part else dataset.whole()
    if split.image_shape != data.spec.shape:
        found, expected = (" x ".join(map(str, shape)) for shape in (split.image_shape, data.spec.shape))
        raise DataError(f"The images of {ref} are {found}, the model takes {expected}.", "Give an image folder.")
    return align_classes(split, names)


def _require_unseen(deciding: Split, ref: DatasetRef, seen: dict[str, Split]) -> None:
    for what, split in seen.items():
        if known := _shared(deciding, split):
            raise DataError(
                f"{known:,} of the {len(deciding):,} pictures of {ref} are among those that were {what} on: they would "
                "make a variant look better than it is.",
                "Give pictures that the model has not seen.",
            )


def _require_other(calibrated: Split, ref: DatasetRef, deciding: Split) -> None:
    if known := _shared(calibrated, deciding):
        raise DataError(
            f"{known:,} of the {len(calibrated):,} pictures of {ref} are among the model's test pictures, which decide "
            "on a variant: it would look better than it is.",
            "Calibrate on other pictures, or decide on other ones (--certify-data).",
        )


def _shared(split: Split, other: Split) -> int:
    """Return how many pictures of a split are among those of another."""
    return int(np.isin(split.image_digests, other.image_digests).sum())
