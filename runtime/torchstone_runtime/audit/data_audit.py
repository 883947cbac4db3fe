"""The audit of a dataset: every picture looked at once, and what follows from it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.audit.audited_pictures import AuditSource, Part
from torchstone_runtime.audit.duplicates import DuplicateGroup, find_duplicates, ignore, spans
from torchstone_runtime.audit.facts import FactTable, PictureFacts, look_at_arrays, look_at_contents, look_at_files
from torchstone_runtime.audit.label_errors import LabelError
from torchstone_runtime.audit.predicted import Predicted
from torchstone_runtime.data.holdout import TEST_FRACTION, TEST_SEED, stratified_holdout

Stage = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""Called at the beginning of each stage with its name and number of pictures; what it returns is told of progress."""


@dataclass(frozen=True, eq=False)
class DataAudit:
    """A dataset that was looked at.

    Indices count the pictures of all parts, in the parts' order.

    Attributes:
        source: the data.
        facts: facts that one look at each picture told.
        groups: pictures that are there more than once, by their first member.
        predicted: predictions of a model for the pictures, a set of predictions a part; empty where none was asked.
    """

    source: AuditSource
    facts: FactTable
    groups: Sequence[DuplicateGroup]
    predicted: Sequence[Predicted] = ()

    def __len__(self) -> int:
        return len(self.facts)

    @cached_property
    def names(self) -> Sequence[str]:
        """Names of the pictures: paths from the dataset's folder, or positions, [N]."""
        return [name for part in self.source.parts for name in part.names]

    @cached_property
    def paths(self) -> Sequence[Path]:
        """Paths of the files, [N]; empty for arrays."""
        return [path for part in self.source.parts for path in part.paths]

    @cached_property
    def labels(self) -> Int64Array:
        """Class of each picture, an index into the source's class names, int64 [N]."""
        return np.concatenate([part.labels for part in self.source.parts])

    @cached_property
    def part_of(self) -> Int64Array:
        """Part of each picture, an index into the source's parts, int64 [N]."""
        return np.repeat(np.arange(len(self.source.parts)), [len(part) for part in self.source.parts])

    @cached_property
    def counts(self) -> Int64Array:
        """Pictures by part (rows) and class (columns), int64 [P, K]."""
        classes = len(self.source.class_names)
        return np.stack([np.bincount(part.labels, minlength=classes) for part in self.source.parts])

    @property
    def unreadable(self) -> dict[int, str]:
        """Why pictures can't be read, by their indices, ascending."""
        return dict(sorted(self.facts.problems.items()))

    @cached_property
    def leaks(self) -> list[DuplicateGroup]:
        """The groups of duplicates that are in more than one part."""
        return spans(self.groups, self.part_of)

    @cached_property
    def held_out(self) -> npt.NDArray[np.bool_]:
        """Whether a training holds each picture out as its test part, [N]; none of data that has parts of its own."""
        found = np.zeros(len(self), dtype=np.bool_)
        part = self.source.parts[0]
        if part.name == "whole" and self._divisible:
            found[stratified_holdout(part.labels, TEST_FRACTION, TEST_SEED, self.source.class_names)[1]] = True
        return found

    @cached_property
    def held_out_leaks(self) -> list[DuplicateGroup]:
        """The groups of duplicates that a training without parts would divide between test and the rest."""
        return spans(self.groups, self.held_out.astype(np.int64))

    @property
    def _divisible(self) -> bool:
        """Whether every class has the two pictures that dividing takes."""
        counts = self.counts.sum(axis=0)
        return bool((counts[counts > 0] > 1).all())

    @cached_property
    def label_conflicts(self) -> list[DuplicateGroup]:
        """The groups of duplicates under more than one label, exact ones first."""
        return sorted(spans(self.groups, self.labels), key=lambda group: not group.exact)

    @cached_property
    def harmless(self) -> list[DuplicateGroup]:
        """The groups of duplicates that are of one part and one label."""
        others = {id(group) for group in (*self.leaks, *self.label_conflicts)}
        return [group for group in self.groups if id(group) not in others]

    @cached_property
    def label_errors(self) -> list[LabelError]:
        """The likely label errors of all predictions, most confident first; those of pictures a model saw are last."""
        found = [(predicted.seen, error) for predicted in self.predicted for error in predicted.label_errors()]
        return [error for _, error in sorted(found, key=lambda pair: (pair[0], pair[1].margin, pair[1].index))]

    @cached_property
    def likely_names(self) -> dict[int, str]:
        """Name of the likely class of each likely label error, by the picture's index."""
        return {
            error.index: predicted.class_names[error.likely]
            for predicted in self.predicted
            for error in predicted.label_errors()
        }

    @cached_property
    def forms(self) -> Counter[tuple[str, str, bool]]:
        """Number of readable pictures of each form: file format, pixel mode, and whether there are several frames."""
        found = np.bincount(self.facts.forms[self.facts.readable], minlength=len(self.facts.form_names))
        return Counter(dict(zip(self.facts.form_names, found.tolist(), strict=True)))

    @property
    def sizes(self) -> Int64Array:
        """Height and width of the readable pictures, int64 [M, 2]."""
        return self.facts.sizes[self.facts.readable]

    def class_of(self, index: int) -> str:
        """Return the name of the class that a picture is labelled with."""
        return self.source.class_names[int(self.labels[index])]

    def part_name(self, index: int) -> str:
        """Return the name of the part that a picture is in."""
        return self.source.parts[int(self.part_of[index])].name


def audit_source(source: AuditSource, stage: Stage | None = None, *, near: bool = True) -> DataAudit:
    """Look at every picture of a dataset once and find what is there more than once; a damaged picture stops nothing.

    Near-duplicates are found among files only: small pictures of one kind, as arrays are, are all alike.

    Args:
        source: the data.
        stage: function that is told of the progress.
        near: whether near-duplicates are looked for.
    """
    begin = stage or _silent
    facts = FactTable.empty(len(source), with_gray=near and source.from_files)
    with begin("reading", len(source)) as done:
        for index, found in enumerate(_look(source.parts)):
            facts.put(index, found)
            done(1)
    with begin("comparing", len(source)) as done:
        return DataAudit(source, facts, find_duplicates(facts, done))


def _silent(name: str, pictures: int) -> AbstractContextManager[Callable[[int], object]]:
    del name, pictures
    return nullcontext(ignore)


def _look(parts: Sequence[Part]) -> Iterator[PictureFacts]:
    for part in parts:
        if part.contents is not None:
            yield from look_at_contents(part.contents)
        else:
            yield from look_at_arrays(part.store) if part.store is not None else look_at_files(part.paths)
