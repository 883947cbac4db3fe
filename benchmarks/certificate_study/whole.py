"""The whole certificate on the study's files, as an export runs it: honest ones, and ones with faults put in."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.certificate_study.exports import Case, load_splits
from benchmarks.certificate_study.handmade_networks import LARGE, NETWORKS
from benchmarks.places import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from helpers.file_faults import FILE_FAULTS
from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_export.certificate.runners import certify_files

_SAMPLES: Final = 150
BY_HAND: Final = "by hand, large"
NORM: Final = "group, instance norm"
OTHER: Final = "other"
KINDS: Final = (BY_HAND, NORM, OTHER)


def reference_of(case: Case, folder: Path, samples: int | None = None) -> Reference:
    """Return what PyTorch made of a case, from its files; of the first `samples` of each split."""
    splits = load_splits(case)
    with np.load(folder / "outputs.npz") as arrays:
        exact, pytorch, in_a_row = arrays["exact"], arrays["pytorch"], arrays["in_a_row"]
    parts, start = {}, 0
    for name in ("validation", "test"):
        whole = splits[name]
        count = min(samples or len(whole), len(whole))
        rows = slice(start, start + count)
        split = whole.select(np.arange(count), name)
        parts[name] = SplitReference(split, pytorch[rows], exact[rows], in_a_row[rows])
        start += len(whole)
    return Reference(parts)


def kind_of(case: Case) -> str:
    """Return which part of the report a case is of; all are held to the same limits."""
    if case.family.startswith(("group-norm", "instance-norm")):
        return NORM
    return BY_HAND if case.family.removeprefix("fresh ") in NETWORKS | LARGE else OTHER


def check_honest(case: Case, folder: Path) -> list[str]:
    """Return what the certificate finds against the files of a case; kept in the folder."""
    target = folder / "honest.json"
    if not target.exists():
        files = {"fp32": "model.onnx", "torchscript": "model.torchscript.pt"}
        contents = {name: (folder / file).read_bytes() for name, file in files.items()}
        certificates = certify_files(contents, reference_of(case, folder))
        failures = [f"{name}: {text}" for name, item in certificates.items() for text in item.failures]
        batches = {name: item.batches for name, item in certificates.items()}
        target.write_text(json.dumps({"failures": failures, "batches": batches}))
    return list(json.loads(target.read_text())["failures"])


def check_faulty(case: Case, folder: Path) -> dict[str, list[str]]:
    """Return what the certificate finds against each faulty file made of a case; kept in the folder."""
    target = folder / "file_faults.json"
    if not target.exists():
        reference = reference_of(case, folder, _SAMPLES)
        right = (folder / "model.onnx").read_bytes()
        found: dict[str, Any] = {}
        for name, fault in FILE_FAULTS.items():
            found[name] = certify_files({"fp32": fault(right)}, reference)["fp32"].failures
        target.write_text(json.dumps(found))
    return dict(json.loads(target.read_text()))
