import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.support import write_image_tree
from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.data.folder import load_folder
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.batches import Batches, ResidentBatches, StreamedBatches, make_batches

CPU = torch.device("cpu")
SPEC = InputSpec(color="RGB", height=9, width=11, mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.fixture(scope="module")
def folder_split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """23 pictures in two classes, decoded when they are read."""
    root = write_image_tree(tmp_path_factory.mktemp("pictures"), {"a": 11, "b": 12}, side=13, mode="RGB")
    return load_folder(root, "whole", SPEC)


def walked(batches: Batches, order: torch.Tensor, size: int) -> list[tuple[list[int], list[int]]]:
    """Return all batches as plain lists, to be compared."""
    return [(images.flatten().tolist(), labels.tolist()) for images, labels in batches.walk(order, size)]


@given(order=st.permutations(range(23)), taken=st.integers(0, 23), size=st.integers(1, 30))
def test_streamed_and_resident_hand_out_the_same(folder_split: Split, order: list[int], taken: int, size: int) -> None:
    """In any order and batch size, images and labels don't depend on where the images are held."""
    indices = torch.tensor(order[:taken], dtype=torch.int64)
    resident, streamed = ResidentBatches(folder_split, CPU), StreamedBatches(folder_split, CPU)
    assert walked(resident, indices, size) == walked(streamed, indices, size)


def test_each_image_is_handed_out_once_with_its_label(folder_split: Split) -> None:
    """A walk over all indices gives all images; the last batch is the smaller one."""
    sizes, labels = [], []
    for images, true in ResidentBatches(folder_split, CPU).walk(torch.arange(23), 5):
        sizes.append(len(images))
        labels += true.tolist()
    assert sizes == [5, 5, 5, 5, 3]
    assert labels == folder_split.labels.tolist()


def test_batches_are_raw_pixels(folder_split: Split) -> None:
    """Images arrive as uint8 (n, C, H, W) and labels as int64."""
    images, labels = next(iter(StreamedBatches(folder_split, CPU).walk(torch.arange(23), 4)))
    assert (images.dtype, tuple(images.shape), labels.dtype) == (torch.uint8, (4, 3, 9, 11), torch.int64)


@pytest.mark.parametrize(
    ("budget", "kind"), [(23 * 3 * 9 * 11, ResidentBatches), (23 * 3 * 9 * 11 - 1, StreamedBatches)]
)
def test_images_are_streamed_only_if_they_exceed_the_budget(folder_split: Split, budget: int, kind: type) -> None:
    """What just fits is held in memory; one byte more is streamed."""
    assert type(make_batches(folder_split, CPU, budget)) is kind


def test_pictures_take_their_memory_once() -> None:
    """Also while they are read: the budget says how much may be held."""

    class Decoded:
        image_shape = (3, 16, 16)

        def __len__(self) -> int:
            return 4096

        def read(self, indices: Int64Array) -> Uint8Array:
            return np.zeros((len(indices), *self.image_shape), dtype=np.uint8)

        def select(self, indices: Int64Array) -> "Decoded":
            raise NotImplementedError

    split = Split("train", Decoded(), np.arange(4096) % 2, ("a", "b"), [""] * 4096)
    tracemalloc.start()
    try:
        ResidentBatches(split, CPU)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * 4096 * 3 * 16 * 16
    finally:
        tracemalloc.stop()


def test_unreadable_picture_stops_the_walk_by_name(tmp_path: Path) -> None:
    """A picture that is damaged between listing and reading is named, not skipped."""
    split = load_folder(write_image_tree(tmp_path, {"a": 3, "b": 3}), "whole", SPEC)
    (tmp_path / "b" / "001.png").write_bytes(b"no longer a picture")
    with pytest.raises(ImageError, match=r"(?s)The training stops: .*001\.png.*--resume"):
        list(StreamedBatches(split, CPU).walk(torch.arange(6), 2))


def test_abandoned_walk_can_be_begun_again(folder_split: Split) -> None:
    """Leaving a streamed epoch in its middle, as Ctrl-C does, spoils nothing."""
    batches = StreamedBatches(folder_split, CPU)
    first = next(iter(batches.walk(torch.arange(23), 4)))[0]
    again = next(iter(batches.walk(torch.arange(23), 4)))[0]
    assert np.array_equal(first.numpy(), again.numpy())
