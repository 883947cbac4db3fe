"""Objects of a user's own Python code, named as `package.module:NAME`; what goes wrong there is told as their error.

Free of PyTorch, as the rest of this folder.
"""

import importlib
import importlib.util
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from torchstone_runtime.errors import DataError, UsageError, first_line, suggestion


def is_reference(text: str) -> bool:
    """Whether a text has the form `package.module:NAME`."""
    module, colon, attribute = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))


def load_object(reference: str, what: str) -> object:
    """Import what `package.module:NAME` names. The current directory is searched first, as `python -m` does.

    Args:
        reference: module and attribute; the attribute may have dots.
        what: option that named it, for messages.

    Raises:
        UsageError: the reference has another form, or leads to nothing.
        DataError: importing the owner's code failed.
    """
    if not is_reference(reference):
        raise UsageError(f"{what} is '{reference}'; expected package.module:NAME.", "Such as models.resnet:build.")
    module_name, _, attribute = reference.partition(":")
    module = _import(module_name)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            remedy = suggestion(attribute, public) if public else ""
            raise UsageError(f"'{attribute}' in {module_name} does not exist.", remedy)
        found = getattr(found, part)
    return found


def users_line(error: BaseException) -> str:
    """Return " (file.py, line N, in function)" for the innermost line of the owner's code, or an empty text."""
    torch = importlib.util.find_spec("torch")
    places = [torch.origin] if torch is not None and torch.origin else []
    ours = tuple(str(Path(path).parent) for path in (*places, os.__file__))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*ours, "<frozen")) and "torchstone_" not in frame.filename
    ]
    if not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})"


def class_and_message(error: BaseException) -> str:
    """Return an exception's class and the first line of its message."""
    name, message = type(error).__name__, first_line(error)
    return name if message == name else f"{name}: {message}"


def _import(name: str) -> ModuleType:
    with suppress(FileNotFoundError):  # the current directory was removed
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise DataError(f"Importing {name} failed{users_line(error)}: {class_and_message(error)}.") from error
        raise UsageError(
            f"There is no module '{error.name}' in the current directory or among the installed packages.",
            "Run from the directory that holds it, or install its package.",
        ) from error
    except (Exception, SystemExit) as error:
        raise DataError(f"Importing {name} failed{users_line(error)}: {class_and_message(error)}.") from error
