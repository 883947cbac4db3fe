"""The checks that are compared, each used as its documentation says; each returns what it complains of, or "".

A check gets the same three things: the right PyTorch model, the ONNX file, and real images. Those that draw inputs of
their own leave the images alone. What is raised while a file is loaded or run counts as a complaint.
"""

import io
import logging
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir
import torch
import torch.onnx.testing
import torch.onnx.verification
from optimum.exporters.onnx.base import OnnxConfig
from optimum.exporters.onnx.convert import validate_model_outputs
from optimum.utils import DummyInputGenerator, NormalizedVisionConfig
from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
from polygraphy.comparator import Comparator, DataLoader, RunResults
from polygraphy.logger import G_LOGGER
from transformers import PretrainedConfig

from torchstone_export.certificate.reference import Reference, run_module
from torchstone_export.certificate.runners import certify_files
from torchstone_export.formats.onnx_file import IR_VERSION, OPSET
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Uint8Array

OUTPUTS: Final = ("logits", "probabilities")
TORCH_ABSOLUTE, TORCH_RELATIVE = 5e-3, 1e-1
"""What verify=True warns at (torch/onnx/_internal/exporter/_core.py, torch 2.15); its function only measures."""
REAL_BATCH: Final = 250
G_LOGGER.module_severity = G_LOGGER.CRITICAL
logging.getLogger("optimum").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Given:
    """What a check may use.

    Attributes:
        model: the right one.
        program: of the honest export: torch's comparison runs the program that was translated, not the module.
        reference: the right model's outputs over validation and test, for the certificate.
        images: of validation and test, uint8 [N, C, H, W].
        expected: what PyTorch gives for them, batch by batch.
    """

    model: ExportableClassifier
    program: Any
    reference: Reference
    images: Uint8Array
    expected: list[dict[str, Any]]

    @property
    def batches(self) -> list[Uint8Array]:
        """The images as a loader gives them, the last batch ragged."""
        return [self.images[start : start + REAL_BATCH] for start in range(0, len(self.images), REAL_BATCH)]

    @property
    def random_batch(self) -> Uint8Array:
        """A random batch of two."""
        return np.random.RandomState(0).randint(0, 256, (2, *self.images.shape[1:])).astype(np.uint8)


Check = Callable[[Given, bytes], str]


def export_verified(model: ExportableClassifier, example: Uint8Array) -> tuple[bytes, Any, str]:
    """Export with `verify=True`; return the file, the program, and what the exporter complained of."""
    printed, logged = io.StringIO(), io.StringIO()
    handler, logger = logging.StreamHandler(logged), logging.getLogger("torch.onnx")
    logger.addHandler(handler)
    try:
        with redirect_stdout(printed), redirect_stderr(io.StringIO()):
            program: Any = torch.onnx.export(
                model,
                (torch.from_numpy(example),),
                dynamo=True,
                verify=True,
                input_names=["images"],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: "batch"},),
                opset_version=OPSET,
            )
    finally:
        logger.removeHandler(handler)
    proto = program.model_proto
    proto.ir_version = IR_VERSION
    complaints = [line for line in printed.getvalue().splitlines() if "\u274c" in line]
    complaints += [line for line in logged.getvalue().splitlines() if "large" in line or "fails ONNX checker" in line]
    return bytes(proto.SerializeToString()), program, "; ".join(complaints)


def torch_random(given: Given, content: bytes) -> str:
    """torch.onnx.verification on one random batch, with the limits of verify=True."""
    return _torch_verification(given, content, given.random_batch)


def torch_real(given: Given, content: bytes) -> str:
    """The same on the real images."""
    return _torch_verification(given, content, given.images)


def _torch_verification(given: Given, content: bytes, batch: Uint8Array) -> str:
    program = _torch_program(given, content)
    for info in torch.onnx.verification.verify_onnx_program(program, (torch.from_numpy(batch),)):
        if info.max_abs_diff >= TORCH_ABSOLUTE or info.max_rel_diff >= TORCH_RELATIVE:
            return f"{info.name}: {info.max_abs_diff:.3g} absolute, {info.max_rel_diff:.3g} relative"
    return ""


def torch_assert(given: Given, content: bytes) -> str:
    """torch.onnx.testing.assert_onnx_program, made for tests of the exporter, on the real images."""
    program = _torch_program(given, content)
    torch.onnx.testing.assert_onnx_program(program, args=(torch.from_numpy(given.images),), strategy=None)
    return ""


