"""docs/reference/cli.md knows every command and every option, long and short, and no others."""

import re
import runpy
from pathlib import Path

import click
import pytest

from torchstone_runtime.cli.main import torchstone

TOOL = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "tools" / "option_tables.py"))
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


def test_the_tables_are_those_of_the_commands() -> None:
    """The page is what `python docs/tools/option_tables.py` writes."""
    assert TOOL["page"](PAGE) == PAGE


def test_every_command_with_options_has_its_table() -> None:
    """No table of options is written by hand, but that of names from before."""
    assert sorted(re.findall(r"<!-- options of (\w+) -->", PAGE)) == sorted(COMMANDS)


def test_a_table_says_what_the_help_says() -> None:
    """Spelling, default and bounds in words."""
    assert "| `--port INTEGER` | `8000` | Port to listen on; 0 for any that is free (0 to 65535). |" in PAGE
