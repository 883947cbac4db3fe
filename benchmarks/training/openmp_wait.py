"""Training speed with spinning and with sleeping OpenMP threads, alone and beside a second training.

Run: python -m benchmarks.training.openmp_wait [--rounds 3]

Both ways are measured in turn in one run, on the embedded digits. Printed are images/s (median and range over epochs
and trainings) and the ratio of the medians, round by round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

POLICIES = ("ACTIVE", "PASSIVE")
EPOCHS = 4


def images_per_second(policy: str, trainings: int) -> list[float]:
    """Train `trainings` times at once and return the speed of every epoch of each."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder, str(index)) for index in range(trainings)]
        # Left unset, libgomp spins for a while before it sleeps; that is what ACTIVE stands for here.
        environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
        if policy == "PASSIVE":
            environment["OMP_WAIT_POLICY"] = policy
        script = (
            "import sys, torch\n"  # imported first, so that the command's own setting comes too late
            "from torchstone_runtime.cli.main import main\nmain(sys.argv[1:])"
        )
        arguments = ["train", "cnn3", "--dataset", "digits", "--epochs", str(EPOCHS), "--out"]
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script, *arguments, str(run)], env=environment, stderr=-3, stdout=-3
            )
            for run in runs
        ]
        for process in processes:
            assert process.wait() == 0
        lines = [line for run in runs for line in (run / "history.jsonl").read_text().splitlines()]
    return [json.loads(line)["images_per_second"] for line in lines]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    for trainings in (1, 2):
        speeds: dict[str, list[list[float]]] = {policy: [] for policy in POLICIES}
        for _ in range(rounds):
            for policy in POLICIES:
                speeds[policy].append(images_per_second(policy, trainings))
        print(f"{trainings} training(s) at once, {rounds} rounds")
        for policy in POLICIES:
            every = [speed for measured in speeds[policy] for speed in measured]
            print(f"  {policy:<8}{statistics.median(every):7,.0f} images/s ({min(every):,.0f} to {max(every):,.0f})")
        medians = [[statistics.median(measured) for measured in speeds[policy]] for policy in POLICIES]
        ratios = sorted(passive / active for active, passive in zip(*medians, strict=True))
        print(f"  PASSIVE / ACTIVE: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
