"""Coverage-guided fuzzing for some seconds per reader, where atheris is installed (see fuzz_readers.py)."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_readers.py")
TARGETS = ("manifest", "golden", "onnx", "idx", "npz", "npy", "image", "infer")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed"),
]


@pytest.fixture(scope="module", params=[2, pytest.param(60, marks=pytest.mark.study)])
def fuzzed(request: pytest.FixtureRequest) -> "subprocess.CompletedProcess[str]":
    """Mutated inputs for each target for some seconds, each read within ten and the whole process within 2 GiB."""
    # libFuzzer takes the largest memory that getrusage tells for its own, and Linux counts in what a process was before
    # exec: a copy of this one. The shell in between keeps ours out.
    command = [
        *("/bin/sh", "-c", '"$@"; exit $?', "sh"),
        sys.executable,
        "-W",
        "ignore",
        str(SCRIPT),
        ",".join(TARGETS),
        f"-max_total_time={request.param}",
        "-seed=1",
        "-timeout=10",
        "-rss_limit_mb=2048",
    ]
    timeout = len(TARGETS) * (30 + request.param)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_our_own_errors_escapes(fuzzed: "subprocess.CompletedProcess[str]", target: str) -> None:
    """From whatever reads what comes from outside; what did is in the message."""
    assert f"{target} 0" in fuzzed.stdout.splitlines(), fuzzed.stderr[-6000:]
