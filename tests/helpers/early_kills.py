"""Kill a training before each of its first changes to the disk, and start the same training again.

A process of its own, which loads PyTorch once and forks for each training. Prints a JSON line for each kill: `left`:
what lay there, `learnt`: whether there were weights, so that the same request was given `--resume`, `again`: its exit
code, and `saved`: whether it left a checkpoint.
"""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import TorchstoneError
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.run_training import TrainingRequest, train

_CHANGES = frozenset({"os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.chmod", "open", "shutil.rmtree"})


def kill_before(number: int, out: Path) -> None:
    """Let this process kill itself before its change of that number (from 1) at or below `out`."""
    left = number

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in _CHANGES or not str(arguments[0]).startswith(str(out)):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_a_fork(request: TrainingRequest, killed_at: int = 0) -> int:
    """Train in a child process; return its exit code, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if killed_at:
            kill_before(killed_at, request.out)
        train(request)
    except TorchstoneError as error:
        sys.stderr.write(f"{error}\n")
        os._exit(error.exit_code)
    except BaseException as error:  # noqa: BLE001 - a forked process must not return into the caller's code
        sys.stderr.write(f"{error!r}\n")
        os._exit(70)
    os._exit(0)


def main(dataset: str, folder: str, *options: str) -> None:
    """Kill one training after the other, until one saves its first epoch."""
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # as if not installed: pictures take most of the time
    for late in ("torch._dynamo", "torch._inductor.config", "torch.utils.tensorboard"):
        import_module(late)  # once, in place of in every fork
    earlier, out = Path(folder) / "earlier", Path(folder) / "deep" / "run"
    recipe = replace(get_recipe("mlp"), epochs=1)
    request = TrainingRequest(recipe=recipe, dataset=DatasetRef.parse(dataset), data_dir=Path(folder), out=out)
    request = replace(request, device="cpu", overwrite="--overwrite" in options)
    if request.overwrite:
        in_a_fork(replace(request, out=earlier))
    for number in count(1):
        shutil.rmtree(out.parent, ignore_errors=True)
        if request.overwrite:
            shutil.copytree(earlier, out)
            (out / "last" / "checkpoint.pt").write_bytes(b"the earlier run's")
        if in_a_fork(request, killed_at=number) != -signal.SIGKILL or saved(out):
            return
        left = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
        learnt = (out / "best.safetensors").is_file() and not request.overwrite
        again = in_a_fork(replace(request, resume=learnt))
        sys.stdout.write(json.dumps({"left": left, "learnt": learnt, "again": again, "saved": saved(out)}) + "\n")
        sys.stdout.flush()  # or a fork would write it again


def saved(run: Path) -> bool:
    """Return whether a run has the checkpoint of an epoch of its own."""
    checkpoint = run / "last" / "checkpoint.pt"
    return checkpoint.is_file() and checkpoint.read_bytes() != b"the earlier run's"


if __name__ == "__main__":
    main(*sys.argv[1:])
