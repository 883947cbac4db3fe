"""From an ONNX file made elsewhere to a published bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchstone_export.answer_checks import PROBED, check_answers, run_owners_code
from torchstone_export.batch_statistics import find_batch_reductions
from torchstone_export.given_data import load_given_data
from torchstone_export.model import ExportableClassifier, TrainedModel
from torchstone_export.model_spec import ModelSpec
from torchstone_export.module_model import foreign_provenance
from torchstone_export.module_network import SMALLEST_PROBABILITY
from torchstone_export.onnx_original import (
    OnnxOriginal,
    OriginalRunner,
    open_plain_session,
    read_original,
    without_final_sigmoid,
)
from torchstone_export.onnx_wrap import wrap_onnx
from torchstone_export.pipeline import Exported, ExportRequest, export_model, open_signer
from torchstone_export.publish import check_target
from torchstone_export.reference import Reference, SplitReference
from torchstone_export.two_classes import TwoClasses, is_one_output, make_two_classes
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.images import Uint8Array
from torchstone_runtime.input_spec import InputSpec
from torchstone_train.data import TrainingData

if TYPE_CHECKING:
    from torchstone_train.classifier import ImageClassifier

_READ: Final = 64
_BATCH_TOLERANCE: Final = 1e-3
_CHANCE_TOLERANCE: Final = 2e-3
"""Of a probability: float16's rounding is the coarsest."""
_ORIGIN: Final = (
    "the ONNX file as it was given, run by ONNX Runtime, one image a call, without graph optimisations, on pixels "
    "normalised in float64; there was no PyTorch model. noise_floor is the largest difference of a logit to the same "
    "file run in batches with optimisations on pixels normalised in float32"
)
_CAVEAT: Final = (
    "the ONNX file as it was given, run by ONNX Runtime; there was no PyTorch reference, so whether that file decides "
    "as the model it was made from is not shown"
)


