"""The model in PyTorch and OpenVINO, each called as its documentation advises for inference on a CPU.

Every engine takes the same raw uint8 images (N, 1, 28, 28) and gives probabilities, (N, 10), on all processors.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch

from torchstone_export.model import load_trained
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_train.run.run_dir import RunDirectory

Engine = Callable[[Uint8Array], Any]

BATCHES = (50, 250, 1000)
"""Each engine is given the best of these; all of them divide 10,000."""


def pytorch_model(run: Path) -> torch.nn.Module:
    """Return the trained model in evaluation mode, in the channels-last layout that PyTorch advises on CPUs."""
    torch.set_num_threads(usable_cpus())
    return load_trained(RunDirectory(run)).module.eval().to(memory_format=torch.channels_last)


def in_batches(call: Callable[[torch.Tensor], Any], size: int) -> Engine:
    """Run a PyTorch callable over images in batches, without recording gradients."""

    def run(images: Uint8Array) -> Any:  # noqa: ANN401
        with torch.inference_mode():
            return [call(part)[1] for part in torch.split(torch.from_numpy(images), size)]

    return run


def frozen_torchscript(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model traced, frozen and optimised for inference."""
    example = torch.zeros((50, 1, 28, 28), dtype=torch.uint8)
    with torch.inference_mode():
        frozen = torch.jit.freeze(torch.jit.trace(model, example))  # type: ignore[no-untyped-call]
        optimised: torch.nn.Module = torch.jit.optimize_for_inference(frozen)
        for _ in range(3):
            optimised(example)
    return optimised


def compiled(model: torch.nn.Module) -> Callable[[torch.Tensor], Any]:
    """Return the model through `torch.compile` with the weights frozen, as the inductor's CPU guide advises."""
    import torch._inductor.config as inductor  # noqa: PLC0415 - takes a second

    inductor.freezing = True
    call: Callable[[torch.Tensor], Any] = torch.compile(model, dynamic=False)
    return call


class OpenVino:
    """OpenVINO with float32 precision, a fixed batch and its throughput hint: several requests at once."""

    def __init__(self, path: Path, batch: int, hint: str = "THROUGHPUT") -> None:
        core = openvino.Core()
        model = core.read_model(str(path))
        model.reshape([batch, 1, 28, 28])
        self.batch = batch
        self.compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"})
        self.queue = openvino.AsyncInferQueue(self.compiled)
        self.queue.set_callback(self._keep)
        self.found = np.empty((0, 10), np.float32)

    def __call__(self, images: Uint8Array) -> Any:  # noqa: ANN401
        """Return the probabilities of any number of images that the batch divides."""
        self.found = np.empty((len(images), 10), np.float32)
        for start in range(0, len(images), self.batch):
            self.queue.start_async({0: images[start : start + self.batch]}, start, share_inputs=True)
        self.queue.wait_all()
        return self.found

    def _keep(self, request: Any, start: int) -> None:  # noqa: ANN401
        self.found[start : start + self.batch] = request.get_output_tensor(1).data


def best_batch(
    make: Callable[[int], Engine], images: Uint8Array, sizes: tuple[int, ...] = BATCHES
) -> tuple[Engine, int]:
    """Return the engine with the fastest batch size, and that size; each is warmed up and tried twice."""
    tried = []
    for size in sizes:
        engine = make(size)
        engine(images[:1000])
        took = []
        for _ in range(2):
            started = time.perf_counter()
            engine(images[:2000])
            took.append(time.perf_counter() - started)
        tried.append((min(took), size, engine))
    _, size, engine = min(tried, key=lambda item: item[0])
    return engine, size
