import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.benchmark import bench, startup
from torchstone_runtime.benchmark.bench import SteadyState, golden_batch, measure_steady_state
from torchstone_runtime.benchmark.timing import TimeEstimate
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions

if TYPE_CHECKING:
    import subprocess

QUIET, NOISY = TimeEstimate(1.0, 0.99, 1.01), TimeEstimate(1.2, 1.1, 1.3)


@pytest.fixture(scope="module")
def result(digits_bundle: Path) -> "subprocess.CompletedProcess[str]":
    """A short measurement in a process of its own, as JSON."""
    options = ("--batch", "1,32", "--threads", "1", "--rounds", "8", "--json")
    return run_torchstone("bench", digits_bundle, *options)


def test_one_json_document_with_every_phase(result: "subprocess.CompletedProcess[str]") -> None:
    """On stdout alone; the exit code and the verdict agree, however busy the machine is."""
    document = json.loads(result.stdout)

    assert result.returncode == (1 if document["verdict"] == "too noisy" else 0), result.stderr
    assert ("Too noisy" in result.stderr) == (result.returncode == 1)
    assert "Traceback" not in result.stderr
    assert document["startup"]["seconds"].keys() == {"import", "session", "first_run", "process"}
    assert document["startup"]["peak_bytes"].keys() == {"first_run", "batch_1", "batch_32"}
    assert 20e6 < document["startup"]["peak_bytes"]["first_run"] < 500e6
    assert [state["batch"] for state in document["steady_state"]] == [1, 32]
    assert document["machine"]["versions"].keys() >= {"torchstone", "onnxruntime", "python"}


def test_the_phases_add_up_to_less_than_the_process(result: "subprocess.CompletedProcess[str]") -> None:
    """Import, session and first run are parts of the whole process; the text names them."""
    seconds = {name: item["low"] for name, item in json.loads(result.stdout)["startup"]["seconds"].items()}

    assert seconds["import"] + seconds["session"] + seconds["first_run"] < seconds["process"]
    assert all(value > 0 for value in seconds.values())


def test_the_start_is_measured_in_the_mode_that_was_asked_for(
    digits_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the steady state is; this process stands in for the fresh ones."""
    given: list[dict[str, Any]] = []

    def here(argument: str) -> dict[str, Any]:
        given.append(json.loads(argument))
        return startup.measure(**given[-1])

    monkeypatch.setattr(bench, "_fresh_process", here)
    monkeypatch.setattr(bench, "PROCESSES", 1)
    request = bench.Request(str(digits_bundle), LoadOptions(mode="latency"), (1,), (2,), rounds=1)
    bench.measure_startup(request, "fp32")
    assert {options["mode"] for options in given} == {"latency"}


def test_a_noisy_state_gives_no_figures() -> None:
    """The verdict takes their place in the JSON document."""
    seconds = {name: TimeEstimate(0.001, 0.001, 0.001) for name in ("p50", "p90", "p99")}
    quiet, noisy = (SteadyState(10, 1, 100, same, seconds).to_json() for same in (QUIET, NOISY))

    assert quiet["verdict"] == "ok"
    assert quiet["images_per_second"]["value"] == pytest.approx(10_000)
    assert (noisy["verdict"], noisy["seconds"], noisy["images_per_second"]) == ("too noisy", None, None)


def test_every_batch_is_measured_on_every_number_of_threads(classifier: Classifier) -> None:
    """In the given order, with ordered quantiles."""
    states = measure_steady_state([classifier, classifier], (1, 3), rounds=8, seconds=0.002)

    assert [state.batch for state in states] == [1, 1, 3, 3]
    for state in states:
        assert state.threads == 2
        assert 0 < state.seconds["p50"].value <= state.seconds["p90"].value <= state.seconds["p99"].value


def test_the_images_are_the_golden_samples_in_turn(classifier: Classifier) -> None:
    """Real images, repeated as often as the batch needs."""
    assert classifier.bundle is not None
    samples = GoldenSamples.from_bytes(classifier.bundle.read_file("golden")).images
    batch = golden_batch(classifier, 2 * len(samples) + 1)

    np.testing.assert_array_equal(batch, np.concatenate([samples, samples, samples[:1]]))


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (("--batch", "0"), "list of whole numbers"),
        (("--batch", "1,x"), "list of whole numbers"),
        (("--batch", "99999999999"), "more than 4 GiB"),
        (("--rounds", "7"), "8"),
        (("--variant", "int9"), "no variant"),
        (("--provider", "gpu"), "no provider"),
    ],
)
def test_what_cannot_be_measured_is_refused(digits_bundle: Path, options: tuple[str, str], fragment: str) -> None:
    """Before anything is measured, with exit code 2."""
    assert_refused(run_in_process("bench", digits_bundle, *options), fragment)


def test_a_lone_file_has_no_images(digits_bundle: Path) -> None:
    """The message says to give the bundle."""
    assert_refused(run_in_process("bench", digits_bundle / "model.onnx"), "Give the bundle")
