"""`torchstone doctor`: what is installed, what works, and how to fix the rest."""

from pathlib import Path
from typing import TYPE_CHECKING

from torchstone_runtime.cli.command import command
from torchstone_runtime.cli.options import json_option
from torchstone_runtime.cli.output import print_result, require_writable
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.text import showable_lines
from torchstone_runtime.version import __version__

if TYPE_CHECKING:
    from torchstone_runtime.doctor import Finding


@command(examples=("torchstone doctor", "torchstone doctor --json"))
@json_option
def doctor(json_file: Path | None) -> None:
    """Check this installation: packages, providers, libraries, processor, limits.

    The exit code is 1 if something is broken; the output says how to fix it. What is merely absent, such as a GPU, is
    a note.
    """
    from torchstone_runtime.doctor import check_installation

    require_writable([json_file])
    findings = check_installation()
    broken = [finding for finding in findings if finding.status == "broken"]
    document = {
        "torchstone": __version__,
        "healthy": not broken,
        "findings": [finding.to_json() for finding in findings],
    }
    print_result(json_file, lambda: document, lambda: showable_lines(_lines(findings)))
    if broken:
        names = ", ".join(finding.check for finding in broken)
        raise CheckFailedError(f"Broken: {names}.", "The lines above say what to do." if json_file is None else "")


def _lines(findings: "list[Finding]") -> list[str]:
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<6}  {finding.check:<{width}}  {finding.summary}")
        if finding.remedy:
            lines.append(f"{'':<6}  {'':<{width}}  do: {finding.remedy}")
    return lines
