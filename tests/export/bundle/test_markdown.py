"""Names from elsewhere in Markdown: what a reader sees is the name, and nothing of it is markup."""

import html
import json
import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.support_markdown import HOSTILE, read_back
from torchstone_export.bundle.markdown import escape_markdown, table, yaml_string
from torchstone_runtime.text import showable

# Not an alphabet of st.text, which would take an odd character once in a hundred names.
_NAMES: Final = st.lists(
    st.sampled_from("\\`*_{}[]()<>#+-.!|~&$:@= ab1\n\r\t\u202e\u2028é") | st.characters(codec="utf-8"), max_size=12
).map("".join)


@given(_NAMES)
def test_any_name_is_read_back(name: str) -> None:
    """As it is, where it holds nothing that would break its line."""
    assert read_back(escape_markdown(name)) == showable(name).strip(" ")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_name_begins_a_block_or_an_address(name: str) -> None:
    """Neither headings, lists, rules, quotes nor code; and nothing that a renderer makes a link of by itself."""
    escaped = escape_markdown(name)
    assert not re.match(r"[#+=>-]|\d+[.)](\s|$)|\s", escaped)
    assert not re.search(r"://|www\.|@", escaped)
    assert "\n" not in escaped


def test_common_names_stay_readable() -> None:
    """Nothing is escaped that needs no escape."""
    for name in ("T-shirt/top", "Ankle boot", "größe (XL)", "0", "0.5", "fp32: all 359 decisions; 1.02 x", "猫"):
        assert escape_markdown(name) == name


@given(_NAMES)
def test_a_cell_is_a_cell(name: str) -> None:
    """Whatever a name holds, its row has as many pipes as the header."""
    head, _, row = table(("class", "samples"), [[escape_markdown(name), "1"]])
    assert head.count("|") == row.count("|") == 3
    assert len(row.splitlines()) == 1


@given(_NAMES)
def test_a_yaml_string_is_exact(name: str) -> None:
    """One line, without the signs that YAML forbids, which stands for the name."""
    quoted = yaml_string(name)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e\ufeff]", quoted)
    assert len(quoted.splitlines()) == 1
    long = re.sub(r"\\U([0-9a-f]{8})", lambda found: json.dumps(chr(int(found[1], 16)))[1:-1], quoted)
    assert json.loads(long) == name


def test_html_entities_are_those_of_html() -> None:
    """An entity stands for one sign."""
    assert html.unescape(escape_markdown("a|b&<")) == "a|b&<"
