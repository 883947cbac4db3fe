"""How much a server takes on at once."""

from dataclasses import dataclass
from typing import Final

from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.engine import CPU_MICRO_BATCH

_MIB: Final = 1 << 20
DEFAULT_SHADOW_SHARE: Final = 0.1
"""Share of the time that a shadow may compute, where nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLimits:
    """How much one model takes on at once.

    Attributes:
        max_batch: most images of several requests that are computed together; a request with more runs by itself.
        max_delay: seconds that the first of a batch waits for company while a worker is idle.
        max_queue: most images that wait, those being decoded included; one request can't have more either.
        workers: batches computed at once; the processors this process may use if None.
        decode_threads: pictures decoded at once; the processors this process may use if None.
        large_picture: pixels of a picture from which it is decoded on threads of its own.
        open_bytes: memory that those being decoded there may take together; one that takes more is decoded alone.
    """

    max_batch: int = CPU_MICRO_BATCH
    max_delay: float = 0.0
    max_queue: int = 1024
    workers: int | None = None
    decode_threads: int | None = None
    large_picture: int = 4_000_000
    open_bytes: int = 512 * _MIB

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: a number below 1, or a delay that is negative or no number.
        """
        counts = {
            "max_batch": self.max_batch,
            "max_queue": self.max_queue,
            "workers": self.workers,
            "decode_threads": self.decode_threads,
            "large_picture": self.large_picture,
            "open_bytes": self.open_bytes,
        }
        for name, value in counts.items():
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}.")
        if not 0 <= self.max_delay < float("inf"):
            raise UsageError(f"max_delay must be 0 or more seconds, not {self.max_delay}.")
