"""Models of one output, a logit or a probability: two classes with a stated threshold, as module and as ONNX file."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from support import run_torchstone
from support_foreign import models_module, onnx_model, request_for, spec_of, write_weights
from torchstone_export.adopt import adopt_onnx
from torchstone_export.foreign import export_module
from torchstone_export.module_model import ModuleSource
from torchstone_runtime.classifier import Classifier
from torchstone_runtime.errors import DataError, TorchstoneError, UsageError

MEAN, STD = (np.array(v, dtype=np.float32).reshape(1, 3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module `foreign_models`."""
    with models_module(tmp_path_factory.mktemp("models")) as module:
        yield module


@pytest.fixture(scope="module")
def place(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data.npz`, random images in two classes, and the weights of `Net`, `net.pt`."""
    folder = tmp_path_factory.mktemp("place")
    images = np.random.default_rng(0).integers(0, 256, (80, 3, 8, 8), dtype=np.uint8)
    np.savez(folder / "data.npz", images=images, labels=np.arange(80) % 2, class_names=["no", "yes"])
    torch.manual_seed(3)
    net = models.Net()
    with torch.no_grad():
        net.head.weight.mul_(12)
    write_weights(net, folder / "net.pt")
    return folder


def own_logit(models: ModuleType, place: Path) -> np.ndarray[Any, Any]:
    """The logit of the modules for every image of the data, by hand."""
    module = models.Logit().eval()
    module.load_state_dict(torch.load(place / "net.pt"))
    images = np.load(place / "data.npz")["images"]
    with torch.no_grad():
        result: np.ndarray[Any, Any] = module(torch.from_numpy((images / np.float32(255) - MEAN) / STD)).numpy().ravel()
    return result


def answers(folder: Path, place: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Logits and probabilities of the bundle, all images at once and the first ones alone."""
    images = np.load(place / "data.npz")["images"]
    with Classifier.load(folder / "bundle") as classifier:
        found = classifier.predict(images)
        alone = classifier.predict(images[:1])
    np.testing.assert_allclose(alone.logits, found.logits[:1], atol=1e-4)
    return found.logits, found.probabilities


def sigmoid(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """In float64."""
    result: np.ndarray[Any, Any] = 1 / (1 + np.exp(-values.astype(np.float64)))
    return result


MODULES = {
    "Logit": "logits",
    "FlatLogit": "logits",
    "SqueezedLogit": "logits",
    "Chance": "probabilities",
    "FlatChance": "probabilities",
    "OddChance": "probabilities",
    "LogChance": "log-probabilities",
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_one_output_answers_two_classes(name: str, models: ModuleType, place: Path, tmp_path: Path) -> None:
    """The second class's probability is the sigmoid; both files are proven."""
    source = ModuleSource(factory=f"foreign_models:{name}", weights=place / "net.pt")
    request = request_for(tmp_path, place / "data.npz", torchscript=True)
    told: list[str] = []
    export_module(source, spec_of(output=MODULES[name]), request, told.append)
    expected = own_logit(models, place)
    logits, probabilities = answers(tmp_path, place)

    near = np.abs(expected) < 6
    np.testing.assert_allclose(probabilities[:, 1], sigmoid(expected), atol=1e-5)
    np.testing.assert_allclose((logits[:, 1] - logits[:, 0])[near], expected[near], atol=1e-3)
    assert (logits.argmax(axis=1) == (expected > 0)).all()
    assert any("'yes' where its probability is above 0.5, else 'no'" in line for line in told)


@pytest.mark.parametrize(("name", "output"), [("Logit", "logits"), ("Chance", "probabilities")])
def test_another_threshold_moves_the_decision_and_is_stated(
    name: str, output: str, models: ModuleType, place: Path, tmp_path: Path
) -> None:
    """In the manifest, the certificate, the card and `inspect`."""
    source = ModuleSource(factory=f"foreign_models:{name}", weights=place / "net.pt")
    request = request_for(tmp_path, place / "data.npz")
    export_module(source, spec_of(output=output, positive_threshold=0.9), request)
    chance = sigmoid(own_logit(models, place))
    logits, probabilities = answers(tmp_path, place)
    bundle = tmp_path / "bundle"
    shown = run_torchstone("inspect", "bundle", cwd=tmp_path).stdout

    assert ((chance > 0.5) != (chance > 0.9)).any()
    assert (logits.argmax(axis=1) == (chance > 0.9)).all()
    np.testing.assert_allclose(probabilities[:, 1], chance / (chance + (1 - chance) * 9), atol=1e-5)
    assert json.loads((bundle / "manifest.json").read_text())["provenance"]["origin"]["two_classes"] == {
        "negative": "no",
        "positive": "yes",
        "threshold": 0.9,
        **({"sigmoid_taken_off": True} if name == "Chance" else {}),
    }
    assert "above 0.9" in json.loads((bundle / "certificate.json").read_text())["reference"]
    for text in (shown, (bundle / "README.md").read_text()):
        assert "'yes' above a probability of 0.9, else 'no'" in text


@pytest.mark.parametrize(
    ("name", "fields", "fragment"),
    [
        ("Chance", {}, "looks like a probability (a sigmoid comes last)"),
        ("OddChance", {}, "looks like a probability (they lie between 0 and 1)"),
        ("Logit", {"output": "probabilities"}, "is not of probabilities"),
        ("Logit", {"output": "log-probabilities"}, "is not of log-probabilities"),
        ("Net", {"positive_threshold": 0.3}, "positive_threshold is for one output"),
        ("Logit", {"classes": "no,yes,perhaps"}, "classes of the data are not"),
    ],
)
def test_one_output_that_is_not_what_was_said_is_refused(
    name: str, fields: dict[str, Any], fragment: str, place: Path, tmp_path: Path
) -> None:
    """One message; nothing is written."""
    source = ModuleSource(factory=f"foreign_models:{name}", weights=place / "net.pt")
    with pytest.raises(TorchstoneError) as refused:
        export_module(source, spec_of(**fields), request_for(tmp_path, place / "data.npz"))

    assert fragment in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [0, 1, -0.1, "x", True, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(value: object) -> None:
    """Neither 0 nor 1: one class alone would be answered."""
    with pytest.raises(UsageError, match="between 0 and 1"):
        spec_of(positive_threshold=value)


def one_output(ending: str | None, *, flat: bool, **made: Any) -> onnx.ModelProto:  # noqa: ANN401 - any argument
    """An ONNX file whose class output is one number an image."""
    model = onnx_model(names=("input", "all"), **made)
    last = "output" if ending is None else "one"
    nodes = [helper.make_node("Gather", ["all", "first"], ["picked"], axis=1)]
    nodes.append(helper.make_node("Mul", ["picked", "factor"], ["scaled"]))
    if flat:
        nodes.append(helper.make_node("Squeeze", ["scaled", "axes"], [last]))
    else:
        nodes.append(helper.make_node("Identity", ["scaled"], [last]))
    if ending == "Clip":
        nodes.append(helper.make_node("Sigmoid", ["one"], ["chance"]))
        nodes.append(helper.make_node("Clip", ["chance"], ["output"]))
    elif ending is not None:
        nodes.append(helper.make_node(ending, ["one"], ["output"]))
    model.graph.node.extend(nodes)
    for name, value in (("first", [0]), ("axes", [1])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, dtype=np.int64), name))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(3, dtype=np.float32), "factor"))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n"] if flat else ["n", 1])
    )
    return model


@pytest.mark.parametrize("threshold", [None, 0.2])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("ending", "output"), [(None, "logits"), ("Sigmoid", "probabilities"), ("Clip", "probabilities")]
)
def test_an_onnx_file_of_one_output_answers_two_classes(
    ending: str | None, output: str, flat: bool, threshold: float | None, place: Path, tmp_path: Path
) -> None:
    """As N and as N x 1; decisions as by hand."""
    model = one_output(ending, flat=flat)
    onnx.save(model, tmp_path / "made.onnx")
    spec = spec_of(output=output, positive_threshold=threshold)
    adopt_onnx(tmp_path / "made.onnx", spec, request_for(tmp_path, place / "data.npz"))
    images = np.load(place / "data.npz")["images"]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = session.run(None, {"input": (images.astype(np.float32) / 255 - MEAN) / STD})[0].ravel()
    chance = given if ending else sigmoid(given)
    logits, probabilities = answers(tmp_path, place)

    assert (logits.argmax(axis=1) == (chance > (threshold or 0.5))).all()
    if threshold is None:
        np.testing.assert_allclose(probabilities[:, 1], chance, atol=1e-5)


def test_an_onnx_file_of_one_image_and_one_number_is_adopted(place: Path, tmp_path: Path) -> None:
    """A fixed batch of one, whose output has lost all its axes."""
    model = one_output("Sigmoid", flat=True, dims=(1, 3, 8, 8))
    model.graph.node[-2].CopyFrom(helper.make_node("Squeeze", ["scaled"], ["one"]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("output", TensorProto.FLOAT, []))
    onnx.save(model, tmp_path / "made.onnx")
    adopt_onnx(tmp_path / "made.onnx", spec_of(output="probabilities"), request_for(tmp_path, place / "data.npz"))

    assert answers(tmp_path, place)[0].shape == (80, 2)


def test_a_probability_that_is_said_to_be_a_logit_is_refused(place: Path, tmp_path: Path) -> None:
    """Of an ONNX file too."""
    onnx.save(one_output("Sigmoid", flat=False), tmp_path / "made.onnx")
    with pytest.raises(DataError, match=r'a sigmoid comes last.*\n.*output = "probabilities"'):
        adopt_onnx(tmp_path / "made.onnx", spec_of(), request_for(tmp_path, place / "data.npz"))
