"""What an export holds in memory of a folder of pictures."""

from pathlib import Path

import numpy as np
import pytest

from helpers.support import write_image_tree
from torchstone_export import run_data
from torchstone_export.run_data import held
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.split import ArrayStore
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.training_data import TrainingData, load_training_data
from torchstone_train.recipes.catalog import RECIPES


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """Forty pictures in three splits."""
    spec = InputSpec(color="L", height=12, width=12, mean=(0.5,), std=(0.5,))
    ref = DatasetRef("folder", write_image_tree(tmp_path, {"a": 20, "b": 20}))
    return load_training_data(ref, tmp_path, RECIPES["cnn3"], 0, spec=spec)


def test_few_pictures_are_decoded_once(data: TrainingData) -> None:
    """Validation and test; nothing walks through the training images."""
    found = held(data)
    assert isinstance(found.validation.store, ArrayStore)
    assert isinstance(found.test.store, ArrayStore)
    assert isinstance(found.train.store, FileStore)
    everything = np.arange(len(data.test))
    np.testing.assert_array_equal(found.test.store.read(everything), data.test.store.read(everything))
    assert found.test.fingerprint == data.test.fingerprint


def test_many_pictures_are_read_as_they_are_needed(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with their number."""
    monkeypatch.setattr(run_data, "_MOST_HELD", 12 * 12 * 10)
    assert isinstance(held(data).test.store, FileStore)
