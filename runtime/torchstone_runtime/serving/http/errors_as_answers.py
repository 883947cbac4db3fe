"""What is answered where a request fails: a status that says whose fault it was, and `{"error": "…"}`."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import Response

from torchstone_runtime.errors import DataError, TorchstoneError, UsageError
from torchstone_runtime.protocol.request_error import RequestError
from torchstone_runtime.serving.core.refusals import (
    BadPictureError,
    DeadlineError,
    NotReadyError,
    QueueFullError,
    TooLargeError,
    UnknownModelError,
)
from torchstone_runtime.strict_json import strict_json

_STATUS: dict[type[TorchstoneError], int] = {
    BadPictureError: 400,
    UsageError: 400,
    DataError: 400,
    UnknownModelError: 404,
    TooLargeError: 413,
    QueueFullError: 503,
    NotReadyError: 503,
    DeadlineError: 504,
}


def json_answer(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer whose body is JSON data."""
    return Response(strict_json(data), status, headers, media_type="application/json")


def error_answer(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a request that failed."""
    return json_answer({"error": message}, status, headers)


def answer_for(error: Exception, method: str) -> Response | None:
    """Return the answer to a request that failed with an error; None where the error is a fault of ours.

    Args:
        error: the error.
        method: method of the request, in capitals.
    """
    if isinstance(error, HTTPException):
        return _of_the_router(error, method)
    if not isinstance(error, TorchstoneError):
        return None
    message = " ".join(filter(None, (error.problem, *error.details, error.remedy)))
    if isinstance(error, RequestError):
        # After 408 the rest of the body would be taken for the next request.
        return error_answer(error.status, message, {"Connection": "close"} if error.status == 408 else None)  # noqa: PLR2004
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    if isinstance(error, QueueFullError):
        return error_answer(status, message, {"Retry-After": str(error.retry_after_seconds)})
    return error_answer(status, message, {"Retry-After": "1"} if isinstance(error, NotReadyError) else None)


def _of_the_router(error: HTTPException, method: str) -> Response:
    headers = dict(error.headers or {})
    if error.status_code == 405:  # noqa: PLR2004 - Method Not Allowed
        allowed = ", ".join(sorted({*headers.get("Allow", "").split(", "), "OPTIONS"} - {""}))
        if method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": allowed})
        return error_answer(405, f"This path takes {allowed}, not {method}.", {"Allow": allowed})
    if error.status_code == 404:  # noqa: PLR2004 - Not Found
        return error_answer(404, "There is nothing at this path. GET /openapi.json lists the paths that there are.")
    return error_answer(error.status_code, str(error.detail), headers)
