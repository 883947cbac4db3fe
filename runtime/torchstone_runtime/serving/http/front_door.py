"""What every request passes: an id, the routes, an answer where they fail, and the notes that are kept of it."""

import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

from torchstone_runtime.serving.http.access_log import AccessLog
from torchstone_runtime.serving.http.errors_as_answers import answer_for, error_answer
from torchstone_runtime.serving.http.request_record import RequestRecord

if TYPE_CHECKING:
    from torchstone_runtime.serving.http.entrance import Entrance

CLIENT_LEFT: Final = 499
"""Status under which a request is noted whose client left before the answer: nginx's, for there is no official one."""


class FrontDoor:
    """The server as an ASGI application.

    Args:
        router: routes of the server.
        log: access log.
        tell: function that writes lines about a fault of the server's own.

    Attributes:
        draining: whether connections are closed with their next answer, because the server ends soon.
        router: routes of the server.
        answered: number of answers by model, variant and HTTP status; without a model both are empty.
        entrance: first look at the headers of requests, before they come here; None to let everybody in.
    """

    def __init__(self, router: Router, log: AccessLog, tell: Callable[[str], None]) -> None:
        self.draining = False
        self.answered: Counter[tuple[str, str, int]] = Counter()
        self.router = router
        self.entrance: Entrance | None = None
        self._log = log
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            await self.router(scope, receive, send)
            return
        began = time.perf_counter()
        record = RequestRecord.of(scope["headers"])
        record.attach(scope)  # type: ignore[arg-type]  # a scope is a dictionary, says the specification
        # The routes read the path with its percent signs: a model's name may hold a slash.
        scope["path"] = _raw_path(scope)
        scope["app"] = self  # so that the router raises where it would answer with plain text
        try:
            await self._answer(scope, receive, self._noting(send, record), record)
        finally:
            record.end()
            self.answered[record.model, record.variant, record.status] += 1
            self._log.add(record, scope["method"], scope["path"], time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, record: RequestRecord) -> None:
        try:
            await self.router(scope, receive, send)
        except ClientDisconnect:
            record.status = record.status or CLIENT_LEFT
        except Exception as error:
            if record.status:  # the answer has begun: all that is left is to break it off
                raise
            answer = answer_for(error, scope["method"])
            if answer is None:
                lines = "".join(traceback.format_exception(error))
                self._tell(f"A fault in Torchstone, in request {record.request_id}:\n{lines}")
                answer = error_answer(500, f"A fault in the server; its log has request {record.request_id}.")
            await answer(scope, receive, send)

    def _noting(self, send: Send, record: RequestRecord) -> Send:
        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers: list[Any] = message.setdefault("headers", [])
                headers.append((b"x-request-id", record.request_id.encode()))
                if record.trace_parent:
                    headers.append((b"traceparent", record.trace_parent.encode()))
                if self.draining:
                    headers.append((b"connection", b"close"))
            await send(message)

        return send_noted


def _raw_path(scope: Scope) -> str:
    raw = scope.get("raw_path")
    return raw.partition(b"?")[0].decode("latin-1") if raw else str(scope["path"])
