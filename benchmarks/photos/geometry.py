"""What other libraries make of the same photographs, beside the pixels of `decode_image`: docs/explanation/geometry.md.

    python -m benchmarks.photos.geometry

reads the test photographs of `caltech40` in the folder that TORCHSTONE_DATA names, and needs opencv-python-headless.
"""

import argparse
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F  # noqa: N812 - its usual name

from benchmarks.places import DOCS
from benchmarks.template import render, table_rows
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.geometry import Placement
from torchstone_runtime.images.input_spec import InputSpec, ResampleFilter

TEMPLATE: Final = Path(__file__).with_name("geometry.md.in")
SIDE: Final = 224
SHORTER: Final = 256
MODES: Final[dict[ResampleFilter, InterpolationMode]] = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}
Pixels = npt.NDArray[np.int64]
Library = Callable[[Image.Image], Pixels]


@dataclass(slots=True)
class Differences:
    """Differences of two libraries' pixels, in gray levels, over many photographs."""

    counts: Pixels = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, one: Pixels, other: Pixels) -> None:
        """Count the differences of a photograph, [H, W, C] each."""
        self.counts += np.bincount(np.abs(one - other).ravel(), minlength=256)

    def row(self, ours: str, theirs: str) -> list[str]:
        """Return the cells of a table: what was compared, mean, share of values that differ, 99.9th percentile, max."""
        total = int(self.counts.sum())
        mean = float((self.counts * np.arange(256)).sum() / total)
        differing = 1 - int(self.counts[0]) / total
        high = int(np.searchsorted(np.cumsum(self.counts), 0.999 * total))
        return [ours, theirs, f"{mean:.3f}", f"{differing:.2%}", str(high), str(int(np.flatnonzero(self.counts)[-1]))]


def spec_of(resample: ResampleFilter, *, antialias: bool) -> InputSpec:
    """Return the usual input of ImageNet's networks: shorter side to 256, centre 224 x 224."""
    means = (0.5,) * 3
    return InputSpec(
        color="RGB",
        height=SIDE,
        width=SIDE,
        fit="crop",
        resize=SHORTER,
        resample=resample,
        antialias=antialias,
        mean=means,
        std=means,
    )


def on_pillow(resample: ResampleFilter) -> Library:
    """Return torchvision's `Resize` and `CenterCrop` on Pillow images."""

    def make(image: Image.Image) -> Pixels:
        small = F.resize(image, [SHORTER], MODES[resample])
        return np.asarray(F.center_crop(small, [SIDE, SIDE])).astype(np.int64)

    return make


def on_tensors(resample: ResampleFilter, *, antialias: bool) -> Library:
    """Return the same on uint8 tensors."""

    def make(image: Image.Image) -> Pixels:
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        small = F.resize(tensor, [SHORTER], MODES[resample], antialias=antialias)
        cut: Any = F.center_crop(small, [SIDE, SIDE])
        return np.asarray(cut.permute(1, 2, 0).numpy()).astype(np.int64)

    return make


def with_opencv(interpolation: int) -> Library:
    """Return OpenCV's `resize` to the same size, and the same part of it."""

    def make(image: Image.Image) -> Pixels:
        place = Placement.of(image.height, image.width, spec_of("bilinear", antialias=True))
        small = cv2.resize(np.array(image), (place.width, place.height), interpolation=interpolation)
        return np.asarray(small)[-place.top :, -place.left :][:SIDE, :SIDE].astype(np.int64)

    return make


COMPARED: Final[list[tuple[ResampleFilter, bool, str, Library]]] = [
    ("bilinear", True, "torchvision, Pillow image", on_pillow("bilinear")),
    ("bilinear", True, "torchvision, tensor, antialias=True", on_tensors("bilinear", antialias=True)),
    ("bilinear", True, "torchvision, tensor, antialias=False", on_tensors("bilinear", antialias=False)),
    ("bilinear", True, "OpenCV, INTER_LINEAR", with_opencv(cv2.INTER_LINEAR)),
    ("bilinear", True, "OpenCV, INTER_AREA", with_opencv(cv2.INTER_AREA)),
    ("bicubic", True, "torchvision, Pillow image", on_pillow("bicubic")),
    ("bicubic", True, "torchvision, tensor, antialias=True", on_tensors("bicubic", antialias=True)),
    ("bilinear", False, "torchvision, tensor, antialias=False", on_tensors("bilinear", antialias=False)),
    ("bilinear", False, "OpenCV, INTER_LINEAR", with_opencv(cv2.INTER_LINEAR)),
    ("bicubic", False, "torchvision, tensor, antialias=False", on_tensors("bicubic", antialias=False)),
    ("bicubic", False, "OpenCV, INTER_CUBIC", with_opencv(cv2.INTER_CUBIC)),
]


def measure(files: list[Path]) -> list[list[str]]:
    """Return the rows of the table."""
    found = [Differences() for _ in COMPARED]
    for file in files:
        image = Image.open(file).convert("RGB")
        ours: dict[tuple[ResampleFilter, bool], Pixels] = {}
        for (resample, antialias, _, library), differences in zip(COMPARED, found, strict=True):
            key = resample, antialias
            if key not in ours:
                pixels = decode_image(image, spec_of(resample, antialias=antialias))
                ours[key] = np.moveaxis(pixels, 0, -1).astype(np.int64)
            differences.add(ours[key], library(image))
    return [
        one.row(f"{resample}{'' if antialias else ', antialias false'}", name)
        for one, (resample, antialias, name, _) in zip(found, COMPARED, strict=True)
    ]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photographs", type=int, default=0, help="about this many, evenly spread; 0: all")
    chosen = parser.parse_args().photographs
    found = sorted((Path(os.environ["TORCHSTONE_DATA"]) / "caltech40" / "test").rglob("*.jpg"))
    files = found[:: max(1, len(found) // chosen)] if chosen else found
    rows = table_rows(measure(files))
    page = render(
        TEMPLATE,
        {
            "rows": rows,
            "asked": str(chosen),
            "photographs": f"{len(files):,} of the {len(found):,}",
            "python": platform.python_version(),
            "pillow": PIL.__version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "opencv": cv2.__version__,
        },
    )
    (DOCS / "explanation" / "geometry.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
