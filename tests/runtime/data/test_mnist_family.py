import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from torchstone_runtime.data.mnist_family import FASHION_MNIST, MNIST, load_mnist_part, missing_files
from torchstone_runtime.errors import DataError

HEADER = struct.Struct(">HBB")


def write_part(data_dir: Path, images: int, labels: int, *, packed: bool = False) -> Path:
    """Write a test part of Fashion-MNIST with small blank images; return the folder of the files."""
    raw = data_dir / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    contents = {
        "t10k-images-idx3-ubyte": HEADER.pack(0, 8, 3) + struct.pack(">3I", images, 4, 5) + bytes(images * 20),
        "t10k-labels-idx1-ubyte": HEADER.pack(0, 8, 1) + struct.pack(">I", labels) + bytes(labels),
    }
    for name, content in contents.items():
        (raw / f"{name}.gz" if packed else raw / name).write_bytes(gzip.compress(content) if packed else content)
    return raw


@pytest.mark.parametrize("packed", [False, True])
def test_a_part_is_read_plain_or_compressed(tmp_path: Path, packed: bool) -> None:
    """One channel is added, labels are int64, ids are positions."""
    write_part(tmp_path, 3, 3, packed=packed)
    split = load_mnist_part(FASHION_MNIST, tmp_path, "test")
    assert (len(split), split.image_shape) == (3, (1, 4, 5))
    assert split.labels.dtype == np.int64
    assert list(split.ids) == ["0", "1", "2"]
    assert split.class_names[9] == "Ankle boot"


def test_images_and_labels_of_different_length_are_refused(tmp_path: Path) -> None:
    """Both files and both numbers are named."""
    write_part(tmp_path, 3, 4)
    with pytest.raises(DataError, match=r"images-idx3-ubyte holds 3 images but .*labels-idx1-ubyte holds 4 labels"):
        load_mnist_part(FASHION_MNIST, tmp_path, "test")


@pytest.mark.parametrize("lost", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path, lost: str) -> None:
    """The message has the file, the folder, and the command that fetches it."""
    (write_part(tmp_path, 3, 3) / lost).unlink()
    with pytest.raises(DataError, match=rf"(?s){lost}.* is not in .*/raw.*torchstone download fashion-mnist"):
        load_mnist_part(FASHION_MNIST, tmp_path, "test")


def test_missing_files_lists_what_is_neither_plain_nor_compressed(tmp_path: Path) -> None:
    """Only the train part is missing where the test part is there."""
    write_part(tmp_path, 1, 1, packed=True)
    expected = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
    assert missing_files(FASHION_MNIST, tmp_path) == expected
    assert missing_files(FASHION_MNIST, tmp_path, ("test",)) == []
    assert len(missing_files(MNIST, tmp_path)) == 4


def test_empty_files_are_refused(tmp_path: Path) -> None:
    """Files that hold no images are well-formed IDX but no data."""
    write_part(tmp_path, 0, 0)
    with pytest.raises(DataError, match="has no images"):
        load_mnist_part(FASHION_MNIST, tmp_path, "test")


@pytest.mark.data
@pytest.mark.parametrize(
    ("part", "count", "fingerprint"),
    [
        ("train", 60_000, "62a8fd5bab022a2bf6724b3e8f2b85e6813ccb86294c14c2435ecab227b5f89b"),
        ("test", 10_000, "be433ba6a7ae3e98f514eab57fc5b3b6f2a27dfb3a689cfa41933f30fd91c5a8"),
    ],
)
def test_the_real_fashion_mnist(data_dir: Path, part: str, count: int, fingerprint: str) -> None:
    """Shapes, equally large classes, and the fingerprint that certificates name the data by."""
    split = load_mnist_part(FASHION_MNIST, data_dir, part)
    assert (len(split), split.image_shape) == (count, (1, 28, 28))
    assert np.bincount(split.labels).tolist() == [count // 10] * 10
    assert split.fingerprint == fingerprint
