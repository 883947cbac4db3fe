"""What all commands have in common: options under headings in `--help`, examples, and `-q`, `-v`, `-V`, `-h`."""

import copy
import os
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from torchstone_runtime.bundle.builtin import builtin_names
from torchstone_runtime.cli.output import QUIET, VERBOSE, tell_detail
from torchstone_runtime.cli.progress_line import progress_shown
from torchstone_runtime.version import __version__

HEADINGS: Final = (
    "Data",
    "Model",
    "Server",
    "Backbone",
    "Training",
    "Variants",
    "Output",
    "Gates",
    "Advanced",
    "General",
)
"""The groups of options, in the order in which `--help` shows them."""


_JSON: Final = "--json"
_JSON_TO_STDOUT: Final = "--json=-"


class GroupedOption(click.Option):
    """An option that stands under a heading.

    Args:
        group: one of `HEADINGS`.
        aliases: spellings that work, but are not shown.
    """

    def __init__(self, *declarations: Any, group: str, aliases: Sequence[str] = (), **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*declarations, **attributes)
        if group not in HEADINGS:
            raise ValueError(group)
        self.group = group
        self.aliases = tuple(aliases)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option's line of the help, without the aliases."""
        shown = copy.copy(self)
        shown.opts = [name for name in self.opts if name not in self.aliases]
        return click.Option.get_help_record(shown, ctx)


def option(*declarations: str, group: str, **attributes: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - click's
    """Return the decorator that gives a command an option; as `click.option`, with a heading."""
    return click.option(*declarations, cls=GroupedOption, group=group, **attributes)


class TorchstoneCommand(click.Command):
    """A command with grouped options, examples, and the options that every command has.

    Args:
        examples: command lines, without the prompt.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*arguments, **attributes)
        self.examples = tuple(examples)
        for add in _COMMON:
            add(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; a bundle or an ONNX file behind `--json` is an argument, not the file to write.

        Where a command takes any number of paths, everything behind it is.
        """
        if any(_JSON in parameter.opts for parameter in self.params):
            takes_paths = any(parameter.nargs == -1 for parameter in self.params)
            end = args.index("--") if "--" in args else len(args)
            pairs = zip(args[:end], [*args[1:end], ""], strict=False)  # no arguments have no follower either
            given = [_JSON_TO_STDOUT if _is_alone(*pair, takes_paths=takes_paths) else pair[0] for pair in pairs]
            args = given + args[end:]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each group under its heading."""
        rows: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                rows[getattr(parameter, "group", "General")].append(record)
        for heading, records in rows.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one per line, so that they can be copied."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - whatever the command returns
        """Run the command; with `--verbose` it ends with a line on what ran, and for how long."""
        if ctx.meta.get(QUIET) and ctx.meta.get(VERBOSE):
            ctx.fail("--quiet and --verbose contradict each other. Give one of them.")
        started = time.perf_counter()
        with progress_shown():
            result = super().invoke(ctx)
        seconds = time.perf_counter() - started
        tell_detail(f"torchstone {__version__}, Python {platform.python_version()}; {seconds:.1f} s")
        return result


def command(*, examples: Sequence[str] = (), **attributes: Any) -> Callable[[Callable[..., Any]], TorchstoneCommand]:  # noqa: ANN401 - click's
    """Return the decorator that makes a function a command; as `click.command`, with examples."""
    return click.command(cls=TorchstoneCommand, examples=examples, **attributes)


def _is_alone(name: str, following: str, *, takes_paths: bool) -> bool:
    if name != _JSON or takes_paths or not following:
        return name == _JSON and takes_paths
    return os.path.isdir(following) or following.endswith(".onnx") or following in builtin_names()  # noqa: PTH112


def _remember(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def keep(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        del parameter
        ctx.meta[key] = value

    return keep


def version_option() -> Callable[[Any], Any]:
    """Return `-V` and `--version`."""
    return click.version_option(
        __version__,
        "-V",
        "--version",
        prog_name="torchstone",
        help="Show the version and exit.",
        cls=GroupedOption,
        group="General",
    )


_COMMON: Final = (
    option(
        "-q",
        "--quiet",
        group="General",
        is_flag=True,
        expose_value=False,
        callback=_remember(QUIET),
        help="Print results, warnings and errors only.",
    ),
    option(
        "-v",
        "--verbose",
        group="General",
        is_flag=True,
        expose_value=False,
        callback=_remember(VERBOSE),
        help="Also say on stderr how the model runs and why, and how long the command took.",
    ),
    version_option(),
)
