"""A manifest or certificate with any field changed: exit code 0, 1 or 2, one message, bounded time and memory."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_manifest.py")


@pytest.mark.parametrize("count", [200, pytest.param(4000, marks=pytest.mark.study)])
def test_any_change_of_a_manifest_is_described_or_refused(bundle_copy: Path, count: int) -> None:
    """Types and values of every field, from a fixed seed."""
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(bundle_copy), str(count), "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout == ""
