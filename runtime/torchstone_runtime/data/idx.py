"""Reader of the IDX format, plain or gzip-compressed.

The format: two zero bytes, a type code (0x08 = uint8), the number of dimensions, each dimension as a big-endian
uint32, then the values in C order (Y. LeCun, "The MNIST database of handwritten digits", section "File formats").
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Final, cast

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import DataError

_UINT8_CODE: Final = 0x08
_MAX_BYTES: Final = 4 << 30
_CHUNK: Final = 1 << 24


def find_idx(folder: Path, stem: str) -> Path | None:
    """Return the IDX file `stem` in `folder`, plain before `.gz`, or None where neither is there."""
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)


def read_idx(path: Path, dimensions: int) -> Uint8Array:
    """Read a uint8 IDX file.

    Args:
        path: the file; a name that ends in `.gz` is decompressed.
        dimensions: number of dimensions that the array must have (1 for labels, 3 for images).

    Returns:
        uint8 array with the shape that the header states.

    Raises:
        DataError: not IDX, not uint8, other dimensions, truncated, followed by more data, or over 4 GiB.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            stream = cast("IO[bytes]", file)
            shape = _read_header(stream, path, dimensions)
            return _read_values(stream, path, shape)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged or truncated: {error}.", "Delete it and fetch it again.") from error


def _read_header(file: IO[bytes], path: Path, dimensions: int) -> tuple[int, ...]:
    magic = file.read(4)
    expected = bytes((0, 0, _UINT8_CODE, dimensions))
    if magic != expected:
        raise DataError(
            f"{path} does not start as an IDX file of {dimensions}-dimensional uint8 data: "
            f"expected the bytes {expected.hex(' ')}, found {magic.hex(' ') or 'nothing'}.",
            "Check that the file is what its name says.",
        )
    sizes = file.read(4 * dimensions)
    if len(sizes) != 4 * dimensions:
        raise DataError(f"{path} ends inside its header.", "It is truncated: delete it and fetch it again.")
    return struct.unpack(f">{dimensions}I", sizes)


def _read_values(file: IO[bytes], path: Path, shape: tuple[int, ...]) -> Uint8Array:
    size = math.prod(shape)
    # A side of 0 hides how absurd the others are; NumPy refuses such a shape by the product of the others.
    if math.prod(side or 1 for side in shape) > _MAX_BYTES:
        raise DataError(f"{path} states the shape {shape}, {size:,} bytes; at most {_MAX_BYTES:,} are read.")
    # In chunks, so that a header that lies costs no more memory than the file really holds.
    values = bytearray()
    while len(values) <= size and (chunk := file.read(min(_CHUNK, size + 1 - len(values)))):
        values += chunk
    if len(values) != size:
        found = f"{len(values):,}" if len(values) < size else "more"
        raise DataError(
            f"{path} states the shape {shape}, {size:,} bytes of data, but holds {found}.",
            "It is truncated or altered: delete it and fetch it again.",
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
