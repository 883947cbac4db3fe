"""Weights from a file of another origin: read without running code, and fitted to a module strictly."""

import hashlib
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import safetensors.torch
import torch
from torch import Tensor, nn

from torchstone_runtime.errors import DataError

_NESTED: Final = ("state_dict", "model_state_dict", "model", "network", "net", "weights")
"""Keys under which training scripts put a model's state dict, in the order in which they are looked for."""
_PREFIXES: Final = ("module.", "_orig_mod.", "model.", "network.", "net.")
"""Put before every name by DataParallel, by torch.compile, and by modules that wrap a model."""
_SHOWN: Final = 4
_SAVE_HELP: Final = "Save the weights alone: torch.save(model.state_dict(), 'weights.pt'), or as safetensors."


@dataclass(frozen=True, slots=True)
class Weights:
    """Named tensors, and the SHA-256 (hex) of the file that they came from."""

    tensors: Mapping[str, Any]
    sha256: str


def read_weights(path: Path) -> Weights:
    """Read a state dict: safetensors, or PyTorch's own format without unpickling objects.

    Raises:
        DataError: no such file, damaged, or not just weights.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"The weights {path} cannot be read: {error.strerror}.", "Give an existing file.") from error
    load = _load_safetensors if path.suffix == ".safetensors" else _load_torch
    loaded = load(path, content)
    return Weights(_state_dict(path, loaded), hashlib.sha256(content).hexdigest())


def fit_weights(module: nn.Module, weights: Weights, source: Path) -> None:
    """Load weights into a module; prefixes that wrapping modules put before every name are taken off.

    Raises:
        DataError: a weight is missing, left over, of another shape, or not finite; the message names them.
    """
    own = module.state_dict()
    given = _without_prefixes(weights.tensors, own)
    missing, unexpected = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    shapes = [
        f"{name} {_shape(given[name])}, the module's is {_shape(own[name])}"
        for name in own.keys() & given.keys()
        if _shape(given[name]) != _shape(own[name])
    ]
    lines = [
        f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for what, names in (("missing", missing), ("not in the module", unexpected), ("of another shape", shapes))
        if names
    ]
    if lines:
        raise DataError(
            f"The weights of {source} are not those of the module:\n  " + "\n  ".join(lines),
            "Give the arguments that the model was trained with (--arg key=value), or the weights of this model.",
        )
    if odd := [name for name, value in given.items() if _holds_odd_values(value)]:
        raise DataError(f"The weights of {source} hold values that are not finite: {odd[0]}.", "Train again.")
    try:
        module.load_state_dict(given)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"The weights of {source} cannot be loaded into the module: {error}", _SAVE_HELP) from error


def _load_safetensors(path: Path, content: bytes) -> object:
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # safetensors raises a class of its own that shares no base with others
        raise DataError(f"{path} is not a valid safetensors file: {error}.", "Copy or save it again.") from error


def _load_torch(path: Path, content: bytes) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
        what = f" (it names {named[1]})" if named else ""
        raise DataError(
            f"{path} holds more than weights{what}: a pickled module or other objects. Loading it could run any code, "
            "so it is not loaded.",
            _SAVE_HELP,
        ) from error
    except Exception as error:
        if "TorchScript" in str(error):
            raise DataError(f"{path} is a TorchScript archive, not a file of weights.", _SAVE_HELP) from error
        # torch.load raises whatever its parsers stumble over: KeyError, EOFError, RuntimeError.
        raise DataError(
            f"{path} is not a file of weights, or it is damaged.", f"{_SAVE_HELP} Give safetensors that suffix."
        ) from error


def _state_dict(path: Path, loaded: object) -> Mapping[str, Any]:
    if isinstance(loaded, Mapping):
        for key in _NESTED:
            inner = loaded.get(key)
            if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
                return _named(path, inner)
    return _named(path, loaded)


def _named(path: Path, found: object) -> Mapping[str, Any]:
    if not isinstance(found, Mapping) or not any(isinstance(value, Tensor) for value in found.values()):
        keys = f" with {', '.join(map(str, list(found)[:_SHOWN]))}" if isinstance(found, Mapping) else ""
        raise DataError(f"{path} holds no state dict, but a {type(found).__name__}{keys}.", _SAVE_HELP)
    return {str(key): value for key, value in found.items()}


def _without_prefixes(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    names = dict(given)
    for _ in range(len(_PREFIXES)):
        prefix = next((prefix for prefix in _PREFIXES if names and all(key.startswith(prefix) for key in names)), None)
        if prefix is None or any(key.startswith(prefix) for key in own):
            break
        names = {key.removeprefix(prefix): value for key, value in names.items()}
    return names


def _shape(value: object) -> str:
    return "x".join(map(str, value.shape)) or "a number" if isinstance(value, Tensor) else type(value).__name__


def _holds_odd_values(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all())
