"""What PyTorch's exporters say of a network that they can't export, in one message."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch

from torchstone_runtime.errors import DataError
from torchstone_runtime.system.thread_output import own_output_to
from torchstone_train.recipes.own_code import class_and_message, users_line

_FREEZES: Final = re.compile(
    r"static shape of (\d+) for dimension inputs\[0\]\.shape\[0\]|Constraints violated \(batch\)"
)
_OPERATOR: Final = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.]+)'")
_PLACE: Final = re.compile(r'File "([^"]+)", line (\d+), in (\w+)')
_TALKATIVE: Final = ("torch", "onnxscript", "onnx_ir")
"""Loggers of the packages that export; those of the process have nothing to do with it."""
_FORMATTING: Final = re.compile(r"\x1b\[\d+m")


@contextmanager
def exporters_silent() -> Iterator[None]:
    """Keep PyTorch's exporters from printing: where torch.export fails, it prints its whole graph."""
    levels = {logger: logger.level for logger in map(logging.getLogger, _TALKATIVE)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with own_output_to(None, "stderr"):
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def explain_failure_of_trained(name: str, form: str, error: Exception) -> DataError:
    """Return an error that says that a network that Torchstone trained can't be written in a form, and what to do.

    Args:
        name: name of its recipe or backbone.
        form: "ONNX" or "TorchScript".
        error: exception of PyTorch's exporter.
    """
    cause = _causes(error)[-1]
    remedy = (
        "With --no-torchscript the bundle holds the ONNX file alone."
        if form == "TorchScript"
        else "Train another backbone, or this one with another release of PyTorch or of its package; --debug shows "
        "where it failed."
    )
    return DataError(
        f"PyTorch {torch.__version__} cannot write the network {name} as {form}: {class_and_message(cause)}", remedy
    )


def explain_onnx_failure(error: Exception) -> DataError:
    """Return an error that names what can't be exported to ONNX: an operator, a branch, a fixed batch axis."""
    causes = _causes(error)
    text = _FORMATTING.sub("", "\n".join(str(cause) for cause in causes))
    if operator := _OPERATOR.search(text):
        return DataError(
            f"The module uses the operator {operator[1]}, which PyTorch's ONNX exporter does not know.",
            "Replace it in the module, or export to ONNX yourself and use 'torchstone adopt'.",
        )
    if _FREEZES.search(text):
        return DataError(
            "The module fixes the batch axis: it works with one number of images only (x.view(2, ...) or the like).",
            "Take the number from the input: x.view(x.shape[0], ...), x.flatten(1).",
        )
    if "data-dependent" in text or "DataDependent" in text:
        return DataError(
            f"The module's path depends on the values of the images{_place(text, causes)}: an 'if' or a loop on a "
            "tensor's values can't be exported.",
            "Use torch.where, or torch.cond, in its place.",
        )
    return DataError(
        f"The module cannot be exported to ONNX{_place(text, causes)}: {class_and_message(causes[-1])}",
        "torch.export.export(module, ...) must succeed; --debug shows where it failed.",
    )


def explain_torchscript_failure(error: Exception) -> DataError:
    """Return an error that says why there can be no TorchScript file, and how to do without."""
    return DataError(
        f"The module cannot be exported to TorchScript{users_line(error)}: {class_and_message(error)}",
        "With --no-torchscript the bundle holds the ONNX file alone.",
    )


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__
    return chain


def _place(text: str, causes: list[BaseException]) -> str:
    _, found, rest = text.partition("The following call raised this error:")
    if found and (places := _PLACE.findall(rest)):
        file, line, function = places[0]
        return f" ({Path(file).name}, line {line}, in {function})"
    return next((place for cause in reversed(causes) if (place := users_line(cause))), "")
