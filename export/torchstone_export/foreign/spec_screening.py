"""Many specs on the same few images: which of them gives more right answers."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_runtime.arrays import Float64Array, Int64Array, Uint8Array
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.images.decode import decode_image, read_picture
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.system.cpu import usable_cpus

Answer = Callable[[ModelSpec, Uint8Array], Float64Array]
"""Logits, float64 [n, K], of uint8 images [n, C, H, W] that were read by a spec."""

_CHUNK = 32


@dataclass(slots=True)
class Score:
    """How a spec does on the images so far, beside another one.

    Attributes:
        wins: images that it alone answers right; losses: those that the other one alone does.
        gain: sum of the differences of (right + probability of the true class) / 2.
        images: number of images.
    """

    wins: int = 0
    losses: int = 0
    gain: float = field(default=0.0)
    images: int = 0

    @property
    def net(self) -> int:
        """Images that it answers right beyond the other."""
        return self.wins - self.losses

    @property
    def is_lost(self) -> bool:
        """Whether it will hardly come out ahead: behind by more than two deviations of chance, and 3 images."""
        return -self.net > max(3.0, 2 * float(np.sqrt(self.wins + self.losses)))

    def add(self, own: "Marks", other: "Marks") -> None:
        """Count more images."""
        self.wins += int((own.right & ~other.right).sum())
        self.losses += int((other.right & ~own.right).sum())
        self.gain += own.score - other.score
        self.images += len(own.right)


@dataclass(frozen=True, eq=False, slots=True)
class Marks:
    """Answers of a spec for some images: `right` by image, and the sum of (right + true probability) / 2."""

    right: npt.NDArray[np.bool_]
    score: float

    @classmethod
    def of(cls, logits: Float64Array, labels: Int64Array) -> "Marks":
        """Mark logits [n, K]; an image whose logits are no finite numbers is answered wrongly."""
        finite = np.asarray(np.isfinite(logits).all(axis=1))
        sound = np.where(finite[:, np.newaxis], logits, 0.0)
        shifted = np.exp(sound - sound.max(axis=1, keepdims=True))
        chances = finite * shifted[np.arange(len(labels)), labels] / shifted.sum(axis=1)
        right = finite & (sound.argmax(axis=1) == labels)
        return cls(right, float((right + chances).sum() / 2))


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """Images of a split, at `indices`."""

    split: Split
    indices: Int64Array

    def chunks(self) -> list["Sample"]:
        """Return it in pieces of a few images each."""
        starts = range(0, len(self.indices), _CHUNK)
        return [Sample(self.split, self.indices[start : start + _CHUNK]) for start in starts]

    @property
    def labels(self) -> Int64Array:
        """True classes."""
        labels: Int64Array = self.split.labels[self.indices]
        return labels

    @property
    def files(self) -> list[Path]:
        """Their picture files, also of pictures that are held in memory; none where they were no files."""
        store = self.split.store
        if isinstance(store, ArrayStore) and store.origin is not None:
            store = store.origin
        return [store.root / store.names[i] for i in self.indices.tolist()] if isinstance(store, FileStore) else []

    def read(self, specs: Sequence[InputSpec]) -> dict[InputSpec, Uint8Array]:
        """Return the images as each spec has them, decoded once."""
        names = self.files
        if not names:
            pixels = self.split.store.read(self.indices)
            return dict.fromkeys(specs, pixels)
        with ThreadPoolExecutor(usable_cpus()) as pool:
            rows = list(pool.map(lambda path: read_picture(path, lambda image, _: _as_each(image, specs)), names))
        return {spec: np.stack([row[place] for row in rows]) for place, spec in enumerate(specs)}


def _as_each(image: Image.Image, specs: Sequence[InputSpec]) -> list[Uint8Array]:
    return [decode_image(image, spec) for spec in specs]


def screen(
    base: ModelSpec,
    others: Sequence[ModelSpec],
    sample: Sample,
    answer: Answer,
    done: Callable[[int], None] = lambda _: None,
) -> list[Score]:
    """Compare specs with a base on the same images; those that fall far behind are left out of the rest.

    Args:
        base: spec to compare with.
        others: specs to compare.
        sample: images.
        answer: the model.
        done: function that is called with the number of specs that were run over some images.

    Returns:
        One score per spec of `others`, in their order.
    """
    scores = [Score() for _ in others]
    for chunk in sample.chunks():
        alive = [index for index, score in enumerate(scores) if not score.is_lost]
        marks = mark(chunk, [base, *(others[index] for index in alive)], answer)
        for index, found in zip(alive, marks[1:], strict=True):
            scores[index].add(found, marks[0])
        done(len(others))
    return scores


def mark(sample: Sample, specs: Sequence[ModelSpec], answer: Answer) -> list[Marks]:
    """Return the marks of each spec on all images of a sample, which is a small one."""
    reads = [_pixels_of(spec) for spec in specs]
    pixels = sample.read(list(dict.fromkeys(reads)))
    labels = sample.labels
    return [Marks.of(answer(spec, pixels[read]), labels) for spec, read in zip(specs, reads, strict=True)]


def _pixels_of(spec: ModelSpec) -> InputSpec:
    # Specs that differ in mean and std alone share their pixels.
    channels = spec.input[0]
    return replace(spec.input_spec(), mean=(0.0,) * channels, std=(1.0,) * channels)
