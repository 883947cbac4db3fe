"""Torchstone's certificate beside torch.onnx's verify=True, Optimum's check and Polygraphy's, on the same faulty files.

Run: pip install --group bench-trust --constraint constraints.txt, then
     TORCHSTONE_DATA=... OMP_NUM_THREADS=1 nice python -m benchmarks.checks_study.compare faulty --work FOLDER
     likewise with `honest`, and in the end with `report`

`faulty` checks honest and faulty files of a few models, `honest` one honest file each of many more. Both keep what
they found and can be stopped and started again.
`report` writes benchmarks/results/check-comparison.{md,json}.
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.checks_study.faults import HONEST, FaultyFile, faulty_files, judge, outputs
from benchmarks.checks_study.figures import figures, read
from benchmarks.checks_study.models import (
    MODELS,
    SCALES,
    SEEDS,
    Subject,
    make_long_subject,
    make_scaled_subject,
    make_subject,
    make_zoo_subject,
    zoo_families,
)
from benchmarks.checks_study.page import write
from benchmarks.checks_study.peers import CHECKS, REAL_BATCH, Given, expected_outputs, export_verified
from helpers.faults import NotApplicable  # from tests/, put on the path by check_faults
from torchstone_export.certificate.reference import make_reference

_OURS = (AttributeError, ImportError, NameError, TypeError)
"""Raised by a mistake of this benchmark, and no finding of a check."""


def collect(subject: Subject, target: Path) -> None:
    """Run all checks on the honest file of a subject and, if it has an earlier state, on all faulty ones.

    What was found is added to `target` file by file, one JSON object a line; what is there already is not repeated.
    """
    reference = make_reference(subject.model, subject.splits)
    parts = reference.splits.values()
    images = np.concatenate([np.ascontiguousarray(next(part.split.batches(len(part.split)))) for part in parts])
    example = np.random.RandomState(0).randint(0, 256, (2, *images.shape[1:])).astype(np.uint8)
    content, program, verify = export_verified(subject.model, example)
    starts = range(0, len(images), REAL_BATCH)
    expected = [expected_outputs(subject.model, images[start : start + REAL_BATCH]) for start in starts]
    given = Given(subject.model, program, reference, images, expected)
    files = [FaultyFile(HONEST, HONEST, lambda: (content, verify))]
    if subject.earlier is not None:
        files += faulty_files(subject, given, content, verify)
    about = {
        "model": subject.name,
        "seed": subject.seed,
        "accuracy": float(np.mean([(part.decisions == part.split.labels).mean() for part in parts])),
        "noise_floor": reference.noise_floor,
    }
    right = outputs(content, given)
    done = _done(target)
    for file in files:
        if file.fault in done:
            continue
        with target.open("a") as stream:
            stream.write(json.dumps(about | check_file(given, right, file)) + "\n")


def _done(target: Path) -> set[str]:
    return {json.loads(line)["fault"] for line in target.read_text().splitlines()} if target.exists() else set()


def check_file(given: Given, right: list[tuple[Any, Any]], file: FaultyFile) -> dict[str, Any]:
    """Return what a file does and what each check says of it, with the seconds that it took."""
    try:
        content, verify = file.make()
    except (NotApplicable, RuntimeError):
        # No place for the fault, or the export itself fails, which no check is needed to see.
        return {"fault": file.fault, "where": "none"}
    complaints, seconds = {"torch verify=True": verify[:160]}, {}
    for name, check in CHECKS.items():
        start = time.perf_counter()
        with _silent():
            try:
                complaint = check(given, content)
            except _OURS:
                raise
            except Exception as error:  # noqa: BLE001 - this is how these checks refuse
                complaint = f"{type(error).__name__}: {error}"
        seconds[name] = time.perf_counter() - start
        complaints[name] = " ".join(complaint.split())[:160]
    truth = judge(given, right, content)
    return {"fault": file.fault, "where": file.where, "truth": truth, "complaints": complaints, "seconds": seconds}


@contextmanager
def _silent() -> Iterator[None]:
    # ONNX Runtime's C++ side writes every refusal to the descriptor itself.
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    sys.stderr.flush()
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def collect_all(work: Path, *, honest: bool) -> None:
    """Collect what is not there yet, model by model."""
    trained: list[tuple[Callable[[], Subject], str]] = [
        (partial(make_subject, name, seed), f"{name}--{seed}") for seed in range(SEEDS) for name in MODELS
    ]
    trained[3:3] = [(partial(make_scaled_subject, factor), f"scaled--{factor:g}") for factor in SCALES]
    zoo: list[tuple[Callable[[], Subject], str]] = [
        (partial(make_zoo_subject, family), f"zoo--{family}") for family in zoo_families()
    ]
    zoo[8:8] = [(partial(make_long_subject, name), f"long--{name}") for name in MODELS]
    for make, key in zoo if honest else trained:
        target = work / f"{key.replace(' ', '_').replace(',', '')}.jsonl"
        if target.with_suffix(".done").exists():
            continue
        collect(make(), target)
        target.with_suffix(".done").touch()
        print(f"{time.strftime('%H:%M:%S')} {key}", flush=True)


def main() -> None:
    """Collect or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("faulty", "honest", "report"))
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.what == "report":
        write(figures(read(arguments.work)))
    else:
        collect_all(arguments.work, honest=arguments.what == "honest")


if __name__ == "__main__":
    main()
