"""How far a window of images lies from the reference, number by number, and whether that can be chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.text import showable

ALARM_LEVEL: Final = 0.0002
"""Largest p-value that is an alarm. One window in a thousand is what is promised of unchanged images: the fifth of it,
as all windows of a bundle are compared with one reference, whose own chance can bring several alarms at once."""
_SHOWN: Final = 3
CHANGES: Final = {
    "brightness": ("darker", "brighter"),
    "contrast": ("less contrast", "more contrast"),
    "sharpness": ("less sharp", "sharper"),
    "grain": ("coarser detail", "finer detail"),
    "direction": ("more upright edges", "more level edges"),
    "border": ("darker edges", "brighter edges"),
    "off-centre": ("nearer the centre", "farther from the centre"),
    "colour": ("less colour", "more colour"),
    "confidence": ("less sure", "surer"),
}
"""What a lower value than the reference's is in words, and a higher one."""


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One number of the images, in a window and in the reference.

    Attributes:
        name: one of `drift.reference.FEATURES`, or `classes`.
        distance: largest difference of the two distribution functions, 0 to 1; of the classes, half of the summed
            differences of their shares.
        p_value: bound on the probability of so much by chance, this number alone.
        change: difference, in words.
    """

    name: str
    distance: float
    p_value: float
    change: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data, its name left out."""
        return {"distance": self.distance, "p_value": self.p_value, "change": self.change}


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A window of images beside the reference.

    Attributes:
        images: images in the window.
        reference_images: images in the reference.
        features: features that were compared, one number each.
    """

    images: int
    reference_images: int
    features: Sequence[FeatureDrift]

    @property
    def p_value(self) -> float:
        """Bound on the probability that any of the numbers is so far off by chance (Bonferroni's correction)."""
        smallest = min((item.p_value for item in self.features), default=1.0)
        return min(1.0, len(self.features) * smallest) if self.features else 1.0

    @property
    def alarm(self) -> bool:
        """Whether the images differ from the reference's: the p-value is at most `ALARM_LEVEL`."""
        return self.p_value <= ALARM_LEVEL

    @property
    def changed(self) -> list[FeatureDrift]:
        """The numbers that are an alarm by themselves, the least probable first; of equal ones the furthest."""
        level = ALARM_LEVEL / max(1, len(self.features))
        found = [item for item in self.features if item.p_value <= level]
        return sorted(found, key=lambda item: (item.p_value, -item.distance))

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "images": self.images,
            "reference_images": self.reference_images,
            "p_value": self.p_value,
            "alarm": self.alarm,
            "features": {item.name: item.to_json() for item in self.features},
        }

    def in_words(self) -> str:
        """Return one line for people."""
        if not self.images:
            return "nothing to compare: no images"
        compared = (
            f"{self.images:,} images compared with {self.reference_images:,} validation images; "
            f"p {p_text(self.p_value)}"
        )
        if not self.alarm:
            return f"none found ({compared})"
        shown = "; ".join(f"{showable(item.change)} (distance {item.distance:.2f})" for item in self.changed[:_SHOWN])
        more = f"; and {len(self.changed) - _SHOWN} more" if len(self.changed) > _SHOWN else ""
        return f"FOUND: {shown}{more} ({compared})"


def p_text(p_value: float) -> str:
    """Return a p-value in a few characters."""
    return "below 1e-9" if p_value < 1e-9 else f"{p_value:.2g}"  # noqa: PLR2004 - nobody asks how much less
