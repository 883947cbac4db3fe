"""Memory that the bodies of requests take together: what comes beyond is refused, whoever sends it."""

from typing import Final

from torchstone_runtime.serving.core.refusals import QueueFullError

FREE: Final = 64 << 10
"""Bytes of each body that are not counted: small requests get in however many large ones are read beside them."""


class BodyRoom:
    """Room for the bodies that are held: those being read, and those of requests that have no answer yet.

    Args:
        limit: most bytes of them all.

    Attributes:
        used: bytes that are held now.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    def lease(self) -> "BodyLease":
        """Return room for one body, of no size yet."""
        return BodyLease(self)

    def take(self, size: int) -> None:
        """Take `size` bytes more, or give them back where it is negative.

        Raises:
            QueueFullError: there is no room for them.
        """
        if size > 0 and self.used + size > self._limit:
            raise QueueFullError(
                f"The bodies of other requests take {self.used:,} bytes, and this one would need {size:,} more; "
                f"together they may take {self._limit:,}.",
                "Send the request again later.",
            )
        self.used += size


class BodyLease:
    """The room of one body; to be ended once nobody holds the body."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._counted = 0

    def hold(self, size: int) -> None:
        """Let the body have `size` bytes from now on.

        Raises:
            QueueFullError: there is no room for them.
        """
        counted = max(0, size - FREE)
        self._room.take(counted - self._counted)
        self._counted = counted

    def end(self) -> None:
        """Give the room back; once is enough."""
        self.hold(0)
