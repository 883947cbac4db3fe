"""Which parts of Torchstone can work here."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from typing import Final

from torchstone_runtime.components import install_line
from torchstone_runtime.doctor.distributions import Installed, runtime_wheels
from torchstone_runtime.doctor.finding import Finding
from torchstone_runtime.version import __version__

_EXTRAS: Final = ("train", "export")


def check_parts(packages: dict[str, Installed]) -> Finding:
    """Report which parts have all packages that they need."""
    needs = _needs()
    if needs is None:
        summary = f"torchstone {__version__} runs from its source: what it needs is not stated"
        return Finding("parts", "ok", summary, details={"torchstone": __version__})
    missing = {part: [name for name in needed if name not in packages] for part, needed in needs.items()}
    missing["runtime"] += [] if runtime_wheels(packages) else ["onnxruntime"]
    there = [part for part, names in missing.items() if not names]
    absent = [f"{part} (lacks {', '.join(names)})" for part, names in missing.items() if names]
    versions = {name: packages[name].version for needed in needs.values() for name in needed if name in packages}
    summary = f"torchstone {__version__}; installed parts: {', '.join(there) or 'none'}"
    details = {"torchstone": __version__, "installed": there, "missing": missing, "versions": versions}
    if not absent:
        return Finding("parts", "ok", summary, details=details)
    extras = ",".join("cpu" if part == "runtime" else part for part in missing if missing[part])
    return Finding("parts", "note", f"{summary}; not installed: {', '.join(absent)}", install_line(extras), details)


def _needs() -> dict[str, list[str]] | None:
    """Return the packages that each part needs, by the metadata of Torchstone itself; None where it has none."""
    try:
        stated = requires("torchstone") or []
    except PackageNotFoundError:
        return None
    return {
        "runtime": sorted(_names(stated, "")),
        **{extra: sorted(_names(stated, extra)) for extra in _EXTRAS},
    }


def _names(stated: list[str], extra: str) -> Iterator[str]:
    for line in stated:
        requirement, _, marker = line.partition(";")
        named = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
        if name and (named[1] if named else "") == extra:
            yield re.sub(r"[-_.]+", "-", name[0]).lower()
