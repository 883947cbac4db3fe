"""One vocabulary: an option that two commands have has one meaning, with the same spellings and the same help."""

from collections import defaultdict
from collections.abc import Iterator

import click
import pytest

from torchstone_runtime.cli.main import torchstone

CONTEXT = click.Context(torchstone)
COMMANDS = torchstone.list_commands(CONTEXT)

TWO_MEANINGS = {
    "--image": "of diagnose a picture; of package the former name of --container-image",
    "--log": "of train a logging service; of serve the former name of --access-log",
    "--workers": "of train threads; of score the former name of --ray-workers",
}
"""Names that once meant two things: the newer meaning has a name of its own, and the old one still works."""


def options() -> Iterator[tuple[str, click.Option]]:
    """Yield every option of every command, with the command's name."""
    for name in COMMANDS:
        command = torchstone.get_command(CONTEXT, name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, parameter


def meaning(option: click.Option) -> str:
    """Return what an option does: its help, without what holds where it is not given."""
    return (option.help or "").partition("  [default")[0].removesuffix(".")


def shown_names(option: click.Option) -> frozenset[str]:
    """Return the spellings that the help shows."""
    return frozenset(option.opts) - frozenset(getattr(option, "aliases", ()))


def test_an_option_has_the_same_help_in_every_command() -> None:
    """Defaults may differ, and what a command makes of it is said in the command's own text."""
    found: dict[str, set[str]] = defaultdict(set)
    for _, option in options():
        for name in shown_names(option):
            found[name].add(meaning(option))
    assert {name: texts for name, texts in found.items() if len(texts) > 1} == {}
    assert len(found) > 150, "the search itself works"


def test_an_option_has_the_same_spellings_in_every_command() -> None:
    """No command leaves out -o, or calls it by another name."""
    found: dict[frozenset[str], list[str]] = defaultdict(list)
    for command, option in options():
        found[shown_names(option)].append(command)
    several = {name for spellings in found for name in spellings if sum(name in other for other in found) > 1}
    assert several == set()


def test_a_former_name_means_what_it_meant() -> None:
    """An alias that another command uses for something else is one of those listed here."""
    shown = {name for _, option in options() for name in shown_names(option)}
    aliases = {name for _, option in options() for name in getattr(option, "aliases", ())}
    assert aliases & shown == set(TWO_MEANINGS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])
def test_a_command_that_prints_results_prints_them_as_json(name: str) -> None:
    """All do but the server."""
    command = torchstone.get_command(CONTEXT, name)
    assert command is not None
    option = next(option for option in command.params if "--json" in option.opts)
    assert isinstance(option, click.Option)
    assert not option.is_flag
    takes_paths = any(parameter.nargs == -1 for parameter in command.params)
    assert option.metavar == ("[=FILE]" if takes_paths else "[FILE]")
