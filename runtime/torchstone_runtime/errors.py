"""Errors that a person can act on.

TorchstoneError                 exit code 2: bad usage, bad input or a missing part
├── UsageError                  the command line or an argument is wrong
├── DataError (ValueError)      a dataset or one of its files is wrong
│   └── ImageError              one image cannot be decoded
├── BundleError (ValueError)    a bundle is incomplete, altered or of another format
├── ProviderError               an execution provider that was asked for is not available
├── OutputError                 a file or directory cannot be written
├── MissingComponentError       an optional part of Torchstone is not installed
└── CheckFailedError            exit code 1: a verification or a threshold failed
    └── NoAnswerError           a model gives no answer for some images
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Self

_SHOWN: Final = 10
_MOST_KNOWN: Final = 40
"""Words that a suggestion lists: a model may have thousands of classes."""


class TorchstoneError(Exception):
    """A mistake or a failed check, told to a person: what happened and what to do.

    Args:
        problem: sentence that says what happened and what was expected instead.
        remedy: sentence that says what to do about it; printed on a line of its own.
        details: lines on the problem, printed below it and indented.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, problem: str, remedy: str = "", details: Iterable[str] = ()) -> None:
        self.problem = problem
        self.remedy = remedy
        self.details = tuple(details)
        super().__init__("\n".join(self.lines))

    @property
    def lines(self) -> list[str]:
        """What is printed: a line each, unless a name in one of them holds a newline."""
        return [
            self.problem,
            *(f"  {line}" for line in self.details),
            *(self.remedy.split("\n") if self.remedy else ()),
        ]

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """Keep all parts on the way from one process to another."""
        return type(self), (self.problem, self.remedy, self.details)


class UsageError(TorchstoneError):
    """The command line or an argument is wrong."""


class DataError(TorchstoneError, ValueError):
    """A dataset, or one of its files, is not what it should be."""


class ImageError(DataError):
    """One image cannot be decoded or is too large to be decoded safely."""


class BundleError(TorchstoneError, ValueError):
    """A bundle is incomplete, altered, of another format version, or reaches outside itself."""


class ProviderError(TorchstoneError, RuntimeError):
    """The execution provider that was asked for by name cannot run the model."""


class RemoteError(TorchstoneError):
    """Another machine cannot be reached, or does not answer as its protocol says."""


class OutputError(TorchstoneError):
    """A file or directory cannot be written."""


class MissingComponentError(TorchstoneError):
    """A command needs a part of Torchstone that is not installed."""


class CheckFailedError(TorchstoneError):
    """A verification or a threshold failed."""

    exit_code: ClassVar[int] = 1


class NoAnswerError(CheckFailedError):
    """A model's outputs are not numbers (NaN, infinities), or no probabilities, for some images.

    Attributes:
        indices: indices of the images, counted from 0 in the order in which they were given, ascending.
    """

    def __init__(self, problem: str, remedy: str = "", indices: Sequence[int] = ()) -> None:
        super().__init__(problem, remedy)
        self.indices = tuple(indices)

    @classmethod
    def at(cls, indices: Sequence[int], total: int) -> Self:
        """Make the error for the images at `indices`, of `total` that were classified together."""
        shown = ", ".join(map(str, indices[:_SHOWN])) + (", …" if len(indices) > _SHOWN else "")
        return cls(
            f"The model gives no answer for {len(indices):,} of {total:,} images: its outputs for them are not finite "
            f"numbers, or no probabilities. Their indices: {shown}.",
            "The error's 'indices' holds all of them; unanswered=\"keep\" returns the other answers.",
            indices,
        )

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """Keep all parts on the way from one process to another."""
        return type(self), (self.problem, self.remedy, self.indices)


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its class where it has none."""
    message = str(error).strip()
    return message.splitlines()[0] if message else type(error).__name__


def suggestion(word: str, known: Iterable[str], others: Mapping[str, str] | None = None) -> str:
    """Return "Did you mean 'x'?" for the known word nearest to `word`, else the known words, of many the first.

    Args:
        word: the word that was given.
        known: the words that are understood.
        others: other programs' words, in lower case, each with the known word that it stands for.
    """
    options = sorted(known)
    if others and (meant := others.get(word.lower())):
        return f"Did you mean '{meant}'?"
    close = difflib.get_close_matches(word.lower(), options, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    more = f" and {len(options) - _MOST_KNOWN:,} more" if len(options) > _MOST_KNOWN else ""
    return f"Known: {', '.join(options[:_MOST_KNOWN])}{more}."
