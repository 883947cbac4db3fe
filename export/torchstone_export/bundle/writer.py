"""What lies beside the model files in a bundle: golden samples, certificate, model card, manifest."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from torchstone_export.bundle.certified_export import CertifiedExport
from torchstone_export.bundle.headline import headline_metrics
from torchstone_export.bundle.model_card import render_model_card
from torchstone_export.bundle.validation_statistics import validation_statistics
from torchstone_export.certificate.golden import choose_golden, golden_tolerance, golden_tolerances
from torchstone_export.certificate.reference import Reference
from torchstone_export.lossy.lossy_variant import LossyVariant
from torchstone_runtime.bundle.manifest import MANIFEST_FILE, FileEntry, Manifest
from torchstone_runtime.data.certified_sample import KEY
from torchstone_runtime.images.background import BackgroundRange
from torchstone_runtime.inference.statistics_source import PURPOSE
from torchstone_runtime.inference.validation_statistics import FILE_NAME
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


def write_descriptions(folder: Path, certified: CertifiedExport, *, default_variant: str = "fp32") -> None:
    """Write everything but the model files, the manifest last.

    Args:
        folder: holds the model files of the shipped variants already.
        certified: certified of the export.
        default_variant: the bundle's, if it is there.
    """
    documents = _documents(certified)
    for file, content in documents.values():
        (folder / file).write_bytes(content)
    files = {purpose: _entry(folder, file) for purpose, (file, _) in documents.items()}
    manifest = _manifest(folder, certified, files, default_variant)
    (folder / MANIFEST_FILE).write_bytes(_json_bytes(manifest.to_json()))


def _documents(certified: CertifiedExport) -> dict[str, tuple[str, bytes]]:
    """Return name and content of each file beside the models and the manifest, by its purpose."""
    reference, accepted = certified.reference, certified.accepted
    golden = choose_golden(certified.model.module, reference.splits["test"], golden_tolerance(reference))
    own_golden = {name: item.golden for name, item in accepted.items() if item.golden is not None}
    documents = {
        "golden": ("golden.npz", golden.to_bytes(own_golden)),
        "certificate": ("certificate.json", _json_bytes(certified.certificate())),
        "model_card": ("README.md", _model_card(certified, BackgroundRange.of(golden.images)).encode()),
    }
    statistics = validation_statistics(reference, accepted.values())
    return documents if statistics is None else {**documents, PURPOSE: (FILE_NAME, statistics)}


def _model_card(certified: CertifiedExport, background: BackgroundRange) -> str:
    files = {name: FILE_NAMES[name] for name in certified.variants}
    return render_model_card(
        *(certified.model, certified.metrics, certified.summary(), files, certified.calibration, background),
        sample=certified.reference.sample,
    )


def _manifest(folder: Path, certified: CertifiedExport, files: dict[str, FileEntry], default_variant: str) -> Manifest:
    model, reference, names = certified.model, certified.reference, certified.variants
    return Manifest(
        name=model.name,
        class_names=model.class_names,
        input_spec=model.spec,
        temperature=model.module.temperature,
        default_variant=default_variant if default_variant in names else "fp32",
        variants={name: _variant_entry(folder, name, certified.accepted.get(name), reference) for name in names},
        files=files,
        golden_tolerance=golden_tolerance(reference),
        provenance=model.provenance | {"export_versions": _export_versions()},
        metrics={name: headline_metrics(part, model.class_names) for name, part in certified.metrics.items()},
        certificate={
            "passed": all(not item.failures for item in certified.certificates.values()),
            "noise_floor": reference.noise_floor,
            "summary": certified.summary(),
            **({KEY: dict(reference.sample)} if reference.sample else {}),
        },
    )


def _export_versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


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
