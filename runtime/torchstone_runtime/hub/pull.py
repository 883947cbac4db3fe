"""From an address on the hub to a directory with plain files, which is then checked like any other bundle."""

import json
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from torchstone_runtime.directories import replaced_directory
from torchstone_runtime.errors import RemoteError
from torchstone_runtime.hub.hub_address import HubAddress
from torchstone_runtime.hub.hub_errors import told_as_hub_errors
from torchstone_runtime.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "model.sig"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_MAX_MANIFEST_BYTES: Final = 16 << 20
_CONNECT_SECONDS: Final = 5.0


def pull_bundle(text: str) -> Path:
    """Return the directory of a bundle of the hub, fetched where it isn't here yet.

    Only the files that its manifest names are fetched, and a signature. They lie beside the hub's own cache
    (`HF_HOME`), by commit. Without a connection the copy that is here is taken. Nothing is checked: `Bundle` does that.

    Args:
        text: address, `hf://owner/name` or `hf://owner/name@revision`.

    Raises:
        MissingComponentError: without `torchstone[hub]`.
        OutputError: the copy can't be written.
        RemoteError: the hub can't be reached, has no such repository or revision, or no bundle in it.
        UsageError: it is not such an address.
    """
    address = HubAddress.parse(text)
    with told_as_hub_errors(address):
        from huggingface_hub import constants  # noqa: PLC0415 - optional

        place = _Place(address, local=constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT))
        manifest = place.fetch(MANIFEST_FILE, address.revision)
        commit = manifest.parent.name
        folder = Path(constants.HF_HOME) / "torchstone" / address.repository.replace("/", "--") / commit
        if folder.is_dir():
            return folder
        files = {MANIFEST_FILE: manifest} | {name: place.fetch(name, commit) for name in _names(address, manifest)}
        signature = place.signature(commit)
    if signature is not None:
        files[SIGNATURE_FILE] = signature
    elif place.local:  # nobody knows whether there is one: the next fetch must not take this for the whole bundle
        folder = folder.with_name(f"{commit}-unsigned")
    with replaced_directory(folder) as partial:
        for name, path in files.items():
            # The hub's cache has links, which a bundle must not have: they could lead out of it.
            shutil.copyfile(path.resolve(), partial / name)
    return folder


@dataclass(frozen=True, slots=True)
class _Place:
    """Where files come from: a repository of the hub, or only what of it is on this machine."""

    address: HubAddress
    local: bool

    def fetch(self, name: str, revision: str | None) -> Path:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - optional
        from huggingface_hub.utils import disable_progress_bars  # noqa: PLC0415 - optional

        disable_progress_bars()
        found = hf_hub_download(
            self.address.repository,
            name,
            revision=revision,
            library_name="torchstone",
            library_version=__version__,
            local_files_only=self.local,
        )
        return Path(str(found))

    def signature(self, commit: str) -> Path | None:
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError  # noqa: PLC0415 - optional

        try:
            return self.fetch(SIGNATURE_FILE, commit)
        except LocalEntryNotFoundError:  # so a connection that breaks is told, too: the hub may well have one
            if not self.local:
                raise
            return None
        except EntryNotFoundError:
            return None


def is_reachable(endpoint: str) -> bool:
    """Tell whether a hub can be connected to: its own client would try for a quarter of a minute.

    Behind a proxy that is for the proxy to say: the answer is then True.
    """
    if getproxies():
        return True
    parts = urlsplit(endpoint)
    try:
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        with socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError, KeyError):
        return False


def _names(address: HubAddress, manifest: Path) -> "Iterable[str]":
    try:
        if manifest.stat().st_size > _MAX_MANIFEST_BYTES:
            raise ValueError("it is too large")
        return file_names(manifest.read_bytes())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RemoteError(
            f"{address} holds no bundle: its {MANIFEST_FILE} is not a manifest of ours ({error!r})."
        ) from error


def file_names(manifest: bytes) -> list[str]:
    """Return the names of the files that a manifest lists; no more of it is looked at.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is not what an export writes.
    """
    data = json.loads(manifest)
    names = [str(entry["file"]) for part in ("variants", "files") for entry in data[part].values()]
    for name in names:
        if not _PLAIN_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a plain name")
    return list(dict.fromkeys(names))
