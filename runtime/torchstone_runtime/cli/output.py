"""Files that results go to, and lines about them."""

from collections.abc import Iterable
from pathlib import Path

import click

from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable


def tell(line: str) -> None:
    """Print a line on stderr; no name in it can make a second one."""
    click.echo(showable(line), err=True)


def is_stdout(path: Path | None) -> bool:
    """Tell whether `-` was given in the place of a file."""
    return path is not None and str(path) == "-"


def require_writable(outputs: Iterable[Path | None]) -> None:
    """Raise, before anything is measured, where an output can't be written or would replace another.

    Args:
        outputs: files that were asked for; None for one that was not.

    Raises:
        UsageError: two have the same name.
        OutputError: one can't be written.
    """
    from torchstone_runtime.files import require_writable_parent  # noqa: PLC0415 - --help must not load it

    targets = [path for path in outputs if path is not None]
    if len(set(targets)) != len(targets):
        raise UsageError("Two outputs have the same file name.", "Give each its own.")
    for path in targets:
        require_writable_parent(path)
