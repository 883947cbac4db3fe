"""docs/cli.md knows every command and every option, and no others."""

import re
from pathlib import Path

import click
import pytest

from torchstone_runtime.cli.main import torchstone

PAGE = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([a-z]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
CONTEXT = click.Context(torchstone)
COMMANDS = torchstone.list_commands(CONTEXT)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_each_option_of_a_command(name: str) -> None:
    """Its section's tables name the options of the command, all of them and only them."""
    command = torchstone.get_command(CONTEXT, name)
    assert command is not None
    options = {
        text
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for text in (*parameter.opts, *parameter.secondary_opts)
    }
    rows = re.findall(r"^\| (`--.*?) \|", SECTIONS[name].replace("\\|", "/"), re.MULTILINE)

    assert set(re.findall(r"`(--[a-z0-9-]+)", "\n".join(rows))) == options


def test_the_help_lists_the_commands_along_the_pipeline() -> None:
    """In the order in which a newcomer meets them."""
    making = ["quickstart", "train", "recipes", "download", "export", "adopt"]
    using = ["verify", "inspect", "evaluate", "robustness", "predict", "compare", "doctor", "bench", "diagnose"]

    assert [*making, *using] == COMMANDS
