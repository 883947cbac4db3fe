"""Pictures decoded on all processors, batch after batch, the next one while a model runs on the one before."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from torchstone_runtime.system.cpu import usable_cpus

_Source = TypeVar("_Source")
_Decoded = TypeVar("_Decoded")


def decoded_batches(
    sources: Iterable[_Source], decode: Callable[[_Source], _Decoded], size: int, *, ahead: bool
) -> Iterator[list[tuple[_Source, "Future[_Decoded]"]]]:
    """Decode pictures in their order, `size` at a time.

    Args:
        sources: pictures, any number of them.
        decode: function that decodes one; it is called from several threads.
        size: number of pictures in a batch; the last one may be smaller.
        ahead: whether a batch is begun as soon as the one before is handed out, so that decoding goes on while a model
            runs; two batches are then held. Without, no picture is asked for before its batch is: of a camera, the
            next may be long in coming.

    Yields:
        The pictures of a batch, each with what becomes of it; the future holds its error.

    Raises:
        What `sources` raises, after the pictures before it.
    """
    remaining = iter(sources)
    failure: Exception | None = None
    pool = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="torchstone-decode")

    def begin() -> list[tuple[_Source, Future[_Decoded]]]:
        nonlocal failure, remaining
        batch = []
        try:
            for source in islice(remaining, size):
                batch.append((source, pool.submit(decode, source)))  # noqa: PERF401 - what came before an error counts
        except Exception as error:  # noqa: BLE001 - raised below
            failure, remaining = error, iter(())
        return batch

    ended = False
    try:
        following = begin()
        while following:
            batch, following = following, begin() if ahead else []
            yield batch
            following = following or begin()
        ended = True
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(cancel_futures=not ended)
