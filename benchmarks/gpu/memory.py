"""Out of memory in training: does the message name a batch size that fits, and does that one train?

A trial limits the memory of the process (RLIMIT_AS), so that PyTorch's own allocator fails on the processor.
"""

import os
import re
import subprocess
import sys
from typing import Any, Final

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.gpu.train_program import train_program
from benchmarks.places import ROOT

_ON_GPU: Final = "import torch; torch.cuda.set_per_process_memory_fraction({share})"
_ON_CPU: Final = """
import resource, torch
from torchstone_train.training.optimization import Optimization
# oneDNN doesn't say when it lacks memory; PyTorch's own kernels do.
torch.backends.mkldnn.enabled = False
torch.set_num_threads(1)
sys.modules["matplotlib"] = None  # pictures take longer than such a training
begun = []
def limited(real):
    # For the time of a step alone: what is loaded before and afterwards would count.
    def step(*arguments, **options):
        begun.append(int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize())
        resource.setrlimit(resource.RLIMIT_AS, (begun[0] + {bytes}, -1))
        try:
            return real(*arguments, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return step
Optimization.step, Optimization.trial = limited(Optimization.step), limited(Optimization.trial)
"""
_BYTES: Final = 24 << 20
"""Of a trial: with 16 MiB the batch that was named failed in 7 of 12 trainings, where 0.4 MB more were asked for."""
_SHARE: Final = 0.02
"""Of the card's memory: a fiftieth of 80 GB is soon full, and fills in seconds."""


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    recipe, batch = setting.size(("stone-l", 16384), ("sprint-mnist", 256))
    return {recipe: lambda: message_and_fit(setting, recipe, batch)}


def message_and_fit(setting: Setting, recipe: str, batch: int) -> dict[str, Any]:
    """Train with a batch that is too large, then with the one that the message names."""
    limit = _ON_CPU.format(bytes=_BYTES) if setting.device == "cpu" else _ON_GPU.format(share=_SHARE)
    program = train_program(limit)
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
    if setting.device == "cpu":
        given += ["--amp", "off"]  # in bfloat16, which some processors have, half the bytes are enough
    command = [sys.executable, "-c", program, *map(str, given)]
    # One arena: each of more takes 64 MiB of what a trial is limited to. And each tensor has its own pages, which go
    # back when it does: what a larger heap has free between others would make more of a trial's room or less.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(64 << 10)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
