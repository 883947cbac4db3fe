"""What a class map did to a split: a record that the split carries to the reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.text import shortlist

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class MappedClasses:
    """What became of the classes of a split.

    Attributes:
        source: source of the map, as the user named it.
        names: the model's name of a class by the data's name; None for a class that is left out.
        left_out: number of the split's images that were left out, by the data's name of their class.
        unused: names of the map that the data doesn't have.
    """

    source: str
    names: Mapping[str, str | None]
    left_out: Mapping[str, int]
    unused: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the record of a report."""
        return {
            "file": self.source,
            "classes": dict(self.names),
            "left_out": dict(self.left_out),
            "images_left_out": sum(self.left_out.values()),
            "unused": list(self.unused),
        }

    def summary(self) -> str:
        """Return on one line what a report says of it."""
        count = sum(self.left_out.values())
        return f"named by {self.source}" + (f"; {count:,} images left out" if count else "")

    def lines(self) -> list[str]:
        """Return what people should know: images that were left out, and names that the data doesn't have."""
        lines = []
        if self.left_out:
            classes = [f"{name} ({count:,})" for name, count in self.left_out.items()]
            lines.append(
                f"left out by {self.source}: {sum(self.left_out.values()):,} images of {shortlist(classes, _SHOWN)}"
            )
        if self.unused:
            lines.append(f"{self.source} names classes that the data does not have: {shortlist(self.unused, _SHOWN)}")
        return lines
