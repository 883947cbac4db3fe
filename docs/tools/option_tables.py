"""Write the tables of options in docs/reference/cli.md from the commands themselves.

Run: python docs/tools/option_tables.py. It replaces what stands between `<!-- options of COMMAND -->` and
`<!-- end -->`; the rest of the page is written by hand. A test compares the page with what this gives.
"""

import re
from pathlib import Path
from typing import Final

import click

from torchstone_runtime.cli.command import HEADINGS, GroupedOption
from torchstone_runtime.cli.main import torchstone

PAGE: Final = Path(__file__).parents[1] / "reference" / "cli.md"
_TABLE: Final = re.compile(r"(<!-- options of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_BRACKET: Final = re.compile(r"  \[((?:[^\[\]]|\[[^\]]*\])*)\]")
_BOUND: Final = r"-?[\d.]+(?:e\d+)?"
_RANGE: Final = re.compile(rf"(?:({_BOUND})(<=?))?x(?:(<=?|>=?)({_BOUND}))?")
_CODE: Final = re.compile(r"`[^`]*`|(?<![\w-])--[a-z][\w-]*(?: (?:crop|pad|disk)\b)?|torchstone\[[\w,-]+\]")
_EVERYWHERE: Final = "General"
"""The heading of the options that every command has: a table of their own, written by hand."""
_FEW: Final = 10
"""Options that need no headings among them."""


def page(written: str) -> str:
    """Return the page with its tables made anew."""
    return _TABLE.sub(lambda match: f"{match[1]}\n{tables(match[2])}\n{match[3]}", written)


def tables(name: str) -> str:
    """Return the options of a command: one table, or one for each heading of its help where they are many."""
    root = click.Context(torchstone, info_name="torchstone")
    command = torchstone.get_command(root, name)
    if command is None:
        raise click.ClickException(f"There is no command {name}.")
    context = click.Context(command, parent=root, info_name=name)
    rows: dict[str, list[str]] = {heading: [] for heading in HEADINGS if heading != _EVERYWHERE}
    for parameter in command.params:
        if isinstance(parameter, GroupedOption) and not parameter.hidden and parameter.group in rows:
            rows[parameter.group].append(_row(parameter, context))
    if sum(map(len, rows.values())) <= _FEW:
        return _table([row for lines in rows.values() for row in lines])
    return "\n".join(f"**{heading}**\n\n{_table(lines)}" for heading, lines in rows.items() if lines)


def _table(rows: list[str]) -> str:
    return "\n".join(["| option | default | |", "|---|---|---|", *rows]) + "\n"


def _row(option: GroupedOption, context: click.Context) -> str:
    spelling, text = option.get_help_record(context) or ("", "")
    default, bounds = _notes(option, text)
    words = _CODE.sub(lambda match: f"`{match[0].strip('`')}`", _BRACKET.sub("", text).strip().removesuffix("."))
    return f"| {_spellings(option, spelling)} | {default} | {words}{bounds}. |".replace("*", "\\*")


def _spellings(option: GroupedOption, record: str) -> str:
    shown = re.sub(r" RANGE$", "", record)
    shown = re.sub(r" \[([^\]=]*\|[^\]]*)\]$", r" \1", shown).replace("|", "\\|")
    also = f" (also {', '.join(f'`{name}`' for name in option.aliases)})" if option.aliases else ""
    return ", ".join(f"`{part}`" for part in re.split(r", (?=--)| / ", shown)) + also


def _notes(option: GroupedOption, text: str) -> tuple[str, str]:
    """Return the default, and the bounds of a number in words, out of what the help has in brackets."""
    default, bounds = "off" if option.is_flag and not option.secondary_opts else "", ""
    for note in "; ".join(_BRACKET.findall(text)).split("; "):
        if match := _RANGE.fullmatch(note):
            bounds = f" ({_bounds(match)})"
        elif note == "required":
            default = note
        elif note.startswith("default: "):
            default = _default(option, note.removeprefix("default: "))
        elif note:
            default += f"; {note}"
    return default, bounds


def _default(option: GroupedOption, shown: str) -> str:
    if option.secondary_opts and isinstance(option.default, bool):
        return "on" if option.default else "off"
    return f"`{shown}`" if option.show_default else shown


def _bounds(match: re.Match[str]) -> str:
    low, low_sign, sign, high = match.groups()
    if low is None:
        return {">=": f"{high} or more", ">": f"above {high}", "<=": f"at most {high}", "<": f"below {high}"}[sign]
    start = low if low_sign == "<=" else f"above {low}"
    if high is None:
        return start
    return f"{start} to {high}" if sign == "<=" else f"{start} and below {high}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
