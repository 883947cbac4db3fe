"""Model cards as HTML: what cards are made of is shown as such, everything else as text."""

from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.web.card_html import card_html


def test_the_parts_of_a_card_are_shown_as_such() -> None:
    """Headings, paragraphs, lists, tables and code; the front matter is for programs."""
    card = "---\ntags: x\n---\n\n# A\n\none `two`\n**three** [four](five)\n\n- six\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    shown = card_html(f"{card}\n```python\n# no heading\n```\n")
    assert "<h3>A</h3>" in shown
    assert "<p>one <code>two</code> <strong>three</strong> four</p>" in shown
    assert "<ul><li>six</li></ul>" in shown
    assert shown.count("<tr>") == 2
    assert "<pre># no heading</pre>" in shown
    assert "tags" not in shown


def test_names_are_shown_without_the_escapes_of_markdown() -> None:
    """In text, in bold and in a table; a backslash that escapes nothing stays, and code is as it stands."""
    shown = card_html("cougar\\_face **a\\_b** x&#58;y &#60;b&#62; \\\\ \\d `c\\_d` \\`e\\`")
    assert shown == "<p>cougar_face <strong>a_b</strong> x:y &lt;b&gt; \\ \\d <code>c\\_d</code> `e`</p>"


def test_very_many_brackets_take_no_time() -> None:
    """A card of 100,000 of them is shown in time that grows with its length, not with the square of it."""
    text = "[" * 100_000
    assert card_html(text) == f"<p>{text}</p>"


@given(st.text(alphabet="<>&\"'`*[]()#|-\n ab=/"))
def test_no_html_of_a_cards_own_gets_through(text: str) -> None:
    """Whatever a card holds, the only tags are the renderer's, and none has an attribute that the card chose."""
    shown = card_html(f"{text}<script>alert(1)</script><img src=x onerror=y>")
    assert "<script" not in shown
    assert "<img" not in shown


def test_the_card_of_the_built_in_bundle_has_its_tables() -> None:
    """As the export writes it."""
    shown = card_html(Bundle.open("fashion").read_file("model_card").decode())
    assert "<h4>Results</h4>" in shown
    assert '<th scope="row">Ankle boot</th>' in shown
