"""The compiled form of Pillow's resampling: the same bytes in part of the time, and only where wanted.

`hatch_build.py` in the repository compiles it where the installation is built on a machine with a C compiler. Before it
is used, it has to agree with the Pillow that is installed. Without it Pillow itself is used: no pixel depends on it.
"""

import ctypes
import functools
import os
from pathlib import Path
from typing import Final

import numpy as np
import PIL
from PIL import Image
from PIL.Image import core  # type: ignore[attr-defined]  # where Pillow keeps its allocator

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.resampling.resizing import PILLOW_FILTERS, Part, Resizing

LIBRARY: Final = Path(__file__).with_name("resampling.compiled")
SWITCH: Final = "TORCHSTONE_COMPILED"
"""Environment variable: `0` leaves the compiled code out, `loops` its vectors, for comparisons."""

_FILTERS: Final = {"bilinear": 0, "bicubic": 1, "lanczos": 2}
_PIXEL_BYTES: Final = {"RGB": 4, "L": 1}
"""As Pillow holds the pixels of a mode; the fourth byte of a pixel in colour isn't used."""
_VERSION: Final = 3
"""RESAMPLING_VERSION of resampling.h: a library built from older files is not used."""
_OLDEST_PILLOW: Final = 13
"""Major version from which Pillow shows its pixels only where their rows follow each other without gaps."""
_PIECE: Final = 512 * 2**20
"""Bytes of the largest piece of memory of a picture, more than `MAX_PIXELS` take; Pillow's own limit is 16 MiB."""

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


class _Job(ctypes.Structure):
    """The struct `resampling` of resample.c."""

    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("row_bytes", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("width", "height", "pixel_bytes", "filter")),
        ("box", ctypes.c_float * 4),
        *((name, ctypes.c_int32) for name in ("target_width", "target_height", "left", "top", "columns", "rows")),
        *((name, ctypes.c_int32) for name in ("columns_first", "loops")),
        ("out", ctypes.c_void_p),
    )


class _Interleaving(ctypes.Structure):
    """The struct `interleaving` of interleave.c."""

    _fields_ = (
        ("levels", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("plane", "row", "column")),
        *((name, ctypes.c_int32) for name in ("rows", "columns")),
        ("out", ctypes.c_void_p),
    )


class _ArrowArray(ctypes.Structure):
    """The beginning of an `ArrowArray` of the Arrow C data interface."""


_ArrowArray._fields_ = (
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
)


def is_compiled() -> bool:
    """Whether this installation has the compiled code, and is to use it."""
    return _library() is not None


def has_vectors() -> bool:
    """Whether the compiled code computes with the processor's vectors."""
    library = _library()
    return library is not None and bool(library.torchstone_has_vectors()) and os.environ.get(SWITCH) != "loops"


def resampled(image: Image.Image, resizing: Resizing, part: Part | None = None) -> Uint8Array | None:
    """Return a part of a resized picture.

    Args:
        image: picture of the mode `L` or `RGB`; not altered.
        resizing: size, filter, box and part of the result.
        part: left, upper, right and lower edge of what is taken for the picture; None: all of it.

    Returns:
        uint8 [C, rows, columns], equal to Pillow's; None where that is left to Pillow: there is no compiled code, the
        picture is not in one piece of memory, or it is narrower than a vector.
    """
    library = _library()
    if library is None or resizing.filter not in _FILTERS:
        return None
    return _resampled(library, image, resizing, part or (0, 0, image.width, image.height))


def interleaved(levels: Image.Image | Uint8Array, out: Uint8Array) -> bool:
    """Copy the pixels of a picture in colour to an array; return whether there is compiled code that does it.

    Args:
        levels: picture of the mode `RGB`, or its planes, uint8 [3, h, w] in any order of memory.
        out: uint8 [h, w, 3] without gaps.
    """
    library = _library()
    if library is None or not out.flags.c_contiguous:
        return False
    if not isinstance(levels, Image.Image):
        _interleave(library, levels.ctypes.data, levels.strides, out)
        return True
    try:
        _, capsule = levels.__arrow_c_array__()
    except ValueError:  # a picture in several pieces
        return False
    pixel = _PIXEL_BYTES["RGB"]
    _interleave(library, _address(capsule, "RGB"), (1, levels.width * pixel, pixel), out)
    return True


