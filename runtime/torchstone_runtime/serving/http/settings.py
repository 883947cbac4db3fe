"""How the HTTP side of a server behaves."""

from dataclasses import dataclass
from typing import Final, Literal

from torchstone_runtime.errors import UsageError

LogForm = Literal["text", "json", "off"]
MetricNames = Literal["own", "triton"]

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How the HTTP side of a server behaves.

    Attributes:
        timeout: seconds in which a request is answered, from its arrival; a client may ask for less.
        body_timeout: seconds in which the body of a request has to arrive.
        max_body: most bytes of a body, as it is sent and decompressed.
        max_bodies: most bytes of all bodies that are held at once; as many as `max_body` in any case.
        allow_reload: whether clients may load and unload models.
        log: form of the access log.
        metric_names: names of the metrics.
    """

    timeout: float = 30.0
    body_timeout: float = 30.0
    max_body: int = 64 * _MIB
    max_bodies: int = 256 * _MIB
    allow_reload: bool = False
    log: LogForm = "off"
    metric_names: MetricNames = "own"

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: a time or a size that is not positive.
        """
        if not (self.timeout > 0 and self.body_timeout > 0 and self.max_body > 0 and self.max_bodies > 0):
            raise UsageError("The times and sizes of a server must be positive.")
