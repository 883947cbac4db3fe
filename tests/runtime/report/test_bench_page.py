import re

import pytest

from torchstone_runtime.benchmark.bench import Benchmark, Startup, SteadyState
from torchstone_runtime.benchmark.timing import TimeEstimate
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.report.bench_page import bench_page


@pytest.mark.parametrize(
    ("same", "shown"), [(1.0, ["2.000 (1.000 to 3.000)"] * 3 + ["32,000 (21,333 to 64,000)"]), (2.0, ["too noisy"] * 4)]
)
def test_page_of_a_benchmark_states_times_where_they_can_be_trusted(same: float, shown: list[str]) -> None:
    """Milliseconds and images a second with their intervals; nothing where the machine was too noisy."""
    time = TimeEstimate(0.002, 0.001, 0.003)
    agreement = TimeEstimate(same, same - 0.01, same + 0.01)
    state = SteadyState(64, 2, 100, agreement, dict.fromkeys(("p50", "p90", "p99"), time))
    machine = {"processor": "<cpu>", "processors": 2, "load_average": [0.1], "versions": {"python": "3"}}
    plan = ExecutionPlan("fp32", "cpu", "asked for", 2, 64)
    startup = Startup({"first_run": time}, {"first_run": 90_000_000})
    page = bench_page(Benchmark("<m>", "bundles/m", plan, machine, startup, (state,), 8))
    cells = re.findall("<t[dh](?: scope=.row.)?>([^<]*)</t[dh]>", page)
    assert cells[:6] == ["64", "2", *shown]
    assert "What &lt;m&gt; costs" in page
    assert "&lt;cpu&gt;" in page
