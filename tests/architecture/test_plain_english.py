"""Pages, help texts, messages and docstrings are plain English: phrases that were replaced once do not come back."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_COUNTED: Final = "bytes|images?|lines?|number|object|one|pictures?|seconds|thread"
_EACH: Final = "batch|call|channel|epoch|image|processor|request|step"
BETTER: Final = {
    r"\bunasked\b": "automatically",
    r"\b(?:is|are) (?:never )?gone on\b": "continues, or is continued",
    r"\bis gone on with\b": "is continued",
    r"\bthere twice\b": "duplicated",
    r"\b(?:are|is) other ones\b": "differ",
    r"\baccepted are\b": "the limit is",
    r"\bnobody may\b": "say what must hold",
    r"^answered at\b": "coverage at",
    r"\b[Mm]end(?:s|ed)? (?:what|it|them|the|both|that)\b": "fix",
    r"\bbecame no number\b": "became NaN or infinite",
    r"\b(?:is|are) no numbers?\b(?= *[.,;:)]|$)": "is not a number",
    r"\bcompute rightly\b": "give wrong results",
    r"\bproof is made over\b": "the certificate is computed on",
    r"\bWhat a file is is\b": "File types are detected",
    r"\bis no failure\b": "is not an error",
    r"(?<!here )\bis no (?:address|bundle|cascade|class(?:ifier)?|folder|header|picture|version)\b": "not a",
    r"'s pupil\b": "distilled from",
    r"\bas of an object\b": "say what is in the picture",
    r"\bsurest (?:first|mistakes?)\b": "most confident",
    r"^Of (?:the rate|sgd|the steady state|the corruptions|the bundle when)\b": "name the subject",
    r"\bfor ever\b": "forever",
    r"\b(?:begun|begins?|loaded|loads|computed?|decoded) anew\b": "again, or re-",
    r"\bholds? the truth\b": "covers the truth",
    r"\bothers used (?:as well|heavily|too)\b": "shared with other work",
    r"\b(?:(?:is|are) to|can|can't|cannot|could not) be had\b": "is available, or is not",
    r"\bthe least sure first\b": "the least confident first",
    r"\banswered right\b": "correct",
    r"\b(?:ha[sv]e? to be said|that very)\b": "say who states it; this, or the same",
    r"\bsays? who you are\b": "identifies you",
    r"\b[Ee]xchanged labels\b": "swapped labels",
    r"\b(?:[Nn]ot tested|[Nn]ot limited|[Kk]nown) are\b": "put the subject first",
    r"\b(?:one a line|where it is there|turns? round)\b": "one per line; if present; reverses",
    rf"\b(?:{_COUNTED}) an? (?:{_EACH})\b(?! (?:at|is|takes)\b)": "per",
}
"""Phrases, as patterns, and what to write in their place."""
PAGES: Final = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES: Final = sorted(path for part in ("runtime", "train", "export") for path in (ROOT / part).rglob("*.py"))


def found(texts: list[str]) -> set[str]:
    """Return the phrases of the list that are in some of the texts."""
    return {match[0] for text in texts for pattern in BETTER for match in re.finditer(pattern, text, re.MULTILINE)}


def strings(module: Path) -> list[str]:
    """Return the string constants of a module, docstrings among them; the parts of a formatted string each."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_has_none_of_the_phrases(page: Path) -> None:
    """`BETTER` says what to write."""
    assert found([page.read_text(encoding="utf-8")]) == set()


def test_no_string_of_the_packages_has_one() -> None:
    """Messages, help and docstrings."""
    here = {module.relative_to(ROOT).as_posix(): found(strings(module)) for module in MODULES}

    assert {name: phrases for name, phrases in here.items() if phrases} == {}
    assert len(MODULES) > 100


def test_a_phrase_is_found() -> None:
    """In prose as in a help text, and its better form is not."""
    assert found(["Nothing is inverted unasked", "64 images a call", "Of the rate"]) == {
        "unasked",
        "images a call",
        "Of the rate",
    }
    assert found(["Images are never inverted automatically", "64 images per call", "an image at a time"]) == set()
