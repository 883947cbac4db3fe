"""Shards read, decoded, classified and written on all threads: one thread per batch, in the order of the rows."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final

from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.parts import PartsFolder
from torchstone_runtime.scoring.rows import ScoredRows, score_items
from torchstone_runtime.scoring.shard_rows import shard_rows
from torchstone_runtime.scoring.tally import Tally
from torchstone_runtime.shards.item import ShardItem
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_pictures import StoredPicture

LARGE_BATCH: Final = 256
SMALL_BATCH: Final = 64
_LARGE_PICTURE: Final = 32 << 10
"""Bytes of pixels from which on the smaller batch is taken: 64 of 3 x 224 x 224 are 10 MB a thread."""
_FETCHES: Final = 32
"""Files of another machine that are asked for at once: each takes some ten milliseconds, mostly waiting."""


def batch_size(spec: InputSpec) -> int:
    """Return how many pictures of a shard are classified together.

    It depends on the model alone, and batches never span shards: so every engine, and a run that is resumed, computes
    the same numbers, even where a library sums in another order for another number of rows.
    """
    channels, height, width = spec.shape
    return SMALL_BATCH if channels * height * width > _LARGE_PICTURE else LARGE_BATCH


@dataclass(frozen=True, slots=True)
class _Begun:
    shard: Shard
    last: bool
    rows: "Future[ScoredRows]"


def score_shards(
    classifier: Classifier,
    shards: Iterable[Shard],
    job: ScoringJob,
    *,
    threads: int = 1,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Generator[tuple[Shard, Tally], None, None]:
    """Score shards one after the other, the next one's pictures being read meanwhile; yield each when it is written.

    Args:
        classifier: the model, loaded with `threads=1`: the threads here are those that compute.
        shards: shards that are to be scored; parts that are there are written again.
        job: job that is run.
        threads: number of batches that are decoded and classified at once.
        on_rows: function that is called with the number of further rows that were scored, in this thread.

    Raises:
        StorageError: the storage that a shard lies in fails.
        OutputError: a part cannot be written.
    """
    folder = PartsFolder(job)
    compute = ThreadPoolExecutor(threads, thread_name_prefix="torchstone-score")
    fetch = ThreadPoolExecutor(_FETCHES, thread_name_prefix="torchstone-fetch")
    try:
        with closing(_in_order(classifier, shards, job, (compute, fetch, threads))) as rows:
            yield from _written(classifier, rows, folder, on_rows)
    finally:
        for pool in (compute, fetch):
            pool.shutdown(cancel_futures=True)


def _written(
    classifier: Classifier,
    batches: Iterator[tuple[Shard, bool, ScoredRows]],
    folder: PartsFolder,
    on_rows: Callable[[int], None],
) -> Generator[tuple[Shard, Tally], None, None]:
    for first in batches:
        shard = first[0]
        with folder.new_part(shard, classifier.class_names) as part:
            for _, last, rows in chain([first], batches):
                part.add(rows)
                on_rows(len(rows))
                if last:
                    break
        yield shard, part.tally


def _in_order(
    classifier: Classifier,
    shards: Iterable[Shard],
    job: ScoringJob,
    pools: tuple[ThreadPoolExecutor, ThreadPoolExecutor, int],
) -> Generator[tuple[Shard, bool, ScoredRows], None, None]:
    compute, fetch, threads = pools
    begun: deque[_Begun] = deque()
    size = batch_size(classifier.input_spec)
    for shard in shards:
        for items, last in _batches(shard_rows(shard, job.reading), size):
            ready = [_fetched(item, fetch) for item in items]
            begun.append(_Begun(shard, last, compute.submit(score_items, classifier, ready, job.output)))
            if len(begun) > 2 * threads:
                first = begun.popleft()
                yield first.shard, first.last, first.rows.result()
    while begun:
        first = begun.popleft()
        yield first.shard, first.last, first.rows.result()


def _batches(items: Iterator[ShardItem], size: int) -> Iterator[tuple[list[ShardItem], bool]]:
    """Yield the pictures of a shard in batches, with whether it is the last one; of none, one empty batch."""
    batch = list(islice(items, size))
    while following := list(islice(items, size)):
        yield batch, False
        batch = following
    yield batch, True


@dataclass(frozen=True, slots=True)
class _Coming:
    """A picture file that is on its way, see `PictureFile`."""

    content: "Future[bytes]"

    def read(self) -> bytes:
        return self.content.result()


def _fetched(item: ShardItem, pool: ThreadPoolExecutor) -> ShardItem:
    if isinstance(item.content, StoredPicture) and item.content.storage.remote:
        return replace(item, content=_Coming(pool.submit(item.content.read)))
    return item
