"""What goes wrong between a trained model and its file: faults put into the model before it is exported.

`MODEL_FAULTS` holds each by name: a function from a model to a faulty copy, whose export is a faulty file. A fault
that a model has no place for (no batch norm, no dropout) raises `NotApplicable`. `tests/helpers/file_faults.py` has
those that are put into the ONNX file itself.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import torch
from torch import Tensor, nn

from torchstone_export.model import ExportableClassifier

ModelFault = Callable[[ExportableClassifier], ExportableClassifier]
Weighted = (nn.Conv2d, nn.Linear)


class NotApplicable(Exception):  # noqa: N818 - no error: the model has no place for this fault
    """The model has nothing that this fault could change."""


class Before(ExportableClassifier):
    """A model that gets other pixels."""

    def __init__(self, model: ExportableClassifier, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__(deepcopy(model.classifier), model.temperature)
        self.change = change
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities of the changed images."""
        return super().forward(self.change(images))


class After(ExportableClassifier):
    """A model whose outputs are changed."""

    def __init__(self, model: ExportableClassifier, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
        super().__init__(deepcopy(model.classifier), model.temperature)
        self.change = change
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the changed logits and probabilities."""
        return self.change(*super().forward(images))


def one_weight(model: ExportableClassifier, amount: float, seed: int = 0) -> ExportableClassifier:
    """Change one weight of a convolution or dense layer by `amount` times the largest weight of its layer."""
    copy = deepcopy(model)
    layers = _all(copy, Weighted)
    generator = torch.Generator().manual_seed(seed)
    weight = layers[int(torch.randint(len(layers), (), generator=generator))].weight.data.view(-1)
    position = int(torch.randint(weight.numel(), (), generator=generator))
    weight[position] += amount * float(weight.abs().max())
    return copy


def other_checkpoint(model: ExportableClassifier, weights: dict[str, Tensor]) -> ExportableClassifier:
    """Take the weights of another epoch."""
    copy = deepcopy(model)
    copy.classifier.network.load_state_dict(weights)
    return copy


def half_precision_layer(model: ExportableClassifier) -> ExportableClassifier:
    """Round the weights of one layer to fp16."""
    return _change_layer(model, lambda layer: layer.weight.data.copy_(layer.weight.data.half().float()))


def bfloat16_layer(model: ExportableClassifier) -> ExportableClassifier:
    """Round the weights of one layer to bfloat16."""
    return _change_layer(model, lambda layer: layer.weight.data.copy_(layer.weight.data.bfloat16().float()))


def swapped_channels(model: ExportableClassifier) -> ExportableClassifier:
    """Exchange two output channels of a layer that is not the last."""

    def swap(layer: nn.Conv2d | nn.Linear) -> None:
        order = torch.arange(layer.weight.shape[0])
        order[:2] = torch.tensor([1, 0])
        layer.weight.data = layer.weight.data[order]

    return _change_layer(model, swap)


def dropped_bias(model: ExportableClassifier) -> ExportableClassifier:
    """Lose the bias of the last layer that has one."""
    copy = deepcopy(model)
    biased = [layer for layer in _all(copy, Weighted) if layer.bias is not None]
    if not biased:
        raise NotApplicable
    biased[-1].bias.data.zero_()
    return copy


def permuted_labels(model: ExportableClassifier) -> ExportableClassifier:
    """Exchange the last two classes, as another sorting of the folders does."""

    def permute(logits: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        order = [*range(logits.shape[1] - 2), logits.shape[1] - 1, logits.shape[1] - 2]
        return logits[:, order], probabilities[:, order]

    return After(model, permute)


def batch_norm_epsilon(model: ExportableClassifier) -> ExportableClassifier:
    """Another framework's default epsilon, 1e-3."""
    return _change_all(model, (nn.BatchNorm2d,), lambda norm: setattr(norm, "eps", 1e-3))


def layer_norm_epsilon(model: ExportableClassifier) -> ExportableClassifier:
    """Epsilon 1e-6 in place of 1e-5."""
    return _change_all(model, (nn.LayerNorm, nn.GroupNorm), lambda norm: setattr(norm, "eps", 1e-6))


def stale_statistic(model: ExportableClassifier) -> ExportableClassifier:
    """One channel's running mean is off by a hundredth of its standard deviation."""
    copy = deepcopy(model)
    norm = _all(copy, (nn.BatchNorm2d,))[-1]
    norm.running_mean[0] += 0.01 * norm.running_var[0].sqrt()
    return copy


def batch_statistics(model: ExportableClassifier) -> ExportableClassifier:
    """Batch norm left in training mode: it normalises by the batch at hand."""

    def train(norm: nn.BatchNorm2d) -> None:
        norm.train()
        norm.momentum = 0.0

    return _change_all(model, (nn.BatchNorm2d,), train)


def dropout_left_on(model: ExportableClassifier) -> ExportableClassifier:
    """Dropout left in training mode."""
    copy = _change_all(model, (nn.Dropout,), lambda layer: layer.train())
    if not any(layer.p > 0 for layer in _all(copy, (nn.Dropout,))):
        raise NotApplicable
    return copy


def tanh_gelu(model: ExportableClassifier) -> ExportableClassifier:
    """GELU by its tanh approximation."""
    return _change_all(model, (nn.GELU,), lambda layer: setattr(layer, "approximate", "tanh"))


def padding_mode(model: ExportableClassifier) -> ExportableClassifier:
    """The first padded convolution repeats the border in place of zeros."""
    copy = deepcopy(model)
    padded = [layer for layer in _all(copy, (nn.Conv2d,)) if layer.padding != (0, 0) and layer.padding_mode == "zeros"]
    if not padded:
        raise NotApplicable
    index = next(name for name, layer in copy.named_modules() if layer is padded[0])
    parent = copy.get_submodule(index.rpartition(".")[0])
    first = padded[0]
    pad = nn.ReplicationPad2d((first.padding[1],) * 2 + (first.padding[0],) * 2)
    first.padding = (0, 0)
    first._reversed_padding_repeated_twice = [0, 0, 0, 0]
    setattr(parent, index.rpartition(".")[2], nn.Sequential(pad, first))
    return copy


def pooling_ceil(model: ExportableClassifier) -> ExportableClassifier:
    """Pooling rounds the size of its output the other way, up or down."""
    return _change_all(
        model, (nn.AvgPool2d, nn.MaxPool2d), lambda layer: setattr(layer, "ceil_mode", not layer.ceil_mode)
    )


def clipped_activation(model: ExportableClassifier) -> ExportableClassifier:
    """ReLU that is cut off at 6."""
    copy = deepcopy(model)
    found = [name for name, layer in copy.named_modules() if isinstance(layer, nn.ReLU)]
    if not found:
        raise NotApplicable
    for name in found:
        parent, _, own = name.rpartition(".")
        setattr(copy.get_submodule(parent), own, nn.ReLU6())
    return copy


def wrong_mean(model: ExportableClassifier) -> ExportableClassifier:
    """A mean that is off by one pixel value of 255."""
    copy = deepcopy(model)
    copy.classifier.offset += copy.classifier.scale
    return copy


def wrong_scale(model: ExportableClassifier) -> ExportableClassifier:
    """Pixels divided by 256 in place of 255."""
    copy = deepcopy(model)
    copy.classifier.scale *= 255 / 256
    return copy


def not_scaled(model: ExportableClassifier) -> ExportableClassifier:
    """Pixels that are not divided by 255."""
    copy = deepcopy(model)
    copy.classifier.scale *= 255
    return copy


def transposed_image(model: ExportableClassifier) -> ExportableClassifier:
    """Rows and columns exchanged."""
    return Before(model, lambda images: images.transpose(2, 3))


def inverted_image(model: ExportableClassifier) -> ExportableClassifier:
    """Black and white exchanged."""
    return Before(model, lambda images: 255 - images)


def reversed_color(model: ExportableClassifier) -> ExportableClassifier:
    """BGR in place of RGB."""
    if model.classifier.scale.shape[1] == 1:
        raise NotApplicable
    return Before(model, lambda images: images.flip(1))


def missing_softmax(model: ExportableClassifier) -> ExportableClassifier:
    """Logits where probabilities should be."""
    return After(model, lambda logits, _: (logits, logits))


def wrong_temperature(model: ExportableClassifier) -> ExportableClassifier:
    """Probabilities at a temperature that is 5% too high."""
    copy = deepcopy(model)
    copy.temperature *= 1.05
    return copy


def clipped_logits(model: ExportableClassifier) -> ExportableClassifier:
    """Logits cut off at -1 and 1."""
    return After(model, lambda logits, probabilities: (logits.clamp(-1, 1), probabilities))


def _change_layer(model: ExportableClassifier, change: Callable[[Any], object]) -> ExportableClassifier:
    copy = deepcopy(model)
    layers = _all(copy, Weighted)[:-1]
    if not layers:
        raise NotApplicable
    change(layers[len(layers) // 2])
    return copy


def _change_all(
    model: ExportableClassifier, kinds: tuple[type[nn.Module], ...], change: Callable[[Any], object]
) -> ExportableClassifier:
    copy = deepcopy(model)
    for module in _all(copy, kinds):
        change(module)
    return copy


def _all(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[Any]:
    found: list[Any] = [module for module in model.modules() if isinstance(module, kinds)]
    if not found:
        raise NotApplicable
    return found


MODEL_FAULTS: Final[dict[str, ModelFault]] = {
    "batch norm epsilon 1e-3": batch_norm_epsilon,
    "batch norm left in training mode": batch_statistics,
    "one stale batch norm statistic": stale_statistic,
    "layer norm epsilon 1e-6": layer_norm_epsilon,
    "swapped channels of a layer": swapped_channels,
    "BGR in place of RGB": reversed_color,
    "wrong mean (by 1/255)": wrong_mean,
    "wrong scale (1/256)": wrong_scale,
    "pixels not scaled": not_scaled,
    "transposed image": transposed_image,
    "inverted image": inverted_image,
    "missing softmax": missing_softmax,
    "wrong temperature (5%)": wrong_temperature,
    "dropout left on": dropout_left_on,
    "a layer's weights in fp16": half_precision_layer,
    "a layer's weights in bfloat16": bfloat16_layer,
    "two labels exchanged": permuted_labels,
    "a bias dropped": dropped_bias,
    "GELU by tanh": tanh_gelu,
    "another padding mode": padding_mode,
    "pooling rounds the other way": pooling_ceil,
    "ReLU cut off at 6": clipped_activation,
    "logits clipped": clipped_logits,
}
