"""Attributes and arguments are documented by noun phrases: an editor's hover shows the phrase without its sentence."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("runtime/torchstone_runtime", "train/torchstone_train", "export/torchstone_export")
UNFINISHED = (
    "runtime/torchstone_runtime/certificate",
    "runtime/torchstone_runtime/cli",
    "runtime/torchstone_runtime/evaluation",
    "runtime/torchstone_runtime/metrics",
    "runtime/torchstone_runtime/report",
    "train/torchstone_train/report",
    "export/torchstone_export/cli",
    "export/torchstone_export/foreign",
    "export/torchstone_export/pipeline.py",
)
"""Rooms that still have fragments; nothing is to be added here."""

SECTION = re.compile(r"^( *)(?:Args|Attributes):\n((?:\1 +\S.*\n)+)", re.MULTILINE)
FRAGMENT = re.compile(r"^ *(?:\*{0,2}\w+(?:, \w+)*: (?:of|that|what|which|by|whose)\b.*)", re.MULTILINE)


def fragments(text: str) -> list[str]:
    """Return the lines of a module's sections Args and Attributes that document a name by a fragment."""
    return [line.strip() for section in SECTION.finditer(text) for line in FRAGMENT.findall(section[2])]


def finished_modules() -> Iterator[Path]:
    """Yield the modules of the packages outside the unfinished rooms."""
    for package in PACKAGES:
        for module in sorted((REPOSITORY / package).rglob("*.py")):
            if not module.relative_to(REPOSITORY).as_posix().startswith(UNFINISHED):
                yield module


def test_no_name_is_documented_by_a_fragment() -> None:
    """The text after "name: " says itself what the thing is."""
    found = {
        module.relative_to(REPOSITORY).as_posix(): lines
        for module in finished_modules()
        if (lines := fragments(module.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize("phrase", ["of the model.", "that is trained.", "what the model takes.", "by class."])
def test_a_fragment_is_found(phrase: str) -> None:
    """Each beginning is looked for, so the test above can fail."""
    assert fragments(f'    """Do.\n\n    Args:\n        name: {phrase}\n    """\n') == [f"name: {phrase}"]


def test_a_noun_phrase_is_none() -> None:
    """A whole phrase may contain the words that a fragment begins with."""
    assert not fragments('    """Do.\n\n    Attributes:\n        name: name of the model.\n    """\n')
