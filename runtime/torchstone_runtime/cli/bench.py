"""`torchstone bench`: what a bundle costs on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import (
    BUNDLE_PATH,
    MODE_OPTION,
    PROVIDER_OPTION,
    REPORT_OPTION,
    TF32_OPTION,
    VARIANT_OPTION,
    json_option,
)
from torchstone_runtime.cli.output import print_result, require_writable, tell, tell_detail
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.inference.load_options import LoadOptions, Mode
from torchstone_runtime.text import showable_lines

if TYPE_CHECKING:
    from torchstone_runtime.benchmark.bench import Benchmark, SteadyState
    from torchstone_runtime.benchmark.timing import TimeEstimate


class _Counts(click.ParamType[tuple[int, ...]]):
    name = "N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:  # noqa: ANN401
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
            self.fail(f"'{value}' is not a list of whole numbers from 1; write 1,64,1024.", param, ctx)
        return tuple(dict.fromkeys(int(part) for part in parts))


@command(examples=("torchstone bench fashion", "torchstone bench bundles/cnn3-1 --batch 1,64 --threads 1,2 --json"))
@click.argument("bundle", type=BUNDLE_PATH)
@option(
    *("--batch", "batches"),
    group="Model",
    type=_Counts(),
    default="1,64,1024",
    show_default=True,
    help="Batch sizes: images per call.",
)
@option(
    "--threads",
    group="Model",
    type=_Counts(),
    help="Number of concurrent calls  [default: processors available to this process]",
)
@MODE_OPTION
@VARIANT_OPTION
@PROVIDER_OPTION
@TF32_OPTION
@option(
    "--cuda-graphs",
    group="Model",
    is_flag=True,
    help="Record each batch size once as a CUDA graph and replay it (provider cuda).",
)
@option(
    "--rounds",
    group="Advanced",
    type=click.IntRange(min=8),
    default=15,
    show_default=True,
    help="Timing rounds of the steady state.",
)
@json_option
@REPORT_OPTION
def bench(
    bundle: Path,
    batches: tuple[int, ...],
    threads: tuple[int, ...] | None,
    variant: str | None,
    provider: str,
    rounds: int,
    mode: Mode,
    *,
    tf32: bool,
    cuda_graphs: bool,
    json_file: Path | None,
    report: Path | None,
) -> None:
    """Measure start-up time, latency, throughput and memory of BUNDLE on this machine.

    Each call is measured twice, interleaved. Where the two disagree, the machine is too noisy: no figure is given,
    and the exit code is 1.
    """
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.benchmark.bench import Request, run_benchmark
    from torchstone_runtime.system.cpu import usable_cpus

    require_writable([json_file, report])
    options = LoadOptions(variant=variant, provider=provider, mode=mode, tf32=tf32, cuda_graphs=cuda_graphs)
    request = Request(str(bundle), options, batches, threads or (usable_cpus(),), rounds)
    result = run_benchmark(request, tell)
    tell_detail(f"plan: {result.plan}")
    if report is not None:
        _write_page(report, result)
    print_result(json_file, result.to_json, lambda: _as_text(result))
    if result.too_noisy:
        raise CheckFailedError(
            "Too noisy: the same call measured twice gave different times.",
            "Stop other work on the machine, or measure for longer with --rounds.",
        )


def _write_page(path: Path, result: "Benchmark") -> None:
    from torchstone_runtime.files import write_atomic
    from torchstone_runtime.report.bench_page import bench_page

    write_atomic(path, bench_page(result))
    tell(f"wrote {path}")


def _as_text(result: "Benchmark") -> str:
    machine, plan = result.machine, result.plan
    gpu = f"{', TF32 allowed' if plan.tf32 else ''}{', CUDA graphs' if plan.cuda_graphs else ''}"
    versions = machine["versions"]
    lines = [
        f"model    {result.model}: {plan.variant} on {plan.provider} ({plan.reason}), tiles of {plan.micro_batch}{gpu}",
        f"machine  {machine['processor']}, {machine['processors']} usable, load {machine['load_average']}",
        f"         Python {versions['python']}, ONNX Runtime {versions['onnxruntime']}",
        "",
        "a fresh process (median, 95% interval)",
        *(f"  {name.replace('_', ' '):<10} {_ms(value)}" for name, value in result.startup.seconds.items()),
        "peak memory",
        *(
            f"  {('after ' + point.replace('_', ' ')):<17} {size / 1e6:6.0f} MB"
            for point, size in result.startup.memory.items()
        ),
        "",
        f"steady state, {result.rounds} rounds (95% intervals; ...: too few calls to bound it)",
        f"{'batch':>6} {'threads':>7}  {'p50':<28}{'p90':<28}{'p99':<28}images/s",
        *(_row(state) for state in result.steady),
        *(choice.describe(plan.provider) for choice in result.others),
    ]
    return showable_lines(lines)


def _row(state: "SteadyState") -> str:
    start = f"{state.batch:>6} {state.threads:>7}  "
    if state.too_noisy:
        return f"{start}too noisy: the same call measured twice differs by {_figures(state.same, '.2f')}"
    columns = "".join(f"{_ms(state.seconds[name]):<28}" for name in ("p50", "p90", "p99"))
    return f"{start}{columns}{_figures(state.images_per_second, ',.0f')}"


def _ms(seconds: "TimeEstimate") -> str:
    value = seconds.scaled(1000)
    return _figures(value, ".3f" if value.value < 10 else ".1f", " ms")  # noqa: PLR2004 - three digits or four


def _figures(estimate: "TimeEstimate", form: str, unit: str = "") -> str:
    low, high = ("..." if end is None else format(end, form) for end in (estimate.low, estimate.high))
    return f"{estimate.value:{form}}{unit} ({low} to {high})"
