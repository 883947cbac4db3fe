"""The commands of benchmarks/ that the documentation names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("docs/**/*.md"), *(ROOT / "benchmarks").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.py")]
COMMANDS = sorted(
    {
        module
        for page in PAGES
        for module in re.findall(r"python -m (benchmarks(?:\.[a-z_0-9]+)+)\b(?!\.\{)", page.read_text(encoding="utf-8"))
    }
)


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_that_is_named_can_be_run(module: str) -> None:
    """Its module is there, and does something when it is run."""
    file = ROOT / Path(*module.split(".")).with_suffix(".py")

    assert 'if __name__ == "__main__":' in file.read_text(encoding="utf-8")


def test_the_readme_names_every_script_and_no_other() -> None:
    """A study without a command can't be repeated; `make bench` runs the runtime's."""
    scripts = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in (ROOT / "benchmarks").rglob("*.py")
        if file.parent.name != "peers"  # programs that the study of the server starts
        and 'if __name__ == "__main__":' in file.read_text(encoding="utf-8")
    }
    named = set(re.findall(r"python -m (benchmarks(?:\.[a-z_0-9]+)+)", README))

    assert {name for name in scripts if not name.startswith("benchmarks.runtime.")} == {
        name for name in named if not name.startswith("benchmarks.runtime.")
    }
    assert named <= scripts


def test_the_readme_has_a_row_for_every_folder() -> None:
    """With what it is for."""
    folders = {path.parent.name for path in (ROOT / "benchmarks").glob("*/__init__.py")} | {"results"}

    assert set(re.findall(r"^\| `([a-z_]+)/` \|", README, re.MULTILINE)) == folders
