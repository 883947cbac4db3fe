"""Pages are templates with slots."""

from pathlib import Path

import pytest

from benchmarks.template import render, table_rows


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A page with a head and two sections."""
    path = tmp_path / "page.md.in"
    path.write_text("# {{ title }}\n\n## One\n\n{{ one }}, {{ title }}\n\n## Two\n\n{{ two }}\n", encoding="utf-8")
    return path


def test_slots_are_filled(template: Path) -> None:
    """Each place of a slot, whatever the value holds."""
    page = render(template, {"title": "T", "one": r"{{ two }} \1", "two": "2"})

    assert page == "# T\n\n## One\n\n{{ two }} \\1, T\n\n## Two\n\n2\n"


def test_a_section_without_measurement_is_left_out(template: Path) -> None:
    """With its heading; the others stay."""
    assert render(template, {"title": "T", "one": None, "two": "2"}) == "# T\n\n## Two\n\n2\n"


@pytest.mark.parametrize("values", [{"title": "T", "one": "1"}, {"title": "T", "one": "1", "two": "2", "more": "3"}])
def test_slots_and_values_that_do_not_fit_are_a_mistake(template: Path, values: dict[str, str]) -> None:
    """A slot without a value, or a value without a slot."""
    with pytest.raises(ValueError, match=r"differ in (two|more)$"):
        render(template, values)


def test_rows_of_a_table_are_a_line_each() -> None:
    """No row is no line."""
    assert table_rows([("a", 1), ("b", 2)]) == "| a | 1 |\n| b | 2 |"
    assert table_rows([]) == ""
