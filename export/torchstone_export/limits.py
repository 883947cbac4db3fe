"""How much of PyTorch's own noise a variant's error may be, chosen from data (docs/trust.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Accepted errors of a way of computing, as multiples of PyTorch float32's own.

    Attributes:
        max_multiple: of the largest absolute logit error.
        rms_multiple: of the root mean square of the logit errors of a split. It finds a small error in every logit,
            which the largest one hides.
        measured: whether the two come from measurements; else they are a cautious guess.
    """

    max_multiple: float
    rms_multiple: float
    measured: bool

    def to_json(self) -> dict[str, Any]:
        """Return an entry of `accepted_elsewhere` in `certificate.json`."""
        return {"max_multiple": self.max_multiple, "rms_multiple": self.rms_multiple, "measured": self.measured}


EXPORT_LIMITS: Final = Limits(8.0, 5.0, measured=True)
"""At the export: float32, ONNX Runtime's CPU provider or TorchScript, on the machine that computed the reference."""

ELSEWHERE: Final[Mapping[str, Limits]] = {
    "cpu": Limits(16.0, 10.0, measured=True),
    "cuda": Limits(16.0, 10.0, measured=False),
    "tensorrt": Limits(16.0, 10.0, measured=False),
    "openvino": Limits(16.0, 10.0, measured=True),
}
"""By provider, for float32 without TF32, on a machine that may have other kernels than that of the export.

TF32 and half precision have no entry: their errors are thousands of times PyTorch's own, so that they are judged as
lossy variants are, by decisions and accuracy (docs/lossy-variants.md).
"""
