"""What lies beside the model files in a bundle: golden samples, certificate, model card, manifest."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from torchstone_export.bundle.headline import headline_metrics
from torchstone_export.bundle.model_card import render_model_card
from torchstone_export.bundle.validation_statistics import validation_statistics
from torchstone_export.certificate.calibration import Calibration
from torchstone_export.certificate.certify import VariantCertificate, certificate_json
from torchstone_export.certificate.golden import choose_golden, golden_tolerance, golden_tolerances
from torchstone_export.certificate.reference import Reference
from torchstone_export.certificate.summary import summarize
from torchstone_export.lossy.variant import LossyVariant
from torchstone_export.model import TrainedModel
from torchstone_runtime.bundle.manifest import MANIFEST_FILE, FileEntry, Manifest
from torchstone_runtime.data.certified_sample import KEY
from torchstone_runtime.images.background import BackgroundRange
from torchstone_runtime.inference.validation_statistics import FILE_NAME, PURPOSE
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.openvino import OPENVINO

FILE_NAMES: Final = {
    "fp32": "model.onnx",
    "int8": "model.int8.onnx",
    "fp16": "model.fp16.onnx",
    "bf16": "model.onnx",  # the same file, computed in another precision
    "torchscript": "model.torchscript.pt",
}
_PACKAGES: Final = (
    "torchstone",
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "numpy",
)


def write_descriptions(
    folder: Path,
    variants: list[str],
    model: TrainedModel,
    reference: Reference,
    certificates: dict[str, VariantCertificate],
    *,
    calibration: Calibration | None = None,
    lossy: Sequence[LossyVariant] = (),
    default_variant: str = "fp32",
) -> None:
    """Write everything but the model files, the manifest last.

    Args:
        folder: holds the model files of `variants` already.
        variants: names of `FILE_NAMES`.
        model: model that was exported.
        reference: its outputs.
        certificates: certificates by variant; all passed.
        calibration: figures on the calibration of the model's probabilities, where it was measured.
        lossy: variants that were asked for; the files of the accepted ones lie in `folder` already.
        default_variant: the bundle's, if it is there.
    """
    accepted = {item.name: item for item in lossy if item.accepted}
    variants = [*variants, *accepted]
    tolerance = golden_tolerance(reference)
    certificate = certificate_json(reference, certificates)
    summary = [*summarize(reference, certificates), *(item.line for item in lossy)]
    summary += [item.bound_line for item in lossy if item.accepted]
    if lossy:
        certificate["lossy"] = {item.name: item.to_json() for item in lossy}
        certificate["variants"] |= {name: item.certificate for name, item in accepted.items()}
    if calibration is not None:
        certificate["calibration"] = calibration.to_json()
        summary.append(calibration.summary())
    metrics = {name: part["metrics"] for name, part in certificates["fp32"].splits.items()}
    headlines = {name: headline_metrics(part, model.class_names) for name, part in metrics.items()}
    files = {name: FILE_NAMES[name] for name in variants}
    golden = choose_golden(model.module, reference.splits["test"], tolerance)
    own_golden = {name: item.golden for name, item in accepted.items() if item.golden is not None}
    card = render_model_card(
        *(model, metrics, summary, files, calibration, BackgroundRange.of(golden.images)), sample=reference.sample
    )
    others = {
        "golden": ("golden.npz", golden.to_bytes(own_golden)),
        "certificate": ("certificate.json", _json_bytes(certificate)),
        "model_card": ("README.md", card.encode()),
    }
    statistics = validation_statistics(reference, accepted.values())
    if statistics is not None:
        others[PURPOSE] = (FILE_NAME, statistics)
    for file, content in others.values():
        (folder / file).write_bytes(content)
    manifest = Manifest(
        name=model.name,
        class_names=model.class_names,
        input_spec=model.spec,
        temperature=model.module.temperature,
        default_variant=default_variant if default_variant in variants else "fp32",
        variants={name: _variant_entry(folder, name, accepted.get(name), reference) for name in files},
        files={purpose: _entry(folder, file) for purpose, (file, _) in others.items()},
        golden_tolerance=tolerance,
        provenance=model.provenance | {"export_versions": _export_versions()},
        metrics=headlines,
        certificate={
            "passed": certificate["passed"],
            "noise_floor": reference.noise_floor,
            "summary": summary,
            **({KEY: dict(reference.sample)} if reference.sample else {}),
        },
    )
    (folder / MANIFEST_FILE).write_bytes(_json_bytes(manifest.to_json()))


def _export_versions() -> dict[str, str]:
    known = {item.name for item in metadata.distributions()}
    return {name: metadata.version(name) for name in _PACKAGES if name in known}


def _entry(folder: Path, file: str) -> FileEntry:
    content = (folder / file).read_bytes()
    return FileEntry(file, hashlib.sha256(content).hexdigest(), len(content))


def _variant_entry(folder: Path, name: str, lossy: LossyVariant | None, reference: Reference) -> FileEntry:
    entry = _entry(folder, FILE_NAMES[name])
    if lossy is None:
        measured = golden_tolerances(reference) if name != "torchscript" else {}
        return replace(entry, golden_tolerances=measured)
    place = (OPENVINO, lossy.precision) if lossy.precision != "fp32" else ("", lossy.precision)
    return replace(
        entry,
        requires_any=lossy.requires_any,
        golden_tolerance=lossy.golden_tolerance,
        provider=place[0],
        precision=place[1],
    )


def _json_bytes(data: dict[str, Any]) -> bytes:
    return (strict_json(data, indent=2, sort_keys=True) + "\n").encode()
