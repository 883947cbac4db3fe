"""`torchstone serve`: models behind HTTP, each of which has proven itself before it is asked."""

import sys
from typing import Any, Final, cast, get_args

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.completion import ServedModelName
from torchstone_runtime.cli.options import MAX_BATCH_HELP, load_options
from torchstone_runtime.cli.output import tell_detail
from torchstone_runtime.components import require_component
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.serving.http.settings import LogForm, MetricNames

_DRAIN_SECONDS: Final = 5.0
"""Time that load balancers are given to send nobody here any more, where no person waits for the end."""
_MIB: Final = 1 << 20


@command(
    examples=(
        "torchstone serve fashion",
        "torchstone serve bundles/cnn3-1 --host 0.0.0.0 --access-log json",
        "torchstone serve shoes=bundles/shoes shirts@2=bundles/shirts-2 --allow-reload",
        "curl --data-binary @shoe.png http://127.0.0.1:8000/predict",
    )
)
@click.argument("models", metavar="BUNDLE...", type=ServedModelName(), nargs=-1, required=True)
@option("--host", group="Server", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@option(
    "--port",
    group="Server",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 for any that is free.",
)
@option(
    "--max-batch",
    group="Server",
    default=64,
    show_default=True,
    type=click.IntRange(min=1),
    help=MAX_BATCH_HELP,
)
@option(
    "--max-delay-ms",
    group="Server",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 60_000),
    help="Time that the first request of a batch waits for others while a worker is idle.",
)
@option(
    "--max-queue",
    group="Server",
    default=1024,
    show_default=True,
    type=click.IntRange(min=1),
    help="Largest number of waiting images; more are refused at once (503).",
)
@option(
    "--timeout-ms",
    group="Server",
    default=30_000.0,
    show_default=True,
    type=click.FloatRange(1, 86_400_000),
    help="Time after which an unanswered request is refused (504).",
)
@option(
    "--max-body-mib",
    group="Server",
    default=64.0,
    show_default=True,
    type=click.FloatRange(0, 65_536, min_open=True),
    help="Largest body of a request, as sent and decompressed (413).",
)
@option(
    "--max-bodies-mib",
    group="Server",
    default=256.0,
    show_default=True,
    type=click.FloatRange(0, 1 << 20, min_open=True),
    help="Memory for the bodies of all requests being read or waiting for an answer; more are refused (503).",
)
@option(
    "--drain-delay",
    group="Server",
    type=click.FloatRange(0, 3600),
    help="Seconds from SIGTERM or Ctrl-C, when it stops being ready, until it stops listening  [default: 5; on a "
    "terminal 0]",
)
@option(
    "--shadow",
    group="Server",
    metavar="BUNDLE",
    type=ServedModelName(),
    help="Second bundle that gets the same pictures while the server is idle; differences show in the metrics. "
    "NAME=PATH says which model it shadows.",
)
@option(
    "--shadow-share",
    group="Server",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the time that the shadow may compute.",
)
@option("--allow-reload", group="Server", is_flag=True, help="Let clients load and unload models over HTTP.")
@option(
    *("--access-log", "--log", "log"),
    group="Server",
    aliases=("--log",),
    default="off",
    show_default=True,
    type=click.Choice(get_args(LogForm)),
    help="Access log on stderr: a line for each request.",
)
@option(
    "--metrics-names",
    group="Server",
    default="own",
    show_default=True,
    type=click.Choice(get_args(MetricNames)),
    help="Names of the metrics: torchstone_* in seconds, or nv_inference_* as in Triton.",
)
@load_options
def serve(
    models: tuple[str, ...],
    *,
    loading: LoadOptions,
    **wishes: Any,  # noqa: ANN401 - click's values
) -> None:
    """Serve each BUNDLE over HTTP: PATH, NAME=PATH or NAME@VERSION=PATH.

    It speaks the Open Inference Protocol with Triton's extensions, and classifies pictures at /predict. A bundle's
    files are hashed and its golden samples replayed before anybody can connect; SIGHUP reloads the bundles in the same
    way, while the old ones keep serving.

    SIGTERM or Ctrl-C ends it: it stops being ready, then finishes what it has. A second one ends it at once.
    """
    require_component("cpu", "onnxruntime")
    require_component("serve", "starlette", "uvicorn", "httptools")
    from torchstone_runtime.serving.additions import all_additions
    from torchstone_runtime.serving.core.limits import ServingLimits
    from torchstone_runtime.serving.core.model_sources import Source, by_name
    from torchstone_runtime.serving.core.repository import ModelRepository
    from torchstone_runtime.serving.http.addresses import bind, url_of
    from torchstone_runtime.serving.http.process import Plan, run_server
    from torchstone_runtime.serving.http.settings import HttpSettings

    sources = [Source.parse(text) for text in models]
    shadow = Source.parse(wishes["shadow"]) if wishes["shadow"] is not None else None
    names = ", ".join(by_name(sources))
    limits = ServingLimits(
        max_batch=wishes["max_batch"],
        max_delay=wishes["max_delay_ms"] / 1e3,
        max_queue=wishes["max_queue"],
        workers=loading.threads,
        decode_threads=loading.threads,
    )
    settings = HttpSettings(
        timeout=wishes["timeout_ms"] / 1e3,
        max_body=max(1, round(wishes["max_body_mib"] * _MIB)),
        max_bodies=max(1, round(wishes["max_bodies_mib"] * _MIB)),
        allow_reload=wishes["allow_reload"],
        log=wishes["log"],
        metric_names=wishes["metrics_names"],
    )
    sockets = bind(wishes["host"], wishes["port"])
    url = url_of(wishes["host"], sockets[0])

    def announce() -> None:
        click.echo(f"Serving {names} at {url}")

    tell_detail(f"loading {names}")
    plan = Plan(sockets, settings, _drain_delay(cast("float | None", wishes["drain_delay"])), announce)

    def make_repository() -> ModelRepository:
        return ModelRepository(sources, loading, limits, shadow=shadow, shadow_share=wishes["shadow_share"])

    run_server(make_repository, plan, all_additions)


def _drain_delay(asked: float | None) -> float:
    if asked is not None:
        return asked
    return 0.0 if sys.stderr.isatty() else _DRAIN_SECONDS
