"""What other rooms add to the server: pages, routes, metrics, and facts in the answers to pictures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import BaseRoute

from torchstone_runtime.arrays import BoolArray
from torchstone_runtime.serving.core.answer import Answer
from torchstone_runtime.serving.core.served_model import Seen, ServedModel
from torchstone_runtime.serving.http.prometheus import Family

Addition = Callable[[ServedModel, Seen, Mapping[str, str]], Mapping[str, Any]]
"""Function of the model, what it saw and answered, and the query of a request to `/predict`: facts for the answer.

A key that it returns becomes one of the answer's JSON object. It may raise a `TorchstoneError` for a query that is
wrong (`UsageError`: status 400).
"""


OutputAddition = Callable[[ServedModel, Answer, Mapping[str, Any]], Mapping[str, BoolArray]]
"""Function of the model, its answer, and the parameters of an inference request: outputs beside the usual, bool [N, K].

It may raise a `TorchstoneError` for parameters that are wrong, as an `Addition` may.
"""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that the server sends as it is.

    Attributes:
        path: path of the URL, such as `/`.
        content: bytes of the file.
        media_type: value of `Content-Type`.
        headers: further headers, `Content-Security-Policy` among them for a page.
    """

    path: str
    content: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Extensions:
    """Everything that is added to a server before it is made.

    Attributes:
        files: files that are sent as they are.
        routes: routes of Starlette's.
        metrics: functions that return metrics, called for each `GET /metrics`.
        additions: functions whose facts are in the answers of `/predict`.
        outputs: functions whose outputs are in the answers of the protocol.
        paths: descriptions of added routes for `/openapi.json`, by path.
        names: names of extensions that the server's metadata lists.
    """

    files: list[StaticFile] = field(default_factory=list)
    routes: list[BaseRoute] = field(default_factory=list)
    metrics: list[Callable[[], Iterable[Family]]] = field(default_factory=list)
    additions: list[Addition] = field(default_factory=list)
    outputs: list[OutputAddition] = field(default_factory=list)
    paths: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
