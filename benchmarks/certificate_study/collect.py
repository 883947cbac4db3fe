"""How often the certificate refuses an honest export, and how often it misses a fault.

Run: TORCHSTONE_DATA=... OMP_NUM_THREADS=1 nice python -m benchmarks.certificate_study.collect collect --work FOLDER
     python -m benchmarks.certificate_study.collect report --work FOLDER

`collect` makes one honest export after the other and keeps what it made: it can be stopped and started again.
`faults` and `files` put faults into those exports, `honest` runs the whole certificate on them.
`report` derives every figure from what is there and writes benchmarks/results/PAGE.{md,json} (`--into PAGE`).
"""

import argparse
import time
import traceback
from pathlib import Path

from benchmarks.certificate_study.exports import all_cases, collect
from benchmarks.certificate_study.faults import collect_faults
from benchmarks.certificate_study.figures import figures
from benchmarks.certificate_study.page import write
from benchmarks.certificate_study.whole import KINDS, check_faulty, check_honest, kind_of


def collect_all(work: Path, dataset: str | None, *, backwards: bool) -> None:
    """Make every export that is not there yet; two processes can share the work from both ends."""
    cases = all_cases()[::-1] if backwards else all_cases()
    for number, case in enumerate(cases, 1):
        folder = work / case.key
        if (folder / "case.json").exists() or dataset not in (None, case.dataset):
            continue
        try:
            record = collect(case, folder)
        except Exception:  # noqa: BLE001 - one export that fails is a finding, and no reason to lose the others
            (work / f"{case.key}.failed").write_text(traceback.format_exc())
            print(f"{number}: {case.key} FAILED", flush=True)
            continue
        print(
            f"{time.strftime('%H:%M:%S')} {number}: {case.key} {[round(s, 1) for s in record['seconds']]}", flush=True
        )


def collect_all_faults(work: Path, seed: int, dataset: str | None) -> None:
    """Put faults into the exports of one seed, those of networks with long sums first."""
    cases = [case for case in all_cases() if case.seed == seed and dataset in (None, case.dataset)]
    cases.sort(key=lambda case: KINDS.index(kind_of(case)))
    for case in cases:
        folder = work / case.key
        if not (folder / "case.json").exists():
            continue
        collect_faults(case, folder)
        print(f"{time.strftime('%H:%M:%S')} faults: {case.key}", flush=True)


def check_all(work: Path, *, faulty: bool) -> None:
    """Run the whole certificate on the files of every export that is there."""
    for case in all_cases():
        folder = work / case.key
        if not (folder / "case.json").exists():
            continue
        found: object = check_faulty(case, folder) if faulty else check_honest(case, folder)
        print(f"{time.strftime('%H:%M:%S')} {case.key}: {found}", flush=True)


def main() -> None:
    """Collect or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("collect", "faults", "honest", "files", "report"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--into", default="certificate-rates", metavar="PAGE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backwards", action="store_true")
    parser.add_argument("--dataset", choices=("digits", "fashion"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.what == "collect":
        collect_all(arguments.work, arguments.dataset, backwards=arguments.backwards)
    elif arguments.what == "faults":
        collect_all_faults(arguments.work, arguments.seed, arguments.dataset)
    elif arguments.what in ("honest", "files"):
        check_all(arguments.work, faulty=arguments.what == "files")
    else:
        write(figures(arguments.work), arguments.into)


if __name__ == "__main__":
    main()
