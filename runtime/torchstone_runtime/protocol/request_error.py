"""`RequestError`: why a request is not answered, with the HTTP status that says so."""

from torchstone_runtime.errors import TorchstoneError


class RequestError(TorchstoneError):
    """A request that is not what the protocol or the model takes.

    Args:
        status: HTTP status of the answer (RFC 9110): 400, 404, 413, 415 and so on.
        message: sentence for the caller that says what was wrong and what was expected.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> "tuple[type[RequestError], tuple[int, str]]":
        """Keep the status on the way from one process to another."""
        return type(self), (self.status, self.problem)


def refuse(message: str) -> RequestError:
    """Return the refusal of a request that is malformed: status 400."""
    return RequestError(400, message)
