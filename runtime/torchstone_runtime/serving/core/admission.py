"""How many images may wait: those that are decoded and those that no worker has taken yet."""

from types import TracebackType
from typing import Final, Self

from torchstone_runtime.serving.core.errors import QueueFullError, TooLargeError

_NEWEST: Final = 0.1
"""Weight of the latest batch in the mean time of an image."""


class Place:
    """Room for a request's images among those that wait; left when a worker takes them, or when the block ends."""

    def __init__(self, admission: "Admission", images: int) -> None:
        self._admission = admission
        self._images = images

    def leave(self) -> None:
        """Give the room back; once is enough."""
        self._admission.waiting -= self._images
        self._images = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class Admission:
    """Counts waiting images and refuses more than there is room for.

    Args:
        max_queue: most images that wait.

    Attributes:
        waiting: number of images that wait now.
        image_seconds: seconds that an image took lately, all workers together; 0 before any was computed.
    """

    def __init__(self, max_queue: int) -> None:
        self._max_queue = max_queue
        self.waiting = 0
        self.image_seconds = 0.0

    def note(self, image_seconds: float) -> None:
        """Note how long an image took, of a batch just computed: the mean follows slowly."""
        first = self.image_seconds == 0.0
        self.image_seconds += (1.0 if first else _NEWEST) * (image_seconds - self.image_seconds)

    def enter(self, images: int) -> Place:
        """Return room for a request's images.

        Raises:
            TooLargeError: it has more than may ever wait.
            QueueFullError: too many wait already.
        """
        if images > self._max_queue:
            raise TooLargeError(
                f"The request holds {images:,} images; this server takes at most {self._max_queue:,} at once.",
                "Send them in several requests.",
            )
        if self.waiting + images > self._max_queue:
            raise QueueFullError(
                f"{self.waiting:,} images wait already, of at most {self._max_queue:,}.",
                "Send the request again later.",
                retry_after=self.waiting * self.image_seconds,
            )
        self.waiting += images
        return Place(self, images)
