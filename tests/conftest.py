"""Fixtures: a real run and bundle, made once by the command line itself, and the real datasets."""

import fcntl
import gc
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import settings

from helpers.readme import run_session
from helpers.support import Mount, run_torchstone, write_first_items
from torchstone_runtime.data.digits import load_digits

# As `torchstone train` does, and before any test imports PyTorch: tests/runtime runs where that isn't installed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Two processes share the tests: with two threads each, they would wait for one another a third of their time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test's pictures have no place in the cache of whoever runs it, nor the other way round.
os.environ["TORCHSTONE_CACHE"] = ""

# An example's time is the machine's affair, and says nothing of what is tested.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")

MakeOnce = Callable[[str, Callable[[Path], object]], Path]
CheckTypes = Callable[..., "subprocess.CompletedProcess[str]"]
_NOT_READ: Final = (
    *("torch", "torchvision", "matplotlib", "onnx", "onnxscript", "safetensors"),
    *("scipy", "sklearn", "tensorboard", "timm", "tqdm"),
)
"""Packages that a type checker leaves alone, as where they aren't installed: it takes longer for them than for ours."""
STORED_BUNDLE: Final = Path(__file__).parent / "stored" / "digits"
"""A bundle of `sprint-mnist`, trained on the digits: for tests that need any bundle, where none is to be trained."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests take the stored bundle."""
    parser.addoption("--stored-bundle", action="store_true", help="take tests/stored/digits in place of a fresh export")


def pytest_collection() -> None:
    """Let nothing be searched for garbage while modules are imported, of which there is none."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later search."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long first: begun last, one of them would keep one process busy and the other idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path], item.path))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their parameter: what is packed at import (gzip writes the second) differs between processes."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True, scope="module")
def same_threads() -> Iterator[None]:
    """Check that a module's tests leave PyTorch the number of threads that they found: sums round by it."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        expected = int(os.environ["OMP_NUM_THREADS"].partition(",")[0] or os.cpu_count() or 1)
        assert torch.get_num_threads() == expected, "these tests have changed PyTorch's number of threads"


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Make a folder once for all processes that share the tests of a run: the first makes it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder = root / name
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                unfinished = root / f"{name}.unfinished"
                unfinished.mkdir(exist_ok=True)
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return once


@pytest.fixture(scope="session")
def digits_run(make_once: MakeOnce) -> Path:
    """A run of three epochs on the embedded digits. Don't change it: copy it."""

    def train(folder: Path) -> None:
        result = run_torchstone("train", "cnn3", "--dataset", "digits", "--epochs", "3", "--out", folder / "run")
        assert result.returncode == 0, result.stderr

    return make_once("digits", train) / "run"


@pytest.fixture(scope="session")
def digits_bundle(request: pytest.FixtureRequest, make_once: MakeOnce) -> Path:
    """The bundle exported from `digits_run`, or the stored one. Don't change it: use `bundle_copy`."""
    if request.config.getoption("--stored-bundle"):
        return STORED_BUNDLE
    run = request.getfixturevalue("digits_run")

    def export(folder: Path) -> None:
        result = run_torchstone("export", run, "--out", folder / "bundle")
        assert result.returncode == 0, result.stderr

    return make_once("digits-bundle", export) / "bundle"


@pytest.fixture(scope="session")
def few_digits(make_once: MakeOnce) -> str:
    """The first 300 digits at half their size, as `--data` takes them: a training or an export over them is short."""

    def cut(folder: Path) -> None:
        whole = load_digits()
        images = whole.store.read(np.arange(300))[:, 0, ::2, ::2]
        np.savez(folder / "few.npz", images=images, labels=whole.labels[:300])

    return f"npz:{make_once('few-digits', cut) / 'few.npz'}"


@pytest.fixture(scope="session")
def small_run(few_digits: str, make_once: MakeOnce) -> Path:
    """A run of two epochs on `few_digits`, where nothing depends on what it has learnt. Don't change it: copy it."""

    def train(folder: Path) -> None:
        result = run_torchstone("train", "cnn3", "--data", few_digits, "--epochs", "2", "--out", folder / "run")
        assert result.returncode == 0, result.stderr

    return make_once("small", train) / "run"


@pytest.fixture(scope="session")
def small_bundle(small_run: Path, make_once: MakeOnce) -> Path:
    """The bundle exported from `small_run`. Don't change it: copy it."""

    def export(folder: Path) -> None:
        result = run_torchstone("export", small_run, "--out", folder / "bundle")
        assert result.returncode == 0, result.stderr

    return make_once("small-bundle", export) / "bundle"


@pytest.fixture
def bundle_copy(digits_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of one's own, to be damaged."""
    return shutil.copytree(digits_bundle, tmp_path / "bundle")


@pytest.fixture
def check_types(make_once: MakeOnce, tmp_path: Path) -> CheckTypes:
    """Run `mypy --strict` on a program outside of the repository, against the installed package.

    One cache serves all tests: without it each would analyse NumPy anew. With `extras` the packages of training and
    export are read too.
    """
    cache = make_once("mypy", lambda _: None)

    def check(program: str, *, extras: bool = False) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "program.py").write_text(program)
        left_out = "" if extras else f"[mypy-{','.join(f'{name}.*' for name in _NOT_READ)}]\nfollow_imports = skip\n"
        (tmp_path / "mypy.ini").write_text(f"[mypy]\n{left_out}")
        options = ["--strict", "--config-file", "mypy.ini", "--cache-dir", str(cache)]
        command = [sys.executable, "-m", "mypy", *options, "program.py"]
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    return check


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Mount]:
    """Make a disk of some bytes; skips where mounting is not permitted."""
    place = tmp_path / "disk"
    place.mkdir()
    with ExitStack() as mounted:

        def mount(size: int) -> Path:
            options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
            try:
                subprocess.run(["mount", *options], check=True, capture_output=True)  # noqa: S607 - the system's own
            except (OSError, subprocess.CalledProcessError):
                pytest.skip("mounting is not permitted here")
            mounted.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)
            return place

        yield mount


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real Fashion-MNIST and MNIST; skips where it is not there."""
    folder = Path(os.environ.get("TORCHSTONE_DATA", ""))
    if not (folder / "FashionMNIST" / "raw").is_dir():
        pytest.skip("TORCHSTONE_DATA does not hold Fashion-MNIST")
    return folder.absolute()


@pytest.fixture(scope="session")
def fashion_part(data_dir: Path, make_once: MakeOnce) -> Path:
    """A data directory with the first 6,000 training and 2,500 test images of the real Fashion-MNIST."""

    def cut(folder: Path) -> None:
        for name, count in (("train", 6_000), ("t10k", 2_500)):
            for kind, dimensions in (("images", 3), ("labels", 1)):
                file = Path("FashionMNIST", "raw", f"{name}-{kind}-idx{dimensions}-ubyte")
                write_first_items(data_dir / file, folder / file, dimensions, count)

    return make_once("fashion-part", cut)


@pytest.fixture(scope="session")
def fashion_session(fashion_part: Path, make_once: MakeOnce) -> Path:
    """The folder in which the first tutorial's session was run on `fashion_part`: `runs/fm` and `bundles/fm`. Slow."""
    data = {"TORCHSTONE_DATA": str(fashion_part)}
    return make_once("fashion", lambda folder: run_session("fashion", folder, data))
