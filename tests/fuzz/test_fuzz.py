"""Coverage-guided fuzzing for some seconds per reader, where atheris is installed (see fuzz_readers.py)."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_readers.py")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.study)])
@pytest.mark.parametrize("target", ["manifest", "golden", "onnx", "idx", "npz", "npy", "image", "infer"])
def test_nothing_but_our_own_errors_escapes(target: str, seconds: int) -> None:
    """Mutated inputs, each read within ten seconds and the whole process within 2 GiB."""
    # libFuzzer takes the largest memory that getrusage tells for its own, and Linux counts in what a process was before
    # exec: a copy of this one. The shell in between keeps ours out.
    command = [
        *("/bin/sh", "-c", '"$@"; exit $?', "sh"),
        sys.executable,
        "-W",
        "ignore",
        str(SCRIPT),
        target,
        f"-max_total_time={seconds}",
        "-seed=1",
        "-timeout=10",
        "-rss_limit_mb=2048",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120 + seconds)
    assert result.returncode == 0, result.stderr[-3000:]
