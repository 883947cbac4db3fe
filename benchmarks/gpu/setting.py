"""What every piece is told: where it runs, how large, and until when."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.mnist_family import FASHION_MNIST, MNIST, file_stems
from torchstone_runtime.inference.load_options import LoadOptions

_T = TypeVar("_T")
_DRY_TRAIN, _DRY_TEST = 400, 100


@dataclass(frozen=True)
class Setting:
    """Where and how a piece is measured.

    Attributes:
        device: `cuda`, or `cpu` for a trial.
        dry_run: whether sizes are those of a trial, whose figures mean nothing.
        results: folder of the results.
        work: folder for runs, bundles and exports, which later pieces find there.
        data: folder of Fashion-MNIST and MNIST; a trial makes small ones of digits.
        exports: folder that `benchmarks.engine.provider_exports` wrote; a trial makes two exports.
        ends: time of `time.monotonic()` after which no further step is begun.
    """

    device: str
    dry_run: bool
    results: Path
    work: Path
    data: Path
    exports: Path
    ends: float = field(default=float("inf"))

    def size(self, full: _T, dry: _T) -> _T:
        """Return one of two sizes."""
        return dry if self.dry_run else full

    @property
    def seconds_left(self) -> float:
        """Seconds until no further step is begun."""
        return self.ends - time.monotonic()

    @cached_property
    def providers(self) -> tuple[str, ...]:
        """Providers of the runtime that are measured, the plain one first."""
        return ("cuda", "tensorrt") if self.device == "cuda" else ("cpu",)

    def options(self, provider: str | None = None, **choices: Any) -> LoadOptions:  # noqa: ANN401 - fields of several types
        """Return how a model is loaded: on the GPU, in a trial on the CPU without what only a GPU has."""
        if self.device == "cpu":
            choices = {name: value for name, value in choices.items() if name not in ("tf32", "cuda_graphs")}
        return LoadOptions(provider=provider or self.providers[0], **choices)

    def data_dir(self) -> Path:
        """Return the folder of the datasets."""
        if not self.dry_run:
            return self.data
        folder = self.work / "data"
        for layout in (FASHION_MNIST, MNIST):
            for part, count in (("train", _DRY_TRAIN), ("test", _DRY_TEST)):
                _write_digits(layout.raw(folder), part, count)
        return folder


def _write_digits(raw: Path, part: str, count: int) -> None:
    digits = load_digits()
    images = digits.store.read(np.arange(count))[:, 0]
    labels = digits.labels[:count].astype(np.uint8)
    raw.mkdir(parents=True, exist_ok=True)
    for name, array in zip(file_stems(part), (images, labels), strict=True):
        values = np.asarray(array, dtype=np.uint8)
        header = np.array([0x0800 + values.ndim, *values.shape], dtype=">i4").tobytes()
        (raw / name).write_bytes(header + values.tobytes())
