"""A module made by its owner's own Python code; what goes wrong in there is told as his error."""

import ast
import sys
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.system.thread_output import own_output_to
from torchstone_train.recipes.own_code import class_and_message, load_object, users_line


def make_module(reference: str, arguments: dict[str, Any]) -> nn.Module:
    """Import `package.module:factory`, call the factory, and return its module in evaluation mode, in float32.

    The current directory is searched first, as `python -m` does. What the owner's code prints goes to stderr.

    Raises:
        UsageError: the reference leads to nothing callable.
        DataError: the owner's code failed, or gave something else.
    """
    with own_output_to(sys.stderr, "stdout"):
        factory = load_object(reference, "--module")
        if not callable(factory):
            raise UsageError(f"{reference} is not callable.", "Name a factory, or a torch.nn.Module.")
        made = factory if isinstance(factory, nn.Module) else _call(factory, reference, arguments)
    if not isinstance(made, nn.Module):
        raise DataError(
            f"The factory {reference} returned {type(made).__name__}, not a torch.nn.Module.",
            "It must return the model itself.",
        )
    _require_shapes(made)
    module = made.eval().float().cpu()
    for parameter in module.parameters():  # `Module.requires_grad_` is not there for TorchScript
        parameter.requires_grad = False
    return module


def _require_shapes(module: nn.Module) -> None:
    tensors = (*module.named_parameters(), *module.named_buffers())
    if unmade := [name for name, tensor in tensors if is_lazy(tensor)]:
        raise DataError(
            f"The module is not complete: '{unmade[0]}' has no shape before its first call (lazy layers).",
            "Call it once in the factory, with zeros of the shape of one image: model(torch.zeros(1, 3, 224, 224)).",
        )


def parse_arguments(items: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` items; a value that is no Python literal is text.

    Raises:
        UsageError: an item without a key, or a key twice.
    """
    arguments: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.isidentifier() or key in arguments:
            raise UsageError(f"--arg is '{item}'; expected key=value, each key once.", "Such as --arg num_classes=4.")
        try:
            arguments[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            arguments[key] = text
    return arguments


def _call(factory: Callable[..., object], reference: str, arguments: dict[str, Any]) -> object:
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        raise DataError(
            f"The factory {reference} failed{users_line(error)}: {class_and_message(error)}.",
            "Give it what it needs with --arg key=value; --debug shows where it failed.",
        ) from error
