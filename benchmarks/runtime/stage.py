"""What the benchmarks of the runtime share: the model, the real images, whole processes, and records.

Everything made here lies in `.benchmarks/` and is made once; `make clean` removes it.
"""

import argparse
import gzip
import importlib.metadata
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.places import RESULTS, ROOT
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import TimeEstimate
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.system.machine import describe_machine

WORK = ROOT / ".benchmarks"
PEERS = Path(__file__).parent / "peers"
TORCHSTONE = [sys.executable, "-m", "torchstone_runtime"]
RUN, BUNDLE = WORK / "run", WORK / "bundle"

# In a small process of its own: the kernel counts the memory of whoever starts a process as that process's.
_LAUNCHER = """
import json, os, sys, time
started = time.perf_counter()
null = os.open(os.devnull, os.O_WRONLY)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - started
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))
"""


@dataclass(frozen=True)
class Process:
    """A whole process: seconds on the clock and of processor time, and its peak memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Target:
    """A ratio that was aimed at.

    Attributes:
        what: in words.
        ratio: as measured.
        aim: the ratio aimed at.
        at_least: whether it is the least accepted ratio; otherwise the largest.
    """

    what: str
    ratio: TimeEstimate
    aim: float
    at_least: bool = True

    @property
    def verdict(self) -> str:
        """`met` or `missed` where the whole interval says so, else `not settled`."""
        low, high = self.ratio.low or 0.0, self.ratio.high or float("inf")
        if not self.at_least:
            low, high = -high, -low
        aim = self.aim if self.at_least else -self.aim
        return "met" if low >= aim else "missed" if high < aim else "not settled"


def arguments(description: str | None, rounds: int) -> tuple[int, bool]:
    """Read `--rounds` and `--quick`: a try with few images and rounds, whose figures say so."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    return (2 if given.quick else given.rounds), given.quick


def bundle() -> Path:
    """Return the bundle of `cnn3`, trained on Fashion-MNIST for an epoch: its weights don't matter for speed."""
    if not BUNDLE.is_dir():
        print("making the model: one epoch and the export", file=sys.stderr)
        train = ["train", "cnn3", "--dataset", "fashion-mnist", "--epochs", "1"]
        train += ["--batch-size", "256", "--amp", "auto", "--overwrite"]
        assert _torchstone(*train, "--out", str(RUN)) == 0
        export = ["export", str(RUN), "--out", str(BUNDLE)]
        # A machine on which the export finds int8 not to be faster, or a Torchstone that can't make it, has fp32 alone.
        if _torchstone(*export, "--int8") != 0:
            assert _torchstone(*export) == 0
    return BUNDLE


def _torchstone(*arguments: str) -> int:
    return subprocess.run([*TORCHSTONE, *arguments], check=False, stdout=sys.stderr, cwd=ROOT).returncode


def fp32_model() -> Path:
    """Return the ONNX file of the bundle."""
    return bundle() / "model.onnx"


def int8_model() -> Path:
    """Return the bundle's int8 variant, or one made here: static, QDQ, per channel, calibrated on training images."""
    manifest = Bundle.open(bundle()).manifest
    if "int8" in manifest.variants:
        return bundle() / manifest.variants["int8"].name
    path = WORK / "model.int8.onnx"
    if not path.exists():
        quantize(fp32_model(), path, images("train")[:512])
    return path


def quantize(source: Path, target: Path, calibration: Uint8Array) -> None:
    """Quantise a model with ONNX Runtime's own tools; its metadata is kept, so that `Classifier` can load it."""
    import onnx  # noqa: PLC0415 - only where a model must be made, which is once
    from onnxruntime.quantization import (  # noqa: PLC0415
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self) -> None:
            self.batches = iter(np.split(calibration, len(calibration) // 64))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch}

    prepared = WORK / "prepared.onnx"
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul", "MaxPool", "Relu"],
    )
    proto, original = onnx.load(target), onnx.load(source)
    onnx.helper.set_model_props(proto, {item.key: item.value for item in original.metadata_props})
    onnx.save(proto, target)


def images(part: str = "test") -> Uint8Array:
    """Return the images of Fashion-MNIST, uint8 (N, 1, 28, 28)."""
    dataset = Dataset(DatasetRef.parse("fashion-mnist"), default_data_dir().absolute())
    split = dataset.test() if part == "test" else dataset.training()
    return np.ascontiguousarray(split.store.read(np.arange(len(split))))


def plain_data_dir() -> Path:
    """Return a data directory with the test files unpacked, the only form that torchvision opens."""
    raw = WORK / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    source = default_data_dir().absolute() / "FashionMNIST" / "raw"
    for stem in (
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
    ):
        if not (raw / stem).exists():
            packed = source / f"{stem}.gz"
            (raw / stem).write_bytes(
                gzip.decompress(packed.read_bytes()) if packed.exists() else (source / stem).read_bytes()
            )
    return WORK / "data"


def whole_process(command: list[str], **environment: str) -> Process:
    """Run a command to its end, with its stdout thrown away."""
    launcher = [sys.executable, "-S", "-c", _LAUNCHER, *command]
    result = subprocess.run(launcher, check=True, stdout=subprocess.PIPE, env={**os.environ, **environment})
    code, seconds, cpu_seconds, peak = json.loads(result.stdout)
    assert code == 0, command
    return Process(seconds, cpu_seconds, peak)


def whole_processes(commands: dict[str, list[str]], rounds: int) -> dict[str, list[Process]]:
    """Run commands in turns, after one untimed run of each that fills the file cache."""
    found: dict[str, list[Process]] = {name: [] for name in commands}
    order = list(commands)
    shuffle = random.Random(0).shuffle  # noqa: S311 - an order, not a secret
    for turn in range(rounds + 1):
        shuffle(order)
        for name in order:
            process = whole_process(commands[name])
            if turn:
                found[name].append(process)
    return found


def record(
    name: str,
    *,
    rows: list[dict[str, Any]],
    targets: list[Target],
    noisy: bool = False,
    **more: Any,  # noqa: ANN401
) -> None:
    """Print the targets and write `results/NAME.json`; where the run was noisy, nothing is met or missed."""
    verdicts = ["too noisy" if noisy else target.verdict for target in targets]
    for target, verdict in zip(targets, verdicts, strict=True):
        sign = ">=" if target.at_least else "<="
        print(f"{name}: {target.what}: {text(target.ratio)}; aim {sign} {target.aim:g}: {verdict}", flush=True)
    machine = describe_machine()
    machine["versions"] |= {peer: _version(peer) for peer in ("torch", "torchvision", "openvino", "scikit-learn")}
    document = {
        "benchmark": name,
        "date": time.strftime("%Y-%m-%d"),
        "command": f"python -m benchmarks.runtime.{name}",
        "machine": machine,
        "rows": rows,
        "targets": [{**asdict(target), "verdict": verdict} for target, verdict in zip(targets, verdicts, strict=True)],
        **more,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def text(estimate: TimeEstimate, form: str = ".3g") -> str:
    """Return an estimate as "value (low to high)"."""
    low, high = ("..." if end is None else format(end, form) for end in (estimate.low, estimate.high))
    return f"{estimate.value:{form}} ({low} to {high})"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
