"""Options of the commands that speak to a server."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from torchstone_runtime.cli.command import option
from torchstone_runtime.cli.options import VARIANT_OPTION
from torchstone_runtime.errors import UsageError

if TYPE_CHECKING:
    from torchstone_runtime.remote.server_address import ServerAddress

URL_HELP: Final = "Address of the server, such as http://localhost:8000."
MODEL_HELP: Final = "Name of the model on the server"
MODEL_VERSION_HELP: Final = "Version of the model on the server"


def timeout_option(seconds: float) -> Callable[[Any], Any]:
    """Return the decorator that gives a command `--timeout`, with its default."""
    return option(
        "--timeout",
        group="Server",
        type=click.FloatRange(min=0, min_open=True),
        default=seconds,
        show_default=True,
        help="Seconds that a request may take in all.",
    )


HEADER_OPTION: Final = option(
    *("--header", "headers"),
    group="Server",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Header sent with each request, such as 'Authorization: Bearer TOKEN'; may be repeated.",
)
_NEEDING_URL: Final = {"model": "--model", "model_version": "--model-version", "headers": "--header"}


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """What the command line says of a server; `url` is its address, the rest as in `remote.verify_url.RemoteModel`."""

    url: str
    model: str | None
    model_version: str | None
    variant: str | None
    timeout: float
    headers: tuple[str, ...]

    def server(self) -> "ServerAddress":
        """Return the address.

        Raises:
            UsageError: it is none, or a header is none.
        """
        from torchstone_runtime.remote.server_address import ServerAddress

        return ServerAddress.parse(self.url, self.timeout, self.headers)


_OPTIONS: Final = (
    option("--url", group="Server", help=URL_HELP),
    option("--model", group="Server", help=f"{MODEL_HELP}  [default: the only one, or the bundle's name]"),
    option("--model-version", group="Server", help=f"{MODEL_VERSION_HELP}  [default: the server's choice]"),
    timeout_option(30.0),
    HEADER_OPTION,
    VARIANT_OPTION,
)


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a server; its argument `remote` is a `RemoteOptions`, None without `--url`."""

    @functools.wraps(command)
    def with_remote(
        *arguments: Any,  # noqa: ANN401 - a command's own
        url: str | None,
        variant: str | None,
        timeout: float,
        **options: Any,  # noqa: ANN401 - likewise
    ) -> Any:  # noqa: ANN401 - likewise
        own = {name: options.pop(name) for name in _NEEDING_URL}
        if url is None:
            given = [_NEEDING_URL[name] for name, value in own.items() if value] + ["--variant"] * bool(variant)
            if given:
                raise UsageError(f"{given[0]} is about a server.", "Name it with --url.")
            return command(*arguments, remote=None, **options)
        remote = RemoteOptions(url=url, variant=variant, timeout=timeout, **own)
        return command(*arguments, remote=remote, **options)

    decorated: Callable[..., Any] = with_remote
    for add in reversed(_OPTIONS):
        decorated = add(decorated)
    return decorated
