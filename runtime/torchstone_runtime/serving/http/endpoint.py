"""Where requests are answered that come by the thousand."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Endpoint:
    """A function from a request to its answer as an ASGI application.

    A route calls it as it is. Around a function it puts two layers that look for handlers of exceptions, which here are
    the front door's: they took a twelfth of the processor time of a small request.

    Args:
        answer: the function.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        answer = await self._answer(Request(scope, receive, send))
        await answer(scope, receive, send)
