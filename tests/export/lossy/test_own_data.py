"""Data of one's own: what is calibrated on, what decides, and that nothing that was learnt may decide."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from torchstone_export.lossy.own_data import own_data
from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.training_data import TrainingData

DIGITS = load_digits()


def part(name: str, start: int, stop: int) -> Split:
    """Return some of the digits."""
    return DIGITS.select(np.arange(start, stop), name)


@pytest.fixture
def data() -> TrainingData:
    """A model's own data: 100 digits to learn from, 50 to choose by, 50 to test on."""
    spec = InputSpec(color="L", height=28, width=28, mean=(0.5,), std=(0.5,))
    return TrainingData(
        DatasetRef("digits"), spec, part("train", 0, 100), part("validation", 100, 150), part("test", 150, 200)
    )


def archive(folder: Path, indices: Int64Array) -> DatasetRef:
    """Write some of the digits as an npz file."""
    file = folder / f"{len(indices)}-{indices[0]}.npz"
    np.savez(file, images=DIGITS.store.read(indices)[:, 0], labels=DIGITS.labels[indices])
    return DatasetRef("npz", file)


def test_without_any_the_training_part_is_calibrated_on_and_the_test_part_decides(
    data: TrainingData, tmp_path: Path
) -> None:
    """And the certificate says nothing of other data."""
    own = own_data(data, tmp_path)
    assert own.calibration is data.train
    assert own.certify is data.test
    assert own.to_json() == {}


def test_all_images_of_a_file_are_taken_and_recorded(data: TrainingData, tmp_path: Path) -> None:
    """Size and fingerprint, no path."""
    refs = (archive(tmp_path, np.arange(300, 420)), archive(tmp_path, np.arange(500, 900)))
    own = own_data(data, tmp_path, *refs)
    found = own.to_json()
    assert (found["calibration_data"]["samples"], found["certify_data"]["samples"]) == (120, 400)
    assert found["certify_data"]["fingerprint"] == own.certify.fingerprint


@pytest.mark.parametrize(("first", "what"), [(90, "trained"), (149, "chosen")])
def test_a_picture_that_the_model_has_seen_may_not_decide(
    data: TrainingData, tmp_path: Path, first: int, what: str
) -> None:
    """It would make a variant look better than it is."""
    with pytest.raises(DataError, match=f"among those that were {what} on"):
        own_data(data, tmp_path, None, archive(tmp_path, np.arange(first, first + 1)))


def test_a_picture_that_the_epoch_was_chosen_by_may_not_decide_where_a_sample_is_certified(
    data: TrainingData, tmp_path: Path
) -> None:
    """The whole validation part counts."""
    sampled = replace(data, validation=part("validation", 100, 110))
    given = archive(tmp_path, np.arange(149, 150))
    with pytest.raises(DataError, match="chosen on"):
        own_data(sampled, tmp_path, None, given, data.validation)


def test_a_picture_that_int8_is_calibrated_on_may_not_decide(data: TrainingData, tmp_path: Path) -> None:
    """Its activations set the ranges."""
    refs = (archive(tmp_path, np.arange(300, 420)), archive(tmp_path, np.arange(419, 500)))
    with pytest.raises(DataError, match="1 of the 81 pictures"):
        own_data(data, tmp_path, *refs)


def test_a_test_picture_that_decides_may_not_be_calibrated_on(data: TrainingData, tmp_path: Path) -> None:
    """The model's own test part decides where no other data is given."""
    with pytest.raises(DataError, match=r"1 of the 101 pictures .* are among the model's test pictures"):
        own_data(data, tmp_path, archive(tmp_path, np.arange(199, 300)))


def test_images_of_another_size_are_refused(data: TrainingData, tmp_path: Path) -> None:
    """Nothing is stretched that the model's owner did not mean to be."""
    file = tmp_path / "small.npz"
    np.savez(file, images=np.zeros((20, 8, 8), np.uint8), labels=np.arange(20) % 10)
    with pytest.raises(DataError, match="1 x 8 x 8, the model takes 1 x 28 x 28"):
        own_data(data, tmp_path, DatasetRef("npz", file))
