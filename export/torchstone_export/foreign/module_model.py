"""A torch.nn.Module of another origin, made into the model that is exported."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import Tensor, nn

from torchstone_export.foreign.answer_checks import PROBED, check_answers, run_owners_code
from torchstone_export.foreign.factory import make_module
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.module_network import NormalizedNetwork
from torchstone_export.foreign.two_classes import SigmoidTakenOff, is_one_output, make_two_classes, told_by_sigmoid
from torchstone_export.foreign.weights import fit_weights, read_weights
from torchstone_export.model import ExportableClassifier, TrainedModel
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.text import is_showable
from torchstone_train.data.training_data import TrainingData
from torchstone_train.networks.image_classifier import ImageClassifier

_LARGEST_FILE: Final = (1 << 31) - (1 << 20)
"""Of an ONNX file, in bytes: protobuf's limit of 2 GiB, less what is in it beside the weights."""
_CHECKED: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSource:
    """Where a module comes from.

    Attributes:
        factory: `package.module:factory`; arguments: keyword arguments of the call of the factory.
        weights: path of the file; weights_key: key of the set in it, where it holds several (see `fit_weights`).
        spec: input and output of the module.

    Raises:
        UsageError: the spec states a field of ONNX files.
    """

    factory: str
    weights: Path
    spec: ModelSpec
    arguments: dict[str, Any] = field(default_factory=dict)
    weights_key: str | None = None

    def __post_init__(self) -> None:
        for name in ("layout", "dtype"):
            if (stated := getattr(self.spec, name)) is not None:
                raise UsageError(
                    f"The spec states {name} {stated}, which is of an ONNX file's input; a module is given float32 "
                    "images, channels first.",
                    f"Leave {name} out, or put what the module takes into the module itself.",
                )


def load_module(source: ModuleSource, data: TrainingData, tell: Callable[[str], None] = lambda _: None) -> TrainedModel:
    """Make a module, load its weights, and put preprocessing and softmax around it, after checks of what it answers.

    Args:
        source: factory, weights, and the specification of the module's input and output.
        data: real images of its classes.
        tell: function that is called with a sentence on each thing that was chosen or left out.

    Raises:
        UsageError: the factory can't be found, or the model is too large for one ONNX file.
        DataError: the owner's code failed, the weights are not the module's, or it does not give one row of K finite
            numbers per image, whatever the batch.
    """
    module = make_module(source.factory, source.arguments)
    _require_static_ranges(module)
    _require_room(module)
    weights = read_weights(source.weights)
    fitted = fit_weights(module, weights, source.weights, source.weights_key)
    for note in fitted.notes:
        tell(note)
    input_spec, names = source.spec.input_spec(), data.validation.class_names
    images = next(data.validation.batches(_CHECKED))
    network, spec = _make_network(module, source.spec, images, names)
    two_classes = network.two_classes
    model = ExportableClassifier(ImageClassifier(network, input_spec)).eval()
    check_answers(model, images, spec, len(names), one_output=two_classes is not None)
    origin = {
        "kind": "module",
        "factory": source.factory,
        "arguments": {key: value for key, value in source.arguments.items() if not _may_be_path(value)},
        "weights_sha256": weights.sha256,
        **({"weights_key": fitted.key} if fitted.key != "." and _is_plain(fitted.key) else {}),
        "output": spec.output,
        **({} if two_classes is None else {"two_classes": two_classes.to_json(names)}),
    }
    if two_classes is not None:
        tell(two_classes.describe(names))
    name = spec.name or source.factory.rpartition(":")[2]
    return TrainedModel(name, input_spec, names, model, data.ref.kind, foreign_provenance(origin, data))


class _OwnOutput(nn.Module):
    """What the module itself gives, in the place of logits."""

    def __init__(self, network: NormalizedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the module's class outputs of normalised float images (N, C, H, W)."""
        return self.network.output(images)


def _make_network(
    module: nn.Module, spec: ModelSpec, images: Uint8Array, names: tuple[str, ...]
) -> tuple[NormalizedNetwork, ModelSpec]:
    plain = ImageClassifier(_OwnOutput(NormalizedNetwork(module, spec)), spec.input_spec())
    values = run_owners_code(plain, np.ascontiguousarray(images[:PROBED]))
    with SigmoidTakenOff() as seen:
        if is_one_output(values.shape):
            values = run_owners_code(plain, images)
    # The last operation is the one whose result is what the module gives.
    last = [
        position
        for position, result in enumerate(seen.results)
        if np.array_equal(result.float().numpy().ravel(), values.ravel())
    ]
    spec = told_by_sigmoid(spec, values.shape, sigmoid=bool(last))
    two_classes = make_two_classes(values, spec, names, sigmoid=bool(last))
    if two_classes is None or not two_classes.sigmoid:
        return NormalizedNetwork(module, spec, two_classes), spec
    return NormalizedNetwork(module, spec, replace(two_classes, logit_decides=True), last[-1]), spec


def _require_static_ranges(module: nn.Module) -> None:
    dynamic = [name for name, part in module.named_modules() if ".quantized.dynamic" in type(part).__module__]
    if dynamic:
        raise DataError(
            f"The module is quantised dynamically: its part '{dynamic[0]}' takes the range of its numbers from all "
            "images of a call, so that the answer for an image depends on the images beside it.",
            "Export the module from before the quantisation.",
        )


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


def _is_plain(name: str) -> bool:
    return is_showable(name) and not _may_be_path(name)


def _may_be_path(value: object) -> bool:
    return not isinstance(value, bool | int | float | str | type(None)) or (isinstance(value, str) and "/" in value)
