"""`torchstone --help`: what it says of the commands, and what it does without."""

import subprocess
import sys

import click
import pytest

from torchstone_runtime.cli.first_sentences import FIRST_SENTENCES
from torchstone_runtime.cli.main import torchstone

CONTEXT = click.Context(torchstone)


@pytest.mark.parametrize("name", torchstone.list_commands(CONTEXT))
def test_a_command_is_listed_with_the_first_sentence_of_its_own_help(name: str) -> None:
    """Else one of the two was changed alone."""
    command = torchstone.get_command(CONTEXT, name)
    assert command is not None
    assert FIRST_SENTENCES[name] == command.get_short_help_str(limit=sys.maxsize)


def test_the_list_of_commands_imports_none_of_them() -> None:
    """Two dozen modules for a line each would be most of the start."""
    code = (
        "import sys; from torchstone_runtime.cli.main import torchstone\n"
        "torchstone.main(['--help'], standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "quickstart" in result.stdout
    loaded = set(result.stderr.split())
    assert not {f"torchstone_runtime.cli.{name}" for name in FIRST_SENTENCES} & loaded
    assert not any(name.startswith(("torchstone_train", "torchstone_export")) for name in loaded)
