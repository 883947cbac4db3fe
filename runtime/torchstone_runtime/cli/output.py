"""Files that results go to, and lines about them."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click

from torchstone_runtime.cli.colour import shows_colour
from torchstone_runtime.errors import UsageError
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.text import showable

QUIET: Final = "torchstone.quiet"
VERBOSE: Final = "torchstone.verbose"
"""Keys of a click context's `meta`: whether the command was given `--quiet` or `--verbose`."""
START_OF_LINE: Final = "\r\x1b[K"
"""Takes what stands on the terminal's line off it (ECMA-48)."""


def is_quiet() -> bool:
    """Tell whether the command was asked for results, warnings and errors only."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


def is_verbose() -> bool:
    """Tell whether the command was asked for details."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(VERBOSE))


def tell(line: str) -> None:
    """Print a line on stderr, unless `--quiet` was given; no name in it can make a second one."""
    if not is_quiet():
        warn(line)


def tell_detail(line: str) -> None:
    """Print a line on stderr where `--verbose` was given."""
    if is_verbose():
        warn(line)


def warn(line: str) -> None:
    """Print a line on stderr, whatever was asked for; on a terminal in place of a line of progress."""
    complain(showable(line))


def complain(text: str) -> None:
    """Print text that can be shown as it is, as `warn` does a line."""
    if sys.stderr.isatty():
        from torchstone_runtime.cli.wrapped_lines import folded_for

        text = f"{START_OF_LINE}{folded_for(sys.stderr, text)}"
    click.echo(text, err=True)


def shows_progress() -> bool:
    """Tell whether a line of progress is of use: stderr is a terminal, and `--quiet` was not given."""
    return sys.stderr.isatty() and not is_quiet()


def print_result(
    json_file: Path | None, document: Callable[[], Any], text: Callable[[], str], *, ensure_ascii: bool = False
) -> None:
    """Print a result as text, or as one JSON document where `--json` asks for it on stdout; or write that to a file.

    Args:
        json_file: the value of `--json`.
        document: function that makes the JSON data; called only where it is wanted.
        text: function that makes the lines for people; called only where they are wanted.
        ensure_ascii: whether other characters are escaped in the JSON, lone surrogates included.

    Raises:
        OutputError: the file can't be written.
    """
    if is_stdout(json_file):
        click.echo(strict_json(document(), indent=2, ensure_ascii=ensure_ascii))
        return
    if json_file is not None:
        from torchstone_runtime.files import write_atomic

        write_atomic(json_file, strict_json(document(), indent=2, ensure_ascii=ensure_ascii) + "\n")
        tell(f"wrote {json_file}")
    print_lines(text())


def print_lines(text: str) -> None:
    """Print text on stdout; a terminal gets it in colours, and lines of prose folded to its width."""
    if sys.stdout.isatty():
        from torchstone_runtime.cli.wrapped_lines import folded_for

        text = folded_for(sys.stdout, text)
    if shows_colour(sys.stdout):
        from torchstone_runtime.cli.painted import painted

        click.echo(painted(text), color=True)
    else:
        click.echo(text)


def is_stdout(path: Path | None) -> bool:
    """Tell whether `-` was given in the place of a file."""
    return path is not None and str(path) == "-"


def require_writable(outputs: Iterable[Path | None]) -> None:
    """Raise, before anything is measured, where an output can't be written or would replace another.

    Args:
        outputs: files that were asked for; None for one that was not, `-` for stdout.

    Raises:
        UsageError: two have the same name.
        OutputError: one can't be written.
    """
    targets = [path for path in outputs if path is not None and not is_stdout(path)]
    if not targets:
        return
    from torchstone_runtime.files import require_writable_parent

    if len(set(targets)) != len(targets):
        raise UsageError("Two outputs have the same file name.", "Give each its own.")
    for path in targets:
        require_writable_parent(path)
