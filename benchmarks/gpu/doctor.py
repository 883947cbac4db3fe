"""What `torchstone doctor` says on that machine, beside what is known of it; every line is to be right."""

import json
import subprocess
import sys
from typing import Any

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.places import ROOT


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    del setting
    return {"lines": _said, "json": lambda: json.loads(_said("--json")["stdout"])}


def _said(*options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "torchstone_runtime", "doctor", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
    return {"exit_code": result.returncode, "stdout": result.stdout, "stderr": result.stderr[-2000:]}
