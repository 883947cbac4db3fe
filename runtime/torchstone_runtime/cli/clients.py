"""`torchstone clients`: how to ask a server, in several languages."""

import shlex
from pathlib import Path

import click

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import BUNDLE_PATH, OVERWRITE_OPTION, VARIANT_OPTION, json_option, out_option
from torchstone_runtime.cli.output import print_result, require_writable
from torchstone_runtime.cli.server_options import MODEL_HELP, URL_HELP
from torchstone_runtime.text import showable_lines

_USUAL_URL = "http://127.0.0.1:8000"


@command(
    examples=("torchstone clients fashion", "torchstone clients fashion --url https://models.example.org -o clients")
)
@click.argument("bundle", type=BUNDLE_PATH)
@option("--url", group="Server", default=_USUAL_URL, show_default=True, help=URL_HELP)
@option("--model", group="Server", help=f"{MODEL_HELP}  [default: the server's first]")
@VARIANT_OPTION
@out_option("clients")
@OVERWRITE_OPTION
@json_option
def clients(
    bundle: Path,
    url: str,
    model: str | None,
    variant: str | None,
    out: Path | None,
    json_file: Path | None,
    *,
    overwrite: bool,
) -> None:
    """Write short clients of `torchstone serve` for BUNDLE: curl, Python, JavaScript, Java, C#, Go and C++.

    Each sends a golden picture of the bundle and compares the answer with the certified one: its exit code is 0 if
    they agree.
    """
    from torchstone_runtime.deployment.clients import client_files
    from torchstone_runtime.deployment.package_directory import Package, write_package
    from torchstone_runtime.deployment.packaged_model import PackagedModel
    from torchstone_runtime.remote.server_address import ServerAddress

    require_writable([json_file])
    opened, target = Bundle.open(bundle), out or Path("clients")
    packaged = PackagedModel.of(opened, opened.runnable_variant(variant))
    address = ServerAddress.parse(url).url
    made = Package("clients", packaged, client_files(packaged, address, model))
    write_package(made, target, overwrite=overwrite)
    document = {**made.record(), "out": str(target), "url": address}
    lines = [
        f"clients      {', '.join(sorted(made.files))}",
        f"wrote {target}; try: python {shlex.quote(str(target / 'client.py'))}",
    ]
    print_result(json_file, lambda: document, lambda: showable_lines(lines))
