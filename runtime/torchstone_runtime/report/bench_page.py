"""What a bundle costs on a machine, as one self-contained HTML page."""

from torchstone_runtime.benchmark.bench import Benchmark, SteadyState
from torchstone_runtime.benchmark.timing import TimeEstimate
from torchstone_runtime.report.page import escape, facts, render_page, section, table

_QUANTILES = ("p50", "p90", "p99")


def bench_page(result: Benchmark) -> str:
    """Return the measurement as an HTML document; what was too noisy has no figures."""
    machine, plan = result.machine, result.plan
    start = [(name.replace("_", " "), _milliseconds(value)) for name, value in result.startup.seconds.items()]
    memory = [(name.replace("_", " "), f"{size / 1e6:.0f}") for name, size in result.startup.memory.items()]
    head = ("images per call", "threads", *(f"{name}, ms" for name in _QUANTILES), "images/s")
    body = [
        f"<header><h1>What {escape(result.model)} costs</h1>",
        '<p class="soft">Medians and quantiles with their 95% intervals.</p></header>',
        section("Steady state", table(head, map(_row, result.steady))),
        section("A fresh process", table(("stage", "ms"), start)),
        section("Peak memory", table(("after", "MB"), memory)),
        section(
            "Where this was measured",
            facts(
                [
                    ("Bundle", result.bundle),
                    ("Run by", f"{plan.variant} on {plan.provider} ({plan.reason})"),
                    ("Processor", f"{machine['processor']}, {machine['processors']} usable"),
                    ("Load", "not known" if machine["load_average"] is None else str(machine["load_average"])),
                    ("Rounds", str(result.rounds)),
                    ("Versions", ", ".join(f"{name} {version}" for name, version in machine["versions"].items())),
                ]
            ),
        ),
    ]
    return render_page(f"What {result.model} costs", "\n".join(body))


def _row(state: SteadyState) -> list[str]:
    first = [f"{state.batch:,}", str(state.threads)]
    if state.too_noisy:
        return [*first, *["too noisy"] * (len(_QUANTILES) + 1)]
    times = [_milliseconds(state.seconds[name]) for name in _QUANTILES]
    return [*first, *times, _figures(state.images_per_second, ",.0f")]


def _milliseconds(seconds: TimeEstimate) -> str:
    return _figures(seconds.scaled(1000), ",.3f")


def _figures(estimate: TimeEstimate, form: str) -> str:
    low, high = ("…" if end is None else format(end, form) for end in (estimate.low, estimate.high))
    return f"{estimate.value:{form}} ({low} to {high})"
