"""Variants that trade accuracy for speed, and whether the trade pays: decided by measurement, else not shipped."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torchstone_export.cascade import cascade_file
from torchstone_export.certificate.reference import Reference
from torchstone_export.formats.graph import requirements
from torchstone_export.lossy.fp16_file import to_fp16
from torchstone_export.lossy.int8_search import Int8Choice, calibration_sample, choose_int8
from torchstone_export.lossy.judge import judge_variant
from torchstone_export.lossy.lossy_variant import LossyLimits, LossyVariant
from torchstone_export.lossy.own_data import OwnData
from torchstone_runtime.errors import ProviderError, first_line
from torchstone_runtime.progress import stage
from torchstone_runtime.system.cpu import BF16_FEATURES, REPORTED, cpu_features, missing_features
from torchstone_runtime.system.openvino import OPENVINO
from torchstone_train.data.training_data import TrainingData

__all__ = ["LossyLimits", "LossyVariant", "make_lossy"]


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
            judge_variant(variant, fp32, data, reference, limits, own)
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
        named = list(zip(("fast", "accurate"), built, strict=True))
        variant.report |= {name: report for name, (_, report, _) in named if report}
        variant.note = "; ".join(f"{name} model: {note}" for name, (_, _, note) in named if note)
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
