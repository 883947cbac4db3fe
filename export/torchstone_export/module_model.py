"""A torch.nn.Module of another origin, made into the model that is exported."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor, nn

from torchstone_export.factory import first_line, make_module, users_line
from torchstone_export.model import ExportableClassifier, TrainedModel
from torchstone_export.model_spec import ModelSpec
from torchstone_export.weights import fit_weights, read_weights
from torchstone_runtime.engine import Float32Array
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.images import Uint8Array
from torchstone_runtime.text import is_showable
from torchstone_train.classifier import ImageClassifier
from torchstone_train.data import TrainingData

SMALLEST_PROBABILITY: Final = float(np.finfo(np.float32).tiny)
"""Smaller probabilities count as this one, so that their logarithm is finite: float32's smallest normal number."""
_LARGEST_FILE: Final = (1 << 31) - (1 << 20)
"""Of an ONNX file, in bytes: protobuf's limit of 2 GiB, less what is in it beside the weights."""
_PROBED: Final = 3
_CHECKED: Final = 32
_SUM_TOLERANCE: Final = 1e-3
_BATCH_TOLERANCE: Final = 1e-3
"""Largest accepted difference of a logit between calls, as a share of the largest logit: far above rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSource:
    """Where a module comes from.

    Attributes:
        factory: `package.module:factory`; arguments: what it is called with.
        weights: the file; weights_key: which set of weights in it, where it holds several (see `fit_weights`).
    """

    factory: str
    weights: Path
    arguments: dict[str, Any] = field(default_factory=dict)
    weights_key: str | None = None


class NormalizedNetwork(nn.Module):
    """A module of another origin between our normalised RGB or L images (N, C, H, W) and logits (N, K)."""

    def __init__(self, module: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.module = module
        self._swap_channels = spec.color == "BGR"
        self._probabilities = spec.output == "probabilities"
        self._output_name = spec.output_name

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of normalised float images (N, C, H, W)."""
        output = pick_output(self.module(images.flip(1) if self._swap_channels else images), self._output_name)
        return torch.log(output.clamp_min(SMALLEST_PROBABILITY)) if self._probabilities else output


def pick_output(output: object, name: str | None) -> Tensor:
    """Find the class outputs in what a module returned.

    Args:
        output: a tensor, a tuple or list of one tensor, a dictionary or object with `logits`.
        name: which one, where that does not say it: a position, key or attribute.

    Raises:
        DataError: it isn't there, or can't be told from the others.
    """
    if name is not None:
        found = _named_output(output, name)
    elif isinstance(output, dict):
        found = output.get("logits", next(iter(output.values())) if len(output) == 1 else None)
    elif hasattr(output, "logits"):
        found = output.logits
    elif isinstance(output, tuple | list) and len(output) == 1:
        found = output[0]
    else:
        found = output
    if isinstance(found, Tensor):
        return found
    raise DataError(
        f"The module returns {_describe(output)}; expected one tensor of shape N x K"
        + (f", or a '{name}' that is one." if name else "."),
        "Say which output holds the classes (output_name: a key, an attribute or a position), "
        "or wrap the module so that it returns that tensor alone.",
    )


def load_module(
    source: ModuleSource, spec: ModelSpec, data: TrainingData, tell: Callable[[str], None] = lambda _: None
) -> TrainedModel:
    """Make a module, load its weights, and put preprocessing and softmax around it, after checks of what it answers.

    Args:
        source: the factory and the weights.
        spec: what the module takes and gives.
        data: real images of its classes.
        tell: is called with a sentence on each thing that was chosen or left out.

    Raises:
        UsageError: the factory can't be found, or the model is too large for one ONNX file.
        DataError: the owner's code failed, the weights are not the module's, or it does not give one row of K finite
            numbers an image, whatever the batch.
    """
    module = make_module(source.factory, source.arguments)
    _require_room(module)
    weights = read_weights(source.weights)
    fitted = fit_weights(module, weights, source.weights, source.weights_key)
    for note in fitted.notes:
        tell(note)
    input_spec, names = spec.input_spec(), data.validation.class_names
    model = ExportableClassifier(ImageClassifier(NormalizedNetwork(module, spec), input_spec)).eval()
    check_answers(model, next(data.validation.batches(_CHECKED)), spec, len(names))
    origin = {
        "kind": "module",
        "factory": source.factory,
        "arguments": {key: value for key, value in source.arguments.items() if not _may_be_path(value)},
        "weights_sha256": weights.sha256,
        **({"weights_key": fitted.key} if fitted.key != "." and _is_plain(fitted.key) else {}),
        "output": spec.output,
    }
    name = spec.name or source.factory.rpartition(":")[2]
    return TrainedModel(name, input_spec, names, model, data.ref.kind, foreign_provenance(origin, data))


