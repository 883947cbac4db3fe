"""A lossy variant: what it must keep to, and what was found of it."""

from dataclasses import dataclass, field
from typing import Any

from torchstone_runtime.arrays import Float32Array
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.system.openvino import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class LossyLimits:
    """What a lossy variant must keep to.

    Attributes:
        max_accuracy_drop: drop, 0 to 1, minus which the 95% interval of the accuracy difference must lie above.
        min_speedup: speed ratio to `fp32` that the 95% interval of the measured one must lie above.
        provider: provider that the variant is measured on.
        int8_minutes: time after which the search for an int8 file begins nothing more.
    """

    max_accuracy_drop: float = 0.003
    min_speedup: float = 1.1
    provider: str = "cpu"
    int8_minutes: float = 10.0


@dataclass(kw_only=True, slots=True)
class LossyVariant:
    """A variant that was asked for, with what was found.

    Attributes:
        name: `int8`, `fp16` or `bf16`.
        content: its file; empty where none could be built.
        reasons: reasons why it is not shipped; none where it is.
        report: its part of `lossy` in `certificate.json`.
        certificate: its part of `variants` there.
        golden: its own golden samples; golden_tolerance: largest accepted difference of a logit.
        validation_logits: float32 [N, K], its own over the validation images.
        requires_any: processor features, one of which it needs on the CPU.
        precision: number format of its products, where the provider is told one.
        note: remark on how its file was found; empty where there is none.
        line: summary for people, on one line; bound_line: how many images that were not run may be decided otherwise.
    """

    name: str
    content: bytes = b""
    reasons: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    certificate: dict[str, Any] = field(default_factory=dict)
    golden: GoldenSamples | None = None
    golden_tolerance: float | None = None
    validation_logits: Float32Array | None = None
    requires_any: tuple[str, ...] = ()
    precision: Precision = "fp32"
    note: str = ""
    line: str = ""
    bound_line: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it is shipped."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """Return its part of `lossy` in `certificate.json`."""
        return {"accepted": self.accepted, "reasons": self.reasons, **self.report}
