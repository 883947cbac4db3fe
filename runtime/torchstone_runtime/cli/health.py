"""`torchstone health`: is a server ready? For the health check of a container, which then needs no curl."""

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.server_options import HEADER_OPTION
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable


@command(
    examples=("torchstone health http://localhost:8000", "torchstone health http://localhost:8000 --model fashion")
)
@click.argument("url")
@option("--model", group="Server", help="Ask for this model  [default: the server as a whole]")
@option("--live", group="Server", is_flag=True, help="Ask only if the server lives, ready or not.")
@option(
    "--timeout",
    group="Server",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds that the request may take in all.",
)
@HEADER_OPTION
def health(url: str, model: str | None, timeout: float, headers: tuple[str, ...], *, live: bool) -> None:
    """Ask the server at URL whether it is ready: exit code 0 if so, 1 if not or if it can't be reached.

    URL is a server of the Open Inference Protocol, such as http://localhost:8000.
    """
    from torchstone_runtime.remote.health import check_health
    from torchstone_runtime.remote.server_address import ServerAddress

    if live and model is not None:
        raise UsageError("--live is about the server, --model about one of its models.", "Leave one of them out.")
    click.echo(showable(check_health(ServerAddress.parse(url, timeout, headers), model, live=live)))
