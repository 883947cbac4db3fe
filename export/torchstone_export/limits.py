"""How much of PyTorch's own noise a variant's error may be, chosen from data (docs/trust.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Accepted errors of a way of computing, as multiples of PyTorch float32's own.

    Attributes:
        max_multiple: of the largest absolute logit error over all splits.
        rms_multiple: of the root mean square of the logit errors of a split. It finds a small error in every logit,
            which the largest one hides.
    """

    max_multiple: float
    rms_multiple: float


PLAIN: Final = "plain"
INSTANCE_NORM: Final = "instance-norm"
"""Networks with group or instance norm. ONNX Runtime sums a whole feature map in a row for its mean and variance,
which costs up to ten times the error that PyTorch's summation by halves does."""

EXPORT_LIMITS: Final[Mapping[str, Limits]] = {PLAIN: Limits(9.0, 6.0), INSTANCE_NORM: Limits(64.0, 40.0)}
"""By kind of network, at the export: float32, ONNX Runtime's CPU provider or TorchScript, beside the reference."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """How much more is accepted where other kernels compute than at the export.

    Attributes:
        factor: that the limits of the export are multiplied by.
        measured: whether it comes from measurements; else it is a cautious guess.
    """

    factor: float
    measured: bool

    def limits(self, kind: str) -> Limits:
        """Return the limits for a kind of network."""
        here = EXPORT_LIMITS[kind]
        return Limits(self.factor * here.max_multiple, self.factor * here.rms_multiple)


ELSEWHERE: Final[Mapping[str, Elsewhere]] = {
    "cpu": Elsewhere(2.0, measured=True),
    "openvino": Elsewhere(2.0, measured=True),
    "cuda": Elsewhere(2.0, measured=False),
    "tensorrt": Elsewhere(2.0, measured=False),
}
"""By provider, for float32 without TF32.

TF32 and half precision have no entry: their errors are thousands of times PyTorch's own, so they are judged as lossy
variants are, by decisions and accuracy (docs/lossy-variants.md).
"""


def limits_elsewhere(kind: str) -> Limits:
    """Return what a replay accepts on a machine that is not that of the export, whatever its provider."""
    return max((other.limits(kind) for other in ELSEWHERE.values()), key=lambda limits: limits.max_multiple)


def elsewhere_json(kind: str) -> dict[str, Any]:
    """Return `accepted_elsewhere` of `certificate.json`: multiples by provider, and whether they were measured."""
    return {
        provider: {
            "max_multiple": other.limits(kind).max_multiple,
            "rms_multiple": other.limits(kind).rms_multiple,
            "measured": other.measured,
        }
        for provider, other in ELSEWHERE.items()
    }
