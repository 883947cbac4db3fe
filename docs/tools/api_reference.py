"""Write docs/reference/api.md, the reference of the public Python names, from their docstrings and signatures.

Run: python docs/tools/api_reference.py. A test compares the page with what this gives.
"""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[1] / "reference" / "api.md"
PACKAGES: Final = ("torchstone", "torchstone_runtime")
_HEAD: Final = """# Python reference

Every public name of `torchstone`, and those of `torchstone_runtime` beside them: what each takes, gives and raises.
[Python](python.md) shows them at work. Written by `python docs/tools/api_reference.py` from the docstrings.
"""
_SECTION: Final = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):$")


def page() -> str:
    """Return the page."""
    parts, seen = [_HEAD], set[int]()
    for package in PACKAGES:
        module = importlib.import_module(package)
        parts.append(f"## {package}\n")
        for name in sorted(module.__all__, key=lambda name: (name[0] != name[0].lower(), name)):
            found = getattr(module, name)
            if id(found) in seen or name == "__version__":
                continue
            seen.add(id(found))
            parts.append(_entry(name, found))
    return "\n".join(parts)


def _entry(name: str, found: Any) -> str:  # noqa: ANN401 - a function or a class
    node = ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]
    if isinstance(node, ast.FunctionDef):
        return f"### {name}\n\n```python\n{_signature(node)}\n```\n\n{_text(node)}\n"
    if not isinstance(node, ast.ClassDef):
        raise TypeError(f"{name} is neither a function nor a class")
    bases = ", ".join(ast.unparse(base) for base in node.bases if ast.unparse(base) != "Sequence[Prediction]")
    kind = f"`{bases}`. " if bases else ""
    parts = [f"### {name}\n", f"{kind}{_text(node)}\n"]
    members = [item for item in node.body if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")]
    return "\n".join([*parts, *(_member(name, item) for item in members if not _is_overload(item))])


def _member(owner: str, node: ast.FunctionDef) -> str:
    if any(_last(decorator) in ("property", "cached_property") for decorator in node.decorator_list):
        returns = f": `{ast.unparse(node.returns)}`" if node.returns is not None else ""
        return f"#### {owner}.{node.name}{returns}\n\n{_text(node)}\n"
    return f"#### {owner}.{node.name}\n\n```python\n{_signature(node)}\n```\n\n{_text(node)}\n"


def _is_overload(node: ast.FunctionDef) -> bool:
    return any(_last(decorator) == "overload" for decorator in node.decorator_list)


def _last(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _signature(node: ast.FunctionDef) -> str:
    # ast.unparse writes `name: type=value`; PEP 8 has spaces around the sign.
    arguments = re.sub(r"(: [^=,()]+(?:\[[^=]*\])?[^=,()]*)=(?=\S)", r"\1 = ", ast.unparse(node.args))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    line = f"{node.name}({arguments}){returns}"
    if len(line) <= 100:  # noqa: PLR2004 - the width of a code block that needs no scrolling
        return line
    return f"{node.name}(\n" + "".join(f"    {part},\n" for part in _top_level(arguments)) + f"){returns}"


def _top_level(arguments: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for place, character in enumerate(arguments):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(arguments[start:place].strip())
            start = place + 1
    return [*parts, arguments[start:].strip()]


def _text(node: ast.FunctionDef | ast.ClassDef) -> str:
    lines = (ast.get_docstring(node) or "").splitlines()
    written: list[str] = []
    in_section = False
    for line in lines:
        if match := _SECTION.match(line):
            written.append(f"**{match[1]}**\n")
            in_section = match[1] not in ("Returns", "Yields")
        elif in_section and re.match(r"^    \S", line):
            name, colon, rest = line.strip().partition(": ")
            written.append(f"- `{name}`: {rest}" if colon else f"- {line.strip()}")
        else:
            written.append(line.strip() if not in_section else f"  {line.strip()}".rstrip())
    return "\n".join(written).strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
