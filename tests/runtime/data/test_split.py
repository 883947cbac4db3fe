import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.support import write_image_tree
from torchstone_runtime.data.folder import load_folder
from torchstone_runtime.data.split import READ_BATCH, ArrayStore, Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec

COUNT = 2 * READ_BATCH + 3
GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (COUNT, 1, 4, 6), dtype=np.uint8)
LABELS = GENERATOR.integers(0, 3, COUNT)


def make(pixels: np.ndarray[Any, np.dtype[np.uint8]] = PIXELS, labels: Any = LABELS, **extra: Any) -> Split:  # noqa: ANN401 - whatever Split takes
    """Return a split of three classes."""
    ids = [str(index) for index in range(len(labels))]
    return Split("test", ArrayStore(pixels), labels, ("a", "b", "c"), ids, **extra)


def test_the_fingerprint_is_the_documented_hash() -> None:
    """SHA-256 over a prefix, N C H W, all pixels and all labels, whatever the batches it is read in."""
    content = b"torchstone-split-1" + np.array(PIXELS.shape, "<i8").tobytes() + PIXELS.tobytes()
    assert make().fingerprint == hashlib.sha256(content + LABELS.astype("<i8").tobytes()).hexdigest()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, PIXELS.size - 1), st.integers(1, 255))
def test_one_pixel_changes_the_fingerprint(position: int, difference: int) -> None:
    """Any pixel, by any amount."""
    changed = PIXELS.copy()
    changed.flat[position] = (int(changed.flat[position]) + difference) % 256
    assert make(changed).fingerprint != make().fingerprint


@settings(deadline=None, max_examples=30)
@given(st.integers(0, COUNT - 1), st.integers(1, 2))
def test_one_label_changes_the_fingerprint(position: int, difference: int) -> None:
    """Any label."""
    changed = LABELS.copy()
    changed[position] = (changed[position] + difference) % 3
    assert make(labels=changed).fingerprint != make().fingerprint


def test_the_shape_changes_the_fingerprint() -> None:
    """The same bytes as 6 x 4 instead of 4 x 6 are other images."""
    assert make(PIXELS.reshape(COUNT, 1, 6, 4)).fingerprint != make().fingerprint


def test_the_order_changes_the_fingerprint_and_names_do_not() -> None:
    """Class names and ids are no part of it."""
    split = make()
    assert split.select(np.arange(COUNT)[::-1], "test").fingerprint != split.fingerprint
    renamed = Split("other", split.store, LABELS, ("x", "y", "z"), ["?"] * COUNT)
    assert renamed.fingerprint == split.fingerprint


def test_the_kind_of_store_does_not_change_the_fingerprint(tmp_path: Path, gray: InputSpec) -> None:
    """Images read from files have the fingerprint that they have in memory."""
    split = load_folder(write_image_tree(tmp_path, {"a": 5, "b": 4}), "whole", gray)
    resident = split.in_memory()
    assert isinstance(resident.store, ArrayStore)
    assert resident.fingerprint == split.fingerprint
    assert resident.in_memory() is resident


@pytest.mark.parametrize("size", [1, 7, READ_BATCH, COUNT, 10 * COUNT])
def test_batches_are_the_images_in_order(size: int) -> None:
    """Whatever their size, batches put together are all images, and none but the last is smaller."""
    batches = list(make().batches(size))
    np.testing.assert_array_equal(np.concatenate(batches), PIXELS)
    assert {len(batch) for batch in batches[:-1]} <= {size}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, COUNT - 1), max_size=12))
def test_reading_follows_the_indices(indices: list[int]) -> None:
    """In any order, with repetitions, consecutive or not."""
    found = ArrayStore(PIXELS).read(np.array(indices, dtype=np.int64))
    np.testing.assert_array_equal(found, PIXELS[indices] if indices else PIXELS[:0])


def test_select_keeps_what_belongs_together() -> None:
    """Pixels, label and id of each chosen sample stay together; names and `names_given` are kept."""
    chosen = make(names_given=False).select(np.array([9, 2, 2]), "part")
    np.testing.assert_array_equal(next(chosen.batches()), PIXELS[[9, 2, 2]])
    assert chosen.labels.tolist() == LABELS[[9, 2, 2]].tolist()
    assert (chosen.name, list(chosen.ids), chosen.names_given) == ("part", ["9", "2", "2"], False)


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (PIXELS[:3], LABELS[:2], "3 images but 2 labels"),
        (PIXELS[:0], LABELS[:0], "has no images"),
        (PIXELS[:2], np.array([0, 3]), "labels from 0 to 3; with 3 classes they must lie in 0 to 2"),
        (PIXELS[:2], np.array([-1, 1]), "labels from -1 to 1"),
    ],
)
def test_what_does_not_belong_together_is_refused(pixels: Any, labels: Any, message: str) -> None:  # noqa: ANN401 - arrays
    """A split with such labels cannot be made."""
    with pytest.raises(DataError, match=message):
        make(pixels, labels)


@given(st.permutations(["a", "b", "c"]))
def test_classes_are_put_in_order_by_their_names(order: list[str]) -> None:
    """Every image keeps the name of its class; pixels and ids stay."""
    found = make().in_order(tuple(order))

    assert found.class_names == tuple(order)
    assert [order[label] for label in found.labels] == [make().class_names[label] for label in LABELS]
    np.testing.assert_array_equal(next(found.batches(COUNT)), PIXELS)


@pytest.mark.parametrize("names", [None, ("a", "b"), ("a", "b", "c", "d"), ("a", "b", "x"), ("a", "a", "b")])
def test_other_classes_than_the_splits_change_no_order(names: tuple[str, ...] | None) -> None:
    """Fewer, more, another one, none."""
    assert make().in_order(names).class_names == ("a", "b", "c")


def test_numbered_classes_keep_their_numbers() -> None:
    """They were not named, so that names say nothing of them."""
    split = Split("x", ArrayStore(PIXELS), LABELS, ("0", "1", "2"), [str(i) for i in range(COUNT)], names_given=False)

    assert split.in_order(("2", "1", "0")) is split
