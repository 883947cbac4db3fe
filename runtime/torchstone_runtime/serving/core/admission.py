"""How many images may wait: those that are decoded and those that no worker has taken yet."""

from types import TracebackType
from typing import Final, Self

from torchstone_runtime.serving.core.refusals import QueueFullError, TooLargeError

_NEWEST: Final = 0.1
"""Weight of the latest batch in the mean time of an image."""


class Place:
    """Room for a request's images among those that wait; left when a worker takes them, or when the block ends."""

    def __init__(self, admission: "Admission", images: int) -> None:
        self._admission = admission
        self._images = images

    def leave(self) -> None:
        """Give the room back; once is enough."""
        if self._images:
            self._admission.waiting -= self._images
            self._admission.waiting_requests -= 1
            self._images = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class Announcement:
    """A request that is on its way to a model: its body is still read. It counts as one image until then."""

    def __init__(self, admission: "Admission") -> None:
        self._admission: Admission | None = admission
        admission.announced += 1

    def end(self) -> None:
        """Count it no more: it has come, or failed before; once is enough."""
        if self._admission is not None:
            self._admission.announced -= 1
            self._admission = None


class Admission:
    """Counts waiting images and refuses more than there is room for.

    Args:
        max_queue: most images that wait.

    Attributes:
        waiting: number of images that wait now.
        waiting_requests: number of requests that these belong to.
        announced: number of requests that are on their way here.
        image_seconds: seconds that an image took lately, all workers together; 0 before any was computed.
    """

    def __init__(self, max_queue: int) -> None:
        self._max_queue = max_queue
        self.waiting = self.waiting_requests = 0
        self.announced = 0
        self.image_seconds = 0.0

    @property
    def full(self) -> bool:
        """Whether not even one image more would be let in, once those have come that are on their way."""
        return self.waiting + self.announced >= self._max_queue

    def note(self, image_seconds: float) -> None:
        """Note how long an image took, of a batch just computed: the mean follows slowly."""
        first = self.image_seconds == 0.0
        self.image_seconds += (1.0 if first else _NEWEST) * (image_seconds - self.image_seconds)

    def check(self, images: int) -> None:
        """Refuse a request's images where there is no room for them now.

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
            raise self.refusal()

    def enter(self, images: int) -> Place:
        """Return room for a request's images.

        Raises:
            As for `check`.
        """
        self.check(images)
        self.waiting += images
        self.waiting_requests += 1
        return Place(self, images)

    def announce(self) -> Announcement:
        """Count a request that is on its way here."""
        return Announcement(self)

    def refusal(self) -> QueueFullError:
        """Return what a request is told for which there is no room."""
        return QueueFullError(
            f"{self.waiting:,} images wait already, of at most {self._max_queue:,}.",
            "Send the request again later.",
            retry_after=self.waiting * self.image_seconds,
        )
