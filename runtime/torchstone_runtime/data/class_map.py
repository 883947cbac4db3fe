"""A map from the data's names of classes to the model's: what a folder can't be called, or somebody else called."""

import csv
import difflib
import io
import json
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from torchstone_runtime.data.mapped_classes import MappedClasses
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.text import shortlist

_LARGEST: Final = 16 << 20
_HEADER: Final = ("data", "model")
_SHOWN: Final = 10
_FORMATS: Final = (
    "Give a JSON object, a TOML table or a CSV file of two columns: the data's name, then the model's "
    "(null, or empty, to leave the class out)."
)


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Names of classes of some data, with what a model calls them.

    Names are compared in Unicode's normal form NFC. A class of the data that the map doesn't name, but the model
    knows by the same name, is that class.

    Attributes:
        names: the model's name of a class by the data's; None where it is left out. Several may have the same.
        source: name of the map in messages.
    """

    names: Mapping[str, str | None]
    source: str = "the class map"

    @classmethod
    def read(cls, path: Path) -> "ClassMap":
        """Read a file in UTF-8, with or without a byte order mark: JSON, TOML or CSV by its ending.

        Raises:
            DataError: not readable, of another layout, or it names a class twice.
        """
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
            text = content.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise DataError(f"The class map {path} cannot be read: {reason}.", _FORMATS) from error
        if len(content) > _LARGEST:
            raise DataError(f"The class map {path} has more than {_LARGEST:,} bytes.", _FORMATS)
        readers = {".json": _json_pairs, ".toml": _toml_pairs, ".csv": _csv_pairs}
        if path.suffix.lower() not in readers:
            raise DataError(
                f"The class map {path} has no ending that says its format.", f".json, .toml, .csv. {_FORMATS}"
            )
        try:
            pairs = readers[path.suffix.lower()](text)
        except (ValueError, csv.Error, RecursionError) as error:  # those of JSON and TOML are ValueErrors
            raise DataError(f"The class map {path} is not valid: {error}.", _FORMATS) from error
        return cls.of(pairs, str(path))

    @classmethod
    def of(cls, pairs: Iterable[tuple[object, object]], source: str = "the class map") -> "ClassMap":
        """Make a map of pairs: the data's name and the model's, of which None or an empty one leaves the class out.

        Raises:
            DataError: something that is not a name, no names at all, or a name of the data twice.
        """
        names: dict[str, str | None] = {}
        for given, target in pairs:
            if not isinstance(given, str) or not given or not isinstance(target, str | None):
                raise DataError(f"{source}: {given!r} = {target!r} is not a pair of names.", _FORMATS)
            name = _normal(given)
            if name in names:
                raise DataError(f"{source} names the data's class '{given}' twice.", "Leave one of them out.")
            names[name] = _normal(target) if target else None
        if not names:
            raise DataError(f"{source} names no class.", _FORMATS)
        return cls(names, source)

    def leaving_out(self, names: Iterable[str]) -> "ClassMap":
        """Return a map that leaves out more classes of the data, those that it doesn't name itself."""
        more = {_normal(name): None for name in names}
        return ClassMap({**more, **self.names}, self.source) if more else self

    def resolve(self, found: Sequence[str], known: Sequence[str]) -> dict[str, str | None]:
        """Return the model's class of each of the data's, in their order; None where it is left out.

        Args:
            found: names of the data's classes.
            known: names of the model's classes.

        Raises:
            DataError: the map names a class that the model doesn't have, or a class of the data is in neither.
        """
        models = {_normal(name): name for name in known}
        strange = [
            target for target in dict.fromkeys(self.names.values()) if target is not None and target not in models
        ]
        if strange:
            raise DataError(
                f"{self.source} names classes that the model does not have: {_hinted(strange, known)}.",
                f"The model's: {shortlist(known, _SHOWN)}.",
            )
        resolved: dict[str, str | None] = {}
        for name in found:
            target = self.names.get(_normal(name), _normal(name))
            if target is None or target in models:
                resolved[name] = models[target] if target is not None else None
        if lost := [name for name in found if name not in resolved]:
            raise DataError(
                f"The data has classes that are neither in {self.source} nor the model's: "
                f"{_hinted(lost, [*self.names, *known])}.",
                "Add them to the map: with the model's name of the class, or with null (empty) to leave it out.",
            )
        return resolved

    def apply(self, split: Split, known: tuple[str, ...], *, by_class: bool = False) -> Split:
        """Return a split with the model's classes, without the images of classes that are left out.

        Args:
            split: split with the data's names of the classes.
            known: the model's classes, in the order of its outputs.
            by_class: whether the images are put into the order of the new classes, as a folder's are.

        Raises:
            DataError: as for `resolve`, or no image is left.
        """
        if split.mapped is not None:
            return split
        resolved = self.resolve(split.class_names, known)
        position = {name: index for index, name in enumerate(known)}
        table = np.array([-1 if (to := resolved[name]) is None else position[to] for name in split.class_names])
        labels = table[split.labels].astype(np.int64)
        kept = np.flatnonzero(labels >= 0)
        if not len(kept):
            raise DataError(
                f"{self.source} leaves out every image of the {split.name} split.", "Map a class to the model's."
            )
        order = kept[np.argsort(labels[kept], kind="stable")] if by_class else kept
        counts = np.bincount(split.labels, minlength=len(split.class_names)).tolist()
        left_out = {
            name: count
            for name, count in zip(split.class_names, counts, strict=True)
            if count and resolved[name] is None
        }
        present = {_normal(name) for name in split.class_names}
        mapped = MappedClasses(
            self.source, resolved, left_out, tuple(name for name in self.names if name not in present)
        )
        ids = [split.ids[index] for index in order.tolist()]
        return Split(split.name, split.store.select(order), labels[order], known, ids, mapped=mapped)


def _json_pairs(text: str) -> list[tuple[Any, Any]]:
    # As pairs, so that a name that stands twice is seen.
    pairs = json.loads(text, object_pairs_hook=_Pairs)
    if not isinstance(pairs, _Pairs):
        raise ValueError("it is not an object")  # noqa: TRY004 - what is wrong is the text
    return list(pairs)


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object."""


def _toml_pairs(text: str) -> list[tuple[str, Any]]:
    return list(tomllib.loads(text.replace("\r\n", "\n")).items())


def _csv_pairs(text: str) -> list[tuple[str, str]]:
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(_HEADER):
            raise ValueError(f"row {number} has {len(row)} fields, expected {len(_HEADER)}")
    if rows and tuple(name.strip().lower() for name in rows[0]) == _HEADER:
        rows = rows[1:]
    return [(given, target) for given, target in rows]


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _hinted(names: Sequence[str], known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    hinted = []
    for name in names[:_SHOWN]:
        close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
        hinted.append(f"{name} (did you mean '{by_lower[close[0]]}'?)" if close else name)
    return ", ".join(hinted) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
