"""Faulty files of a subject, and what each does to its answers, found out without any of the checks."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from benchmarks.checks_study.models import Subject
from benchmarks.checks_study.peers import Given, export_verified
from benchmarks.places import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from helpers.faults import MODEL_FAULTS, other_checkpoint
from helpers.file_faults import FILE_FAULTS, one_weight
from torchstone_export.certificate.split_figures import margins
from torchstone_export.model import ExportableClassifier

AMOUNTS: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Changes of one weight, as shares of the largest of its tensor."""
WEIGHTS: Final = 2
HONEST: Final = "honest"
_IN_THE_FILE_ANYWAY: Final = {
    "missing softmax",
    "wrong temperature (5%)",
    "two labels exchanged",
    "logits clipped",
    "transposed image",
    "a layer's weights in fp16",
}
"""Faults of the model that `FILE_FAULTS` has as well: they give the same file, and need no export of their own."""
_SETTLED: Final = 2.0
"""A decision is settled if its float64 margin is more than this many noise floors; and a file differs from the honest
one if a logit does by more: float32 rounds both anew, so that a difference of one floor says nothing."""
_PROBABILITY: Final = 1e-5
_ALONE: Final = 150


@dataclass(frozen=True, slots=True)
class FaultyFile:
    """A file to be checked.

    Attributes:
        fault: its name.
        where: `model` (exported from a faulty model), `file` (put into the honest file), `weight` (likewise).
        make: gives the ONNX content, and what `verify=True` said when this file was exported.
    """

    fault: str
    where: str
    make: Callable[[], tuple[bytes, str]]


def faulty_files(subject: Subject, given: Given, honest: bytes, verify: str) -> Iterator[FaultyFile]:
    """Yield every fault, those in the model last: each of them is an export of its own."""
    for seed in range(WEIGHTS):
        for amount in AMOUNTS:
            change = partial(one_weight, amount=amount, seed=seed)
            name = f"one weight #{seed} changed by {amount:g}"
            yield FaultyFile(name, "weight", partial(_put_into, change, honest, verify))
    for name, fault in FILE_FAULTS.items():
        if not name.startswith("one weight"):
            yield FaultyFile(name, "file", partial(_put_into, fault, honest, verify))
    faults = {"an older checkpoint": lambda model: other_checkpoint(model, subject.earlier or {}), **MODEL_FAULTS}
    for name, wrong in faults.items():
        if name in _IN_THE_FILE_ANYWAY or not subject.earlier:
            continue
        yield FaultyFile(name, "model", partial(_export_faulty, wrong, subject.model, given))


def _put_into(fault: Callable[[bytes], bytes], honest: bytes, verify: str) -> tuple[bytes, str]:
    return fault(honest), verify


def _export_faulty(
    fault: Callable[[ExportableClassifier], ExportableClassifier], model: ExportableClassifier, given: Given
) -> tuple[bytes, str]:
    content, _, complaints = export_verified(fault(model), given.random_batch)
    return content, complaints


def judge(given: Given, right: list[tuple[Any, Any]], content: bytes) -> dict[str, Any]:
    """Return what a file does on the images, beside the honest file's outputs: `kind`, `size` (noise floors), `flips`.

    `flips`: settled decisions differ from the honest file's, or outputs are not finite. `breaks`: it can't be run at
    some size of the batch. `changes`: logits differ by more than float32's rounding, or probabilities by 1e-5.
    `nothing`: none of these.
    """
    try:
        wrong = outputs(content, given)
    except Exception:  # noqa: BLE001 - whatever ONNX Runtime raises
        return {"kind": "breaks", "size": None, "flips": 0}
    floor = given.reference.noise_floor
    size = max(float(np.abs(a[0] - b[0]).max()) for a, b in zip(wrong, right, strict=True)) / floor
    probability = max(float(np.abs(a[1] - b[1]).max()) for a, b in zip(wrong, right, strict=True))
    exact = np.concatenate([part.exact for part in given.reference.splits.values()])
    settled = margins(exact) > _SETTLED * floor
    flips = int(((wrong[0][0].argmax(axis=1) != exact.argmax(axis=1)) & settled).sum())
    if not np.isfinite(size) or flips:
        return {"kind": "flips", "size": size, "flips": flips}
    kind = "changes" if size > _SETTLED or probability > _PROBABILITY else "nothing"
    return {"kind": kind, "size": size, "flips": 0}


def outputs(content: bytes, given: Given) -> list[tuple[Any, Any]]:
    """Return logits and probabilities of all images in batches, and of some of them alone."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = ["logits", "probabilities"]
    batches = [session.run(names, {"images": batch}) for batch in given.batches]
    alone = [session.run(names, {"images": given.images[i : i + 1]}) for i in range(_ALONE)]
    return [
        (np.concatenate([logits for logits, _ in part]), np.concatenate([rows for _, rows in part]))
        for part in (batches, alone)
    ]
