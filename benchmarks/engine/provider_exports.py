"""Honest exports for the measurement of an execution provider, which may run in an environment without PyTorch.

Run: TORCHSTONE_DATA=... OMP_NUM_THREADS=1 nice python -m benchmarks.engine.provider_exports --work FOLDER [--count 60]

The networks, their short training and the data are those of the certificate's study, its families taken in turns. Each
export gets a folder: `model.onnx`, the images of both splits, the float64 logits, and how far PyTorch's own float32 is
from them. It can be stopped and started again. `benchmarks.engine.provider_errors` measures what is there.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.certificate_study.exports import CLASSES, Case, all_cases, load_splits, make_model, spec_of
from benchmarks.certificate_study.networks import FAMILIES
from torchstone_export.certificate.reference import make_reference
from torchstone_export.formats.onnx_file import export_onnx

_LARGEST_SIDE = 64


def write_export(case: Case, folder: Path) -> None:
    """Train a case briefly, export it, and write what it must give."""
    splits = load_splits(case)
    model = make_model(case, splits.pop("train"))
    content = export_onnx(model, "study", CLASSES, spec_of(FAMILIES[case.family]))
    reference = make_reference(model, splits)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    parts = list(reference.splits.values())
    images = [np.ascontiguousarray(part.split.store.read(np.arange(len(part.split)))) for part in parts]
    np.savez_compressed(
        folder / "expected.npz", images=np.concatenate(images), exact=np.concatenate([part.exact for part in parts])
    )
    record = {
        "family": case.family,
        "dataset": case.dataset,
        "seed": case.seed,
        "noise_floor": reference.noise_floor,
        "rms_floor": max(reference.rms_floor(part) for part in parts),
    }
    (folder / "case.json").write_text(json.dumps(record))


def main() -> None:
    """Write the exports that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60)
    arguments = parser.parse_args()
    cases = [case for case in all_cases() if FAMILIES[case.family].side <= _LARGEST_SIDE][: arguments.count]
    for number, case in enumerate(cases, 1):
        folder = arguments.work / case.key
        if not (folder / "case.json").exists():
            started = time.monotonic()
            write_export(case, folder)
            print(f"{number} of {len(cases)}: {case.key} {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
