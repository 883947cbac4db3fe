"""What a process has set, or does beside, changes no weight of a training; what it has set is as it was afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import torchstone
from helpers.in_process import without_matplotlib
from helpers.support import run_torchstone
from torchstone_runtime.system.cpu import usable_cpus

Train = Callable[[Path], bytes]
RECIPE = "cnn3"
"""It has dropout, which draws from PyTorch's own generator."""


@pytest.fixture(scope="module", autouse=True)
def _no_pictures() -> Iterator[None]:
    with without_matplotlib():
        yield


@pytest.fixture(scope="module")
def in_a_new_process(few_digits: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights that the command line trains."""
    out = tmp_path_factory.mktemp("new") / "run"
    result = run_torchstone("train", RECIPE, "--data", few_digits, "--epochs", "1", "--device", "cpu", "--out", out)
    assert result.returncode == 0, result.stderr
    return weights(out)


def weights(run: Path) -> bytes:
    """Return the bytes of the weights that a run keeps."""
    return (run / "best.safetensors").read_bytes()


@pytest.fixture(scope="module")
def trained(few_digits: str) -> Train:
    """Function that trains in this process as the fixture above does, and returns the weights."""
    return lambda out: weights(torchstone.train(RECIPE, data=few_digits, out=out, epochs=1, device="cpu").path)


@contextmanager
def chosen(choose: Callable[[object], object], value: object, usual: object) -> Iterator[None]:
    """Set something of the whole process inside the block."""
    choose(value)
    try:
        yield
    finally:
        choose(usual)


def draw(seed: object) -> None:
    """Use the random numbers of the process."""
    torch.manual_seed(int(str(seed)))
    torch.rand(3)


def set_oneDNN(value: object) -> None:  # noqa: N802 - its name
    """Switch oneDNN on or off."""
    torch.backends.mkldnn.enabled = bool(value)  # type: ignore[assignment]  # a property of a module


SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "random numbers drawn": lambda: chosen(draw, 5, 6),
    "float64 by default": lambda: chosen(torch.set_default_dtype, torch.float64, torch.float32),  # type: ignore[arg-type]
    "another device by default": lambda: chosen(torch.set_default_device, "meta", None),  # type: ignore[arg-type]
    "bfloat16 for matrices": lambda: chosen(torch.set_float32_matmul_precision, "medium", "highest"),  # type: ignore[arg-type]
    "no oneDNN": lambda: chosen(set_oneDNN, 0, 1),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "NumPy's errors raised": lambda: np.errstate(all="raise"),
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_a_training_gives_the_weights_of_a_new_process(
    in_a_new_process: bytes, trained: Train, tmp_path: Path, surroundings: str
) -> None:
    """Some once ended in a traceback; autocast and bfloat16 for matrices trained other weights in silence."""
    with SURROUNDINGS[surroundings]():
        assert trained(tmp_path / "run") == in_a_new_process


@pytest.fixture(scope="module")
def at_once(trained: Train, tmp_path_factory: pytest.TempPathFactory) -> tuple[set[bytes], bool]:
    """Weights of two trainings in threads, and whether the process computes deterministically after them."""
    out = tmp_path_factory.mktemp("at-once")
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(trained, [out / "a", out / "b"]))
    return found, torch.are_deterministic_algorithms_enabled()


def test_trainings_at_once_give_the_weights_of_a_new_process(
    in_a_new_process: bytes, at_once: tuple[set[bytes], bool]
) -> None:
    """They take turns: each would draw from the generator that the other has seeded."""
    assert at_once[0] == {in_a_new_process}


def test_trainings_at_once_leave_the_settings(at_once: tuple[set[bytes], bool]) -> None:
    """The last one that ended would have left those of another."""
    assert at_once[1] is False


@pytest.mark.parametrize("work", ["train", "export", "folds"])
def test_random_numbers_go_on_as_if_nothing_had_been_between(
    small_run: Path, few_digits: str, trained: Train, tmp_path: Path, work: str
) -> None:
    """Else whoever draws after each training would get the same numbers each time."""
    calls: dict[str, Callable[[], object]] = {
        "train": partial(trained, tmp_path / "run"),
        "export": partial(torchstone.export, small_run, out=tmp_path / "bundle"),
        "folds": partial(torchstone.train, "mlp", data=few_digits, out=tmp_path / "folds", epochs=1, folds=2),
    }
    torch.manual_seed(5)
    wanted = torch.rand(8)
    torch.manual_seed(5)
    calls[work]()
    assert torch.equal(torch.rand(8), wanted)


@pytest.fixture(scope="module")
def exported_at_once(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], bool]:
    """Bundles that two threads exported, and whether the process has its streams after them."""
    out, before = tmp_path_factory.mktemp("at-once"), (sys.stdout, sys.stderr)
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(torchstone.export, small_run, out=out / name) for name in ("a", "b")]
    kept = (sys.stdout, sys.stderr) == before
    sys.stdout, sys.stderr = before
    return [each.result().path for each in work if not each.exception()], kept


def test_exports_at_once_give_the_same_bundle(small_bundle: Path, exported_at_once: tuple[list[Path], bool]) -> None:
    """PyTorch's exporters know one export at a time in a process; at once, all of them failed."""
    made = [(bundle / "manifest.json").read_bytes() for bundle in exported_at_once[0]]
    assert made == [(small_bundle / "manifest.json").read_bytes()] * 2


def test_exports_at_once_leave_the_streams(exported_at_once: tuple[list[Path], bool]) -> None:
    """The last one that ended put that of another in the place of stdout, and the process was mute from then on."""
    assert exported_at_once[1]


def test_a_training_needs_no_current_directory(trained: Train, tmp_path: Path) -> None:
    """A service may have been started in one that is gone."""
    (tmp_path / "gone").mkdir()
    here = Path.cwd()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        assert trained(tmp_path / "run")
    finally:
        os.chdir(here)


@pytest.mark.skipif(usable_cpus() == 1, reason="PyTorch computes on one thread, which a fork takes along")
def test_a_training_in_a_forked_child_is_refused(
    at_once: tuple[set[bytes], bool], trained: Train, tmp_path: Path
) -> None:
    """OpenMP knows of the parent's threads, which are not there: it waited for them without end."""
    assert at_once
    assert _ended_in_a_child(lambda: trained(tmp_path / "run")) == "UsageError"


def test_a_training_in_a_forked_child_of_a_process_that_only_loaded_pytorch(tmp_path: Path) -> None:
    """As a server that forks its workers does."""
    program = f"""
import os, signal, sys, torchstone
sys.modules["matplotlib"] = None
import torchstone_train.run_training
if not (child := os.fork()):
    signal.alarm(60)
    torchstone.train("mlp", data="digits", out={str(tmp_path / "run")!r}, epochs=1, device="cpu")
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _ended_in_a_child(work: Callable[[], object]) -> str:
    reading, writing = os.pipe()
    if not os.fork():
        signal.alarm(60)
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, its name is the answer
            os.write(writing, type(error).__name__.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        os.wait()
        return answer.read().decode()
