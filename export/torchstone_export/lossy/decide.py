"""Variants that trade accuracy for speed, and whether the trade pays: decided by measurement, else not shipped."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
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
from torchstone_export.lossy.own_data import OwnData
from torchstone_export.lossy.serving import run_split, run_unfused, serving
from torchstone_export.lossy.speed import SpeedComparison, compare_speed
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.certificate.record import CertifiedSplit
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import ProviderError, first_line
from torchstone_runtime.inference.engine import CPU_MICRO_BATCH, Outputs
from torchstone_runtime.metrics.answered import decide
from torchstone_runtime.metrics.paired import PairedComparison, compare_decisions, confusion_difference, score_interval
from torchstone_runtime.progress import stage
from torchstone_runtime.system.cpu import BF16_FEATURES, REPORTED, cpu_features, missing_features
from torchstone_runtime.system.openvino import OPENVINO, Precision
from torchstone_train.data.splits import TrainingData

_GOLDEN_MULTIPLE: Final = 4.0
"""Accepted logit difference of a replay, as a multiple of the difference between ONNX Runtime's fused kernels and the
same file run node by node, which rounds at other places: so much an honest other machine may differ."""
_PRECISION_MULTIPLE: Final = 2.0
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


def make_lossy(
    names: Iterable[str],
    fp32: bytes,
    data: TrainingData,
    reference: Reference,
    limits: LossyLimits,
    own: OwnData | None = None,
) -> list[LossyVariant]:
    """Build the lossy variants asked for and decide on each whether it is shipped.

    Args:
        names: names of the variants, `int8`, `fp16` and `bf16`; the last is measured on OpenVINO.
        fp32: the certified float file.
        data: train is calibrated on, validation chosen by, test decides: once, on what was chosen.
        reference: the PyTorch model's outputs over validation and test.
        limits: limits that they must keep to.
        own: data in place of train, to calibrate on, and of test, to decide on the accuracy.
    """
    given = own or OwnData(data.train, data.test)
    return [_make(name, fp32, data, reference, limits, given) for name in names]


def _make(
    name: str, fp32: bytes, data: TrainingData, reference: Reference, limits: LossyLimits, own: OwnData
) -> LossyVariant:
    variant = LossyVariant(name=name, precision="bf16" if name == "bf16" else "fp32")
    limits = replace(limits, provider=OPENVINO) if name == "bf16" else limits
    variant.report = {"max_accuracy_drop": limits.max_accuracy_drop, "min_speedup": limits.min_speedup}
    variant.report |= {"provider": limits.provider, "cpu_features": sorted(cpu_features().intersection(REPORTED))}
    variant.report |= own.to_json()
    try:
        with stage(f"making {name}"):
            _build(variant, fp32, data, limits, own)
        with stage(f"judging {name}"):
            _judge(variant, fp32, data, reference, limits, own)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being built or run is the reason
        variant.reasons.append(f"it cannot be built or run: {first_line(error)}")
        variant.line = f"{name}: not shipped: {variant.reasons[-1]}"
    return variant


def _build(variant: LossyVariant, fp32: bytes, data: TrainingData, limits: LossyLimits, own: OwnData) -> None:
    if variant.name == "bf16":
        variant.content, variant.requires_any = fp32, BF16_FEATURES
        if missing := missing_features(BF16_FEATURES, cpu_features()):
            raise ProviderError(missing)
        return
    # A cascade's models are each calibrated on all images: few of them reach the second one in the cascade.
    parts = cascade_file.split(fp32)
    if parts is None:
        variant.content, report, variant.note = _build_file(variant.name, fp32, data, limits, own)
        variant.report |= report
    else:
        built = [_build_file(variant.name, part, data, limits, own) for part in parts]
        variant.content = cascade_file.rejoin(fp32, *(content for content, _, _ in built))
        variant.report |= {
            name: report for name, (_, report, _) in zip(("fast", "accurate"), built, strict=True) if report
        }
    variant.requires_any = requirements(variant.content)


def _build_file(
    name: str, fp32: bytes, data: TrainingData, limits: LossyLimits, own: OwnData
) -> tuple[bytes, dict[str, Any], str]:
    if name == "fp16":
        return to_fp16(fp32), {}, ""
    images = calibration_sample(own.calibration)
    choice = choose_int8(
        *(fp32, images, data.validation, limits.max_accuracy_drop, cpu_features()), minutes=limits.int8_minutes
    )
    return choice.content, _choice_json(choice, len(images)), choice.time.describe()


def _choice_json(choice: Int8Choice, images: int) -> dict[str, Any]:
    return {
        "config": choice.config.to_json(),
        "calibration_images": images,
        "search": choice.time.to_json(),
        "candidates": choice.tried,
        "forms": choice.speeds,
        "layers": [layer.to_json() for layer in choice.layers],
    }


def _judge(
    variant: LossyVariant,
    fp32: bytes,
    data: TrainingData,
    reference: Reference,
    limits: LossyLimits,
    own: OwnData,
) -> None:
    classes, deciding = reference.num_classes, own.certify
    outputs = run_split(variant.content, data.test, classes, limits.provider, variant.precision)
    variant.reasons += _faults(variant, data.test, outputs, limits)
    base = decide(*run_split(fp32, deciding, classes, limits.provider))
    if deciding is not data.test:
        outputs = run_split(variant.content, deciding, classes, limits.provider, variant.precision)
    decisions = decide(*outputs)
    paired = compare_decisions(deciding.labels, base, decisions)
    variant.reasons += _accuracy_reasons(paired, limits)
    speed = _measure_speed(fp32, variant, data.validation, classes, limits)
    if not speed.interval_95[0] >= limits.min_speedup:
        hint = " (fp16 is for GPUs: see --provider)" if (variant.name, limits.provider) == ("fp16", "cpu") else ""
        variant.reasons.append(
            f"it is not shown to be {limits.min_speedup:g} times as fast as fp32 here{hint}: {_speed_text(speed)}"
        )
    if limits.provider == OPENVINO:
        _compare_with_cpu(variant, fp32, data.validation, classes, limits)
    changes = confusion_difference(deciding.labels, base, decisions, deciding.class_names, deciding.ids)
    variant.report |= {"paired": paired.to_json(), "changes": changes, "speed": speed.to_json()}
    with serving(variant.content, classes, limits.provider, variant.precision) as engine:
        certified = certify_variant(reference, partial(run_in_batches, engine), variant=variant.name)
    for name, logits in certified.outputs.items():
        # It need not give PyTorch's outputs again, but its own.
        certified.splits[name]["repeat"] = _repeat(variant, reference.splits[name].split, logits)
    variant.validation_logits = certified.outputs["validation"]
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
    variant.golden_tolerance = _tolerance(variant, images, logits[:count])
    variant.golden = _golden(test, logits, probabilities, variant.golden_tolerance)
    faults = []
    if variant.precision != "fp32" and variant.golden_tolerance == 0:
        faults.append(f"it was computed in fp32: OpenVINO does not take {variant.precision} here")
    if not np.abs(probabilities.sum(axis=1) - 1).max() <= _PROBABILITY_TOLERANCE:
        faults.append("its probabilities do not sum to 1")
    for size in _BATCH_SIZES:
        with serving(variant.content, logits.shape[1], limits.provider, variant.precision) as engine:
            error = float(
                np.abs(engine.run(images[:CPU_MICRO_BATCH], micro_batch=size)[0] - logits[:CPU_MICRO_BATCH]).max()
            )
        if not error <= variant.golden_tolerance:
            faults.append(f"in batches of {size} its logits differ by {error:.3g}")
    return faults


def _tolerance(variant: LossyVariant, images: Uint8Array, logits: Float32Array) -> float:
    elsewhere = float(np.abs(run_unfused(variant.content, images) - logits).max())
    if variant.precision != "fp32":
        # Here that is its error against float32. Another machine's may go the other way, and no further.
        return _PRECISION_MULTIPLE * elsewhere
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
        text += " (--certify-data names more)"
    return [text]


def _compare_with_cpu(variant: LossyVariant, fp32: bytes, validation: Split, classes: int, limits: LossyLimits) -> None:
    # Whoever doesn't ask for OpenVINO runs fp32 on ONNX Runtime's own kernels, which may be the faster ones.
    speed = _measure_speed(fp32, variant, validation, classes, limits, base_provider="cpu")
    variant.report["speed_against_cpu"] = speed.to_json()
    if not speed.interval_95[0] >= limits.min_speedup:
        variant.reasons.append(
            f"it is not shown to be {limits.min_speedup:g} times as fast as fp32 on cpu: {_speed_text(speed)}"
        )


def _measure_speed(
    fp32: bytes,
    variant: LossyVariant,
    validation: Split,
    classes: int,
    limits: LossyLimits,
    *,
    base_provider: str | None = None,
) -> SpeedComparison:
    images = np.ascontiguousarray(next(validation.batches(_SPEED_IMAGES)))
    place = base_provider or limits.provider
    with (
        serving(fp32, classes, place) as base,
        serving(fp32, classes, place) as again,
        serving(variant.content, classes, limits.provider, variant.precision) as engine,
    ):
        return compare_speed(base, again, engine, images)


def _line(variant: LossyVariant, paired: PairedComparison, speed: SpeedComparison) -> str:
    note = [variant.note] if variant.note else []
    if not variant.accepted:
        return f"{variant.name}: not shipped: {'; '.join([*variant.reasons, *note])}"
    return "; ".join([f"{variant.name}: accuracy {_paired_text(paired)}", _speed_text(speed), *note])


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
