"""Published weights, fetched once and checked against their checksum."""

import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlparse

import torch

from torchstone_runtime.components import install_line
from torchstone_runtime.errors import DataError, MissingComponentError
from torchstone_runtime.text import showable

_HASH_IN_NAME: Final = re.compile(r"-([0-9a-f]{8,})\.")
_SHA256_DIGITS: Final = 64
_HUB_FILES: Final = ("model.safetensors", "pytorch_model.bin")
_CHUNK: Final = 1 << 20


def fetch_url(url: str, what: str) -> Path:
    """Return the path of a published file, downloaded where it is not there yet.

    It lies where `torch.hub` keeps files (`TORCH_HOME`). Its name holds the first digits of its SHA-256, which are
    checked, also of a file that was there.

    Args:
        url: address of the file.
        what: name of the weights, for messages.

    Raises:
        DataError: it can't be fetched, or is not what its name says.
    """
    name = Path(urlparse(url).path).name
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path, stated = folder / name, _HASH_IN_NAME.search(name)
    if not path.is_file():
        by_hand = f"Fetch {url} where there is a network, and put it at {path}, or name it: --weights FILE."

        def load() -> Path:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), stated and stated[1], progress=sys.stderr.isatty())
            return path

        return _tried(load, what, by_hand)
    if stated and not sha256_of(path).startswith(stated[1]):
        raise DataError(f"{showable(str(path))} is damaged: its SHA-256 does not begin with {stated[1]}.", "Delete it.")
    return path


def fetch_from_hub(repository: str, filename: str | None, what: str) -> Path:
    """Return the path of weights of the Hugging Face hub (`HF_ENDPOINT`), downloaded if not in its cache (`HF_HOME`).

    Large files are kept there under their SHA-256, which is checked.

    Args:
        repository: name of the repository, such as `timm/resnet18.a1_in1k`.
        filename: name of the file; the usual ones are tried if None.
        what: name of the weights, for messages.

    Raises:
        DataError: it can't be fetched, or is not what its checksum says.
    """
    try:
        import huggingface_hub  # noqa: PLC0415 - comes with timm
    except ImportError as error:
        raise MissingComponentError(
            "timm's weights need huggingface_hub.", f"Install it: {install_line('timm')}"
        ) from error
    from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: PLC0415

    wanted = (filename,) if filename else _HUB_FILES
    endpoint = os.environ.get("HF_ENDPOINT") or huggingface_hub.constants.ENDPOINT
    by_hand = (
        f"Fetch {endpoint}/{repository}/resolve/main/{wanted[0]} where there is a network, and name the file: "
        "--weights FILE."
    )

    huggingface_hub.utils.logging.set_verbosity_error()  # its lines about each further try

    def load() -> Path:
        for name in wanted:
            try:
                return Path(huggingface_hub.hf_hub_download(repository, name, endpoint=endpoint))
            except RemoteEntryNotFoundError:
                if name == wanted[-1]:
                    raise
        raise FileNotFoundError(wanted[0])

    path = _tried(load, what, by_hand)
    kept_as = path.resolve().name
    if len(kept_as) == _SHA256_DIGITS and sha256_of(path) != kept_as:
        raise DataError(
            f"{what} is damaged: the SHA-256 of the file is not {kept_as[:16]}….",
            f"Delete {showable(str(path.resolve()))}.",
        )
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _tried(load: Callable[[], Path], what: str, by_hand: str) -> Path:
    try:
        return load()
    except Exception as error:  # urllib's, httpx's and the hub's errors share no class
        raise DataError(f"The weights {what} could not be downloaded: {_reason(error)}.", by_hand) from error


def _reason(error: Exception) -> str:
    cause: Any = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    cause = getattr(cause, "reason", cause)  # what urllib wraps
    return showable(str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__).rstrip(".")
