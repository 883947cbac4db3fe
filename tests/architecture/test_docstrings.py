"""Attributes and arguments are documented by noun phrases: an editor's hover shows the phrase without its sentence."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("runtime/torchstone", "runtime/torchstone_runtime", "train/torchstone_train", "export/torchstone_export")

SECTION = re.compile(r"^( *)(?:Args|Attributes):\n((?:\1 +\S.*\n)+)", re.MULTILINE)
BEGINNINGS = "of|that|what|which|by|whose|where|how|when|why|to|from|in|with|for|on|as|at|is|see|likewise|those"
FRAGMENT = re.compile(rf"^ *(?:\*{{0,2}}\w+(?:, \w+)*: (?:{BEGINNINGS})\b.*)", re.MULTILINE)


def fragments(text: str) -> list[str]:
    """Return the lines of a module's sections Args and Attributes that document a name by a fragment."""
    return [line.strip() for section in SECTION.finditer(text) for line in FRAGMENT.findall(section[2])]


def modules() -> Iterator[Path]:
    """Yield the modules of the packages."""
    for package in PACKAGES:
        yield from sorted((REPOSITORY / package).rglob("*.py"))


def test_no_name_is_documented_by_a_fragment() -> None:
    """The text after "name: " says itself what the thing is."""
    found = {
        module.relative_to(REPOSITORY).as_posix(): lines
        for module in modules()
        if (lines := fragments(module.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "phrase",
    [
        "of the model.",
        "that is trained.",
        "what the model takes.",
        "by class.",
        "where it lies.",
        "for messages.",
        "as in `Recipe`.",
        "likewise.",
    ],
)
def test_a_fragment_is_found(phrase: str) -> None:
    """Each beginning is looked for, so the test above can fail."""
    assert fragments(f'    """Do.\n\n    Args:\n        name: {phrase}\n    """\n') == [f"name: {phrase}"]


def test_a_noun_phrase_is_none() -> None:
    """A whole phrase may contain the words that a fragment begins with."""
    assert not fragments('    """Do.\n\n    Attributes:\n        name: name of the model.\n    """\n')
