"""Is a server ready? Standard library only."""

from urllib.parse import quote

from torchstone_runtime.errors import CheckFailedError, RemoteError
from torchstone_runtime.remote.server_address import OK, ServerAddress


def check_health(server: ServerAddress, model: str | None = None, *, live: bool = False) -> str:
    """Ask a server of the Open Inference Protocol whether it, or one of its models, is ready.

    Args:
        server: address of the server.
        model: name of a model; None asks for the server as a whole.
        live: whether it is asked only if the server lives, ready or not.

    Returns:
        A sentence that says so.

    Raises:
        CheckFailedError: it is not, or cannot be reached.
    """
    path = "v2/health/live" if live else "v2/health/ready"
    what = "live" if live else "ready"
    if model is not None:
        path = f"v2/models/{quote(model, safe='')}/ready"
    try:
        answer = server.exchange("GET", path)
    except RemoteError as error:
        # Not the exit code of bad input: container engines take 1 for unhealthy and reserve 2.
        raise CheckFailedError(error.problem, error.remedy) from error
    if answer.status != OK:
        reason = answer.reason()
        raise CheckFailedError(
            f"{_subject(server, model)} is not {what}: status {answer.status}{f', {reason}' if reason else ''}."
        )
    return f"{_subject(server, model)} is {what}"


def _subject(server: ServerAddress, model: str | None) -> str:
    return server.url if model is None else f"'{model}' at {server.url}"
