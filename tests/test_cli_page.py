"""docs/reference/cli.md knows every command and every option, long and short, and no others."""

import re
from pathlib import Path

import click
import pytest

from torchstone_runtime.cli.main import torchstone

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([a-z]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
CONTEXT = click.Context(torchstone)
COMMANDS = torchstone.list_commands(CONTEXT)


COMMON = {"-q", "--quiet", "-v", "--verbose", "-V", "--version"}


def documented(section: str) -> set[str]:
    """Return the options in the first column of a section's tables."""
    rows = re.findall(r"^\| (`--?[a-zA-Z].*?) \|", section.replace("\\|", "/"), re.MULTILINE)
    return set(re.findall(r"`(--?[a-zA-Z0-9][a-z0-9-]*)", "\n".join(rows)))


def options_of(name: str) -> set[str]:
    """Return every spelling of every option of a command, hidden ones included."""
    command = torchstone.get_command(CONTEXT, name)
    assert command is not None
    return {
        text
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for text in (*parameter.opts, *parameter.secondary_opts)
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_each_option_of_a_command(name: str) -> None:
    """Its section's tables name the options of the command, all of them and only them."""
    assert documented(SECTIONS[name]) == options_of(name) - COMMON


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_common_options(name: str) -> None:
    """Those of the page's first table."""
    introduction = PAGE.partition("\n## ")[0]

    assert options_of(name) >= COMMON
    assert documented(introduction) == COMMON | {"-h", "--help"}


def test_the_help_lists_the_commands_by_what_they_are_for() -> None:
    """Making a model, using one, deploying it, and help; each in the order in which a newcomer meets them."""
    making = ["quickstart", "data", "train", "recipes", "download", "export", "adopt"]
    using = ["predict", "score", "evaluate", "compare", "robustness", "bench", "verify", "inspect"]
    deploying = ["serve", "web", "package", "clients", "push", "health"]

    assert [*making, *using, *deploying, "doctor", "diagnose"] == COMMANDS
