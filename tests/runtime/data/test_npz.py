import contextlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.data.npz import load_npz
from torchstone_runtime.errors import DataError

IMAGES = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def write(folder: Path, **arrays: npt.ArrayLike) -> Path:
    """Write an npz file with good images and labels, unless others are given."""
    path = folder / "data.npz"
    np.savez_compressed(path, **{"images": IMAGES, "labels": LABELS, **arrays})  # type: ignore[arg-type]
    return path


def npy_with_shape(shape: tuple[int, ...]) -> bytes:
    """Write the header of a uint8 array without any data behind it."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def test_gray_images_without_a_channel_axis(tmp_path: Path) -> None:
    """N x H x W is read as one channel; without names the classes are the numbers."""
    split = load_npz(write(tmp_path))
    assert split.image_shape == (1, 4, 5)
    assert split.class_names == ("0", "1", "2")
    assert not split.names_given
    np.testing.assert_array_equal(next(split.batches())[:, 0], IMAGES)
    np.testing.assert_array_equal(split.labels, LABELS)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_with_a_channel_axis(tmp_path: Path, channels: int) -> None:
    """N x C x H x W is read as it is."""
    images = np.zeros((6, channels, 4, 5), dtype=np.uint8)
    assert load_npz(write(tmp_path, images=images)).image_shape == (channels, 4, 5)


@pytest.mark.parametrize("kind", ["<i8", ">i4", "u1", "<u8"])
def test_labels_of_any_whole_type(tmp_path: Path, kind: str) -> None:
    """Labels arrive as int64 whatever whole type the file has."""
    split = load_npz(write(tmp_path, labels=LABELS.astype(kind)))
    assert split.labels.dtype == np.int64
    assert split.labels.tolist() == LABELS.tolist()


def test_class_names_are_read(tmp_path: Path) -> None:
    """Names may be more than the labels use."""
    split = load_npz(write(tmp_path, class_names=np.array(["boot", "shirt", "Täschli", "unused"])))
    assert split.class_names == ("boot", "shirt", "Täschli", "unused")
    assert split.names_given


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES.astype(np.float32)}, "'images' is float32, expected uint8"),
        ({"images": IMAGES[0]}, r"'images' has the shape \(4, 5\)"),
        ({"images": np.zeros((6, 4, 5, 3), np.uint8)}, r"'images' has the shape \(6, 4, 5, 3\)"),
        ({"images": np.zeros((6, 0, 5), np.uint8)}, r"'images' has the shape"),
        ({"labels": LABELS.astype(np.float64)}, "'labels' is float64"),
        ({"labels": LABELS.astype(bool)}, "'labels' is bool"),
        ({"labels": LABELS[:, None]}, r"'labels' is int64 of shape \(6, 1\)"),
        ({"labels": LABELS[:5]}, "'images' has 6 entries but 'labels' has 5"),
        ({"labels": LABELS - 1}, "class numbers from 0 to 65535; found -1 to 1"),
        ({"labels": LABELS * 40_000}, "found 0 to 80000"),
        ({"labels": LABELS.astype(np.uint64) + np.uint64(2**63)}, "class numbers from 0"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "holds no images"),
        ({"class_names": np.array(["a", "b"])}, "labels from 0 to 2; with 2 classes"),
        ({"class_names": np.array(["a", "b", "b"])}, "'class_names' must be different texts"),
        ({"class_names": np.array([1, 2, 3])}, "'class_names' must be different texts"),
        ({"class_names": np.array(["a", "b", "\x1b[2J"])}, "control characters"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    """Each message names the file and the array, and says what was found."""
    with pytest.raises(DataError, match=rf"(?s)data\.npz.*{message}|{message}"):
        load_npz(write(tmp_path, **arrays))


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    """The message has the arrays that are there."""
    path = tmp_path / "data.npz"
    np.savez(path, images=IMAGES, targets=LABELS)
    with pytest.raises(DataError, match=r"no array called 'labels'; it has \['images', 'targets'\]"):
        load_npz(path)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("name", ["images", "labels", "class_names"])
def test_pickled_objects_are_refused_and_not_run(tmp_path: Path, name: str) -> None:
    """An array of objects would run code from the file when it is read."""
    target = tmp_path / "was-run"
    objects = np.array([Bomb(target)] * 6, dtype=object)
    with pytest.raises(DataError, match="cannot be read as an npz file"):
        load_npz(write(tmp_path, **{name: objects}))
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 no archive", npy_with_shape((3,)) + b"abc"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """Text, half an archive, or a lone npy file."""
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an npz file"):
        load_npz(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message has the path."""
    with pytest.raises(DataError, match=r"nowhere\.npz is not a file"):
        load_npz(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("count", [10**6, 10**13, 2**62, 10**30, -1])
def test_a_header_that_lies_is_refused(tmp_path: Path, count: int) -> None:
    """Shapes far beyond what the file holds, or beyond what a computer can count, are bad input and no crash."""
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", npy_with_shape((count, 28, 28)))
        archive.writestr("labels.npy", npy_with_shape((3,)) + b"\0\0\0")
    with pytest.raises(DataError, match=r"data\.npz cannot be read"):
        load_npz(path)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_damage_gives_data_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    """Bytes changed anywhere, in the archive or the compressed data, never raise anything else."""
    content = bytearray(write(tmp_path_factory.getbasetemp()).read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        assert len(load_npz(path)) > 0
