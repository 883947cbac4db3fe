"""A backbone of the owner's own code or of any other package: `package.module:factory`."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from torchstone_runtime.errors import DataError, UsageError
from torchstone_train.networks.shape import ModelShape
from torchstone_train.recipes.own_code import class_and_message, load_object, users_line

_REQUIRED_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def build(reference: str, shape: ModelShape, *, pretrained: bool) -> nn.Module:
    """Let a factory make its network, whatever its outputs are.

    A factory with a parameter `pretrained` is told whether its weights are wanted; one that requires an argument is
    given the shape; any other is called without arguments.

    Args:
        reference: `package.module:factory`.
        shape: images and classes.
        pretrained: whether weights are wanted.

    Raises:
        UsageError: the reference leads to nothing callable.
        DataError: the owner's code failed, or gave something else.
    """
    factory = load_object(reference, "--backbone")
    if not callable(factory):
        raise UsageError(f"{reference} is not callable.", "Name a function that returns a network.")
    try:
        network = _call(factory, shape, pretrained=pretrained)
    except (Exception, SystemExit) as error:
        raise DataError(f"The factory {reference} failed{users_line(error)}: {class_and_message(error)}.") from error
    if not isinstance(network, nn.Module):
        raise DataError(
            f"The factory {reference} returned a {type(network).__name__}; expected a network (nn.Module).",
            "Return the network with its last layer; it is replaced.",
        )
    return network.float()


def takes_pretrained(reference: str) -> bool:
    """Whether a factory has a parameter `pretrained`."""
    factory = load_object(reference, "--backbone")
    return callable(factory) and "pretrained" in _parameters(factory)


def sample(shape: ModelShape) -> torch.Tensor:
    """Return two images of noise, normalised, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, shape.channels, shape.height, shape.width, generator=generator)


def _call(factory: Callable[..., Any], shape: ModelShape, *, pretrained: bool) -> Any:  # noqa: ANN401 - the owner's
    parameters = _parameters(factory)
    options: dict[str, Any] = {"pretrained": pretrained} if "pretrained" in parameters else {}
    required = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind in _REQUIRED_KINDS and name not in options
    ]
    return factory(*([shape] if required else []), **options)


def _parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # a builtin without a signature
        return {}