def _require_room(module: nn.Module) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))
    if size > _LARGEST_FILE:
        raise UsageError(
            f"The module has {size / 2**30:.1f} GiB of weights in float32; an ONNX file can hold at most 2 GiB, and a "
            "bundle's model is one file.",
            "Take a smaller model.",
        )


def foreign_provenance(origin: dict[str, Any], data: TrainingData) -> dict[str, Any]:
    """Return what is known of a model of another origin; nothing is, of the images that it was trained on."""
    dataset = {key: value for key, value in data.to_json().items() if key != "train"}
    return {"origin": origin, "dataset": dataset}


def check_answers(model: ExportableClassifier, images: Uint8Array, spec: ModelSpec, num_classes: int) -> None:
    """Check that a model gives each image one row of K finite numbers, the same in every call and every batch.

    Args:
        model: raw pixels to logits and probabilities.
        images: uint8 (N, C, H, W), real ones.
        spec: what it is said to give.
        num_classes: K.

    Raises:
        DataError: it does something else; the message says what.
    """
    probe = np.ascontiguousarray(images[:_PROBED])
    first, again = _answers(model, probe), _answers(model, probe)
    if first.shape != (len(probe), num_classes):
        raise DataError(
            f"For {len(probe)} images the model gives outputs of shape {'x'.join(map(str, first.shape))}; "
            f"expected {len(probe)}x{num_classes}, as there are {num_classes} classes.",
            "Correct the classes of the spec, use data of the model's classes, or name the right output (output_name).",
        )
    if not np.isfinite(first).all():
        raise DataError("The model gives outputs that are not finite.", "Check mean, std and the weights.")
    accepted = _BATCH_TOLERANCE * max(1.0, float(np.abs(first).max()))
    if not float(np.abs(first - again).max()) <= accepted:
        raise DataError(
            "The model gives other outputs each time it is called with the same images: dropout or another source of "
            "randomness is active.",
            "Make it deterministic in evaluation mode (F.dropout takes training=self.training).",
        )
    alone = np.concatenate([_answers(model, probe[index : index + 1]) for index in range(len(probe))])
    if alone.shape != first.shape or not float(np.abs(first - alone).max()) <= accepted:
        raise DataError(
            f"The model's answer for an image depends on the images that are in the same batch: "
            f"{len(probe)} images together give outputs of shape {'x'.join(map(str, first.shape))} other than one "
            f"by one.",
            "A batch axis is baked in (x.view(1, ...)), or batch norm runs in training mode.",
        )
    _check_kind(_answers(model, images), spec)


def _check_kind(logits: Float32Array, spec: ModelSpec) -> None:
    sums = np.exp(logits.astype(np.float64)).sum(axis=1) if spec.output != "logits" else logits.sum(axis=1)
    normalised = bool((np.abs(sums - 1) <= _SUM_TOLERANCE).all())
    if spec.output == "logits" and normalised and bool((logits >= 0).all()):
        raise DataError(
            "The outputs look like probabilities: none is negative and every row sums to 1, but the spec says logits.",
            'State output = "probabilities", so that no second softmax is applied.',
        )
    if spec.output != "logits" and not normalised:
        raise DataError(
            f"The outputs are not {spec.output}: over the classes they sum to {sums.min():.4g} to {sums.max():.4g}, "
            "not to 1.",
            'State output = "logits" where no softmax is applied. Several labels an image (sigmoid) are not supported.',
        )


def _answers(model: ExportableClassifier, images: Uint8Array) -> Float32Array:
    try:
        with torch.inference_mode():
            # Not the whole model: its softmax would hide a wrong shape behind an error of its own.
            return cast("Float32Array", model.classifier(torch.from_numpy(images)).float().numpy())
    except DataError:
        raise
    except Exception as error:
        count = "1 image" if len(images) == 1 else f"{len(images)} images"
        raise DataError(
            f"The model fails on {count} of shape {'x'.join(map(str, images.shape[1:]))}"
            f"{users_line(error)}: {first_line(error)}.",
            "Check the spec's input, and that the model takes any number of images at once.",
        ) from error


def _named_output(output: object, name: str) -> object:
    if isinstance(output, dict):
        return output.get(name)
    if isinstance(output, tuple | list) and name.isdecimal():
        return output[int(name)] if int(name) < len(output) else None
    return getattr(output, name, None)


def _describe(output: object) -> str:
    if isinstance(output, dict):
        return f"a dictionary with {', '.join(map(str, output))}"
    if isinstance(output, tuple | list):
        parts = ["x".join(map(str, item.shape)) if isinstance(item, Tensor) else type(item).__name__ for item in output]
        return f"{len(output)} outputs ({', '.join(parts)})"
    return type(output).__name__


def _is_plain(name: str) -> bool:
    return is_showable(name) and not _may_be_path(name)


def _may_be_path(value: object) -> bool:
    return not isinstance(value, bool | int | float | str | type(None)) or (isinstance(value, str) and "/" in value)
