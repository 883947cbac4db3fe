"""A module made by its owner's own Python code; what goes wrong in there is told as his error."""

import ast
import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from torchstone_runtime.errors import DataError, UsageError, suggestion

_OURS = tuple(str(Path(path).parent) for path in (torch.__file__, __file__, os.__file__))


def make_module(reference: str, arguments: dict[str, Any]) -> nn.Module:
    """Import `package.module:factory`, call the factory, and return its module in evaluation mode, in float32.

    The current directory is searched first, as `python -m` does. What the owner's code prints goes to stderr.

    Raises:
        UsageError: the reference leads to nothing that can be called.
        DataError: the owner's code failed, or gave something else.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"--module is '{reference}'; expected package.module:factory.", "Such as models.resnet:build.")
    with contextlib.redirect_stdout(sys.stderr):
        factory = _find(_import(module_name), module_name, attribute)
        made = factory if isinstance(factory, nn.Module) else _call(factory, reference, arguments)
    if not isinstance(made, nn.Module):
        raise DataError(
            f"The factory {reference} returned {type(made).__name__}, not a torch.nn.Module.",
            "It must return the model itself.",
        )
    return made.eval().float().cpu().requires_grad_(requires_grad=False)


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


def users_line(error: BaseException) -> str:
    """Return " (file.py, line N, in function)" for the innermost line of the owner's code, or an empty text."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_OURS, "<frozen")) and "torchstone_" not in frame.filename
    ]
    if not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})"


def first_line(error: BaseException) -> str:
    """Return an exception's class and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _import(name: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise DataError(f"Importing {name} failed{users_line(error)}: {first_line(error)}.") from error
        raise UsageError(
            f"There is no module '{error.name}' in the current directory or among the installed packages.",
            "Run from the directory that holds it, or install its package.",
        ) from error
    except (Exception, SystemExit) as error:
        raise DataError(f"Importing {name} failed{users_line(error)}: {first_line(error)}.") from error


def _find(module: ModuleType, name: str, attribute: str) -> Callable[..., object]:
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        what = "is nothing that can be called" if found is not None else "does not exist"
        raise UsageError(f"'{attribute}' in {name} {what}.", suggestion(attribute, public) if public else "")
    return cast("Callable[..., object]", found)


def _call(factory: Callable[..., object], reference: str, arguments: dict[str, Any]) -> object:
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        raise DataError(
            f"The factory {reference} failed{users_line(error)}: {first_line(error)}.",
            "Give it what it needs with --arg key=value; --debug shows where it failed.",
        ) from error
