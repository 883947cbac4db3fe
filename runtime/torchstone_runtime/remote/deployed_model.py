"""A model as its server describes it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from torchstone_runtime.errors import RemoteError, suggestion
from torchstone_runtime.remote.server_address import OK, ServerAddress
from torchstone_runtime.text import showable

NOT_FOUND = (400, 404)
"""Statuses that servers give for a model that they don't have; Triton says 400."""


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """An input or output: its name, its datatype by the protocol's name, and its shape with -1 for a free length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DeployedModel:
    """A model of a server of the Open Inference Protocol.

    Attributes:
        name: name by which the server knows it; version: the one that is asked for, the server's choice if None.
        platform: name of the engine that runs it, in the server's words.
        inputs, outputs: tensors in the server's order.
    """

    name: str
    version: str | None
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]

    @property
    def path(self) -> str:
        """Path of the model below the server's address."""
        version = "" if self.version is None else f"/versions/{quote(self.version, safe='')}"
        return f"v2/models/{quote(self.name, safe='')}{version}"


def find_model(server: ServerAddress, wanted: str | None, version: str | None, usual: str) -> DeployedModel:
    """Return a model of a server.

    Args:
        server: address of the server.
        wanted: name of the model; None for the only one, or else the one called `usual`.
        version: its version; None for the server's choice.
        usual: name of the bundle's model.

    Raises:
        RemoteError: there is no such model, it isn't ready, or the server doesn't speak the protocol.
    """
    name = wanted if wanted is not None else _choose(server, usual)
    asked = DeployedModel(name, version, "", (), ())
    answer = server.exchange("GET", asked.path)
    if answer.status in NOT_FOUND:
        known = model_names(server)
        if name in known:
            raise server.refused(asked.path, answer)
        missing = f"{server.url} has no model '{showable(name)}'"
        if known:  # what the server itself says would repeat it
            raise RemoteError(f"{missing}.", suggestion(name, known))
        raise RemoteError(f"{missing}: {answer.reason()}.", "Name it with --model.")
    if answer.status != OK:
        raise server.refused(asked.path, answer)
    return _parse(asked, server.read_json(asked.path, answer.body), server)


def model_names(server: ServerAddress) -> list[str]:
    """Return the names of a server's models, sorted; none where it doesn't tell them.

    Raises:
        RemoteError: it can't be reached.
    """
    index = server.exchange("POST", "v2/repository/index", b"{}", {"Content-Type": "application/json"})
    if index.status == OK:
        return sorted(set(_names(index.body)))
    listed = server.exchange("GET", "v2/models")  # KServe's own servers have this in its place
    return sorted(set(_names(listed.body))) if listed.status == OK else []


def _choose(server: ServerAddress, usual: str) -> str:
    known = model_names(server)
    if len(known) == 1:
        return known[0]
    if usual in known or not known:
        return usual
    raise RemoteError(
        f"{server.url} has {len(known)} models, and none is called '{showable(usual)}' as the bundle's.",
        f"Name one with --model. {suggestion('', known)}",
    )


def _names(body: bytes) -> Iterator[str]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return
    entries = data.get("models", []) if isinstance(data, dict) else data
    for entry in entries if isinstance(entries, list) else ():
        name = entry.get("name") if isinstance(entry, dict) else entry
        if isinstance(name, str):
            yield name


def _parse(asked: DeployedModel, data: Any, server: ServerAddress) -> DeployedModel:  # noqa: ANN401 - JSON from outside
    try:
        inputs, outputs = (tuple(map(_tensor, data.get(key) or ())) for key in ("inputs", "outputs"))
        return DeployedModel(asked.name, asked.version, str(data.get("platform") or ""), inputs, outputs)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RemoteError(
            f"{server.url}/{asked.path} does not describe a model as the Open Inference Protocol says: {error!r}.",
            "Is this a server of that protocol?",
        ) from error


def _tensor(data: Mapping[str, Any]) -> TensorMetadata:
    return TensorMetadata(str(data["name"]), str(data["datatype"]), tuple(int(length) for length in data["shape"]))
