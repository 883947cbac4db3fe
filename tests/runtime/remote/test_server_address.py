"""Addresses of servers, as they are read."""

import pytest

from torchstone_runtime.errors import UsageError
from torchstone_runtime.remote.server_address import ServerAddress


@pytest.mark.parametrize("timeout", [0.0, float("nan"), float("inf"), 1e10])
def test_a_timeout_that_a_socket_may_not_take_is_refused(timeout: float) -> None:
    """The longest is a day."""
    with pytest.raises(UsageError, match="A timeout must be"):
        ServerAddress.parse("localhost:8000", timeout)
