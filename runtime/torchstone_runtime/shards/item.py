"""`ShardItem`: one picture of a shard, before it is decoded."""

from dataclasses import dataclass
from typing import Final, Protocol

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import ImageError

MAX_PICTURE_BYTES: Final = 256 << 20
"""Largest picture file that is read: what is larger is a row with an error."""


class PictureFile(Protocol):
    """A picture file that has not been read yet."""

    def read(self) -> bytes:
        """Return its content.

        Raises:
            ImageError: this one file is not available: it does not exist, or is too large.
            DataError: the storage itself cannot be read.
        """


@dataclass(frozen=True, slots=True)
class ShardItem:
    """A picture of a shard.

    Attributes:
        id: name of the picture, unique within the input: the path or address of a file; `FILE#MEMBER` in an archive;
            `FILE#ROW` in a table or an array, the row counted from 0, or the value of the column of ids.
        content: content of an image file, such a file that is yet to be read, or uint8 pixels [C, H, W]; None where
            there is nothing to decode, and `error` says why.
        label: right class where the input has it: a name or a number.
        error: reason why there is no content.
        is_index: whether a number is an index into the model's classes even where these are called by numbers.
    """

    id: str
    content: bytes | PictureFile | Uint8Array | None
    label: str | int | None = None
    error: str = ""
    is_index: bool = False

    def load(self) -> bytes | Uint8Array:
        """Return the content of an image file, or pixels; it may be called from any thread.

        Raises:
            ImageError: there is none; the message says why, without the id.
            DataError: the storage cannot be read, which is no fault of the picture.
        """
        if self.content is None:
            raise ImageError(self.error)
        return self.content.read() if hasattr(self.content, "read") else self.content
