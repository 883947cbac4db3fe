"""Whether a lossy variant's trade pays: accuracy, speed and repeatability, each measured."""

from functools import partial
from typing import Any, Final

import numpy as np

from torchstone_export.certificate.certify import certify_variant
from torchstone_export.certificate.golden import safe_samples
from torchstone_export.certificate.reference import Reference
from torchstone_export.certificate.runners import run_in_batches
from torchstone_export.certificate.summary import bound_line
from torchstone_export.lossy.lossy_variant import LossyLimits, LossyVariant
from torchstone_export.lossy.own_data import OwnData
from torchstone_export.lossy.production_run import run_split, run_unfused, serving
from torchstone_export.lossy.speed import SpeedComparison, compare_speed
from torchstone_export.lossy.verdict_text import paired_text, points, speed_text, summary_line
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.certificate.record import CertifiedSplit
from torchstone_runtime.data.split import Split
from torchstone_runtime.inference.engine import CPU_MICRO_BATCH, Outputs
from torchstone_runtime.metrics.answered import decide
from torchstone_runtime.metrics.paired import PairedComparison, compare_decisions, confusion_difference, score_interval
from torchstone_runtime.system.openvino import OPENVINO
from torchstone_train.data.training_data import TrainingData

_GOLDEN_MULTIPLE: Final = 4.0
"""Accepted logit difference of a replay, as a multiple of the difference between ONNX Runtime's fused kernels and the
same file run node by node, which rounds at other places: so much an honest other machine may differ."""
_PRECISION_MULTIPLE: Final = 2.0
_UNFUSED_IMAGES: Final = 512
_SPEED_IMAGES: Final = 2048
_PROBABILITY_TOLERANCE: Final = 1e-5
_BATCH_SIZES: Final = (1, 7)


def judge_variant(
    variant: LossyVariant,
    fp32: bytes,
    data: TrainingData,
    reference: Reference,
    limits: LossyLimits,
    own: OwnData,
) -> None:
    """Measure a variant that was built, and note in it what was found and the reasons against it.

    Args:
        variant: the variant, with its file.
        fp32: the certified float file.
        data: data of the model; the speed is measured on validation images.
        reference: the PyTorch model's outputs over validation and test.
        limits: limits that the variant must keep to.
        own: images that decide on the accuracy.
    """
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
            f"it is not shown to be {limits.min_speedup:g} times as fast as fp32 here{hint}: {speed_text(speed)}"
        )
    if limits.provider == OPENVINO:
        _compare_with_cpu(variant, fp32, data.validation, classes, limits)
    changes = confusion_difference(deciding.labels, base, decisions, deciding.class_names, deciding.ids)
    variant.report |= {"paired": paired.to_json(), "changes": changes, "speed": speed.to_json()}
    with serving(variant.content, classes, limits.provider, variant.precision) as engine:
        certified = certify_variant(reference, partial(run_in_batches, engine), variant=variant.name)
    certified.chosen_by = ("validation",) if variant.name == "int8" else ()
    for name, logits in certified.outputs.items():
        # It need not give PyTorch's outputs again, but its own.
        certified.splits[name]["repeat"] = _repeat(variant, reference.splits[name].split, logits)
    variant.validation_logits = certified.outputs["validation"]
    variant.certificate = certified.to_json() | {"passed": not variant.reasons, "failures": variant.reasons}
    variant.line = summary_line(variant, paired, speed)
    variant.bound_line = bound_line(variant.name, certified.unbiased, reference.owner)


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
    text = f"its accuracy is not shown to be within {points(limits.max_accuracy_drop)} of fp32's: {paired_text(paired)}"
    best = score_interval(0, 0, paired.samples)[0]
    if best <= -limits.max_accuracy_drop:
        text += f"; {paired.samples:,} test images can show no less than {points(-best)}, even without one change"
        text += " (--certify-data names more)"
    return [text]


def _compare_with_cpu(variant: LossyVariant, fp32: bytes, validation: Split, classes: int, limits: LossyLimits) -> None:
    # Whoever doesn't ask for OpenVINO runs fp32 on ONNX Runtime's own kernels, which may be the faster ones.
    speed = _measure_speed(fp32, variant, validation, classes, limits, base_provider="cpu")
    variant.report["speed_against_cpu"] = speed.to_json()
    if not speed.interval_95[0] >= limits.min_speedup:
        variant.reasons.append(
            f"it is not shown to be {limits.min_speedup:g} times as fast as fp32 on cpu: {speed_text(speed)}"
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
