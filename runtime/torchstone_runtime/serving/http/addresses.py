"""Binding the server's address before its models are loaded, so that a port that is taken is told at once."""

import errno
import os
import socket

from torchstone_runtime.errors import UsageError


def bind(host: str, port: int) -> list[socket.socket]:
    """Return sockets bound to all addresses of a host, which don't listen yet: until then a client is refused.

    Args:
        host: name or address; with port 0 only its first address is bound.
        port: TCP port; 0 for any that is free.

    Raises:
        UsageError: the name is not known, or the port is not available.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"There is no address '{host}' on this machine.", "Give another: --host 127.0.0.1") from error
    places = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    sockets: list[socket.socket] = []
    try:
        for family, address in places if port else places[:1]:
            sockets.append(_bound(family, address))
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise _cannot(host, port, error) from error
    return sockets


def url_of(host: str, bound: socket.socket) -> str:
    """Return the URL under which a bound socket is reached."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound.getsockname()[1]}"


def _bound(
    family: socket.AddressFamily, address: "tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]"
) -> socket.socket:
    # With the protocol left at 0, asyncio doesn't set TCP_NODELAY on its connections, and an answer waits 40 ms for the
    # client's delayed acknowledgement of the headers.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # Else the port would be taken for a minute after the server's end.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.setblocking(False)  # noqa: FBT003 - the socket's own interface
    except OSError:
        made.close()
        raise
    return made


def _cannot(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"Port {port} of {host} is taken by another program.", "Give another: --port 8001")
    if error.errno == errno.EACCES:
        return UsageError(
            f"Port {port} needs rights that this process does not have.", "Give one above 1023: --port 8000"
        )
    return UsageError(f"{host} can't be listened on: {error.strerror}.", "Give another address: --host 127.0.0.1")
