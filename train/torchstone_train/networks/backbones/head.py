"""The last layer of a network: found, replaced, and left out."""

from typing import Final

import torch
from torch import Tensor, nn

from torchstone_runtime.errors import DataError, UsageError, suggestion
from torchstone_runtime.text import shortlist, showable
from torchstone_train.networks.shape import ModelShape

_CONVOLUTION: Final = (1, 1)
_NAME_IT: Final = "Name it: --head NAME, the dotted name of its last nn.Linear or 1 x 1 nn.Conv2d."


def head_names(head: str) -> tuple[str, ...]:
    """Return the dotted names in a `head`: one, or several whose outputs the network averages."""
    return tuple(head.split(","))


def head_of(network: nn.Module, head: str) -> tuple[str, nn.Module]:
    """Return the first of the last layers by name, and the layer.

    Args:
        network: network with a head.
        head: `OpenedBackbone.head`, as the recipe of a run records it.

    Raises:
        UsageError: there is no such layer.
    """
    name = head_names(head)[0]
    modules = dict(network.named_modules())
    if not name or name not in modules:
        layers = [key for key, part in modules.items() if _is_layer(part)]
        raise UsageError(f"The network has no layer '{showable(name)}'.", suggestion(name, layers))
    return name, modules[name]


def head_parameters(network: nn.Module, head: str) -> list[nn.Parameter]:
    """Return the parameters of the last layers."""
    modules = dict(network.named_modules())
    return [parameter for name in head_names(head) for parameter in modules[name].parameters()]


def find_head(network: nn.Module, images: Tensor) -> str:
    """Return the dotted name of the one layer that gives the network's output.

    Args:
        network: network in evaluation mode.
        images: normalised float images (N, C, H, W) that it takes, two or more.

    Raises:
        UsageError: no layer does, or the network gives no logits.
    """
    given: dict[str, Tensor] = {}
    layers = {name: part for name, part in network.named_modules() if name and _is_layer(part)}
    hooks = [
        part.register_forward_hook(lambda _part, _args, out, name=name: given.__setitem__(name, out.detach().clone()))
        for name, part in layers.items()
    ]
    try:
        with torch.no_grad():
            output = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(output, Tensor) or output.ndim != 2:  # noqa: PLR2004 - images and classes
        raise UsageError(
            f"The backbone gives {_described(output)} for {len(images)} images; expected logits (N, K).",
            "Let the factory return a network with one output, or wrap it.",
        )
    found = [
        name
        for name, out in given.items()
        if out.numel() == output.numel() and torch.equal(out.flatten(), output.flatten())
    ]
    if len(found) == 1:
        return found[0]
    near = [name for name, out in given.items() if out.shape[1:2] == output.shape[1:]]
    known = f"Layers of its {output.shape[1]} outputs: {shortlist(near)}." if near else "No layer has its outputs."
    raise UsageError(f"The last layer of the backbone is not plain to see. {known}", _NAME_IT)


def replace_head(network: nn.Module, head: str, num_classes: int) -> None:
    """Put a fresh layer of `num_classes` outputs into the place of the last one.

    Raises:
        UsageError: there is no such layer, or it is neither linear nor a 1 x 1 convolution.
    """
    for name in head_names(head):
        _, layer = head_of(network, name)
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, _fresh(name, layer, num_classes))


class FeatureExtractor(nn.Module):
    """A network without its last layer: what that layer is given, float (N, F).

    Args:
        network: network with a head, shared and not changed.
        head: dotted name of the last layer.
    """

    def __init__(self, network: nn.Module, head: str) -> None:
        super().__init__()
        self.network = network
        self._head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, F) of normalised float images (N, C, H, W).

        Raises:
            DataError: the last layer is given maps, whose outputs the network averages afterwards.
        """
        seen: list[Tensor] = []
        hook = self.network.get_submodule(self._head).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            self.network(images)
        finally:
            hook.remove()
        features = seen[-1]
        if features.ndim != 2 and features.flatten(1).shape[1] != features.shape[1]:  # noqa: PLR2004 - (N, F)
            raise DataError(
                f"The last layer of this backbone, '{self._head}', is a convolution over maps of "
                f"{' x '.join(map(str, features.shape[2:]))}; features need one value per channel.",
                "Take another backbone, or finetune.",
            )
        return features.flatten(1)


def feature_extractor(network: nn.Module, head: str) -> FeatureExtractor:
    """Return a network without its last layer; weights and mode stay the network's own.

    Raises:
        UsageError: there is no such layer, or there are several, whose outputs are averaged.
    """
    if len(head_names(head)) > 1:
        raise UsageError(
            f"This backbone has several last layers ({head}), whose outputs are averaged; there are no features that "
            "one layer makes its answer of.",
            "Take another backbone, or finetune.",
        )
    name, _ = head_of(network, head)
    return FeatureExtractor(network, name)


def last_layer(network: nn.Module, shape: ModelShape) -> str:
    """Return the name of the last layer in the order of definition that has an output for each class."""
    found: list[str] = [
        name for name, part in network.named_modules() if _is_layer(part) and _outputs(part) == shape.num_classes
    ]
    if not found:
        raise DataError("The network has no layer with an output for each class.", _NAME_IT)
    return found[-1]


def _is_layer(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.kernel_size == _CONVOLUTION)


def _outputs(part: nn.Module) -> int:
    return int(part.out_features if isinstance(part, nn.Linear) else part.out_channels)  # type: ignore[arg-type]


def _fresh(name: str, layer: nn.Module, num_classes: int) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, num_classes, bias=layer.bias is not None)
    if isinstance(layer, nn.Conv2d) and layer.kernel_size == _CONVOLUTION:
        return nn.Conv2d(layer.in_channels, num_classes, 1, bias=layer.bias is not None)
    raise UsageError(
        f"--head is '{showable(name)}', a {type(layer).__name__}; expected an nn.Linear or a 1 x 1 nn.Conv2d.", _NAME_IT
    )


def _described(output: object) -> str:
    return f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
