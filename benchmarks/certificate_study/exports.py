"""Honest exports for the certificate's study: trained a little on real data, exported, and run by several engines."""

import json
import os
import time
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from benchmarks.certificate_study.networks import FAMILIES, Family
from torchstone_export.certificate.reference import Reference, make_reference
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.formats.torchscript_file import TorchScriptRunner, export_torchscript
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.mnist_family import FASHION_MNIST, load_mnist_part
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.architectures import ModelShape
from torchstone_train.networks.image_classifier import ImageClassifier

CLASSES = tuple("0123456789")
LEVELS = {
    "onnxruntime": "ORT_ENABLE_ALL",
    "onnxruntime, basic": "ORT_ENABLE_BASIC",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One export of the study: a family of networks, a dataset and a seed."""

    family: str
    dataset: str
    seed: int

    @property
    def key(self) -> str:
        """A name for a folder."""
        return f"{self.family}--{self.dataset}--{self.seed}".replace(" ", "_")


def all_cases() -> list[Case]:
    """Return every case, the families interleaved, so that a study cut short still covers all of them."""
    rounds = range(max(family.seeds for family in FAMILIES.values()))
    return [
        Case(name, dataset, seed)
        for seed in rounds
        for dataset in ("digits", "fashion")
        for name, family in FAMILIES.items()
        if seed < family.seeds
    ]


def load_splits(case: Case) -> dict[str, Split]:
    """Return train, validation and test of a case, as its family takes them."""
    family = FAMILIES[case.family]
    images, labels = _pixels(case.dataset)
    chosen = np.random.RandomState(1000 + case.seed).permutation(len(images))
    first, second = samples_of(case)
    bounds = {"validation": chosen[:first], "test": chosen[first:second], "train": chosen[1000:]}
    return {name: _split(name, images[where], labels[where], family) for name, where in bounds.items()}


def samples_of(case: Case) -> tuple[int, int]:
    """Return how many samples validation has, and validation and test together."""
    family = FAMILIES[case.family]
    if family.side > 64:
        return 40, 120
    # Later seeds are there for the variety of exports: fewer samples each let the study get through more of them.
    return (300, 1000) if case.seed == 0 and family.seeds > 1 else (150, 500)


def make_model(case: Case, train: Split) -> ExportableClassifier:
    """Build and briefly train the model of a case."""
    family = FAMILIES[case.family]
    torch.manual_seed(zlib.crc32(case.key.encode()))
    shape = ModelShape(3 if family.color == "RGB" else 1, family.side, family.side, len(CLASSES))
    classifier = ImageClassifier(family.build(shape), spec_of(family))
    optimizer = torch.optim.Adam(classifier.parameters(), 1e-3)
    for step in range(family.steps):
        where = np.random.RandomState(step).permutation(len(train))[:64]
        inputs = torch.from_numpy(np.ascontiguousarray(train.store.read(where)))
        loss = torch.nn.functional.cross_entropy(classifier(inputs), torch.from_numpy(train.labels[where]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return ExportableClassifier(classifier).eval()


def spec_of(family: Family) -> InputSpec:
    """Return what a family takes."""
    planes = 3 if family.color == "RGB" else 1
    means, stds = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if planes == 3 else ((0.286,), (0.353,))
    return InputSpec(color=family.color, height=family.side, width=family.side, mean=means, std=stds)


def collect(case: Case, folder: Path) -> dict[str, Any]:
    """Export a case, run it everywhere, and leave model, files and outputs in `folder`."""
    start = time.monotonic()
    splits = load_splits(case)
    model = make_model(case, splits.pop("train"))
    trained = time.monotonic()
    content = export_onnx(model, "study", CLASSES, spec_of(FAMILIES[case.family]))
    script = export_torchscript(model, spec_of(FAMILIES[case.family]))
    exported = time.monotonic()
    reference = make_reference(model, splits)
    arrays = outputs_of(content, script, reference)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / "weights.pt")
    (folder / "model.onnx").write_bytes(content)
    (folder / "model.torchscript.pt").write_bytes(script)
    np.savez(folder / "outputs.npz", **arrays)
    seconds = [trained - start, exported - trained, time.monotonic() - exported]
    record: dict[str, Any] = {"family": case.family, "dataset": case.dataset, "seed": case.seed, "seconds": seconds}
    record["longest_sum"] = reference.longest_sum
    (folder / "case.json").write_text(json.dumps(record))
    return record


def outputs_of(content: bytes, script: bytes, reference: Reference) -> dict[str, Any]:
    """Return the logits over both splits in a row: `exact`, `pytorch` and one array an engine."""
    parts = list(reference.splits.values())
    images = np.concatenate([np.ascontiguousarray(next(part.split.batches(len(part.split)))) for part in parts])
    arrays: dict[str, Any] = {
        "labels": np.concatenate([part.split.labels for part in parts]),
        "exact": np.concatenate([part.exact for part in parts]),
        "pytorch": np.concatenate([part.logits for part in parts]),
        "in_a_row": np.concatenate([part.logits if part.in_a_row is None else part.in_a_row for part in parts]),
        "torchscript": _tiles(lambda tile: TorchScriptRunner(script).run(tile)[0], images, 350),
    }
    for name, level in LEVELS.items():
        session = _session(content, level)
        arrays[name] = _tiles(lambda tile, s=session: s.run(["logits"], {"images": tile})[0], images, 64)
    arrays |= _openvino(content, images)
    return arrays


def _tiles(run: Any, images: Uint8Array, size: int) -> Any:  # noqa: ANN401
    return np.concatenate([run(images[start : start + size]) for start in range(0, len(images), size)])


def _session(content: bytes, level: str) -> Any:  # noqa: ANN401
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _openvino(content: bytes, images: Uint8Array) -> dict[str, Any]:
    try:
        import openvino  # noqa: PLC0415 - another engine of other kernels, where somebody installed it
    except ImportError:
        return {}
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(content), "CPU", settings)
    return {"openvino": _tiles(lambda tile: compiled([tile])["logits"].copy(), images, 100)}


@cache
def _pixels(dataset: str) -> tuple[Uint8Array, Any]:
    if dataset == "digits":
        whole = load_digits()
    else:
        whole = load_mnist_part(FASHION_MNIST, Path(os.environ["TORCHSTONE_DATA"]), "train")
    images = np.ascontiguousarray(whole.store.read(np.arange(min(3000, len(whole)))))
    return images, whole.labels[:3000]


def _split(name: str, images: Uint8Array, labels: Any, family: Family) -> Split:  # noqa: ANN401
    margin = (family.side - 28) // 2
    padded = np.pad(images, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    colored = np.repeat(padded, 3, axis=1) if family.color == "RGB" else padded
    ids = [str(index) for index in range(len(labels))]
    return Split(name, ArrayStore(np.ascontiguousarray(colored)), labels, CLASSES, ids)
