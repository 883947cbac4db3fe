"""How much of float32's own noise a variant's error may be, chosen from data (docs/explanation/trust.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Accepted errors of a way of computing, as multiples of float32's own.

    Attributes:
        max_multiple: limit of the largest absolute logit error over all splits, as a multiple of float32's own.
        rms_multiple: limit of the root mean square of a split's logit errors. It finds a small error in every logit,
            which the largest one hides.
    """

    max_multiple: float
    rms_multiple: float


EXPORT_LIMITS: Final = Limits(9.0, 6.0)
"""At the export: float32, ONNX Runtime's CPU provider or TorchScript, beside the reference.

They are those of every network. What differs between networks is float32's own error, which the reference computes
with long sums added in a row too (`long_sums`).
"""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """How much more is accepted where other kernels compute than at the export.

    Attributes:
        factor: factor by which the limits of the export are multiplied.
        measured: whether it comes from measurements; else it is a cautious guess.
    """

    factor: float
    measured: bool

    @property
    def limits(self) -> Limits:
        """The limits there."""
        return Limits(self.factor * EXPORT_LIMITS.max_multiple, self.factor * EXPORT_LIMITS.rms_multiple)


ELSEWHERE: Final[Mapping[str, Elsewhere]] = {
    "cpu": Elsewhere(2.0, measured=True),
    "openvino": Elsewhere(2.0, measured=True),
    "cuda": Elsewhere(2.0, measured=False),
    "tensorrt": Elsewhere(2.0, measured=False),
}
"""By provider, for float32 without TF32.

TF32 and half precision have no entry: their errors are thousands of times PyTorch's own, so they are judged as lossy
variants are, by decisions and accuracy (docs/how-to/lossy-variants.md).
"""


GOLDEN_MULTIPLES: Final[Mapping[str, float]] = {"openvino": 9.0}
"""By provider: accepted logit error of a golden sample, as a multiple of float32's own, where it was measured.

Twice the worst of the honest exports in benchmarks/results/engine-provider-errors.json; other providers are given
`limits_elsewhere`.
"""


def limits_elsewhere() -> Limits:
    """Return what a replay accepts on a machine that is not that of the export, whatever its provider."""
    return max((other.limits for other in ELSEWHERE.values()), key=lambda limits: limits.max_multiple)


def elsewhere_json() -> dict[str, Any]:
    """Return `accepted_elsewhere` of `certificate.json`: multiples by provider, and whether they were measured."""
    return {
        provider: {
            "max_multiple": other.limits.max_multiple,
            "rms_multiple": other.limits.rms_multiple,
            "measured": other.measured,
        }
        for provider, other in ELSEWHERE.items()
    }
