"""Which shared libraries a shared library needs: the dynamic section of 64-bit little-endian ELF files.

Layout from the System V ABI, chapters "Object Files" and "Dynamic Linking".
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_IDENT: Final = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRING_TABLE, _RPATH, _RUNPATH = 1, 5, 15, 29
_MAX_DYNAMIC: Final = 1 << 20
_MAX_NAME: Final = 4096
_PROGRAM_HEADER_SIZE: Final = 56


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a library asks the loader for.

    Attributes:
        needed: names of libraries, in order.
        search: directories of its own to look in, with `$ORIGIN` replaced.
    """

    needed: tuple[str, ...]
    search: tuple[Path, ...]


def read_dependencies(path: Path) -> Dependencies:
    """Read what the library at `path` needs.

    Raises:
        ValueError: no 64-bit little-endian ELF file, or a damaged one.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _read(file, path.parent)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"damaged ELF file: {error}") from error


def _read(file: IO[bytes], folder: Path) -> Dependencies:
    header = file.read(64)
    if not header.startswith(_IDENT):
        raise ValueError("no 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", header, 32)
    (count,) = struct.unpack_from("<H", header, 56)
    segments = struct.iter_unpack("<IIQQQQQQ", _at(file, table, count * _PROGRAM_HEADER_SIZE))
    loads: list[tuple[int, int, int]] = []
    dynamic = b""
    for kind, _, offset, address, _, size, _, _ in segments:
        if kind == _LOAD:
            loads.append((address, size, offset))
        elif kind == _DYNAMIC:
            dynamic = _at(file, offset, min(size, _MAX_DYNAMIC))
    entries = [entry for entry in struct.iter_unpack("<qQ", dynamic[: len(dynamic) // 16 * 16]) if entry[0]]
    strings = next((_offset(loads, value) for tag, value in entries if tag == _STRING_TABLE), 0)
    needed = tuple(_name(file, strings + value) for tag, value in entries if tag == _NEEDED)
    paths = [_name(file, strings + value) for tag, value in entries if tag in (_RPATH, _RUNPATH)]
    search = [item.replace("${ORIGIN}", "$ORIGIN") for path in paths for item in path.split(":") if item]
    return Dependencies(needed, tuple(Path(item.replace("$ORIGIN", os.fspath(folder))) for item in search))


def _offset(loads: list[tuple[int, int, int]], address: int) -> int:
    for start, size, offset in loads:
        if start <= address < start + size:
            return address - start + offset
    raise ValueError("damaged ELF file: its string table lies in no segment")


def _at(file: IO[bytes], offset: int, size: int) -> bytes:
    if offset >= os.fstat(file.fileno()).st_size:
        raise ValueError(f"damaged ELF file: it refers to byte {offset}, behind its end")
    file.seek(offset)
    return file.read(size)


def _name(file: IO[bytes], offset: int) -> str:
    return os.fsdecode(_at(file, offset, _MAX_NAME).partition(b"\0")[0])
