"""Classifying many pictures where some may not be images; decoding goes on while the model runs."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.background import border_levels
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.encode import encode_thumbnail
from torchstone_runtime.images.find import Picture
from torchstone_runtime.inference.classifier import DECODE_BATCH, Classifier
from torchstone_runtime.inference.decoding import decoded_batches

if TYPE_CHECKING:
    from concurrent.futures import Future

    from torchstone_runtime.drift.monitor import DriftMonitor


@dataclass(frozen=True, slots=True)
class PicturePrediction:
    """A picture's most probable classes: what commands show of a `predictions.Prediction`, with its picture.

    Attributes:
        name: name of the picture.
        top: most probable classes with their probabilities, best first; empty where the model gives no answer.
        thumbnail: the picture made small, as an image file; None where none was asked for.
        border_level: mean gray level of the outermost pixels that the model was given, 0 to 255, see `border_levels`.
        members: classes of the set that holds the right one, best first; None where no set was asked for.
    """

    name: str
    top: list[tuple[str, float]]
    thumbnail: bytes | None = None
    border_level: float = 0.0
    members: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SetWish:
    """Which sets of classes are wanted, see `Predictions.sets`.

    Attributes:
        coverage: probability that the right class is in the set.
        by_class: whether that holds for the images of each class alone.
    """

    coverage: float
    by_class: bool = False


@dataclass(frozen=True, slots=True)
class FailedImage:
    """A picture that cannot be classified, and why."""

    name: str
    error: ImageError


Decoded = tuple[Uint8Array, bytes | None] | ImageError
Batch = list[tuple[Picture, "Future[Decoded]"]]


def predict_pictures(
    classifier: Classifier,
    pictures: Iterable[Picture],
    *,
    top: int,
    thumbnail_side: int = 0,
    invert: bool = False,
    bits: int | None = None,
    sets: SetWish | None = None,
    monitor: "DriftMonitor | None" = None,
) -> Generator[PicturePrediction | FailedImage, None, None]:
    """Classify pictures in their order, `DECODE_BATCH` at a time, the next batch being decoded meanwhile.

    Args:
        classifier: classifier of the pictures.
        pictures: pictures, any number of them; at most two batches are held.
        top: largest number of classes in a prediction.
        thumbnail_side: longest side of the thumbnails, in pixels; 0 for none.
        invert: whether the model is given the pictures inverted, bright where they are dark.
        bits: number of bits that 16-bit pictures use; the model's if None.
        sets: sets of classes that are wanted; none if None.
        monitor: monitor that every picture is added to, as the model was given it.
    """
    spec = classifier.input_spec if bits is None else replace(classifier.input_spec, bits=bits)

    def decode(picture: Picture) -> Decoded:
        try:
            pixels = decode_image(picture.source, spec)
            pixels = np.invert(pixels) if invert else pixels
            return pixels, encode_thumbnail(picture.source, thumbnail_side, spec.bits) if thumbnail_side else None
        except ImageError as error:
            return error

    for batch in decoded_batches(pictures, decode, DECODE_BATCH, ahead=True):
        yield from _predict_batch(classifier, batch, top, sets, monitor)


def _predict_batch(
    classifier: Classifier, batch: Batch, top: int, sets: SetWish | None, monitor: "DriftMonitor | None"
) -> Iterator[PicturePrediction | FailedImage]:
    decoded = [(picture.name, future.result()) for picture, future in batch]
    pixels = [item[0] for _, item in decoded if not isinstance(item, ImageError)]
    stacked = np.stack(pixels) if pixels else np.empty((0, *classifier.input_spec.shape), np.uint8)
    found = classifier.predict(stacked, unanswered="keep")
    if monitor is not None:
        monitor.add(stacked, found.logits)
    rankings = iter(found.top(top))
    members = iter(found.sets(sets.coverage, by_class=sets.by_class) if sets else ())
    levels = iter(border_levels(stacked).tolist())
    for name, item in decoded:
        if isinstance(item, ImageError):
            yield FailedImage(name, item)
        else:
            yield PicturePrediction(name, next(rankings), item[1], next(levels), next(members, None))
