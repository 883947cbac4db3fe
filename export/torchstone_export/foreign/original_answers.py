"""The answers of an ONNX file as it was given, and what kind of answers they are."""

from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchstone_export.foreign.answer_checks import PROBED, run_owners_code
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.module_network import SMALLEST_PROBABILITY
from torchstone_export.foreign.onnx_original import OnnxOriginal, without_final_sigmoid
from torchstone_export.foreign.onnx_runner import OriginalRunner
from torchstone_export.foreign.two_classes import TwoClasses, is_one_output, make_two_classes, told_by_sigmoid
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.training_data import TrainingData

_READ: Final = 64
_CHANCE_TOLERANCE: Final = 2e-3
"""Of a probability: float16's rounding is the coarsest."""


@dataclass(frozen=True, slots=True)
class OriginalAnswers:
    """Logits of the file as it was given, fed with pixels normalised outside of it.

    Attributes:
        runner: runner of the file.
        dtype: data type of the file's input.
        spec: input and output of the file; input_spec: its input for RGB or L pixels.
        two_classes: rule by which its one output becomes two; None where it has one output per class.
        chances: runner of the file with the final sigmoid that `runner` lacks; None where nothing was taken off.
    """

    runner: OriginalRunner
    dtype: str
    spec: ModelSpec
    input_spec: InputSpec
    two_classes: TwoClasses | None = None
    chances: OriginalRunner | None = None

    def logits(self, images: Uint8Array, precision: type[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Return logits, float64 (N, K), of uint8 images (N, C, H, W) that are normalised in a precision.

        The order of the operations is torchvision's: `(pixel / 255 - mean) / std`, each rounded. A model that takes
        uint8 is given the pixels.
        """
        outputs = self.outputs(images, precision)
        if self.two_classes is not None:
            chance = None
            if self.chances is not None and outputs.dtype == np.float32 and not self.runner.is_half:
                chance = torch.from_numpy(self.chances.run(self._prepared(images, precision)))
            logits = self.two_classes.logits(torch.from_numpy(outputs), torch.float64, chance)
            return cast("npt.NDArray[np.float64]", logits.numpy())
        outputs = outputs.astype(np.float64)
        if self.spec.output == "probabilities":
            return cast("npt.NDArray[np.float64]", np.log(np.maximum(outputs, SMALLEST_PROBABILITY)))
        return outputs

    def with_spec(self, spec: ModelSpec, images: Uint8Array) -> npt.NDArray[np.float64]:
        """Return logits, float64 (N, K), of uint8 images (N, C, H, W) that another spec says how to normalise."""
        return replace(self, spec=spec, input_spec=spec.input_spec()).logits(images, np.float32)

    def outputs(self, images: Uint8Array, precision: type[np.floating[Any]]) -> npt.NDArray[Any]:
        """Return the file's own class outputs of uint8 images (N, C, H, W); float32 where the file gives 16 bits."""
        return self.runner.run(self._prepared(images, precision))

    def _prepared(self, images: Uint8Array, precision: type[np.floating[Any]]) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = images
        if self.dtype != "uint8":
            mean, std = (
                np.array(numbers, dtype=precision).reshape(1, -1, 1, 1)
                for numbers in (self.input_spec.mean, self.input_spec.std)
            )
            values = (images.astype(precision) / precision(255) - mean) / std
            if self.dtype == "float16" and precision is np.float64:
                values = values.astype(np.float16)  # in the other run ONNX Runtime may leave this rounding out
            values = values.astype("float32" if self.dtype == "float16" else self.dtype)
        return values[:, ::-1] if self.spec.color == "BGR" else values


class OriginalClassifier(nn.Module):
    """The file as it was given, in the place of a PyTorch classifier: uint8 images (N, C, H, W) to logits (N, K)."""

    def __init__(self, answers: OriginalAnswers) -> None:
        super().__init__()
        self._answers = answers

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K), float32."""
        return torch.from_numpy(self._answers.logits(images.numpy(), np.float32).astype(np.float32))


def answers_of(
    original: OnnxOriginal, spec: ModelSpec, two_classes: TwoClasses | None = None, *, optimized: bool = True
) -> OriginalAnswers:
    """Return the answers of a file; `optimized` as for `OriginalRunner`."""
    runner = OriginalRunner(original, optimized=optimized)
    given = original.with_sigmoid
    chances = None if given is None else OriginalRunner(given, optimized=optimized)
    return OriginalAnswers(runner, original.dtype, spec, spec.input_spec(), two_classes, chances)


def settle_output(
    original: OnnxOriginal, spec: ModelSpec, data: TrainingData
) -> tuple[OnnxOriginal, ModelSpec, TwoClasses | None]:
    """Tell how a file's one output becomes two classes; return the file to work with, the spec, and that.

    The file is the one given, except that a final sigmoid of one output is taken off.

    Raises:
        DataError: the outputs are not what the spec says.
        UsageError: a threshold is stated where there is one output per class.
    """
    answers, names = answers_of(original, spec), data.validation.class_names
    images = next(data.validation.batches(_READ))

    def outputs(pixels: Tensor) -> Tensor:
        return torch.from_numpy(answers.outputs(pixels.numpy(), np.float32))

    values = run_owners_code(outputs, np.ascontiguousarray(images[:PROBED]))
    if not is_one_output(values.shape):
        return original, spec, make_two_classes(values, spec, names, sigmoid=False)
    values = run_owners_code(outputs, np.ascontiguousarray(images))
    without = without_final_sigmoid(original)
    spec = told_by_sigmoid(spec, values.shape, sigmoid=without is not None)
    two_classes = make_two_classes(values, spec, names, sigmoid=without is not None)
    if two_classes is None or not two_classes.sigmoid or without is None:
        return original, spec, two_classes
    for split in (data.validation, data.test):
        _require_same_chances(answers, answers_of(without, spec), split)
    return without, spec, two_classes


def _require_same_chances(answers: OriginalAnswers, without: OriginalAnswers, split: Split) -> None:
    for images in split.batches(_READ):
        given = answers.outputs(images, np.float32).astype(np.float64).ravel()
        logits = without.outputs(images, np.float32).astype(np.float64).ravel()
        if not float(np.abs(given - 1 / (1 + np.exp(-logits))).max()) <= _CHANCE_TOLERANCE:
            raise DataError("The file's output is not the sigmoid of the number before it.", "Please report this.")
