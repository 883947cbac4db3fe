"""What several tests need: the command line in a process of its own, and small datasets."""

import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from helpers.fork_server import ForkedCommand, ForkServer
from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.data.idx import find_idx, read_idx

Mount = Callable[[int], Path]
"""Makes a disk of some bytes and returns where it is."""

_OF_PYTORCH: Final = frozenset({"train", "export", "adopt", "download", "quickstart", "recipes"})
_IMPORTED: Final = (
    *("torchstone_train.run_training", "torch._dynamo", "torch._inductor.config", "torch.utils.tensorboard"),
    *("matplotlib.backends.backend_agg", "onnxscript", "parsed_once", "exported_once"),
)
"""What the commands of PyTorch import, some of it late: its optimisers want its compiler, for one. The last export.

ONNX Runtime is not among them: it starts a thread as it is imported, which a fork would leave behind.
"""
RUNTIME_HEAVY = ("torch", "torchvision", "onnx", "onnxscript", "sklearn", "scipy", "matplotlib")


def run_torchstone(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
    fresh: bool = False,
    pictures: bool = False,
    hidden: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own: in a fork that has PyTorch already, or in a fresh interpreter.

    `fresh` asks for the latter, for what depends on an interpreter's start: its hash seed, say. Commands without
    PyTorch get one in any case, and so do variables that are read there. Without `pictures` a fork's training draws
    none, as if matplotlib weren't installed: they take four seconds, longer than most of the tests' trainings. To a
    fork, `hidden` packages seem not installed either.
    """
    given, environment = [str(argument) for argument in arguments], {**os.environ, **(env or {})}
    needs_pytorch = bool(given) and (given[0] in _OF_PYTORCH or "--run" in given)
    if needs_pytorch and not fresh and fork_server().suits(environment):
        hidden = (*hidden, *(() if pictures else ("matplotlib",)))
        return fork_server().run(given, cwd or Path.cwd(), environment, timeout, hidden)
    return subprocess.run(
        [sys.executable, "-m", "torchstone_runtime", *given],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=timeout,
        check=False,
    )


@contextmanager
def started_torchstone(
    *arguments: str | Path, stderr: Path | None = None, pictures: bool = False
) -> Iterator[tuple[ForkedCommand, Iterator[str]]]:
    """Start a command of PyTorch; give it, and the lines of its stderr as they come. It is killed at the end.

    With `stderr`, a terminal say, the messages go there in place of the lines. Pictures as in `run_torchstone`.
    """
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        os.mkfifo(folder / "stderr")
        streams = folder / "stdout", stderr or folder / "stderr"
        hidden = () if pictures else ("matplotlib",)
        command = fork_server().start(list(map(str, arguments)), Path.cwd(), os.environ, *streams, hidden)
        ends.callback(command.kill)
        yield command, iter(()) if stderr else ends.enter_context((folder / "stderr").open())


@cache
def fork_server() -> ForkServer:
    """Start the server of the commands of PyTorch, once for all tests of this process."""
    return ForkServer(*_IMPORTED)


def assert_refused(result: "subprocess.CompletedProcess[str]", *fragments: str) -> None:
    """Check for exit code 2, one message with all fragments, no traceback, and nothing on stdout."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("Error:") == 1, result.stderr
    assert result.stdout == ""
    for fragment in fragments:
        assert fragment in result.stderr


def write_image_tree(root: Path, classes: Mapping[str, int], *, side: int = 12, mode: str = "L", seed: int = 0) -> Path:
    """Write random PNG files, one sub-folder per class with the given number of images; return `root`."""
    generator = np.random.default_rng(seed)
    shape = (side, side) if mode == "L" else (side, side, 3)
    for position, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            # Classes differ in brightness, so that a model can learn something.
            pixels = generator.integers(0, 100, shape) + 150 * position // max(1, len(classes) - 1)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index:03}.png")
    return root


def write_first_items(source: Path, target: Path, dimensions: int, count: int) -> None:
    """Write an IDX file of the first items of another one, which may be compressed."""
    found = find_idx(source.parent, source.name)
    assert found is not None, source
    items = read_idx(found, dimensions)[:count]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(struct.pack(f">4B{dimensions}I", 0, 0, 8, dimensions, *items.shape) + items.tobytes())


def half_right(classes: int, samples: int) -> tuple[Int64Array, Int64Array, tuple[str, ...]]:
    """Return true and predicted classes, int64 [N] each, of which half are equal, and the classes' names."""
    generator = np.random.default_rng(0)
    true = generator.integers(0, classes, samples)
    other = generator.integers(0, classes, samples)
    return true, np.where(generator.random(samples) < 0.5, true, other), tuple(f"class {k}" for k in range(classes))
