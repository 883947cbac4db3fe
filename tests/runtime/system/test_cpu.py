import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from torchstone_runtime.system import cpu


@pytest.mark.parametrize(("quota", "expected"), [(0.3, 1), (1.2, 2), (2.0, 2), (64.0, 8), (None, 8)])
def test_the_smaller_of_affinity_and_quota_counts(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    """A quota is rounded up, and never gives more than the affinity mask or less than one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cpu, "cpu_quota", lambda: quota)
    assert cpu.usable_cpus() == expected


def test_the_affinity_mask_is_followed() -> None:
    """A process bound to one processor uses one thread."""
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from torchstone_runtime.system.cpu import usable_cpus; print(usable_cpus())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "1\n"


@pytest.mark.skipif(shutil.which("taskset") is None, reason="there is no taskset")
def test_taskset_decides_the_threads_of_predict(digits_bundle: Path, tmp_path: Path) -> None:
    """`taskset` on one processor gives the plan one thread."""
    encoded = tmp_path / "black.png"
    Image.new("L", (28, 28)).save(encoded)
    processor = str(min(os.sched_getaffinity(0)))
    command = ["taskset", "--cpu-list", processor, sys.executable, "-m", "torchstone_runtime"]  # the system's own
    command += ["predict", str(digits_bundle), str(encoded), "--verbose"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 thread," in result.stderr


def test_an_idle_classifier_uses_no_cpu(digits_bundle: Path) -> None:
    """After predictions on several threads, waiting costs nothing: no thread spins."""
    program = (
        "import sys, time, numpy\n"
        "from torchstone_runtime import Classifier\n"
        "classifier = Classifier.load(sys.argv[1], provider='cpu', threads=2)\n"
        "for _ in range(3): classifier.predict(numpy.zeros((300, 28, 28), numpy.uint8))\n"
        "time.sleep(0.2); start = time.process_time(); time.sleep(1); print(time.process_time() - start)\n"
    )
    command = [sys.executable, "-c", program, str(digits_bundle)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(result.stdout) < 0.05
