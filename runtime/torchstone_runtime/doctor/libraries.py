"""Native libraries whose own libraries are missing, by what the system's loader says."""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torchstone_runtime.doctor.elf import read_dependencies


def inspect_libraries(folder: Path) -> list[dict[str, Any]]:
    """Return for each shared library in `folder` its `library` (file name) and `missing` ({name: loader's message}).

    Libraries are loaded into this process to find out: call it in one that ends soon, after the libraries that a
    session would load beforehand.
    """
    files = sorted(path for path in folder.glob("*.so*") if path.is_file())
    return [{"library": path.name, "missing": dict(_missing(path, set()))} for path in files]


def _missing(path: Path, seen: set[str]) -> Iterator[tuple[str, str]]:
    try:
        dependencies = read_dependencies(path)
    except (OSError, ValueError) as error:
        yield path.name, str(error)
        return
    for name in dependencies.needed:
        if name in seen:
            continue
        seen.add(name)
        beside = next((folder / name for folder in dependencies.search if (folder / name).is_file()), None)
        if beside is not None:
            yield from _missing(beside, seen)
            continue
        try:
            ctypes.CDLL(name)
        except OSError as error:
            yield name, str(error)
