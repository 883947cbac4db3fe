"""Weights from a file of another origin: read without running code."""

import hashlib
import io
import re
import warnings
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

import safetensors.torch
import torch
from torch import Tensor
from torch.serialization import safe_globals

from torchstone_runtime.errors import DataError
from torchstone_runtime.text import showable

SAVE_HELP: Final = "Save the weights alone: torch.save(model.state_dict(), 'weights.pt'), or as safetensors."
_SHOWN: Final = 4
_SAFETENSORS_HEADER: Final = 8
_MOST_NODES: Final = 1_000_000
_DEEPEST: Final = 32
_LONGEST_NAME: Final = 1000
_LARGEST_HEADER: Final = 100 << 20
_SHARD: Final = re.compile(r"-(\d{5})-of-(\d{5})\.")
_MODULE_OF_SHARDS: Final = ("torch.distributed", "torch.distributed._shard", "megatron", "deepspeed")


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors by dotted path, and the SHA-256 (hex) of the file that they came from."""

    tensors: Mapping[str, Tensor]
    sha256: str


def read_weights(path: Path) -> Weights:
    """Read tensors: safetensors, or PyTorch's own format without unpickling objects.

    Nested dictionaries and lists are laid flat: each tensor has its dotted path.

    Raises:
        DataError: no such file, damaged, or not just weights.
    """
    try:
        content = path.read_bytes()
    except IsADirectoryError as error:
        raise DataError(
            f"The weights {path} are a directory: a sharded (distributed) checkpoint, or a model's folder.",
            "Give one file. A checkpoint of torch.distributed becomes one with "
            "'python -m torch.distributed.checkpoint.format_utils dcp_to_torch DIRECTORY weights.pt'.",
        ) from error
    except OSError as error:
        raise DataError(f"The weights {path} cannot be read: {error.strerror}.", "Give an existing file.") from error
    load = _load_safetensors if _is_safetensors(path, content) else _load_torch
    loaded = load(path, content)
    tensors = _flatten(loaded)
    if not tensors:
        raise DataError(*_why_none(path, loaded))
    return Weights(tensors, hashlib.sha256(content).hexdigest())


def shard_of(path: Path) -> str:
    """Return "file 1 of 3" where a file's name says that it is one of several; else an empty text."""
    found = _SHARD.search(path.name)
    return f"file {int(found[1])} of {int(found[2])}" if found and int(found[2]) > 1 else ""


def _flatten(loaded: object) -> dict[str, Tensor]:
    """Return every tensor of nested dictionaries and lists by its dotted path; states of optimizers are left out.

    Raises:
        DataError: it holds itself, or too much.
    """
    found: dict[str, Tensor] = {}
    for count, (name, value) in enumerate(_walk("", loaded, 0)):
        if count > _MOST_NODES:
            raise DataError("The file of weights holds more than a million entries, or holds itself.")
        if isinstance(value, Tensor) and len(name) <= _LONGEST_NAME:
            found[name] = value
    return found


def _is_optimizer(value: object) -> bool:
    """Tell whether a value is an optimizer's state dict."""
    return isinstance(value, Mapping) and {"state", "param_groups"} <= set(value)


def _walk(name: str, value: object, depth: int) -> Iterator[tuple[str, object]]:
    yield name, value
    if depth > _DEEPEST or _is_optimizer(value):
        return
    items: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, inner in items:
        yield from _walk(f"{name}.{key}" if name else str(key), inner, depth + 1)


def _is_safetensors(path: Path, content: bytes) -> bool:
    # By content, since files are renamed; by suffix where the content says nothing.
    if content[:2] == b"PK":
        return False
    size = int.from_bytes(content[:_SAFETENSORS_HEADER], "little")
    looks_so = content[_SAFETENSORS_HEADER : _SAFETENSORS_HEADER + 1] == b"{" and size < _LARGEST_HEADER
    return looks_so or path.suffix == ".safetensors"


def _load_safetensors(path: Path, content: bytes) -> object:
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # safetensors raises a class of its own that shares no base with others
        raise DataError(f"{path} is not a valid safetensors file: {error}.", "Copy or save it again.") from error


def _load_torch(path: Path, content: bytes) -> object:
    try:
        # A Namespace holds settings, as timm and torchvision save them beside the weights: it has no code of its own.
        with warnings.catch_warnings(), safe_globals([Namespace]):
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise _refused_objects(path, str(error)) from error
    except Exception as error:
        if "TorchScript" in str(error):
            raise DataError(f"{path} is a TorchScript archive, not a file of weights.", SAVE_HELP) from error
        # torch.load raises whatever its parsers stumble over: KeyError, EOFError, RuntimeError.
        raise DataError(
            f"{path} is not a file of weights, or it is damaged{_other_kind(content)}.", SAVE_HELP
        ) from error


def _refused_objects(path: Path, message: str) -> DataError:
    named = re.search(r"GLOBAL (\S+) was not an allowed global", message)
    if named and named[1].startswith(_MODULE_OF_SHARDS):
        return DataError(
            f"{path} holds a part of a sharded (distributed) checkpoint: it names {named[1]}.",
            "Gather the whole state dict where it was trained (torch.distributed.checkpoint.state_dict, "
            "full_state_dict=True), and save that.",
        )
    what = f" (it names {named[1]})" if named else ""
    return DataError(
        f"{path} holds more than weights{what}: a pickled module or other objects. Loading it could run any code, "
        "so it is not loaded.",
        f"{SAVE_HELP} Of a checkpoint that you trust, save the inner state dict where it was made.",
    )


def _other_kind(content: bytes) -> str:
    kinds = {b"\x89HDF": "Keras (HDF5)", b"{": "JSON, such as an index of shards", b"\x93NUMPY": "NumPy"}
    found = next((kind for magic, kind in kinds.items() if content.startswith(magic)), None)
    if found is None and content[:1] == b"\x08" and b"onnx" in content[:400].lower():
        found = "ONNX, which 'torchstone adopt' takes"
    return f"; it looks like {found}" if found else ""


def _why_none(path: Path, loaded: object) -> tuple[str, str]:
    if _is_optimizer(loaded):
        return f"{path} holds the state of an optimizer, not the weights of a model.", SAVE_HELP
    if isinstance(loaded, Mapping) and not loaded:
        return f"{path} holds an empty dictionary: no weights were saved.", SAVE_HELP
    keys = (
        f" with {', '.join(showable(str(key)) for key in list(loaded)[:_SHOWN])}" if isinstance(loaded, Mapping) else ""
    )
    return f"{path} holds no state dict, but a {type(loaded).__name__}{keys}: there is no tensor in it.", SAVE_HELP
