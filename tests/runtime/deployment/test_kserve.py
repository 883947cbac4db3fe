"""`torchstone package --for kserve`: valid YAML with the fields of KServe's resources, and the files they lead to."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.in_process import run_in_process
from helpers.triton_config import parse_config
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.deployment.kserve import KServeSettings, service_name
from torchstone_runtime.deployment.kserve import _own_service as own_service
from torchstone_runtime.deployment.packaged_model import PackagedModel

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
FASHION = locate_bundle("fashion")
MODEL_FIELDS = {"modelFormat", "protocolVersion", "runtime", "storageUri", "resources"}
CONTAINER_FIELDS = {
    *("name", "image", "args", "ports", "resources", "securityContext"),
    *("startupProbe", "livenessProbe", "readinessProbe"),
}


def package(out: Path, *arguments: str) -> Path:
    """Package the built-in bundle and return the directory."""
    given = ("--for", "kserve", "--storage-uri", "s3://models/fashion/", "--name", "Clothes_1", "--out", out)
    result = run_in_process("package", FASHION, *given, *arguments)
    assert result.returncode == 0, result.stderr
    return out


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text()))


def test_tritons_service_has_the_fields_of_the_resource(tmp_path: Path) -> None:
    """It names KServe's runtime for Triton, and the model repository in the storage."""
    (service,) = documents(package(tmp_path / "out") / "inference-service-triton.yaml")
    model = service["spec"]["predictor"]["model"]

    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert set(model) == MODEL_FIELDS
    assert model["modelFormat"] == {"name": "onnx"}
    assert (model["protocolVersion"], model["runtime"]) == ("v2", "kserve-tritonserver")
    assert model["storageUri"] == "s3://models/fashion/triton"
    assert service["metadata"]["name"] == "clothes-1-triton"


def test_a_gpu_is_asked_for_as_kubernetes_wants_it(tmp_path: Path) -> None:
    """In the limits, as text."""
    (service,) = documents(package(tmp_path / "out", "--gpu") / "inference-service-triton.yaml")
    assert service["spec"]["predictor"]["model"]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_our_own_runtime_is_named_by_its_service(tmp_path: Path) -> None:
    """A ServingRuntime with our image, which the InferenceService leads to."""
    out = package(tmp_path / "out", "--image", "example.org/serve:1", "--variant", "fp32")
    runtime, service = documents(out / "inference-service-torchstone.yaml")
    (container,) = runtime["spec"]["containers"]
    model = service["spec"]["predictor"]["model"]

    assert (runtime["apiVersion"], runtime["kind"]) == ("serving.kserve.io/v1alpha1", "ServingRuntime")
    assert set(runtime["spec"]) == {"supportedModelFormats", "protocolVersions", "containers"}
    assert set(container) == CONTAINER_FIELDS
    assert (container["name"], container["image"]) == ("kserve-container", "example.org/serve:1")
    assert container["args"][:2] == ["serve", "Clothes_1=/mnt/models"]
    assert container["args"][-2:] == ["--variant", "fp32"]
    assert all(isinstance(argument, str) for argument in container["args"])
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["storageUri"] == "s3://models/fashion/bundle"
    assert set(service["spec"]["predictor"]) == {"terminationGracePeriodSeconds", "model"}


def test_the_container_may_write_nothing_and_become_nobody(tmp_path: Path) -> None:
    """The restricted profile of Kubernetes' pod security standards."""
    runtime, _ = documents(package(tmp_path / "out") / "inference-service-torchstone.yaml")
    security = runtime["spec"]["containers"][0]["securityContext"]

    assert security == {
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_storage_gets_a_repository_and_a_bundle(tmp_path: Path) -> None:
    """Both whole: the bundle verifies, and the repository's configuration is Triton's."""
    models = package(tmp_path / "out") / "models"

    assert run_in_process("verify", models / "bundle").returncode == 0
    assert parse_config((models / "triton" / "Clothes_1" / "config.pbtxt").read_text()).name == "Clothes_1"


@settings(deadline=None)
@given(st.text(max_size=120))
def test_any_name_becomes_one_of_dns(name: str) -> None:
    """RFC 1123's labels, with room for what KServe appends."""
    import re

    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?", service_name(name))


def test_the_longest_name_leaves_room_for_kserves_ending() -> None:
    """Its pods' service is called so, and Kubernetes takes 63 characters."""
    model = PackagedModel.of(Bundle.open(FASHION), "fp32", "n" * 100)
    _, service = yaml.safe_load_all(own_service(model, KServeSettings("s3://models/fashion")))

    assert len(service["metadata"]["name"] + "-predictor") <= 63


@settings(deadline=None, max_examples=30)
@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=30))
def test_any_image_is_read_back_as_it_was_given(image: str) -> None:
    """Quotes, colons and hashes mean something in YAML."""
    model = PackagedModel.of(Bundle.open(FASHION), "fp32")
    runtime, _ = yaml.safe_load_all(own_service(model, KServeSettings("s3://models/fashion", image)))

    assert runtime["spec"]["containers"][0]["image"] == image
