"""The sockets that the server listens on."""

import asyncio
import socket

import pytest

from torchstone_runtime.errors import UsageError
from torchstone_runtime.serving.http.addresses import bind, url_of


def test_answers_are_not_held_back_until_the_client_acknowledges() -> None:
    """Nagle's algorithm is off on accepted connections: with it, each answer of two writes took 40 ms more."""

    async def delayed() -> bool:
        seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted_socket = writer.get_extra_info("socket")
            seen.set_result(not accepted_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        (bound,) = bind("127.0.0.1", 0)
        async with await asyncio.start_server(accepted, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            writer.close()
            return await seen

    assert not asyncio.run(delayed())


def test_a_taken_port_is_told() -> None:
    """With another to give."""
    (bound,) = bind("127.0.0.1", 0)
    with bound:
        bound.listen()
        with pytest.raises(UsageError, match="is taken by another program") as told:
            bind("127.0.0.1", bound.getsockname()[1])
    assert "--port 8001" in str(told.value)


def test_an_address_of_version_6_stands_in_brackets() -> None:
    """As URLs need it."""
    (bound,) = bind("127.0.0.1", 0)
    with bound:
        port = bound.getsockname()[1]
        assert url_of("127.0.0.1", bound) == f"http://127.0.0.1:{port}"
        assert url_of("::1", bound) == f"http://[::1]:{port}"
