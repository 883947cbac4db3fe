"""Pictures that are there more than once: exactly, or nearly."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.audit.alignment import aligned_correlation
from torchstone_runtime.audit.facts import FactTable, ordered_map
from torchstone_runtime.audit.perceptual_hash import ROWS, close_pairs, perceptual_hashes

RADIUS: Final = 14
"""Largest Hamming distance of the hashes of near-duplicates, of 64 bits; docs/how-to/data.md says how it was chosen."""
ALIKE: Final = 0.985
"""Smallest correlation, as they lie best, of near-duplicates; likewise."""
_BATCH: Final = 512


@dataclass(frozen=True, eq=False, slots=True)
class DuplicateGroup:
    """Pictures that show the same.

    Attributes:
        members: their indices, ascending.
        alike: likeness of each to the one of the group that it was found by, 0 to 1; 1 for equal pixels.
        mirrored: whether each is mirrored against that one.
        exact: whether all have equal pixels.
    """

    members: tuple[int, ...]
    alike: tuple[float, ...]
    mirrored: tuple[bool, ...]
    exact: bool


def ignore(count: int) -> None:
    """Do nothing with a number of pictures that are done."""
    del count


class Groups:
    """Indices that are joined to groups (a disjoint-set forest)."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count, dtype=np.int64)

    def find(self, index: int) -> int:
        """Return the smallest member of an index's group."""
        parent = self._parent
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    def join(self, first: int, second: int) -> int | None:
        """Make one group of two; return the larger of their smallest members, None where they were one already."""
        one, other = sorted((self.find(first), self.find(second)))
        self._parent[other] = one
        return None if one == other else other


def exact_groups(digests: npt.NDArray[np.bytes_], readable: npt.NDArray[np.bool_]) -> list[Int64Array]:
    """Return the groups of pictures with equal hashes of their pixels, each ascending, by their first member.

    Args:
        digests: hashes of the pixels, [N].
        readable: whether each picture could be read, [N]; those that could not are in no group.
    """
    indices = np.flatnonzero(readable)
    _, inverse, counts = np.unique(digests[indices], return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    groups = np.split(indices[order], np.cumsum(counts)[:-1])
    return sorted((group for group in groups if len(group) > 1), key=lambda group: int(group[0]))


def find_duplicates(
    facts: FactTable,
    on_rows: Callable[[int], object] = ignore,
    *,
    radius: int = RADIUS,
    alike: float = ALIKE,
) -> list[DuplicateGroup]:
    """Return the groups of duplicates, by their first member.

    Time grows with the square of the number of pictures, at 2.7 ns times that square on an AMD EPYC; memory doesn't.

    Args:
        facts: facts of the pictures; where they hold gray pictures, near-duplicates are found too.
        on_rows: function that is told the number of pictures that were compared with all that follow.
        radius: largest Hamming distance of the hashes of near-duplicates.
        alike: smallest correlation of near-duplicates.
    """
    groups = Groups(len(facts))
    found_by: dict[int, tuple[float, bool]] = {}
    exact = exact_groups(facts.digests, facts.readable)
    for group in exact:
        for member in group[1:].tolist():
            groups.join(int(group[0]), member)
            found_by[member] = (1.0, False)
    if len(facts.gray):
        _join_near(facts, groups, found_by, on_rows, radius, alike)
    return _as_groups(groups, found_by, facts)


def _join_near(
    facts: FactTable,
    groups: Groups,
    found_by: dict[int, tuple[float, bool]],
    on_rows: Callable[[int], object],
    radius: int,
    alike: float,
) -> None:
    first_of = np.array([groups.find(index) for index in range(len(facts))], dtype=np.int64)
    single = np.flatnonzero(facts.readable & facts.structured() & (first_of == np.arange(len(facts))))
    hashes = perceptual_hashes(facts.gray[single])
    blocks = range(0, len(single), ROWS)

    def close(start: int) -> npt.NDArray[np.int64]:
        return close_pairs(hashes, start, radius)

    for start, pairs in zip(blocks, ordered_map(close, blocks), strict=True):
        for first, second, turned in _not_yet_joined(single, pairs, groups):
            other = facts.gray[second]
            other = np.where(turned[:, None, None] == 1, other[:, :, ::-1], other)
            scores = aligned_correlation(facts.gray[first], other)
            for place in np.flatnonzero(scores >= alike)[np.argsort(-scores[scores >= alike], kind="stable")].tolist():
                joined = groups.join(int(first[place]), int(second[place]))
                if joined is not None:
                    found_by[joined] = (float(scores[place]), bool(turned[place]))
        on_rows(min(ROWS, len(single) - start))


def _not_yet_joined(
    single: Int64Array, pairs: npt.NDArray[np.int64], groups: Groups
) -> Iterator[tuple[Int64Array, Int64Array, Int64Array]]:
    """Yield the pairs that are not in one group already, some at a time; what is found meanwhile is left out."""
    for start in range(0, len(pairs), _BATCH):
        batch = pairs[start : start + _BATCH]
        first, second = single[batch[:, 0]], single[batch[:, 1]]
        apart = [groups.find(one) != groups.find(two) for one, two in zip(first.tolist(), second.tolist(), strict=True)]
        if any(apart):
            kept = np.array(apart)
            yield first[kept], second[kept], batch[kept, 2]


def _as_groups(groups: Groups, found_by: dict[int, tuple[float, bool]], facts: FactTable) -> list[DuplicateGroup]:
    members: dict[int, set[int]] = {}
    for index in found_by:
        members.setdefault(groups.find(index), set()).add(index)
    result = []
    for first, others in sorted(members.items()):
        indices = sorted(others | {first})
        told = [found_by.get(index, (1.0, False)) for index in indices]
        same = len({facts.digests[index].tobytes() for index in indices}) == 1
        result.append(
            DuplicateGroup(tuple(indices), tuple(s for s, _ in told), tuple(turned for _, turned in told), same)
        )
    return result


def spans(groups: Iterable[DuplicateGroup], marks: Sequence[int] | Int64Array) -> list[DuplicateGroup]:
    """Return the groups whose members don't all have the same mark (part, or label)."""
    return [group for group in groups if len({int(marks[index]) for index in group.members}) > 1]
