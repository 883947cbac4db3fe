"""`torchstone health`: is a server ready? For the health check of a container, which then needs no curl."""

from pathlib import Path

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import json_option
from torchstone_runtime.cli.output import print_result, require_writable
from torchstone_runtime.cli.server_options import HEADER_OPTION, MODEL_HELP, timeout_option
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable


@command(
    examples=("torchstone health http://localhost:8000", "torchstone health http://localhost:8000 --model fashion")
)
@click.argument("url")
@option("--model", group="Server", help=f"{MODEL_HELP}  [default: the server as a whole]")
@option("--live", group="Server", is_flag=True, help="Ask only whether the server is alive, ready or not.")
@timeout_option(5.0)
@HEADER_OPTION
@json_option
def health(
    url: str, model: str | None, timeout: float, headers: tuple[str, ...], json_file: Path | None, *, live: bool
) -> None:
    """Ask the server at URL whether it is ready: exit code 0 if so, 1 if not or if it can't be reached.

    URL is a server of the Open Inference Protocol, such as http://localhost:8000.
    """
    from torchstone_runtime.remote.health import check_health
    from torchstone_runtime.remote.server_address import ServerAddress

    if live and model is not None:
        raise UsageError("--live is about the server, --model about one of its models.", "Leave one of them out.")
    require_writable([json_file])
    server = ServerAddress.parse(url, timeout, headers)
    sentence = check_health(server, model, live=live)
    document = {"url": server.url, "model": model, "live" if live else "ready": True}
    print_result(json_file, lambda: document, lambda: showable(sentence))
