import re

import pytest

from torchstone_runtime.report.page import Markup, escape, render_page, section, table, tag


def test_text_in_an_element_is_escaped_once_however_deep() -> None:
    """What is HTML already is known by its type, so that nobody has to remember who escapes."""
    assert tag("p", tag("b", "<i>")) == "<p><b>&lt;i&gt;</b></p>"
    assert escape(escape("&")) == "&amp;"


def test_markup_joined_with_text_is_text_again() -> None:
    """A hostile name that was pasted into HTML shows its escapes rather than being one that was let through."""
    pasted = tag("b", "x") + "<script>"
    assert not isinstance(pasted, Markup)
    assert "<script>" not in tag("p", pasted)


def test_attributes_are_escaped_and_left_out_where_empty() -> None:
    """A quote in a class name ends no attribute."""
    assert tag("th", "x", title='"><b>', class_="") == '<th title="&quot;&gt;&lt;b&gt;">x</th>'


def test_table_escapes_every_cell_and_keeps_markup() -> None:
    """Head, rows and foot alike."""
    found = table(("<a>", "b"), [("<c>", tag("i", "d"))], foot=[("<e>", "f")], text=[1], kind="whole")
    assert re.findall("&lt;[ace]&gt;", found) == ["&lt;a&gt;", "&lt;c&gt;", "&lt;e&gt;"]
    assert '<td class="text"><i>d</i></td>' in found
    assert '<table class="whole">' in found


def test_table_refuses_a_row_of_another_length() -> None:
    """A cell that is forgotten would move its neighbours below the wrong name."""
    with pytest.raises(ValueError, match="longer"):
        table(("a", "b"), [("c",)])


def test_page_bears_its_style_sheet() -> None:
    """The file of the package, whole, and what a page adds after it."""
    page = render_page("t", "body", ".added {}")
    assert page.index(".cards {") < page.index(".added {}") < page.index("</style>")


def test_tables_are_named_by_their_section() -> None:
    """A screen reader lists them; a title is escaped there as well."""
    found = section('A "fresh" process', table(("a",), [("1",)]))

    assert '<table aria-label="A &quot;fresh&quot; process">' in found
