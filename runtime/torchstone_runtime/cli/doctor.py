"""`torchstone doctor`: what is installed, what works, and what mends the rest."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.text import showable_lines
from torchstone_runtime.version import __version__

if TYPE_CHECKING:
    from torchstone_runtime.doctor import Finding


@click.command()
@click.option(
    "--json",
    "json_file",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
    help="JSON, to a file or (without one, or with -) to stdout only.",
)
def doctor(json_file: Path | None) -> None:
    """Check this installation: packages, providers, libraries, processor, limits.

    Exit code 1 where something is broken, with what to do. What is merely not there, such as a GPU beside the CPU
    runtime, is a note.
    """
    from torchstone_runtime.doctor import check_installation  # noqa: PLC0415 - --help needs none of it
    from torchstone_runtime.files import write_atomic  # noqa: PLC0415

    findings = check_installation()
    broken = [finding for finding in findings if finding.status == "broken"]
    document = {
        "torchstone": __version__,
        "healthy": not broken,
        "findings": [finding.to_json() for finding in findings],
    }
    as_json = strict_json(document, indent=2)
    if json_file is None or str(json_file) != "-":
        click.echo(showable_lines(_lines(findings)))
    else:
        click.echo(as_json)
    if json_file is not None and str(json_file) != "-":
        write_atomic(json_file, as_json + "\n")
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
