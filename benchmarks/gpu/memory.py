"""Out of memory in training: does the message name a batch size that fits, and does that one train?"""

import re
import subprocess
import sys
from typing import Any, Final

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.places import ROOT

_TRAIN: Final = """
from torchstone_runtime.errors import TorchstoneError
from torchstone_train.cli import train
try:
    train.main(sys.argv[1:], standalone_mode=False)
except TorchstoneError as error:
    print(f"{error.problem} {error.remedy}", file=sys.stderr)
    sys.exit(error.exit_code)
"""
"""Not by the name of the command: from a plain copy of the repository, `torchstone` knows the runtime's alone."""
_ON_GPU: Final = """
import sys, torch
torch.cuda.set_per_process_memory_fraction({share})
"""
_IMITATED: Final = """
import sys, torch
sys.modules["matplotlib"] = None
real = torch.nn.functional.cross_entropy
def limited(logits, *arguments, **options):
    if logits.requires_grad and len(logits) > 64:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB (imitated)")
    return real(logits, *arguments, **options)
torch.nn.functional.cross_entropy = limited
"""
"""Without pictures, which take longer than such a training."""
_SHARE: Final = 0.02
"""Of the card's memory: a fiftieth of 80 GB is soon full, and fills in seconds."""


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    recipe, batch = setting.size(("stone-l", 16384), ("sprint-mnist", 256))
    return {recipe: lambda: message_and_fit(setting, recipe, batch)}


def message_and_fit(setting: Setting, recipe: str, batch: int) -> dict[str, Any]:
    """Train with a batch that is too large, then with the one that the message names."""
    program = _IMITATED if setting.device == "cpu" else _ON_GPU.format(share=_SHARE)
    failed = _train(setting, program, recipe, batch)
    named = re.search(r"--batch-size (\d+)", failed.stderr)
    found = {"batch": batch, "exit_code": failed.returncode, "said": failed.stderr[-1500:]}
    if named is None:
        return found | {"named": None}
    fitting = _train(setting, program, recipe, int(named[1]))
    return found | {"named": int(named[1]), "then_exit_code": fitting.returncode, "then_said": fitting.stderr[-800:]}


def _train(setting: Setting, program: str, recipe: str, batch: int) -> "subprocess.CompletedProcess[str]":
    given = [recipe, "--data", "fashion-mnist", "--data-dir", setting.data_dir(), "--epochs", 1]
    given += ["--out", setting.work / "memory", "--overwrite", "--device", setting.device, "--batch-size", batch]
    command = [sys.executable, "-c", program + _TRAIN, *map(str, given)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