def _interleave(library: ctypes.CDLL, address: int, strides: tuple[int, ...], out: Uint8Array) -> None:
    plane, row, column = strides
    rows, columns, _ = out.shape
    job = _Interleaving(
        levels=address, plane=plane, row=row, column=column, rows=rows, columns=columns, out=out.ctypes.data
    )
    library.torchstone_interleave(ctypes.byref(job))


def _resampled(library: ctypes.CDLL, image: Image.Image, resizing: Resizing, part: Part) -> Uint8Array | None:
    try:
        _, capsule = image.__arrow_c_array__()
    except ValueError:  # a picture in several pieces
        return None
    left, top, right, bottom = part
    pixel_bytes = _PIXEL_BYTES[image.mode]
    out = np.empty((len(image.getbands()), len(resizing.rows), len(resizing.columns)), np.uint8)
    job = _Job(
        pixels=_address(capsule, image.mode) + (top * image.width + left) * pixel_bytes,
        row_bytes=image.width * pixel_bytes,
        width=right - left,
        height=bottom - top,
        pixel_bytes=pixel_bytes,
        filter=_FILTERS[resizing.filter],
        box=resizing.box,
        target_width=resizing.width,
        target_height=resizing.height,
        left=resizing.columns.start,
        top=resizing.rows.start,
        columns=len(resizing.columns),
        rows=len(resizing.rows),
        columns_first=_columns_first(right - left, bottom - top, resizing),
        loops=os.environ.get(SWITCH) == "loops",
        out=out.ctypes.data,
    )
    return None if library.torchstone_resample(ctypes.byref(job)) else out


def _columns_first(width: int, height: int, resizing: Resizing) -> bool:
    # Since Pillow 13 the height goes first where it shrinks by more than twice as many pixels as the width. The order
    # matters by a level, for each pass rounds.
    fewer_rows, fewer_columns = height - resizing.height, width - resizing.width
    return fewer_rows > max(0, 2 * fewer_columns)


@functools.cache
def _library() -> ctypes.CDLL | None:
    if os.environ.get(SWITCH) == "0" or int(PIL.__version__.partition(".")[0]) < _OLDEST_PILLOW:
        return None
    try:
        library = ctypes.CDLL(str(LIBRARY))
        version = library.torchstone_resampling_version()
    except (OSError, AttributeError):  # not built, or for another system, or something else
        return None
    if version != _VERSION:
        return None
    library.torchstone_resample.argtypes = [ctypes.POINTER(_Job)]
    library.torchstone_interleave.argtypes = [ctypes.POINTER(_Interleaving)]
    library.torchstone_interleave.restype = None
    library.torchstone_resample.restype = library.torchstone_has_vectors.restype = ctypes.c_int
    if not _agrees(library):
        return None
    if "PILLOW_BLOCK_SIZE" not in os.environ:
        # Pillow gives its memory away as a whole only: more than 4 million pixels in colour would be in pieces.
        core.set_block_size(_PIECE)
    return library


def _agrees(library: ctypes.CDLL) -> bool:
    """Return whether a small picture comes out as by Pillow, with each filter and in either order."""
    # Without NumPy's generators, whose import takes 15 ms.
    mixed = np.arange(48 * 40, dtype=np.uint64) * np.uint64(2654435761) >> np.uint64(8)
    image = Image.fromarray(mixed.astype(np.uint8).reshape(48, 40))
    box = (0, 0, image.width, image.height)
    for name in _FILTERS:
        how = PILLOW_FILTERS[name]
        for height, width in ((40, 20), (12, 36)):
            resizing = Resizing(height, width, name, box, range(height), range(width))
            found = _resampled(library, image, resizing, box)
            if found is not None and not np.array_equal(found[0], np.asarray(image.resize((width, height), how))):
                return False
    return True


def _address(capsule: object, mode: str) -> int:
    """Return where the pixels lie that an Arrow capsule holds, as long as it is held."""
    array = _ArrowArray.from_address(_capsule_pointer(capsule, b"arrow_array"))
    values = array if mode == "L" else array.children[0][0]
    address: int = values.buffers[1]
    return address
