"""How much of a network's work is depthwise convolution."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def depthwise_share(model: nn.Module, images: Tensor) -> float:
    """Return the share of the multiplications of a forward pass that depthwise convolutions do, 0 to 1.

    Convolutions and linear layers are counted, attention's own products are not.

    Args:
        model: network; its mode is kept.
        images: input of the network, one image or more.
    """
    found = {True: 0, False: 0}
    training = model.training
    with _counted(model, found), torch.inference_mode():
        model.eval()(images)
    model.train(training)
    return found[True] / max(1, sum(found.values()))


@contextmanager
def _counted(model: nn.Module, found: dict[bool, int]) -> Iterator[None]:
    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        found[_is_depthwise(layer)] += output.numel() * layer.weight[0].numel()  # type: ignore[index]

    layers = [part for part in model.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1
