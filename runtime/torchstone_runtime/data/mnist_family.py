"""Fashion-MNIST and MNIST as torchvision lays them out: `DIR/FashionMNIST/raw/train-images-idx3-ubyte[.gz]`."""

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from torchstone_runtime.data.idx import find_idx, read_idx
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import DataError

_FILE_PREFIX: Final = {"train": "train", "test": "t10k"}


@dataclass(frozen=True, slots=True)
class MnistLayout:
    """Where a dataset of the MNIST family lies and what its labels mean."""

    name: str
    folder: str
    class_names: tuple[str, ...]

    def raw(self, data_dir: Path) -> Path:
        """Return the directory that holds the IDX files."""
        return data_dir / self.folder / "raw"


FASHION_MNIST: Final = MnistLayout(
    "fashion-mnist",
    "FashionMNIST",
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)
MNIST: Final = MnistLayout("mnist", "MNIST", tuple("0123456789"))


def file_stems(part: str) -> tuple[str, str]:
    """Return the names, without `.gz`, of the image and the label file of `train` or `test`."""
    prefix = _FILE_PREFIX[part]
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def missing_files(layout: MnistLayout, data_dir: Path, parts: tuple[str, ...] = ("train", "test")) -> list[str]:
    """Return the stems of the files of `parts` that are there neither plain nor compressed."""
    stems = [stem for part in parts for stem in file_stems(part)]
    return [stem for stem in stems if find_idx(layout.raw(data_dir), stem) is None]


def load_mnist_part(layout: MnistLayout, data_dir: Path, part: str) -> Split:
    """Read `train` or `test`.

    Raises:
        DataError: a file is missing or damaged, or images and labels do not match.
    """
    images_path, labels_path = (_require(layout, data_dir, stem) for stem in file_stems(part))
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images):,} images but {labels_path} holds {len(labels):,} labels.",
            "The two files do not belong together: delete them and fetch both again.",
        )
    ids = [str(index) for index in range(len(labels))]
    return Split(part, ArrayStore(images[:, None]), labels.astype("int64"), layout.class_names, ids)


def _require(layout: MnistLayout, data_dir: Path, stem: str) -> Path:
    path = find_idx(layout.raw(data_dir), stem)
    if path is None:
        raise DataError(
            f"{layout.name}: {stem} (plain or .gz) is not in {layout.raw(data_dir)}.",
            f"Point --data-dir or TORCHSTONE_DATA at the folder that holds {layout.folder}/raw, or fetch it: "
            f"torchstone download {layout.name} --data-dir {quote(str(data_dir))}",
        )
    return path
