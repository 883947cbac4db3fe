"""Pages that are written from kept results are those of the results: not a character was written by hand."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.certificate_study import page as certificate
from benchmarks.checks_study import page as checks
from benchmarks.photos import photograph_results
from benchmarks.places import DOCS, RESULTS
from benchmarks.runtime import page as runtime
from benchmarks.serving import page as serving
from benchmarks.training import page as training


def test_the_committed_page_of_the_runtimes_benchmarks_is_that_of_its_results() -> None:
    """Else run `python -m benchmarks.runtime.page`."""
    assert (DOCS / "reference" / "benchmarks.md").read_text(encoding="utf-8") == runtime.page(runtime.read_documents())


def test_a_benchmark_that_did_not_run_has_no_section() -> None:
    """The others are written as they are."""
    found = runtime.read_documents()
    del found["growth"], found["latency"]
    page = runtime.page(found)

    assert "## How cost grows" not in page
    assert "## One image" not in page
    assert "## Images per call" in page


def test_the_committed_page_of_training_speed_is_that_of_its_results() -> None:
    """Else run `python -m benchmarks.training.page`."""
    assert (DOCS / "reference" / "training-speed.md").read_text(encoding="utf-8") == training.page()


def test_the_committed_page_of_results_on_photographs_is_that_of_what_was_kept() -> None:
    """Else run `python -m benchmarks.photos.photograph_results`."""
    written = photograph_results.page(photograph_results.read_documents())

    assert photograph_results.PAGE.read_text(encoding="utf-8") == written


def test_a_study_of_equal_time_has_its_mean_its_spread_and_its_seeds() -> None:
    """A budget that a side did not run in, or ran beyond, has a dash."""
    rows = [
        {"side": "one", "minutes": 1, "seed": seed, "epochs": 3, "seconds": 100.0, "accuracy": accuracy}
        for seed, accuracy in enumerate((0.5, 0.75))
    ]
    other = {"side": "two", "minutes": 5, "seed": 0, "epochs": 9, "seconds": 500.0, "accuracy": 0.25}
    late = {"side": "late", "minutes": 1, "seed": 0, "epochs": 1, "seconds": 144.0, "accuracy": 1.0}
    machine = {"processor": "P", "processors": 2, "versions": {"torch": "1"}}
    page = photograph_results.page({"photos-accuracy": {"machine": machine, "rows": [*rows, other, late]}})

    assert "| one | 0.6250 (0.5000 to 0.7500, 2 seeds, 3 epochs) | — |" in page
    assert "| late | — (takes 1.2 minutes) | — |" in page
    assert "| two | — | 0.2500 (1 seed, 9 epochs) |" in page
    assert "## Small colour pictures" not in page


@pytest.mark.parametrize(
    ("write", "name"),
    [(certificate.page, "certificate-long-sums"), (checks.page, "check-comparison")],
)
def test_the_kept_page_of_a_study_is_that_of_its_figures(write: Callable[[dict[str, Any]], str], name: str) -> None:
    """Else the template or the page was changed alone."""
    figures = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))

    assert (RESULTS / f"{name}.md").read_text(encoding="utf-8") == write(figures)


def test_the_committed_page_of_serving_is_that_of_its_results() -> None:
    """Else run `python -m benchmarks.serving.study`."""
    found = json.loads((RESULTS / "serving.json").read_text(encoding="utf-8"))

    assert serving.PAGE.read_text(encoding="utf-8") == serving.page(found)


def test_every_stage_of_the_servers_study_has_a_section() -> None:
    """A server that gave no answer is named with that; what was lost is what came back with no status."""
    machine = {"time": "now", "processors": 2, "processor": "one", "torchstone": "0", "python": "3"}
    machine["load_average_at_start"] = 0.5
    row = {"runs": 1, "first_answer_s": 1.0, "processor_s": 0.5, "pss_mb": 60.0, "c16_per_s": 100.0, "p99_ms": 9.0}
    servers = {"the least": row, "torchstone": row, "other": {**row, "pss_mb": 120.0}, "third": {"error": "no answer"}}
    load = {"planned": 10, "statuses": {"200": 7, "503": 2, "0": 1}, "rate": 9.0, "ms": {"p50": 2.0, "p99": 6.0}}
    load["p99_of_rounds"] = [5.0, 6.0, 8.0]
    ratio = {"ratio": 0.95, "ratios": [0.95], "served_per_s": 95, "predict_per_s": 100, "decoding_alone_per_s": 100.0}
    text = serving.page(
        {
            "starts": {"machine": machine, "servers": servers},
            "beside_others": {"machine": machine, "servers": servers},
            "batches_of_64": {"machine": machine, "small": ratio},
            "open_loop": {"machine": machine, "idle_20_per_s": load, "capacity_per_s": 10, "at_150%": load},
            "large_pictures": {"machine": machine, **ratio},
        }
    )

    assert text.count("\n## ") == 5
    assert "| third | no answer |" in text
    assert "| small | 95 | 100 | 0.95 (0.95) |" in text
    assert "| other | 1 | 120 MB | 0.50 | 100 | 1.00 | 9 ms |" in text
    assert "| 150% | 10 | 7 | 2 | 0 | 1 | 0.90 | 2.0 ms | 6.0 ms (5, 6, 8) | 3.0 |" in text


def test_the_steps_of_the_certificates_study_that_ran_have_a_section() -> None:
    """The kept figures have neither; those of a study with `honest` and `files` have both."""
    figures = json.loads((RESULTS / "certificate-long-sums.json").read_text(encoding="utf-8"))
    figures["whole_certificate"] = {"exports": 5, "refused": {"an export": ["a check"]}, "neighbours_identical": 4}
    figures["file_faults"] = {"a stale weight": {"files": 3, "caught": 2, "missed": ["a network"]}}
    page = certificate.page(figures)

    assert "ran on 5 of the exports and refused 1" in page
    assert "In 4 of them, neither" in page
    assert "| a stale weight | 3 | 2 | a network |" in page
