"""Which models are served: a bundle, a file, or a folder of numbered versions, by a name of the user's or its own."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.manifest import MANIFEST_FILE
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import is_showable, showable

FIRST_VERSION: Final = "1"
"""The version of a bundle whose version isn't stated."""
_GIVEN: Final = re.compile(r"(?P<name>[^/=@\s]{1,100})(?:@(?P<version>[^/=@\s]*))?=(?P<path>.+)", re.DOTALL)
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from.

    Attributes:
        name: name that it is served by.
        path: path of a bundle, of a lone ONNX file, or of a folder of versions; or the name of a built-in bundle.
        version: version of the bundle, a whole number as text; None where the path says it, or there is only one.
    """

    name: str
    path: str
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Read what a user types: `PATH`, `NAME=PATH` or `NAME@VERSION=PATH`.

        Text that is a path of something that exists is one, whatever it holds. Without a name the model is served by
        the name of its directory, or of its file without `.onnx`.

        Raises:
            UsageError: no such form, a version that is not a whole number from 1 on, or a name that can't be shown.
        """
        match = None if os.path.lexists(text) else _GIVEN.fullmatch(text)
        if match is None:
            return cls(_checked_name(_own_name(text), text), text)
        version = match["version"]
        if version is not None and not _VERSION.fullmatch(version):
            raise UsageError(
                f"'{showable(version)}' is not a version.",
                f"Give a whole number from 1 on, as in {match['name']}@2=PATH.",
            )
        return cls(_checked_name(match["name"], text), match["path"], version)

    def versions(self) -> Mapping[str, str]:
        """Return the paths to load by version, as the disk has them now.

        A directory without a manifest whose sub-folders are whole numbers is a folder of versions, as in Triton's
        model repositories. Whether what lies there is a bundle shows when it is loaded.
        """
        folder = locate_bundle(self.path)
        if self.version is None and folder.is_dir() and not os.path.lexists(folder / MANIFEST_FILE):
            numbered = {entry.name: str(entry) for entry in folder.iterdir() if _VERSION.fullmatch(entry.name)}
            if numbered:
                return {version: numbered[version] for version in sorted(numbered, key=int)}
        return {self.version or FIRST_VERSION: self.path}


def by_name(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Return sources by the name they are served by, in their order.

    Raises:
        UsageError: no source, or two of the same name of which one has no version, or both have the same.
    """
    found: dict[str, list[Source]] = {}
    for source in sources:
        others = found.setdefault(source.name, [])
        if any(source.version is None or other.version in (None, source.version) for other in others):
            raise UsageError(
                f"Two models are called '{source.name}'.",
                f"Give them names or versions of their own, as in {source.name}@2={source.path}.",
            )
        others.append(source)
    if not found:
        raise UsageError("There is no model to serve.", "Give the path of a bundle.")
    return found


def _own_name(path: str) -> str:
    return Path(os.path.abspath(path)).name.removesuffix(".onnx")  # noqa: PTH100 - a link keeps its name


def _checked_name(name: str, text: str) -> str:
    if not name or not is_showable(name):
        raise UsageError(
            f"A model can't be served by the name '{showable(name)}'.", f"Give it one: NAME={showable(text)}"
        )
    return name
