"""`ShardStore`: pictures inside archives and tables, decoded when they are read."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.data.decoded_side_by_side import decoded_side_by_side
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.decode import decode_image, describe
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.shards.picture_index import IndexedPicture, PictureIndex
from torchstone_runtime.text import showable


@dataclass(frozen=True, slots=True)
class ShardStore:
    """Pictures decoded from archives and tables when they are read, several at once, as `FileStore` does from files.

    Attributes:
        index: the pictures of all files of the part.
        pictures: pictures of this store, in its order.
        spec: input specification that they are decoded by.
    """

    index: PictureIndex
    pictures: Sequence[IndexedPicture]
    spec: InputSpec

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""
        return self.spec.shape

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, indices: Int64Array) -> Uint8Array:
        """Return the images at `indices`, in that order, as uint8 of shape (n, C, H, W).

        Raises:
            ImageError: a picture can't be decoded; the message names it.
            DataError: the file that holds it can't be read.
        """
        return decoded_side_by_side(self._decode, indices, self.image_shape)

    def select(self, indices: Int64Array) -> "ShardStore":
        """Return a store of the images at `indices`, in that order."""
        return ShardStore(self.index, [self.pictures[index] for index in indices], self.spec)

    def content(self, index: int) -> bytes:
        """Return the file of a picture as it was put into its archive or table."""
        return self.index.read(self.pictures[index])

    def digest(self, index: int) -> str:
        """Return the SHA-256 (hex) of a picture's file."""
        return hashlib.sha256(self.content(index)).hexdigest()

    def named(self, index: int, content: bytes, error: ImageError) -> ImageError:
        """Return an error about the content of a picture with the name of the picture in it."""
        shown = showable(self.pictures[index].id)
        return ImageError(error.problem.replace(describe(content), shown), error.remedy)

    def _decode(self, index: int) -> Uint8Array:
        content = self.content(index)
        try:
            return decode_image(content, self.spec)
        except ImageError as error:
            raise self.named(index, content, error) from error
