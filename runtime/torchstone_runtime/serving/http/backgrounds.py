"""Pictures on another ground than those that a model was measured on: counted, and told to who sent one."""

from collections import Counter
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.golden import golden_images
from torchstone_runtime.errors import BundleError
from torchstone_runtime.images.background import BackgroundRange, border_levels
from torchstone_runtime.serving.core.served_model import Seen, ServedModel

_WARNING: Final = (
    "The picture has a {theirs} background; the model was evaluated on pictures with a {tone} one. "
    "The answer may be wrong: invert such pictures."
)


class Backgrounds:
    """An observer that looks at the edges of the images of all models.

    Attributes:
        foreign: number of images on another ground, by model and version.
    """

    def __init__(self) -> None:
        self.foreign: Counter[tuple[str, str]] = Counter()
        self._known: WeakKeyDictionary[ServedModel, BackgroundRange | None] = WeakKeyDictionary()

    def __call__(self, model: ServedModel, seen: Seen) -> None:
        """Count those of a request."""
        self.foreign[model.name, model.version] += self._count(model, seen.images)

    def warnings(self, model: ServedModel, seen: Seen) -> list[str]:
        """Return what is to be said of the ground of a request's images."""
        known = self._known.get(model)
        if known is None or known.tone is None or not self._count(model, seen.images):
            return []
        return [_WARNING.format(theirs="bright" if known.tone == "dark" else "dark", tone=known.tone)]

    def _count(self, model: ServedModel, images: Uint8Array) -> int:
        if model not in self._known:
            self._known[model] = _known_range(model)
        known = self._known[model]
        if known is None or known.tone is None:  # then none is foreign enough
            return 0
        return int(np.count_nonzero([known.differs(level) for level in border_levels(images)]))


def _known_range(model: ServedModel) -> BackgroundRange | None:
    bundle = model.classifier.bundle
    try:
        return BackgroundRange.of(golden_images(bundle)) if bundle is not None else None
    except BundleError:  # replaced on the disk meanwhile: the model was checked when it was loaded
        return None
