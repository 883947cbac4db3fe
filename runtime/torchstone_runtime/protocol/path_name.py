"""Names in the path of a URL, where they are percent-encoded."""

from urllib.parse import unquote

from torchstone_runtime.protocol.request_error import refuse


def decoded(part: str) -> str:
    """Return a part of a URL's path without its percent-encoding.

    Raises:
        RequestError: it is not valid UTF-8.
    """
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError as error:
        raise refuse("A name in the path is not valid UTF-8.") from error
