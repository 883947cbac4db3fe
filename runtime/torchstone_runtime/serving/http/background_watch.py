"""Pictures on another ground than those that a model was measured on: counted, and told to who sent one."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.golden import golden_images
from torchstone_runtime.errors import BundleError
from torchstone_runtime.images.background import BackgroundRange, border_levels
from torchstone_runtime.serving.core.served_model import Seen, ServedModel

_AT_ONCE: Final = 64
"""Requests whose images are looked at together."""
_MOST_WAITING: Final = 1 << 20
"""Bytes of images that wait for it."""
_WARNING: Final = (
    "The picture has a {theirs} background; the model was evaluated on pictures with a {tone} one. "
    "The answer may be wrong: invert such pictures."
)


class Backgrounds:
    """An observer that looks at the edges of the images of all models."""

    def __init__(self) -> None:
        self._foreign: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._known: WeakKeyDictionary[ServedModel, BackgroundRange | None] = WeakKeyDictionary()

    def __call__(self, model: ServedModel, seen: Seen) -> None:
        """Count those of a request, sooner or later: one by one, small requests would take an eighth more time."""
        known = self._range(model)
        if known is None:
            return
        key = model.name, model.version
        waiting = self._waiting.get(key)
        if waiting is None or waiting.known is not known:
            self._count_waiting(key)
            waiting = self._waiting[key] = _Waiting(known)
        waiting.images.append(seen.images)
        waiting.size += seen.images.size
        if waiting.size > _MOST_WAITING or len(waiting.images) >= _AT_ONCE:
            self._count_waiting(key)

    def foreign(self, model: ServedModel) -> int:
        """Return the number of images on another ground that a model has been sent, in the same version."""
        key = model.name, model.version
        self._count_waiting(key)
        return self._foreign[key]

    def warnings(self, model: ServedModel, seen: Seen) -> list[str]:
        """Return what is to be said of the ground of a request's images."""
        known = self._range(model)
        if known is None or not _count(known, seen.images):
            return []
        return [_WARNING.format(theirs="bright" if known.tone == "dark" else "dark", tone=known.tone)]

    def _range(self, model: ServedModel) -> BackgroundRange | None:
        if model not in self._known:
            self._known[model] = _known_range(model)
        return self._known[model]

    def _count_waiting(self, key: tuple[str, str]) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._foreign[key] += _count(waiting.known, np.concatenate(waiting.images))


@dataclass(slots=True)
class _Waiting:
    """Images of one model that have not been looked at. The model itself is not held: it may be replaced."""

    known: BackgroundRange
    images: list[Uint8Array] = field(default_factory=list)
    size: int = 0


def _count(known: BackgroundRange, images: Uint8Array) -> int:
    return int(np.count_nonzero([known.differs(level) for level in border_levels(images)]))


def _known_range(model: ServedModel) -> BackgroundRange | None:
    """Return the range of a model's grounds; None where it isn't known, or no ground is foreign enough."""
    bundle = model.classifier.bundle
    try:
        known = BackgroundRange.of(golden_images(bundle)) if bundle is not None else None
    except BundleError:  # replaced on the disk meanwhile: the model was checked when it was loaded
        return None
    return None if known is None or known.tone is None else known