@dataclass(frozen=True, slots=True)
class OriginalAnswers:
    """Logits of the file as it was given, fed with pixels normalised outside of it.

    Attributes:
        runner: of the file.
        dtype: of its input.
        spec: what it takes and gives; input_spec: the same, for RGB or L pixels.
        two_classes: how its one output becomes two; None where it has an output a class.
    """

    runner: OriginalRunner
    dtype: str
    spec: ModelSpec
    input_spec: InputSpec
    two_classes: TwoClasses | None = None

    def logits(self, images: Uint8Array, precision: type[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Return logits, float64 (N, K), of uint8 images (N, C, H, W) that are normalised in a precision.

        The order of the operations is torchvision's: `(pixel / 255 - mean) / std`, each rounded. A model that takes
        uint8 is given the pixels.
        """
        outputs = self.outputs(images, precision).astype(np.float64)
        if self.two_classes is not None:
            return cast("npt.NDArray[np.float64]", self.two_classes.logits(torch.from_numpy(outputs)).numpy())
        if self.spec.output == "probabilities":
            return np.log(np.maximum(outputs, SMALLEST_PROBABILITY))
        return outputs

    def outputs(self, images: Uint8Array, precision: type[np.floating[Any]]) -> npt.NDArray[Any]:
        """Return the file's own class outputs of uint8 images (N, C, H, W)."""
        return self.runner.run(self._prepared(images, precision))

    def _prepared(self, images: Uint8Array, precision: type[np.floating[Any]]) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = images
        if self.dtype != "uint8":
            mean, std = (
                np.array(numbers, dtype=precision).reshape(1, -1, 1, 1)
                for numbers in (self.input_spec.mean, self.input_spec.std)
            )
            values = ((images.astype(precision) / precision(255) - mean) / std).astype(self.dtype)
        return values[:, ::-1] if self.spec.color == "BGR" else values


class OriginalClassifier(nn.Module):
    """The file as it was given, in the place of a PyTorch classifier: uint8 images (N, C, H, W) to logits (N, K)."""

    def __init__(self, answers: OriginalAnswers) -> None:
        super().__init__()
        self._answers = answers

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K), float32."""
        return torch.from_numpy(self._answers.logits(images.numpy(), np.float32).astype(np.float32))


def adopt_onnx(path: Path, spec: ModelSpec, request: ExportRequest) -> Exported:
    """Wrap an ONNX file, verify that the wrapped one decides as it does, and publish the bundle.

    Args:
        path: the file.
        spec: what it takes and gives.
        request: its `dataset` is the data; its `run` and `torchscript` are not looked at.

    Raises:
        DataError: file, spec and data don't belong together, or the file can't be run for any number of images.
        CheckFailedError: the wrapped file does not do what the file does; the target is as it was.
        OutputError: the bundle can't be written; the target is as it was.
        UsageError: the spec must say more.
    """
    if request.dataset is None:
        raise UsageError("No labelled data was named.", "Add --data DATASET: the proof is made over it.")
    check_target(request.out)
    signer = open_signer(request)
    original = read_original(path, spec)
    data = load_given_data(request.dataset, request.data_dir, spec.input_spec(), spec.classes)
    original, two_classes = _one_output(original, spec, data)
    answers, plain = (_answers(original, spec, two_classes, optimized=optimized) for optimized in (True, False))
    model = _describe(path, original, answers, data)
    free_shapes = _needs_freed_shapes(original, answers, model, next(data.validation.batches(PROBED)))
    reference = _make_reference(answers, plain, {"validation": data.validation, "test": data.test}, original.batch)

    def build(built: TrainedModel) -> dict[str, bytes]:
        return {"fp32": wrap_onnx(original, spec, built, free_shapes=free_shapes, two_classes=two_classes)}

    return export_model(model, data, request, signer=signer, reference=reference, build=build)


def _answers(
    original: OnnxOriginal, spec: ModelSpec, two_classes: TwoClasses | None = None, *, optimized: bool = True
) -> OriginalAnswers:
    runner = OriginalRunner(original, optimized=optimized)
    return OriginalAnswers(runner, original.dtype, spec, spec.input_spec(), two_classes)


def _one_output(original: OnnxOriginal, spec: ModelSpec, data: TrainingData) -> tuple[OnnxOriginal, TwoClasses | None]:
    """Return the file to work with, its final sigmoid taken off, and how its one output becomes two classes."""
    answers, names = _answers(original, spec), data.validation.class_names
    images = next(data.validation.batches(_READ))

    def outputs(pixels: Tensor) -> Tensor:
        return torch.from_numpy(answers.outputs(pixels.numpy(), np.float32))

    values = run_owners_code(outputs, np.ascontiguousarray(images[:PROBED]))
    values = run_owners_code(outputs, np.ascontiguousarray(images)) if is_one_output(values.shape) else values
    without = without_final_sigmoid(original)
    two_classes = make_two_classes(values, spec, names, sigmoid=without is not None)
    if two_classes is None or not two_classes.sigmoid or without is None:
        return original, two_classes
    for split in (data.validation, data.test):
        _require_same_chances(answers, _answers(without, spec), split)
    return without, two_classes


def _require_same_chances(answers: OriginalAnswers, without: OriginalAnswers, split: Split) -> None:
    for images in split.batches(_READ):
        given = answers.outputs(images, np.float32).astype(np.float64).ravel()
        logits = without.outputs(images, np.float32).astype(np.float64).ravel()
        if not float(np.abs(given - 1 / (1 + np.exp(-logits))).max()) <= _CHANCE_TOLERANCE:
            raise DataError("The file's output is not the sigmoid of the number before it.", "Please report this.")


def _describe(path: Path, original: OnnxOriginal, answers: OriginalAnswers, data: TrainingData) -> TrainedModel:
    spec, names = answers.spec, data.validation.class_names
    model = ExportableClassifier(cast("ImageClassifier", OriginalClassifier(answers))).eval()
    reducing = find_batch_reductions(original.model)
    check_answers(
        *(model, next(data.validation.batches(_READ)), spec, len(names)),
        one_output=answers.two_classes is not None,
        batch_hint=f"{reducing[0]} may be what looks at the whole batch." if reducing else "",
    )
    origin = {
        "kind": "onnx",
        "onnx_sha256": original.sha256,
        "producer": original.producer,
        "layout": original.layout,
        "dtype": original.dtype,
        "output": spec.output,
        "batch": original.batch,
        **({} if answers.two_classes is None else {"two_classes": answers.two_classes.to_json(names)}),
    }
    provenance = foreign_provenance(origin, data)
    return TrainedModel(spec.name or path.stem, answers.input_spec, names, model, data.ref.kind, provenance)


def _needs_freed_shapes(
    original: OnnxOriginal, answers: OriginalAnswers, model: TrainedModel, images: Uint8Array
) -> bool:
    """Tell how the number of images becomes free: False, by the input alone; True, in Reshape nodes as well.

    Raises:
        DataError: it doesn't become free.
    """
    probe = np.ascontiguousarray(images)
    with torch.inference_mode():
        expected = model.module.classifier(torch.from_numpy(probe)).numpy()
    accepted = _BATCH_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    problem = ""
    for free_shapes in (False, True) if original.batch else (False,):
        try:
            content = wrap_onnx(original, answers.spec, model, free_shapes=free_shapes, two_classes=answers.two_classes)
            session = open_plain_session(content)
            single = np.concatenate([session.run(["logits"], {"images": image[np.newaxis]})[0] for image in probe])
            together = session.run(["logits"], {"images": probe})[0]
            errors = [float(np.abs(logits - expected).max()) for logits in (single, together)]
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's own exceptions
            problem = str(error).strip().splitlines()[0]
            continue
        if max(errors) <= accepted:
            return free_shapes
        problem = f"the largest difference of a logit to the file as it was given is {max(errors):.3g}"
    if original.batch is None:
        raise DataError(f"Wrapped into a bundle, the file does not run as before: {problem}", "Please report this.")
    raise DataError(
        f"The file works with one number of images only: axis 0 of its input '{original.input_name}', the batch, is "
        f"fixed to {original.batch}; with {len(probe)} images: {problem}",
        "Export it again with a dynamic batch axis (torch.onnx.export: dynamic_shapes or dynamic_axes).",
    )


def _make_reference(
    answers: OriginalAnswers, plain: OriginalAnswers, splits: dict[str, Split], batch: int | None
) -> Reference:
    # What differs between the two runs is all that may differ in rounding between two honest runs of one file.
    parts = {}
    for name, split in splits.items():
        logits = np.concatenate([answers.logits(images, np.float32) for images in split.batches(_READ)])
        exact = np.concatenate([plain.logits(images, np.float64) for images in split.batches(batch or 1)])
        parts[name] = SplitReference(split, logits.astype(np.float32), exact)
    note = _two_classes_note(answers, splits)
    origin = f"{_ORIGIN}; {note}" if note else _ORIGIN
    return Reference(parts, origin=origin, owner="the original file's", caveat=_CAVEAT)


def _two_classes_note(answers: OriginalAnswers, splits: dict[str, Split]) -> str:
    two_classes = answers.two_classes
    return "" if two_classes is None else two_classes.describe(next(iter(splits.values())).class_names)
