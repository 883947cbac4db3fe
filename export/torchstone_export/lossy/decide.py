"""Variants that trade accuracy for speed, and whether the trade pays: decided by measurement, else not shipped."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from torchstone_export.cascade import file as cascade_file
from torchstone_export.certificate.certify import certify_variant
from torchstone_export.certificate.golden import safe_samples
from torchstone_export.certificate.reference import Reference
from torchstone_export.certificate.runners import run_in_batches
from torchstone_export.certificate.summary import bound_line
from torchstone_export.formats.graph import requirements
from torchstone_export.lossy.fp16_file import to_fp16
from torchstone_export.lossy.int8_search import Int8Choice, calibration_sample, choose_int8
from torchstone_export.lossy.serving import run_split, run_unfused, serving
from torchstone_export.lossy.speed import SpeedComparison, compare_speed
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.certificate.record import CertifiedSplit
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import first_line
from torchstone_runtime.inference.engine import CPU_MICRO_BATCH, Outputs
from torchstone_runtime.metrics.answered import decide
from torchstone_runtime.metrics.paired import PairedComparison, compare_decisions, confusion_difference, score_interval
from torchstone_runtime.progress import stage
from torchstone_runtime.system.cpu import REPORTED, cpu_features
from torchstone_train.data.splits import TrainingData

_GOLDEN_MULTIPLE: Final = 4.0
"""Accepted logit difference of a replay, as a multiple of the difference between ONNX Runtime's fused kernels and the
same file run node by node, which rounds at other places: so much an honest other machine may differ."""
_UNFUSED_IMAGES: Final = 512
_SPEED_IMAGES: Final = 2048
_PROBABILITY_TOLERANCE: Final = 1e-5
_BATCH_SIZES: Final = (1, 7)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossyLimits:
    """What a lossy variant must keep to.

    Attributes:
        max_accuracy_drop: drop, 0 to 1, minus which the 95% interval of the accuracy difference must lie above.
        min_speedup: speed ratio to `fp32` that the 95% interval of the measured one must lie above.
        provider: provider that the variant is measured on.
    """

    max_accuracy_drop: float = 0.003
    min_speedup: float = 1.1
    provider: str = "cpu"


@dataclass(kw_only=True, slots=True)
class LossyVariant:
    """A variant that was asked for, with what was found.

    Attributes:
        name: `int8` or `fp16`.
        content: its file; empty where none could be built.
        reasons: reasons why it is not shipped; none where it is.
        report: its part of `lossy` in `certificate.json`.
        certificate: its part of `variants` there.
        golden: its own golden samples; golden_tolerance: largest accepted difference of a logit.
        requires_any: processor features, one of which it needs on the CPU.
        line: summary for people, on one line; bound_line: how many images that were not run may be decided otherwise.
    """

    name: str
    content: bytes = b""
    reasons: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    certificate: dict[str, Any] = field(default_factory=dict)
    golden: GoldenSamples | None = None
    golden_tolerance: float | None = None
    requires_any: tuple[str, ...] = ()
    line: str = ""
    bound_line: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it is shipped."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """Return its part of `lossy` in `certificate.json`."""
        return {"accepted": self.accepted, "reasons": self.reasons, **self.report}


def make_lossy(
    names: Iterable[str], fp32: bytes, data: TrainingData, reference: Reference, limits: LossyLimits
) -> list[LossyVariant]:
    """Build the lossy variants asked for and decide on each whether it is shipped.

    Args:
        names: names of the variants, `int8` and `fp16`.
        fp32: the certified float file.
        data: train is calibrated on, validation chosen by, test decides: once, on what was chosen.
        reference: the PyTorch model's outputs over validation and test.
        limits: limits that they must keep to.
    """
    return [_make(name, fp32, data, reference, limits) for name in names]


def _make(name: str, fp32: bytes, data: TrainingData, reference: Reference, limits: LossyLimits) -> LossyVariant:
    variant = LossyVariant(name=name)
    variant.report = {"max_accuracy_drop": limits.max_accuracy_drop, "min_speedup": limits.min_speedup}
    variant.report |= {"provider": limits.provider, "cpu_features": sorted(cpu_features().intersection(REPORTED))}
    try:
        with stage(f"making {name}"):
            _build(variant, fp32, data, limits)
        with stage(f"judging {name}"):
            _judge(variant, fp32, data, reference, limits)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being built or run is the reason
        variant.reasons.append(f"it cannot be built or run: {first_line(error)}")
        variant.line = f"{name}: not shipped: {variant.reasons[-1]}"
    return variant


def _build(variant: LossyVariant, fp32: bytes, data: TrainingData, limits: LossyLimits) -> None:
    # A cascade's models are each calibrated on all images: few of them reach the second one in the cascade.
    parts = cascade_file.split(fp32)
    if parts is None:
        variant.content, report = _build_file(variant.name, fp32, data, limits)
        variant.report |= report
    else:
        built = [_build_file(variant.name, part, data, limits) for part in parts]
        variant.content = cascade_file.rejoin(fp32, *(content for content, _ in built))
        variant.report |= {
            name: report for name, (_, report) in zip(("fast", "accurate"), built, strict=True) if report
        }
    variant.requires_any = requirements(variant.content)


def _build_file(name: str, fp32: bytes, data: TrainingData, limits: LossyLimits) -> tuple[bytes, dict[str, Any]]:
    if name == "fp16":
        return to_fp16(fp32), {}
    images = calibration_sample(data.train)
    choice = choose_int8(fp32, images, data.validation, limits.max_accuracy_drop, cpu_features())
    return choice.content, _choice_json(choice, len(images))


def _choice_json(choice: Int8Choice, images: int) -> dict[str, Any]:
    return {
        "config": choice.config.to_json(),
        "calibration_images": images,
        "candidates": choice.tried,
        "forms": choice.speeds,
        "layers": [layer.to_json() for layer in choice.layers],
    }


def _judge(variant: LossyVariant, fp32: bytes, data: TrainingData, reference: Reference, limits: LossyLimits) -> None:
    test, classes = data.test, reference.num_classes
    base = decide(*run_split(fp32, test, classes, limits.provider))
    outputs = run_split(variant.content, test, classes, limits.provider)
    variant.reasons += _faults(variant, test, outputs, limits)
    decisions = decide(*outputs)
    paired = compare_decisions(test.labels, base, decisions)
    variant.reasons += _accuracy_reasons(paired, limits)
    speed = _measure_speed(fp32, variant.content, data.validation, classes, limits)
    if not speed.interval_95[0] >= limits.min_speedup:
        hint = " (fp16 is for GPUs: see --provider)" if (variant.name, limits.provider) == ("fp16", "cpu") else ""
        variant.reasons.append(
            f"it is not shown to be {limits.min_speedup:g} times as fast as fp32 here{hint}: {_speed_text(speed)}"
        )
    changes = confusion_difference(test.labels, base, decisions, test.class_names, test.ids)
    variant.report |= {"paired": paired.to_json(), "changes": changes, "speed": speed.to_json()}
    with serving(variant.content, classes, limits.provider) as engine:
        certified = certify_variant(reference, partial(run_in_batches, engine), variant=variant.name)
    for name, logits in certified.outputs.items():
        # It need not give PyTorch's outputs again, but its own.
        certified.splits[name]["repeat"] = _repeat(variant, reference.splits[name].split, logits)
    variant.certificate = certified.to_json() | {"passed": not variant.reasons, "failures": variant.reasons}
    variant.line = _line(variant, paired, speed)
    variant.bound_line = bound_line(variant.name, certified.splits, reference.owner)


def _repeat(variant: LossyVariant, split: Split, logits: Float32Array) -> dict[str, Any]:
    accepted = variant.golden_tolerance or 0.0
    record = CertifiedSplit.of(logits.astype(np.float64), split.ids, tolerance=accepted, rms_tolerance=accepted)
    return record.to_json(split.class_names)


def _faults(variant: LossyVariant, test: Split, outputs: Outputs, limits: LossyLimits) -> list[str]:
    logits, probabilities = outputs
    if not (np.isfinite(logits).all() and np.isfinite(probabilities).all()):
        return ["it gives values that are not finite"]
    count = min(len(test), _UNFUSED_IMAGES)
    images = np.ascontiguousarray(next(test.batches(count)))
    variant.golden_tolerance = _tolerance(variant.content, images, logits[:count])
    variant.golden = _golden(test, logits, probabilities, variant.golden_tolerance)
    faults = []
    if not np.abs(probabilities.sum(axis=1) - 1).max() <= _PROBABILITY_TOLERANCE:
        faults.append("its probabilities do not sum to 1")
    for size in _BATCH_SIZES:
        with serving(variant.content, logits.shape[1], limits.provider) as engine:
            error = float(
                np.abs(engine.run(images[:CPU_MICRO_BATCH], micro_batch=size)[0] - logits[:CPU_MICRO_BATCH]).max()
            )
        if not error <= variant.golden_tolerance:
            faults.append(f"in batches of {size} its logits differ by {error:.3g}")
    return faults


def _tolerance(content: bytes, images: Uint8Array, logits: Float32Array) -> float:
    elsewhere = float(np.abs(run_unfused(content, images) - logits).max())
    # Where both agree to the bit, a hundredth of the logits' spread: far below what a wrong instruction does.
    return max(_GOLDEN_MULTIPLE * elsewhere, 0.01 * float(logits.std()))


def _golden(test: Split, logits: Float32Array, probabilities: Float32Array, tolerance: float) -> GoldenSamples:
    chosen = safe_samples(logits, tolerance)
    return GoldenSamples(np.ascontiguousarray(test.store.read(chosen)), logits[chosen], probabilities[chosen])


def _accuracy_reasons(paired: PairedComparison, limits: LossyLimits) -> list[str]:
    if paired.interval_95[0] > -limits.max_accuracy_drop:
        return []
    text = (
        f"its accuracy is not shown to be within {_points(limits.max_accuracy_drop)} of fp32's: {_paired_text(paired)}"
    )
    best = score_interval(0, 0, paired.samples)[0]
    if best <= -limits.max_accuracy_drop:
        text += f"; {paired.samples:,} test images can show no less than {_points(-best)}, even without one change"
    return [text]


def _measure_speed(
    fp32: bytes, content: bytes, validation: Split, classes: int, limits: LossyLimits
) -> SpeedComparison:
    images = np.ascontiguousarray(next(validation.batches(_SPEED_IMAGES)))
    with (
        serving(fp32, classes, limits.provider) as base,
        serving(fp32, classes, limits.provider) as again,
        serving(content, classes, limits.provider) as engine,
    ):
        return compare_speed(base, again, engine, images)


def _line(variant: LossyVariant, paired: PairedComparison, speed: SpeedComparison) -> str:
    if not variant.accepted:
        return f"{variant.name}: not shipped: {'; '.join(variant.reasons)}"
    return f"{variant.name}: accuracy {_paired_text(paired)}; {_speed_text(speed)}"


def _paired_text(paired: PairedComparison) -> str:
    low, high = paired.interval_95
    return (
        f"{100 * paired.difference:+.2f} points (95% interval {100 * low:+.2f} to {100 * high:+.2f}; McNemar p "
        f"{paired.p_value:.2g}; {paired.samples - paired.agreeing:,} of {paired.samples:,} decisions differ)"
    )


def _speed_text(speed: SpeedComparison) -> str:
    low, high = speed.interval_95
    own = "{:.2f} to {:.2f}".format(*speed.self_interval_95)
    return f"{speed.ratio:.2f} times the speed (95% interval {low:.2f} to {high:.2f}; fp32 against itself {own})"


def _points(share: float) -> str:
    return f"{100 * share:.2g} points"