def _torch_program(given: Given, content: bytes) -> Any:  # noqa: ANN401 - torch.onnx.ONNXProgram
    model = onnx_ir.serde.deserialize_model(onnx.load_from_string(content))
    return torch.onnx.ONNXProgram(model, given.program.exported_program)


class RandomImages(DummyInputGenerator):  # type: ignore[misc]  # Optimum ships no types
    """Optimum's way to make a dummy input of a kind that it has none for."""

    SUPPORTED_INPUT_NAMES = ("images",)

    def __init__(self, task: str, normalized_config: Any, batch_size: int = 2, **_: Any) -> None:  # noqa: ANN401
        self.task, self.batch_size = task, batch_size
        self.shape = normalized_config.shape

    def generate(self, input_name: str, framework: str = "pt", **_: str) -> Any:  # noqa: ANN401, ARG002
        """Random pixels."""
        pixels = self.random_int_tensor([self.batch_size, *self.shape], 256, framework=framework, dtype="int64")
        return pixels.to(torch.uint8)


class _VisionConfig(NormalizedVisionConfig):  # type: ignore[misc]
    SHAPE = "shape"


class ClassifierOnnxConfig(OnnxConfig):  # type: ignore[misc]
    """Optimum's way to describe a model that it does not know."""

    NORMALIZED_CONFIG_CLASS = _VisionConfig
    DUMMY_INPUT_GENERATOR_CLASSES = (RandomImages,)

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """Dynamic axes."""
        return {"images": {0: "batch"}}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Dynamic axes."""
        return OrderedDict((name, {0: "batch"}) for name in OUTPUTS)


def optimum_default(given: Given, content: bytes) -> str:
    """Optimum's validate_model_outputs: one random batch of two, absolute tolerance 1e-5."""
    config = ClassifierOnnxConfig(PretrainedConfig(shape=list(given.images.shape[1:])), task="image-classification")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        validate_model_outputs(config, given.model, path, list(OUTPUTS), use_subprocess=False)
    return ""


def polygraphy_default(given: Given, content: bytes) -> str:
    """Polygraphy as it is without options: one random batch of one, integers of 0 and 1, tolerances 1e-5."""
    return _polygraphy(given, content, DataLoader())


def polygraphy_range(given: Given, content: bytes) -> str:
    """Polygraphy with `--val-range [0,255]`."""
    return _polygraphy(given, content, DataLoader(val_range=(0, 255)))


def polygraphy_real(given: Given, content: bytes) -> str:
    """Polygraphy with `--load-inputs` and `--load-outputs`, real images and what PyTorch gives for them."""
    feeds = [{"images": batch} for batch in given.batches]
    return _polygraphy(given, content, feeds, given.expected)


def _polygraphy(given: Given, content: bytes, loader: Any, expected: list[dict[str, Any]] | None = None) -> str:  # noqa: ANN401
    results = Comparator.run([OnnxrtRunner(SessionFromOnnx(content, providers=["cpu"]))], data_loader=loader)
    if expected is None:
        # What `--save-inputs` is for: PyTorch gets the inputs that Polygraphy drew.
        expected = [expected_outputs(given.model, loader[0]["images"])]
    wanted = RunResults()
    wanted.add(expected, runner_name="pytorch")
    results.extend(wanted)
    accuracy = Comparator.compare_accuracy(results)
    return "" if bool(accuracy) else "difference exceeds tolerance"


def expected_outputs(model: ExportableClassifier, batch: Uint8Array) -> dict[str, Any]:
    """What PyTorch gives, by output name."""
    return dict(zip(OUTPUTS, run_module(model, batch), strict=True))


def certificate(given: Given, content: bytes) -> str:
    """Torchstone's certificate, as `export` runs it."""
    return "; ".join(certify_files({"fp32": content}, given.reference)["fp32"].failures)


CHECKS: Final[dict[str, Check]] = {
    "torch, random": torch_random,
    "torch, real": torch_real,
    "torch assert, real": torch_assert,
    "Optimum": optimum_default,
    "Polygraphy": polygraphy_default,
    "Polygraphy, 0-255": polygraphy_range,
    "Polygraphy, real": polygraphy_real,
    "certificate": certificate,
}
