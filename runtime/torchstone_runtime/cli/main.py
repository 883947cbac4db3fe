"""`torchstone`: the runtime's own commands, and those that other parts register as entry points."""

import importlib
import os
import sys
import traceback
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from torchstone_runtime.cli import streams
from torchstone_runtime.cli.command import version_option
from torchstone_runtime.cli.first_sentences import FIRST_SENTENCES
from torchstone_runtime.errors import OutputError, TorchstoneError, suggestion
from torchstone_runtime.system.load_deadline import on_no_end
from torchstone_runtime.text import showable_lines

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMAND_GROUP: Final = "torchstone.commands"
_COMPLETES: Final = "_TORCHSTONE_COMPLETE"
"""The variable in which a shell says that it wants completions."""
EXIT_INTERRUPTED: Final = 130
EXIT_INTERNAL: Final = 70
"""A fault of Torchstone's own (EX_SOFTWARE of BSD's sysexits.h), so that it can't be taken for a failed check."""

_RUNTIME_COMMANDS: Final = {
    "clients": "torchstone_runtime.cli.clients:clients",
    "compare": "torchstone_runtime.cli.compare:compare",
    "data": "torchstone_runtime.cli.data:data",
    "doctor": "torchstone_runtime.cli.doctor:doctor",
    "bench": "torchstone_runtime.cli.bench:bench",
    "diagnose": "torchstone_runtime.cli.diagnose:diagnose",
    "evaluate": "torchstone_runtime.cli.evaluate:evaluate",
    "health": "torchstone_runtime.cli.health:health",
    "inspect": "torchstone_runtime.cli.inspect:inspect",
    "package": "torchstone_runtime.cli.package:package",
    "push": "torchstone_runtime.cli.push:push",
    "predict": "torchstone_runtime.cli.predict:predict",
    "robustness": "torchstone_runtime.cli.robustness:robustness",
    "score": "torchstone_runtime.cli.score:score",
    "serve": "torchstone_runtime.cli.serve:serve",
    "verify": "torchstone_runtime.cli.verify:verify",
    "web": "torchstone_runtime.cli.web:web",
}
_SECTIONS: Final = {
    "Make": ("quickstart", "data", "train", "recipes", "download", "export", "adopt"),
    "Use": ("predict", "score", "evaluate", "compare", "robustness", "bench", "verify", "inspect"),
    "Deploy": ("serve", "web", "package", "clients", "push", "health"),
    "Help": ("doctor", "diagnose"),
}
"""The commands under their headings, each group in the order in which a newcomer meets them."""


class CommandGroup(click.Group):
    """Finds commands by name and imports their module when they are called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command, group by group; then those of other packages by name."""
        del ctx
        return [name for names in _sections().values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group of commands under its heading, with their whole first sentences."""
        sections = _sections()
        width = max(len(name) for names in sections.values() for name in names)
        for heading, names in sections.items():
            found = [(name, self._first_sentence(ctx, name)) for name in names]
            rows = [(f"{name:<{width}}", sentence) for name, sentence in found if sentence]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def _first_sentence(self, ctx: click.Context, name: str) -> str | None:
        # Importing two dozen modules for a line each would take longer than all the rest of the help.
        if name in FIRST_SENTENCES:
            return FIRST_SENTENCES[name]
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=sys.maxsize) if command else None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None where there is none of that name."""
        del ctx
        target = _RUNTIME_COMMANDS.get(cmd_name)
        if target is not None:
            module, _, attribute = target.partition(":")
            command = getattr(importlib.import_module(module), attribute)
        elif entry := _registered().get(cmd_name):
            command = entry.load()
        else:
            return None
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - whatever the command returns
        """Run a command; a broken pipe is no concern of click's, which would end in silence."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # not of stdout or stderr: these raise nothing
            raise _output_error(error) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, suggesting the nearest where there is none of that name."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"There is no command '{args[0]}'. {suggestion(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@version_option()
@click.option("--debug", is_flag=True, help="Show the traceback of an error (anywhere on the command line).")
def torchstone(debug: bool) -> None:
    """Train an image classifier, export it with proof, and run it without PyTorch."""
    del debug  # taken out of the arguments by main()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 fine, 1 a check failed, 2 bad usage or input, 70 a fault of Torchstone's own."""
    streams.open_streams()
    # Such a picture is refused, with a message of our own.
    warnings.filterwarnings("ignore", message="Image size .* could be decompression bomb")
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given or bool(os.environ.get("TORCHSTONE_DEBUG"))
    on_no_end(_end_at_once)
    code = _run([argument for argument in given if argument != "--debug"], debug=debug)
    sys.exit(streams.end(code, partial(_report, debug=debug)))


def _run(arguments: list[str], *, debug: bool) -> int:  # noqa: PLR0911 - an exit code for each kind of end
    if _COMPLETES in os.environ:
        from torchstone_runtime.cli.bash_completion import complete_whole_words

        complete_whole_words()
    try:
        result = torchstone.main(arguments, prog_name="torchstone", standalone_mode=False)
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except TorchstoneError as error:
        return _report(error, debug=debug)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except OSError as error:
        return _report(_output_error(error), debug=debug)
    except Exception:  # noqa: BLE001 - the last resort, which reports a fault of our own
        traceback.print_exc()
        click.echo(
            "This is a bug in Torchstone, not a mistake of yours. Please report it with the lines above.",
            err=True,
        )
        return EXIT_INTERNAL
    return result if isinstance(result, int) else 0


def _end_at_once(error: TorchstoneError) -> NoReturn:
    """End the process although a thread of it is still inside a model that doesn't stop."""
    os._exit(_report(error, debug=False))


def _report(error: TorchstoneError, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    # A file that comes from elsewhere may have put anything into its names.
    message = f"Error: {showable_lines(error.lines)}"
    if sys.stderr.isatty():
        from torchstone_runtime.cli.wrapped_lines import folded_for

        message = folded_for(sys.stderr, message)
    click.echo(message, err=True)
    return error.exit_code


def _output_error(error: OSError) -> OutputError:
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return OutputError(f"{what}.", "Check the path, its permissions, and the room on the disk.")


def _sections() -> dict[str, list[str]]:
    known = {*_RUNTIME_COMMANDS, *_registered()}
    sections = {heading: [name for name in names if name in known] for heading, names in _SECTIONS.items()}
    return sections | {"Other": sorted(known.difference(*_SECTIONS.values()))}


def _registered() -> "dict[str, EntryPoint]":
    # Here, because the runtime's own commands do without it.
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=COMMAND_GROUP)}
