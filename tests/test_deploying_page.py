"""docs/how-to/deploying.md: its commands, one after another; those that need a server are tried elsewhere."""

import re
from pathlib import Path

from helpers.in_process import run_in_process

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "deploying.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- deploying -->\n```console\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^\$ torchstone (.*)$", "".join(BLOCKS), re.MULTILINE)


def test_every_command_of_the_page_succeeds(tmp_path: Path) -> None:
    """And writes what the page says."""
    assert len(COMMANDS) == 5
    wheel = tmp_path / "dist" / "torchstone-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()  # it is copied, and not looked into
    for command in COMMANDS:
        result = run_in_process(*command.replace("torchstone-*.whl", wheel.name).split(), cwd=tmp_path)
        assert result.returncode == 0, (command, result.stderr)

    assert (tmp_path / "models" / "stone-m" / "config.pbtxt").is_file()
    assert (tmp_path / "fashion-kserve" / "inference-service-torchstone.yaml").is_file()
    assert (tmp_path / "fashion-image" / "wheels" / wheel.name).is_file()
    assert (tmp_path / "clients" / "golden.png").is_file()


def test_the_next_command_that_is_printed_names_a_built_in_bundle_as_it_was_typed(tmp_path: Path) -> None:
    """Not by its place inside the installation."""
    result = run_in_process("package", "fashion", "--for", "triton", "--out", "models", cwd=tmp_path)

    assert "next: torchstone verify fashion --url URL --model stone-m" in result.stdout


def test_links_lead_to_pages() -> None:
    """Relative ones."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE):
        assert (Path(__file__).parents[1] / "docs" / "how-to" / target).is_file(), target
