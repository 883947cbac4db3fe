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
    for command in COMMANDS:
        result = run_in_process(*command.split(), cwd=tmp_path)
        assert result.returncode == 0, (command, result.stderr)

    assert (tmp_path / "models" / "stone-m" / "config.pbtxt").is_file()
    assert (tmp_path / "fashion-kserve" / "inference-service-torchstone.yaml").is_file()
    assert (tmp_path / "clients" / "golden.png").is_file()


def test_links_lead_to_pages() -> None:
    """Relative ones."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE):
        assert (Path(__file__).parents[1] / "docs" / "how-to" / target).is_file(), target
