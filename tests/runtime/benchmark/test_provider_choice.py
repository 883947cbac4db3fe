import pytest

from torchstone_runtime.benchmark.bench import golden_batch
from torchstone_runtime.benchmark.provider_choice import ProviderChoice, other_providers
from torchstone_runtime.benchmark.timing import TimeEstimate
from torchstone_runtime.doctor.provider_speed import check_speed
from torchstone_runtime.inference import providers
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions

CHOICE = ProviderChoice("openvino", 64, TimeEstimate(1.4, 1.2, 1.5))


def test_the_faster_provider_is_named_with_its_ratio() -> None:
    """Where the whole interval is beyond what noise explains."""
    assert CHOICE.describe("cpu") == (
        "openvino is 1.40 times as fast as cpu (1.20 to 1.50; 64 per call): --provider openvino is faster here"
    )


@pytest.mark.parametrize("low", [1.05, 0.8, None])
def test_what_may_be_noise_is_no_advice(low: float | None) -> None:
    """The ratio stands there, and no more."""
    choice = ProviderChoice("openvino", 1, TimeEstimate(1.2, low, 1.5))
    assert "faster one" not in choice.describe("cpu")


def test_a_provider_that_cannot_run_the_bundle_says_why() -> None:
    """In place of the ratio, and in the JSON document."""
    choice = ProviderChoice("openvino", 0, problem="it leaves to the CPU: 1 Hardmax")
    assert choice.describe("cpu") == "openvino beside cpu: it leaves to the CPU: 1 Hardmax"
    assert choice.to_json()["speed_ratio"] is None


def test_an_installation_with_one_provider_has_no_choice(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of torchstone[cpu]."""
    monkeypatch.delitem(providers.PROVIDERS, "openvino")
    assert other_providers(classifier, LoadOptions(), [golden_batch(classifier, 1)], rounds=6) == []


@pytest.mark.parametrize(
    ("ratio", "advice"),
    [((1.3, 1.2, 1.4), "--provider openvino is faster"), ((0.7, 0.6, 0.8), "--provider cpu is faster")],
)
def test_the_doctor_names_the_faster_one(ratio: tuple[float, float, float], advice: str) -> None:
    """By the interval, as bench does."""
    finding = check_speed({"speed": dict(zip(("ratio", "low", "high"), ratio, strict=True))})
    assert finding is not None
    assert advice in finding.summary


def test_the_doctor_says_where_neither_is_clearly_faster() -> None:
    """And nothing at all where there is one provider."""
    finding = check_speed({"speed": {"ratio": 1.02, "low": 0.95, "high": 1.2}})
    assert finding is not None
    assert "neither is clearly faster" in finding.summary
    assert check_speed({"speed": None}) is None
