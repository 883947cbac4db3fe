"""What the server notes of a request on its way: for the access log, the metrics and the headers of its answer."""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request

from torchstone_runtime.serving.core.answer import Timings
from torchstone_runtime.serving.core.served_model import ServedModel

if TYPE_CHECKING:
    from torchstone_runtime.serving.core.admission import Announcement
    from torchstone_runtime.serving.http.body_room import BodyLease

_SCOPE_KEY: Final = "torchstone.record"
ARRIVED: Final = "torchstone.arrived"
ANNOUNCED: Final = "torchstone.announced"
"""Keys of a request's scope under which a connection states when it arrived, and that its model expects it."""
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACE_PARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]{0,64})?")
"""W3C Trace Context, section 3.2."""


@dataclass(slots=True)
class RequestRecord:
    """What is known of one request; routes add to it.

    Attributes:
        request_id: name of the request, the client's (`X-Request-Id`) or one made here.
        trace_parent: the client's `traceparent`; None where it sent none that is valid.
        status: HTTP status of the answer; 0 before it, 499 where the client left.
        model: name of the model that was asked; empty where none was found.
        version: its version.
        variant: its variant.
        images: number of images in the request.
        timings: parts of the time that the answer took; None without one.
        arrived: time of the event loop's clock at which it arrived; None where that is not known.
        body: room that its body takes; None where none is read.
    """

    request_id: str
    trace_parent: str | None
    status: int = 0
    model: str = ""
    version: str = ""
    variant: str = ""
    images: int = 0
    timings: Timings | None = None
    arrived: float | None = None
    body: "BodyLease | None" = None
    _scope: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> "RequestRecord":
        """Begin a record from the headers of a request, with lower-case names."""
        request_id, trace = None, None
        for name, value in headers:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                request_id = value.decode("ascii")
            elif name == b"traceparent" and _TRACE_PARENT.fullmatch(value):
                trace = value.decode("ascii")
        return cls(request_id or secrets.token_hex(8), trace)

    @property
    def trace_id(self) -> str | None:
        """The trace that the request belongs to, 32 hexadecimal digits."""
        return self.trace_parent.split("-")[1] if self.trace_parent else None

    def note_model(self, model: ServedModel) -> None:
        """Note which model was asked."""
        self.model, self.version, self.variant = model.name, model.version, model.variant

    def attach(self, scope: dict[str, Any]) -> None:
        """Make the record known to the routes, and take over what the connection knows."""
        scope[_SCOPE_KEY] = self
        self._scope, self.arrived = scope, scope.get(ARRIVED)

    def has_come(self) -> None:
        """Let the model expect the request no longer: it is there, or failed."""
        announcement: Announcement | None = self._scope.get(ANNOUNCED)
        if announcement is not None:
            announcement.end()

    def end(self) -> None:
        """Let nobody expect the request, and nobody hold its body, any longer."""
        self.has_come()
        if self.body is not None:
            self.body.end()


def record_of(request: Request) -> RequestRecord:
    """Return the record of a request."""
    record = request.scope[_SCOPE_KEY]
    assert isinstance(record, RequestRecord)  # noqa: S101 - put there by the front door
    return record
