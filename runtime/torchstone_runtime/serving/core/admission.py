"""How many images may wait: those that are decoded and those that no worker has taken yet."""

import time
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
        self._ahead = admission.waiting
        self._entered = time.monotonic()
        admission.waiting += images

    def leave(self) -> None:
        """Give the room back; once is enough."""
        if self._images and self._ahead:
            self._admission.note_wait((time.monotonic() - self._entered) / self._ahead)
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
        wait_seconds: seconds that a request waited lately for each image ahead of it; 0 before any waited.
    """

    def __init__(self, max_queue: int) -> None:
        self._max_queue = max_queue
        self.waiting = 0
        self.image_seconds = 0.0
        self.wait_seconds = 0.0

    @property
    def expected_wait(self) -> float:
        """Seconds that a request which comes now will wait, as far as can be told."""
        return self.waiting * max(self.image_seconds, self.wait_seconds)

    def note(self, image_seconds: float) -> None:
        """Note how long an image took, of a batch just computed: the mean follows slowly."""
        first = self.image_seconds == 0.0
        self.image_seconds += (1.0 if first else _NEWEST) * (image_seconds - self.image_seconds)

    def note_wait(self, seconds: float) -> None:
        """Note how long a request waited for each image ahead of it."""
        first = self.wait_seconds == 0.0
        self.wait_seconds += (1.0 if first else _NEWEST) * (seconds - self.wait_seconds)

    def enter(self, images: int, patience: float | None = None) -> Place:
        """Return room for a request's images.

        Work that ends after its deadline is lost, and costs others theirs: what would come too late is refused at once.

        Args:
            images: number of its images.
            patience: seconds until its deadline; None for none.

        Raises:
            TooLargeError: it has more than may ever wait.
            QueueFullError: too many wait already, or for too long.
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
                retry_after=self.expected_wait,
            )
        if patience is not None and self.expected_wait > patience:
            raise QueueFullError(
                f"{self.waiting:,} images wait already, for about {self.expected_wait:.2g} s: the request would be "
                "answered after its deadline.",
                "Send the request again later, or with a later deadline.",
                retry_after=self.expected_wait - patience,
            )
        return Place(self, images)
