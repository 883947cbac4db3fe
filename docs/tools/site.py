"""Build the documentation site: the pages of docs/, and the files of the repository that they link to.

Run: python docs/tools/site.py [--out site], or `make docs`. A page that links to a file outside docs/, such as a table
under benchmarks/results, finds it on the site: Markdown and notebooks as pages, anything else as text. So no link
depends on where the repository is hosted. Zensical checks every link and anchor; a dead one ends the build with exit
code 1.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

DOCS: Final = Path(__file__).parents[1]
ROOT: Final = DOCS.parent
CONFIG: Final = DOCS / "tools" / "zensical.toml"
PARTS: Final = (".", "tutorial", "how-to", "reference", "explanation")
ALSO: Final = (ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")
"""Pages that the navigation has as well."""
_HELP_HEAD: Final = """# Options of every command

What `torchstone COMMAND --help` prints, made from the commands themselves.
[Command line](cli.md) explains what they do.
"""
_PICTURES: Final = frozenset({".gif", ".png", ".svg", ".webp"})
_FENCE: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)(?=[)#])")


def stage(folder: Path) -> None:
    """Write the pages, and all that they lead to, into a folder as Zensical reads it."""
    waiting = [*(page for part in PARTS for page in (DOCS / part).glob("*.md")), *ALSO, DOCS / "style.css"]
    done = set[Path]()
    while waiting:
        source = waiting.pop()
        if source in done:
            continue
        done.add(source)
        target = folder / _place(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            text, linked = _followed(source)
            target.write_text(text, encoding="utf-8")
            waiting += linked
        elif source.suffix == ".ipynb":
            target.write_text(notebook_page(source), encoding="utf-8")
        else:
            shutil.copyfile(source, target)


def _followed(page: Path) -> tuple[str, list[Path]]:
    """Return a page's text with its links as they are on the site, and the files they lead to."""
    linked = list[Path]()

    def follow(match: re.Match[str]) -> str:
        target = (page.parent / match[1]).resolve()
        if not target.is_file():
            raise click.ClickException(f"{page.relative_to(ROOT)} links to {match[1]}, which is not a file.")
        linked.append(target)
        return Path(os.path.relpath(_place(target), _place(page).parent)).as_posix()

    parts = _FENCE.split(page.read_text(encoding="utf-8"))
    return "".join(part if part.startswith("```") else _LINK.sub(follow, part) for part in parts), linked


def _place(path: Path) -> Path:
    """Return where a file of the repository lies on the site: docs/ at the top, all else under project/."""
    if path.is_relative_to(DOCS) and path.suffix in {".md", ".css", ".ipynb", *_PICTURES}:
        place = path.relative_to(DOCS)
        return place.with_suffix(".md") if path.suffix == ".ipynb" else place
    place = Path("project") / path.relative_to(ROOT)
    # A browser shows .txt, where it would save .py or .toml.
    return place if path.suffix in {".md", *_PICTURES} else place.with_name(f"{place.name}.txt")


def notebook_page(notebook: Path) -> str:
    """Return the cells of a notebook as a page: its text, and its code to copy."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = [_cell(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    parts.insert(1, f"These are the cells of `{notebook.relative_to(ROOT).as_posix()}`, a file for Jupyter.")
    return "\n\n".join(parts) + "\n"


def _cell(kind: str, source: str) -> str:
    return source if kind == "markdown" else f"```python\n{source}\n```"


def command_help() -> str:
    """Return the page with the help of every command, as `--help` prints it: made here, so that it can't be stale."""
    from torchstone_runtime.cli.main import torchstone  # noqa: PLC0415 - staging needs none of Torchstone

    parts, root = [_HELP_HEAD], click.Context(torchstone, info_name="torchstone", terminal_width=96)
    for name in torchstone.list_commands(root):
        if command := torchstone.get_command(root, name):
            context = click.Context(command, parent=root, info_name=name, terminal_width=96, max_content_width=96)
            parts.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "site", help="Folder of the site; replaced.")
def main(out: Path) -> None:
    """Build the documentation site."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        stage(folder / "docs")
        (folder / "docs" / "reference" / "help.md").write_text(command_help(), encoding="utf-8")
        shutil.copy(CONFIG, folder / "zensical.toml")
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        if code := subprocess.run(command, cwd=folder, check=False).returncode:
            raise SystemExit(code)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(folder / "site", out)
    click.echo(f"site: {out / 'index.html'}")


if __name__ == "__main__":
    main()
