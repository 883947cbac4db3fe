"""A file that remembers whether reading it failed, for libraries that raise the same error for damaged content."""

import io
from typing import IO


class WatchedFile(io.RawIOBase):
    """A file for reading at any place, around another one.

    Args:
        file: open file, which stays the caller's to close.

    Attributes:
        failed: whether the other file raised an OSError.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.failed = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, or all that follow."""
        try:
            return self._file.read(size)
        except OSError:
            self.failed = True
            raise

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, and return it counted from the beginning."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place, counted from the beginning."""
        return self._file.tell()
