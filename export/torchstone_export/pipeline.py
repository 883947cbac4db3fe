"""From a run to a published bundle: build the files, prove them, and only then put them in place."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from torchstone_export.certify import (
    Runner,
    VariantCertificate,
    certificate_json,
    certify_variant,
    summarize,
)
from torchstone_export.golden import GOLDEN_MULTIPLE, choose_golden
from torchstone_export.model import TrainedModel, load_trained
from torchstone_export.model_card import render_model_card
from torchstone_export.onnx_file import export_onnx
from torchstone_export.publish import check_target, published_directory
from torchstone_export.reference import Reference, make_reference
from torchstone_export.torchscript_file import TorchScriptRunner, export_torchscript
from torchstone_runtime.bundle import Bundle
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.split import Split
from torchstone_runtime.engine import Engine, Outputs
from torchstone_runtime.errors import CheckFailedError, DataError
from torchstone_runtime.images import Uint8Array
from torchstone_runtime.input_spec import InputSpec
from torchstone_runtime.manifest import MANIFEST_FILE, FileEntry, Manifest
from torchstone_runtime.providers import open_session
from torchstone_train.data import TrainingData, load_training_data
from torchstone_train.recipe import Recipe
from torchstone_train.run_dir import RunDirectory

FILE_NAMES: Final = {"fp32": "model.onnx", "torchscript": "model.torchscript.pt"}
_PACKAGES: Final = ("torchstone", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """What a person asks for.

    Attributes:
        run: the run directory; out: the bundle to write.
        data_dir: where downloaded datasets lie.
        dataset: where the run's data lies now; where it lay when it was trained if None.
        torchscript: whether a TorchScript file is wanted.
    """

    run: Path
    out: Path
    data_dir: Path
    dataset: DatasetRef | None = None
    torchscript: bool = True


@dataclass(frozen=True, slots=True)
class Exported:
    """A published bundle and the summary of its certificate."""

    bundle: Bundle
    summary: list[str]


def export_run(request: ExportRequest) -> Exported:
    """Export a run, verify the exported files over the whole validation and test splits, and publish the bundle.

    Raises:
        DataError: the run or its data is missing, damaged, or not what the run was trained on.
        CheckFailedError: an exported file does not do what the model does; the target is as it was.
        OutputError: the bundle can't be written; the target is as it was.
        UsageError: the target holds something that is no bundle.
    """
    check_target(request.out)
    run = RunDirectory.open(request.run)
    model = load_trained(run)
    splits = load_run_splits(model.info, request.dataset, request.data_dir)
    reference = make_reference(model.module, splits)
    with published_directory(request.out) as folder:
        contents = _build_files(model, torchscript=request.torchscript)
        for name, content in contents.items():
            (folder / FILE_NAMES[name]).write_bytes(content)
        certificates = certify_files(_read_back(folder, list(contents)), model, reference)
        summary = summarize(reference, certificates)
        _require_passed(certificates, request.out)
        _write_rest(folder, list(contents), model, reference, certificates)
        Bundle.open(folder).check_files()
    return Exported(Bundle.open(request.out), summary)


def load_run_splits(info: dict[str, Any], dataset: DatasetRef | None, data_dir: Path) -> dict[str, Split]:
    """Return the validation and test splits of a run.

    Raises:
        DataError: the data is missing or is not what the run was trained on.
    """
    trained = _load_data(info, dataset, data_dir)
    splits = {"validation": trained.validation, "test": trained.test}
    for name, split in splits.items():
        stated = info["dataset"][name]["fingerprint"]
        if split.fingerprint != stated:
            raise DataError(
                f"The {name} split of {dataset or info['dataset']['source']} is not the one of the run: fingerprint "
                f"{split.fingerprint[:16]}…, the run states {stated[:16]}….",
                "Restore the data, or train again on what is there now.",
            )
    return splits


def _load_data(info: dict[str, Any], dataset: DatasetRef | None, data_dir: Path) -> TrainingData:
    ref = dataset or DatasetRef.parse(info["dataset"]["source"])
    return load_training_data(
        ref,
        data_dir,
        Recipe.from_json(info["recipe"]),
        int(info["seed"]),
        spec=InputSpec.from_json(info["input"]),
    )


def certify_files(
    contents: Mapping[str, bytes], model: TrainedModel, reference: Reference
) -> dict[str, VariantCertificate]:
    """Certify model files, run as production and PyTorch will run them.

    Args:
        contents: the bytes of the files, by variant, as they were read back or checked against a manifest.
        model: they were exported from.
        reference: its outputs.
    """
    certificates = {}
    for variant, content in contents.items():
        try:
            runner = _make_runner(variant, content, len(model.class_names))
        except Exception as error:  # noqa: BLE001 - a file that can't be loaded is the finding
            certificates[variant] = VariantCertificate(failures=[f"it cannot be loaded: {error}"])
            continue
        certificates[variant] = certify_variant(reference, runner)
    return certificates


def _read_back(folder: Path, variants: list[str]) -> dict[str, bytes]:
    # What is certified is what lies on the disk, not what was meant to be written.
    return {variant: (folder / FILE_NAMES[variant]).read_bytes() for variant in variants}


def _build_files(model: TrainedModel, *, torchscript: bool) -> dict[str, bytes]:
    contents = {"fp32": export_onnx(model.module, model.recipe.name, model.class_names, model.spec)}
    if torchscript:
        contents["torchscript"] = export_torchscript(model.module, model.spec)
    return contents


def _make_runner(variant: str, content: bytes, num_classes: int) -> Runner:
    if variant == "torchscript":
        return partial(_run_torchscript, TorchScriptRunner(content))
    return partial(_run_onnx, open_session(content, "cpu").session, num_classes)


def _run_torchscript(runner: TorchScriptRunner, images: Uint8Array, batch_size: int) -> Outputs:
    outputs = [runner.run(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
    return np.concatenate([logits for logits, _ in outputs]), np.concatenate([rows for _, rows in outputs])


def _run_onnx(session: Any, num_classes: int, images: Uint8Array, batch_size: int) -> Outputs:  # noqa: ANN401
    engine = Engine(session, num_classes=num_classes, workers=1, tile=batch_size)
    return engine.run(images)


def _require_passed(certificates: dict[str, VariantCertificate], target: Path) -> None:
    failures = [f"{name}: {failure}" for name, item in certificates.items() for failure in item.failures]
    if failures:
        state = "The earlier bundle is as it was" if target.exists() else "Nothing was written"
        raise CheckFailedError(
            "An exported file does not do what the PyTorch model does:\n  " + "\n  ".join(failures),
            f"{state}. Please report this with the model's recipe and the versions of torch and onnxruntime.",
        )


def _write_rest(
    folder: Path,
    variants: list[str],
    model: TrainedModel,
    reference: Reference,
    certificates: dict[str, VariantCertificate],
) -> None:
    tolerance = GOLDEN_MULTIPLE * reference.noise_floor
    golden = choose_golden(model.module, reference.splits["test"], tolerance)
    certificate = certificate_json(reference, certificates)
    summary = summarize(reference, certificates)
    metrics = {name: part["metrics"] for name, part in certificates["fp32"].splits.items()}
    files = {name: FILE_NAMES[name] for name in variants}
    card = render_model_card(model, model.info["dataset"]["kind"], metrics, summary, files)
    others = {
        "golden": ("golden.npz", golden.to_bytes()),
        "certificate": ("certificate.json", _json_bytes(certificate)),
        "model_card": ("README.md", card.encode()),
    }
    for file, content in others.values():
        (folder / file).write_bytes(content)
    manifest = Manifest(
        name=model.recipe.name,
        class_names=model.class_names,
        input_spec=model.spec,
        temperature=model.module.temperature,
        default_variant="fp32",
        variants={name: _entry(folder, file) for name, file in files.items()},
        files={purpose: _entry(folder, file) for purpose, (file, _) in others.items()},
        golden_tolerance=tolerance,
        provenance=_provenance(model),
        metrics=metrics,
        certificate={
            "passed": certificate["passed"],
            "noise_floor": reference.noise_floor,
            "summary": summary,
        },
    )
    (folder / MANIFEST_FILE).write_bytes(_json_bytes(manifest.to_json()))


def _provenance(model: TrainedModel) -> dict[str, Any]:
    info = model.info
    return {
        "recipe": model.recipe.to_json(),
        "seed": info["seed"],
        "dataset": {key: value for key, value in info["dataset"].items() if key != "source"},
        "training": {key: info[key] for key in ("stop_reason", "best_epoch", "epochs_run", "git_commit")}
        | {"device": info["device"]["type"], "versions": info["versions"]},
        "export_versions": {name: metadata.version(name) for name in _installed(_PACKAGES)},
    }


def _installed(packages: tuple[str, ...]) -> list[str]:
    known = {item.name for item in metadata.distributions()}
    return [name for name in (*packages, "onnxruntime-gpu") if name in known]


def _entry(folder: Path, file: str) -> FileEntry:
    content = (folder / file).read_bytes()
    return FileEntry(file, hashlib.sha256(content).hexdigest(), len(content))


def _json_bytes(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
