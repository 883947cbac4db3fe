"""The named random changes of a photograph that a recipe may list, as text. Free of PyTorch, as all recipes are."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_runtime.text import showable

AugmentName = Literal["none", "flip", "shift", "flip-shift", "shift-erase", "flip-shift-erase"]
"""The changes that are made to whole batches on the training device (`torchstone_train.data.augment`)."""
CacheName = Literal["off", "memory", "disk"]
"""Where a training keeps decoded pictures (`torchstone_train.data.picture_loading`)."""
CROP: Final = "random-resized-crop"
"""The one that makes the model's input out of a whole picture; the others change what is of that size already."""
NO_TRANSFORMS: Final = "none"
_ENTRY: Final = re.compile(r"([a-z-]+)(?:\(\s*([^()]*?)\s*\)|=\s*([^()=]*?)\s*)?")


@dataclass(frozen=True, slots=True)
class Transform:
    """A random change that can be named.

    Attributes:
        summary: change that it makes, for people, with `{}` where its number stands.
        default: its number where none is given; None: it takes none.
        low, high: smallest and largest number.
        whole: whether the number must be whole.
    """

    summary: str
    default: float | None = None
    low: float = 0.0
    high: float = 1.0
    whole: bool = False

    def accepts(self, value: float) -> bool:
        """Return whether it can have this number."""
        return self.low <= value <= self.high and not (self.whole and value != int(value))

    @property
    def expected(self) -> str:
        """The numbers that it can have, for people."""
        return f"{'a whole number' if self.whole else 'a number'} from {self.low:g} to {self.high:g}"


TRANSFORMS: Final[Mapping[str, Transform]] = {
    CROP: Transform("a rectangle of {} to 1 of the area, 3:4 to 4:3, resized to the input", 0.08, 0.01, 1.0),
    "flip": Transform("mirrored left to right, with probability {}", 0.5),
    "vertical-flip": Transform("mirrored top to bottom, with probability {}", 0.5),
    "shift": Transform("moved by up to {} pixels; what moves in is black", 4, 1, 64, whole=True),
    "rotate": Transform("turned by up to {} degrees", 15, 1, 180),
    "trivial-augment": Transform("one of 14 changes of shape or colour, of any strength (TrivialAugment Wide)"),
    "rand-augment": Transform(
        "two of 14 changes of shape or colour, of strength {} (RandAugment)", 9, 1, 30, whole=True
    ),
    "colour": Transform(
        "brightness, contrast and saturation changed by up to {}, hue by a quarter of it", 0.4, 0.01, 1
    ),
    "gray": Transform("without colour, with probability {}", 0.1),
    "blur": Transform("blurred, with probability {}", 0.1),
    "erase": Transform("a rectangle of 0.02 to 0.33 of the area filled with noise, with probability {}", 0.5),
}
"""By name; torchvision.transforms.v2 carries them out (`torchstone_train.data.transforms`)."""
_OTHER_SPELLINGS: Final = {"color": "colour", "grey": "gray"}


@dataclass(frozen=True, slots=True)
class NamedTransform:
    """An entry of a recipe's list: a name of `TRANSFORMS` and its number (0 where it takes none)."""

    name: str
    value: float = 0.0


def parse_transforms(text: str) -> tuple[NamedTransform, ...]:
    """Return the entries of a list such as `random-resized-crop=0.5,flip,trivial-augment`, in their order.

    Args:
        text: names of `TRANSFORMS`, each with its number behind `=` or in brackets, or without, separated by commas;
            empty: none.

    Raises:
        UsageError: an unknown name (the message suggests the nearest), a number out of range, an entry that is given
            twice, or a crop that isn't the first.
    """
    entries = tuple(_parse(part) for part in _split(text))
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"transforms has {name} twice.", "Name it once.")
    if CROP in names[1:]:
        raise UsageError(
            f"{CROP} is not the first of the transforms, but it cuts the model's input out of the whole picture.",
            f"Begin with it: {','.join([CROP, *(name for name in names if name != CROP)])}",
        )
    return entries


def settle_augment(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return overrides of a recipe in which `augment` alone says what is changed at random.

    A value of `AugmentName` stands for itself and takes the recipe's `transforms` away; any other text is a list of
    transforms, which takes the place of the recipe's `augment`. With `transforms` beside it, both stay as given.
    """
    asked = overrides.get("augment")
    if asked is None or overrides.get("transforms") is not None:
        return dict(overrides)
    if asked in get_args(AugmentName):
        return {**overrides, "transforms": ""}
    return {**overrides, "augment": "none", "transforms": asked}


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() not in ("", NO_TRANSFORMS) else []


def _parse(part: str) -> NamedTransform:
    match = _ENTRY.fullmatch(part.lower())
    name = _OTHER_SPELLINGS.get(match[1], match[1]) if match else ""
    if match is None or name not in TRANSFORMS:
        raise _unknown(part)
    kind, given = TRANSFORMS[name], match[3] if match[2] is None else match[2]
    if given is None:
        return NamedTransform(name, kind.default or 0.0)
    if kind.default is None:
        raise UsageError(f"{name} takes no number, but was given '{showable(given)}'.", f"Write {name} alone.")
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not kind.accepts(value):
        raise UsageError(f"{name}={showable(given)}: expected {kind.expected}.", f"Such as {name}={kind.default:g}.")
    return NamedTransform(name, value)


def _unknown(part: str) -> UsageError:
    if part in get_args(AugmentName):
        return UsageError(
            f"{part} stands alone and can't be part of a list.", f"Write {part.replace('-', ',')} in the list."
        )
    known = (*TRANSFORMS, *get_args(AugmentName))
    return UsageError(
        f"There is no transform '{showable(part)}'.", suggestion(re.split("[(=]", part)[0].strip(), known)
    )
