"""Mistakes of place: turned, mirrored, shifted, cropped or padded versions of a picture of the model's size."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.result import Mistake
from torchstone_runtime.images.input_spec import InputSpec

Window = tuple[slice, slice]
WHOLE: Final[Window] = (slice(None), slice(None))

FILTERS: Final = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
_TURNS: Final[tuple[tuple[str, str, Callable[[Float64Array], Float64Array]], ...]] = (
    ("", "", lambda x: x),
    ("flipped-horizontally", "Mirrored: left and right are swapped.", lambda x: x[:, :, ::-1]),
    ("flipped-vertically", "Upside down: top and bottom are swapped.", lambda x: x[:, ::-1]),
    ("rotated-180", "Rotated by 180 degrees.", lambda x: x[:, ::-1, ::-1]),
    ("transposed", "Transposed: rows and columns (H and W) are swapped.", lambda x: x.swapaxes(1, 2)),
    ("rotated-90", "Rotated by 90 degrees to the left.", lambda x: np.rot90(x, 1, (1, 2))),
    ("rotated-90", "Rotated by 90 degrees to the right.", lambda x: np.rot90(x, -1, (1, 2))),
    ("transposed", "Transposed along the other diagonal.", lambda x: x[:, ::-1, ::-1].swapaxes(1, 2)),
)
_PEAKS: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """A picture as a mistake would show it: float64 [C, H, W] in gray levels.

    `window` is the part of the tensor that `pixels` is compared with: of a shifted picture, where both have pixels.
    `turn` says which of the eight ways of `turned` it is.
    """

    pixels: Float64Array
    mistakes: tuple[Mistake, ...] = ()
    window: Window = WHOLE
    turn: int = 0


def turned(view: View, ways: Iterable[int] = range(8)) -> Iterator[View]:
    """Yield the view turned and mirrored in these of the eight ways; 0 leaves it as it is."""
    for way in ways:
        code, text, turn = _TURNS[way]
        mistakes = (*view.mistakes, Mistake(code, text)) if way else view.mistakes
        yield View(turn(view.pixels), mistakes, turn=way)


def shifted(tensor: Float64Array, view: View) -> Iterator[View]:
    """Yield the view moved as the tensor's own content suggests: the best peaks of the phase correlation."""
    height, width = view.pixels.shape[1:]
    one = np.fft.rfft2(tensor.mean(axis=0) - tensor.mean())
    other = np.fft.rfft2(view.pixels.mean(axis=0) - view.pixels.mean())
    cross = one * np.conj(other)
    for whitened in (True, False):
        spectrum = cross / np.maximum(np.abs(cross), 1e-12) if whitened else cross
        surface = np.abs(np.fft.irfft2(spectrum, (height, width)))
        for index in np.argsort(surface, axis=None)[::-1][:_PEAKS]:
            down, right = (int(value) for value in divmod(int(index), width))
            down, right = (
                (down - height if down > height // 2 else down),
                (right - width if right > width // 2 else right),
            )
            if (down or right) and abs(down) <= height // 3 and abs(right) <= width // 3:
                yield _moved(view, down, right)


def _moved(view: View, down: int, right: int) -> View:
    height, width = view.pixels.shape[1:]
    kept = view.pixels[:, max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    window = (slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right)))
    directions = [f"{abs(down)} down" if down > 0 else f"{abs(down)} up"] if down else []
    directions += [f"{abs(right)} to the right" if right > 0 else f"{abs(right)} to the left"] if right else []
    mistake = Mistake("shifted", f"Shifted by {' and '.join(directions)} (pixels), as a padding on one side does.")
    return View(kept, (*view.mistakes, mistake), window, view.turn)


def resized(pixels: Float64Array, spec: InputSpec, name: str, box: tuple[float, float, float, float]) -> Float64Array:
    """Cut `box` (left, top, right, bottom) out of [C, h, w] and resize it to the model's size with Pillow."""
    size = (spec.width, spec.height)
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, FILTERS[name], box=box), dtype=np.float64)
        for plane in pixels.round().clip(0, 255).astype(np.uint8)
    ]
    return np.stack(planes)


def cropped(pixels: Float64Array, spec: InputSpec) -> Iterator[View]:
    """Yield centre crops, enlarged to the model's size again, and shrunk pictures with a border around them."""
    height, width = pixels.shape[1:]
    for name in FILTERS if max(height, width) <= 64 else ("bilinear", "bicubic", spec.resample):  # noqa: PLR2004
        for margin in range(1, min(height, width) // 4 + 1):
            across = margin * width / height if height != width else margin
            part = 1 - 2 * margin / height
            text = f"Cropped: only the middle {part:.0%} is shown, enlarged to full size."
            box = (across, margin, width - across, height - margin)
            yield View(resized(pixels, spec, name, box), (Mistake("cropped", text),))
    yield from _padded(pixels, spec)


def _padded(pixels: Float64Array, spec: InputSpec) -> Iterator[View]:
    height, width = pixels.shape[1:]
    for margin in range(1, max(2, min(height, width) // 6)):
        text = f"Padded: a border of {margin} pixels was put around the picture before it was resized."
        for fill in (0, 255):
            wide = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin)), constant_values=fill)
            box = (0, 0, width + 2 * margin, height + 2 * margin)
            yield View(resized(wide, spec, spec.resample, box), (Mistake("padded", text),))
