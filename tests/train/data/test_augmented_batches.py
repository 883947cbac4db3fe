import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.support import write_image_tree
from torchstone_runtime.data.folder import FileStore, load_folder
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.augmented_batches import AugmentedBatches
from torchstone_train.data.pictures import ArrayPictures, FilePictures, PictureSource
from torchstone_train.data.transforms import PictureTransforms
from torchstone_train.recipes.transforms import parse_transforms

CPU = torch.device("cpu")
SPEC = InputSpec(color="RGB", height=9, width=11, mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """23 pictures in two classes, decoded when they are read."""
    root = write_image_tree(tmp_path_factory.mktemp("pictures"), {"a": 11, "b": 12}, side=30, mode="RGB")
    return load_folder(root, "train", SPEC)


def batches_of(split: Split, names: str = "random-resized-crop,flip,erase", workers: int = 2) -> AugmentedBatches:
    """Return a folder's batches."""
    assert isinstance(split.store, FileStore)
    transforms = PictureTransforms(parse_transforms(names), SPEC)
    pictures: PictureSource = FilePictures(split.store, 22 if transforms.crops else None)
    return AugmentedBatches(pictures, split.labels, transforms, SPEC, seed=3, device=CPU, workers=workers)


def test_batches_are_uint8_images_of_the_models_shape_with_their_labels(split: Split) -> None:
    """In the order that is asked for, the last one smaller."""
    order = torch.randperm(23)
    found = list(batches_of(split).walk(order, 5, 1))
    assert [tuple(images.shape) for images, _ in found] == [(5, 3, 9, 11)] * 4 + [(3, 3, 9, 11)]
    assert {images.dtype for images, _ in found} == {torch.uint8}
    assert torch.cat([labels for _, labels in found]).tolist() == split.labels[order.numpy()].tolist()


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(23)), size=st.integers(1, 30), workers=st.integers(1, 6), epoch=st.integers(1, 9))
def test_an_image_of_an_epoch_is_the_same_whatever_loads_it(
    split: Split, order: list[int], size: int, workers: int, epoch: int
) -> None:
    """Neither the order, nor the size of the batches, nor the number of threads changes a pixel."""
    batches = batches_of(split, workers=workers)
    images = torch.cat([images for images, _ in batches.walk(torch.tensor(order), size, epoch)])
    for position in (0, 11, 22):
        assert torch.equal(images[position], batches_of(split).augmented(order[position], epoch))


def test_epochs_and_repeated_images_differ(split: Split) -> None:
    """A sampler that hands out an image twice gets two changes of it."""
    batches = batches_of(split)
    one, two, again = next(iter(batches.walk(torch.tensor([4, 4, 4]), 3, 1)))[0]
    following = batches.augmented(4, 2)
    assert len({image.numpy().tobytes() for image in (one, two, again, following)}) == 4


def test_arrays_are_augmented_as_files_are(split: Split) -> None:
    """Without a crop, from the pixels that the model takes."""
    held = split.in_memory()
    assert isinstance(held.store, ArrayStore)
    transforms = PictureTransforms(parse_transforms("flip,rotate"), SPEC)
    arrays = AugmentedBatches(ArrayPictures(held.store), held.labels, transforms, SPEC, seed=3, device=CPU, workers=2)
    files = batches_of(split, "flip,rotate")
    for index in range(23):
        assert torch.equal(arrays.augmented(index, 1), files.augmented(index, 1))


def test_no_transforms_leave_the_pixels_of_inference(split: Split) -> None:
    """What is not cropped is decoded as validation and the exported model have it."""
    images = torch.cat([images for images, _ in batches_of(split, "").walk(torch.arange(23), 7, 1)])
    assert np.array_equal(images.numpy(), split.store.read(np.arange(23)))


@pytest.mark.parametrize("names", ["random-resized-crop", "flip"])
def test_picture_that_vanishes_is_named_and_what_to_do(tmp_path: Path, names: str) -> None:
    """In the epoch that needs it."""
    held = load_folder(write_image_tree(tmp_path, {"a": 3, "b": 3}, mode="RGB"), "train", SPEC)
    batches = batches_of(held, names)
    (tmp_path / "b" / "001.png").unlink()
    with pytest.raises(ImageError, match=r"(?s)The training stops: .*001\.png does not exist\..*--resume"):
        list(batches.walk(torch.arange(6), 2, 1))


def test_picture_that_is_damaged_meanwhile_is_named(tmp_path: Path) -> None:
    """Also where it was whole when the training began."""
    root = write_image_tree(tmp_path, {"a": 3, "b": 3}, mode="RGB")
    batches = batches_of(load_folder(root, "train", SPEC))
    list(batches.walk(torch.arange(6), 2, 1))
    content = (root / "a" / "002.png").read_bytes()
    (root / "a" / "002.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r"(?s)002\.png.*Restore it"):
        list(batches.walk(torch.arange(6), 2, 2))


def test_folder_that_grows_is_trained_on_as_it_was_listed(tmp_path: Path) -> None:
    """A picture that is added later, first by name, moves none of the others."""
    root = write_image_tree(tmp_path, {"a": 3, "b": 3}, mode="RGB")
    batches = batches_of(load_folder(root, "train", SPEC))
    before = [image.numpy() for image, _ in batches.walk(torch.arange(6), 1, 1)]
    Image.new("RGB", (8, 8)).save(root / "a" / "000-new.png")
    after = [image.numpy() for image, _ in batches.walk(torch.arange(6), 1, 1)]
    assert len(batches) == 6
    assert all(map(np.array_equal, before, after))


def test_epoch_that_is_left_in_its_middle_leaves_no_thread(split: Split) -> None:
    """As Ctrl-C leaves it, and a step that fails."""
    walk = batches_of(split, workers=3).walk(torch.arange(23), 2, 1)
    next(walk)
    walk.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("torchstone-pictures")]


def test_prepared_batches_are_few(split: Split) -> None:
    """However long the epoch is: what is prepared in advance is bounded."""
    files = FilePictures(split.store)  # type: ignore[arg-type]  # a folder's
    asked = []

    class Counting:
        def __len__(self) -> int:
            return len(files)

        def picture(self, index: int) -> Image.Image:
            asked.append(index)
            return files.picture(index)

    transforms = PictureTransforms((), SPEC)
    batches = AugmentedBatches(Counting(), split.labels, transforms, SPEC, seed=0, device=CPU, workers=1)
    walk = batches.walk(torch.arange(23).repeat(40), 8, 1)
    for _ in range(10):
        next(walk)
    prepared = -1
    while prepared != len(asked):  # until the thread has nothing more to do
        prepared = len(asked)
        time.sleep(0.2)
    walk.close()
    assert len(asked) <= 8 * (10 + 3)
