"""No folder of a package needs, through others, itself: what a listing shows can be read from the bottom up."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "torchstone": ROOT / "runtime" / "torchstone",
    "torchstone_runtime": ROOT / "runtime" / "torchstone_runtime",
    "torchstone_train": ROOT / "train" / "torchstone_train",
    "torchstone_export": ROOT / "export" / "torchstone_export",
}


def modules_of(package: str, folder: Path) -> dict[str, Path]:
    """Return the file of each module, by its dotted name."""
    found = {}
    for file in sorted(folder.rglob("*.py")):
        parts = (package, *file.relative_to(folder).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported_by(file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Yield the modules among `known` that a file imports anywhere: in functions and for type checks alone too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package.folder import module` names a module as well as `from package.folder.module import name`.
            names = [name for alias in node.names if (name := f"{node.module}.{alias.name}") in known] or [node.module]
        else:
            continue
        yield from (name for name in names if name in known)


def folder_arrows(package: str, folder: Path) -> dict[str, set[str]]:
    """Return which first-level folders and lone modules of a package each one imports; the package itself is ''."""
    known = modules_of(package, folder)
    arrows: dict[str, set[str]] = defaultdict(set)
    for name, file in known.items():
        here = _place(name)
        arrows[here] |= {_place(other) for other in imported_by(file, known)} - {here}
    return arrows


def _place(module: str) -> str:
    return (*module.split("."), "")[1]


def cycle(arrows: Mapping[str, set[str]]) -> list[str]:
    """Return the places of one cycle, or nothing."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_is_in_an_import_cycle(package: str) -> None:
    """Lazy imports and those for types alone are counted: a reader follows them too."""
    assert cycle(folder_arrows(package, PACKAGES[package])) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_read(package: str) -> None:
    """Where it moved, the test above would find no cycle in nothing."""
    assert len(modules_of(package, PACKAGES[package])) > 1


@pytest.mark.parametrize(
    "statement",
    [
        "def later():\n    from house.upper.window import view",
        "import typing\nif typing.TYPE_CHECKING:\n    from house.upper import window",
        "import house.upper.window",
    ],
)
def test_the_check_finds_a_cycle_of_folders_whose_modules_have_none(tmp_path: Path, statement: str) -> None:
    """The canary: `upper.door` imports `lower.stone`, `lower.mortar` imports `upper.window`."""
    files = {
        "upper/door.py": "from house.lower.stone import weight",
        "upper/window.py": "view = 1",
        "lower/stone.py": "weight = 1",
        "lower/mortar.py": statement,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")

    assert set(cycle(folder_arrows("house", tmp_path))) == {"lower", "upper"}
    (tmp_path / "lower" / "mortar.py").unlink()
    assert cycle(folder_arrows("house", tmp_path)) == []
