"""Why a request gets no answer, in terms that a protocol can translate."""

import math

from torchstone_runtime.errors import TorchstoneError


class ServingError(TorchstoneError):
    """A request that gets no answer."""


class UnknownModelError(ServingError):
    """There is no model, or no version of it, of that name."""


class NotReadyError(ServingError):
    """The model is there but doesn't serve: it is loaded, was unloaded, failed its checks, or the server ends."""


class TooLargeError(ServingError):
    """The request holds more images than are ever taken at once."""


class QueueFullError(ServingError):
    """As many images wait as may wait.

    Attributes:
        retry_after: seconds after which the queue will have been worked off, as far as can be told.
    """

    def __init__(self, problem: str, remedy: str = "", retry_after: float = 1.0) -> None:
        super().__init__(problem, remedy)
        self.retry_after = retry_after

    @property
    def retry_after_seconds(self) -> int:
        """The same for the header `Retry-After`: whole seconds, at least one."""
        return max(1, math.ceil(self.retry_after))


class DeadlineError(ServingError):
    """The request's deadline passed before it was answered."""


class BadPictureError(ServingError):
    """A picture of the request cannot be decoded.

    Attributes:
        index: place of the first such picture in the request, counted from 0.
    """

    def __init__(self, problem: str, remedy: str = "", index: int = 0) -> None:
        super().__init__(problem, remedy)
        self.index = index
