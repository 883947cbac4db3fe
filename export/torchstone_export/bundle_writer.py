"""What lies beside the model files in a bundle: golden samples, certificate, model card, manifest."""

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from torchstone_export.certificate_summary import summarize
from torchstone_export.certify import VariantCertificate, certificate_json
from torchstone_export.golden import choose_golden, golden_tolerance
from torchstone_export.model import TrainedModel
from torchstone_export.model_card import render_model_card
from torchstone_export.reference import Reference
from torchstone_runtime.manifest import MANIFEST_FILE, FileEntry, Manifest

FILE_NAMES: Final = {"fp32": "model.onnx", "torchscript": "model.torchscript.pt"}
_PACKAGES: Final = ("torchstone", "torch", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy")


def write_descriptions(
    folder: Path,
    variants: list[str],
    model: TrainedModel,
    reference: Reference,
    certificates: dict[str, VariantCertificate],
) -> None:
    """Write everything but the model files, the manifest last.

    Args:
        folder: holds the model files of `variants` already.
        variants: names of `FILE_NAMES`.
        model: that was exported.
        reference: its outputs.
        certificates: by variant; all passed.
    """
    tolerance = golden_tolerance(reference)
    certificate = certificate_json(reference, certificates)
    summary = summarize(reference, certificates)
    metrics = {name: part["metrics"] for name, part in certificates["fp32"].splits.items()}
    files = {name: FILE_NAMES[name] for name in variants}
    others = {
        "golden": ("golden.npz", choose_golden(model.module, reference.splits["test"], tolerance).to_bytes()),
        "certificate": ("certificate.json", _json_bytes(certificate)),
        "model_card": ("README.md", render_model_card(model, metrics, summary, files).encode()),
    }
    for file, content in others.values():
        (folder / file).write_bytes(content)
    manifest = Manifest(
        name=model.name,
        class_names=model.class_names,
        input_spec=model.spec,
        temperature=model.module.temperature,
        default_variant="fp32",
        variants={name: _entry(folder, file) for name, file in files.items()},
        files={purpose: _entry(folder, file) for purpose, (file, _) in others.items()},
        golden_tolerance=tolerance,
        provenance=model.provenance | {"export_versions": _export_versions()},
        metrics=metrics,
        certificate={
            "passed": certificate["passed"],
            "noise_floor": reference.noise_floor,
            "summary": summary,
        },
    )
    (folder / MANIFEST_FILE).write_bytes(_json_bytes(manifest.to_json()))


def _export_versions() -> dict[str, str]:
    known = {item.name for item in metadata.distributions()}
    return {name: metadata.version(name) for name in _PACKAGES if name in known}


def _entry(folder: Path, file: str) -> FileEntry:
    content = (folder / file).read_bytes()
    return FileEntry(file, hashlib.sha256(content).hexdigest(), len(content))


def _json_bytes(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
