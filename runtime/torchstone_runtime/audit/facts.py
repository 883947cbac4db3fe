"""What is known of each picture after one look at it: its form, its fingerprints, or why it can't be read."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.audit.perceptual_hash import SIDE
from torchstone_runtime.data.shard_store import ShardStore
from torchstone_runtime.data.split import READ_BATCH, ImageStore
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.decode import check_size, describe, read_picture, to_eight_bits
from torchstone_runtime.images.input_spec import MAX_BITS
from torchstone_runtime.images.picture_file import PixelStorage
from torchstone_runtime.system.cpu import usable_cpus

DIGEST_BYTES: Final = 16
_WINDOW: Final = 16
"""Pieces of work under way for each thread: bounds the memory of what is decoded and not yet looked at."""
_FLAT: Final = 3.0
"""Standard deviation in gray levels below which a picture has nothing to tell it from others."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What one look at a picture tells.

    Attributes:
        digest: hash of its pixels, upright; equal for equal pixels, whatever the files are.
        gray: the picture gray and 32 x 32, uint8; None where no near-duplicates are looked for.
        height: height in pixels, upright; 0 where it can't be read.
        width: width in pixels, upright.
        form: file format and pixel mode, as Pillow calls them, and whether it has several frames.
        problem: reason why it can't be read; empty where it can.
    """

    digest: bytes = b""
    gray: Uint8Array | None = None
    height: int = 0
    width: int = 0
    form: tuple[str, str, bool] = ("", "", False)
    problem: str = ""


@dataclass(eq=False, slots=True)
class FactTable:
    """The facts of N pictures, a bounded number of bytes each.

    Attributes:
        digests: hash of the pixels, bytes [N]; empty for a picture that can't be read.
        gray: gray pictures of 32 x 32, uint8 [N, 32, 32]; of length 0 where none are kept.
        sizes: height and width, int64 [N, 2]; zeros for a picture that can't be read.
        forms: number of each picture's form in `form_names`, int64 [N]; -1 for one that can't be read.
        form_names: the forms that occur: file format, pixel mode, and whether there are several frames.
        problems: reasons why pictures can't be read, by their indices.
    """

    digests: npt.NDArray[np.bytes_]
    gray: Uint8Array
    sizes: Int64Array
    forms: Int64Array
    form_names: list[tuple[str, str, bool]] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, count: int, *, with_gray: bool) -> "FactTable":
        """Return a table for a number of pictures, to be filled by `put`."""
        return cls(
            digests=np.zeros(count, dtype=f"V{DIGEST_BYTES}"),
            gray=np.zeros((count if with_gray else 0, SIDE, SIDE), dtype=np.uint8),
            sizes=np.zeros((count, 2), dtype=np.int64),
            forms=np.full(count, -1, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """Whether each picture can be read, [N]."""
        readable: npt.NDArray[np.bool_] = self.forms >= 0
        return readable

    def put(self, index: int, facts: PictureFacts) -> None:
        """Record the facts of one picture."""
        if facts.problem:
            self.problems[index] = facts.problem
            return
        self.digests[index] = np.void(facts.digest)
        self.sizes[index] = facts.height, facts.width
        if facts.form not in self.form_names:
            self.form_names.append(facts.form)
        self.forms[index] = self.form_names.index(facts.form)
        if facts.gray is not None and len(self.gray):
            self.gray[index] = facts.gray

    def structured(self) -> npt.NDArray[np.bool_]:
        """Return whether each picture has enough contrast to be told from others, [N]."""
        result = np.zeros(len(self), dtype=np.bool_)
        for start in range(0, len(self.gray), READ_BATCH):
            block = self.gray[start : start + READ_BATCH]
            result[start : start + len(block)] = block.std(axis=(1, 2)) >= _FLAT
        return result


def look_at_file(path: str | os.PathLike[str] | bytes) -> PictureFacts:
    """Decode a picture file, or the content of one, whole and return what it tells; a damaged one raises nothing."""
    try:
        return read_picture(path, _facts_of)
    except ImageError as error:
        return PictureFacts(problem=error.problem.removeprefix(f"{describe(path)} "))


def _facts_of(image: Image.Image, name: str) -> PictureFacts:
    check_size(image, name)
    form = (image.format or "", image.mode, bool(getattr(image, "is_animated", False)))
    container = PixelStorage.of(image)
    image.load()
    upright = ImageOps.exif_transpose(image)
    digest = hashlib.blake2b(f"{upright.mode} {upright.size}".encode(), digest_size=DIGEST_BYTES)
    if palette := upright.getpalette():
        digest.update(bytes(palette))
    digest.update(upright.tobytes())
    gray = _in_gray(to_eight_bits(upright, name, container, MAX_BITS))
    small = np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0))
    return PictureFacts(digest.digest(), small, upright.height, upright.width, form)


def _in_gray(image: Image.Image) -> Image.Image:
    # Pillow converts LAB to RGB alone, which is what most trainings ask for.
    return (image.convert("RGB") if image.mode == "LAB" else image).convert("L")


def look_at_files(paths: Sequence[os.PathLike[str]]) -> Iterator[PictureFacts]:
    """Yield the facts of picture files in their order, decoded by as many threads as there are processors."""
    yield from ordered_map(look_at_file, paths)


def look_at_contents(store: ShardStore) -> Iterator[PictureFacts]:
    """Yield the facts of picture files inside archives and tables, likewise."""
    yield from ordered_map(lambda index: look_at_file(store.content(index)), range(len(store)))


def look_at_arrays(store: ImageStore) -> Iterator[PictureFacts]:
    """Yield the facts of pictures that are arrays, in their order; these have no gray picture."""
    channels, height, width = store.image_shape
    form = ("array", "L" if channels == 1 else "RGB", False)
    for start in range(0, len(store), READ_BATCH):
        batch = store.read(np.arange(start, min(start + READ_BATCH, len(store)), dtype=np.int64))
        for pixels in batch:
            content = np.ascontiguousarray(pixels).data
            digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
            yield PictureFacts(digest, None, height, width, form)


def ordered_map(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yield what a function makes of each item, in order, on a thread per processor, a bounded number at a time."""
    remaining = iter(items)
    threads = usable_cpus()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="torchstone-audit")
    try:
        waiting: list[Future[_Result]] = [pool.submit(work, item) for item in islice(remaining, _WINDOW * threads)]
        while waiting:
            done, waiting = waiting[:threads], waiting[threads:]
            for future in done:
                yield future.result()
            waiting += [pool.submit(work, item) for item in islice(remaining, len(done))]
    finally:
        pool.shutdown(cancel_futures=True)
