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
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image

from helpers.support import run_torchstone
from helpers.support_foreign import models_module, onnx_model, request_for, spec_of, write_weights
from torchstone_export.foreign.adopt import OnnxSource, adopt_onnx
from torchstone_export.foreign.export_module import export_module
from torchstone_export.foreign.module_model import ModuleSource
from torchstone_export.foreign.onnx_two_classes import logits_of_two
from torchstone_export.foreign.two_classes import TwoClasses
from torchstone_runtime.errors import DataError, TorchstoneError, UsageError
from torchstone_runtime.inference.classifier import Classifier

UINT8: dict[str, Any] = {"dtype": "uint8", "mean": None, "std": None}
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
    source = ModuleSource(
        factory=f"foreign_models:{name}", weights=place / "net.pt", spec=spec_of(output=MODULES[name])
    )
    request = request_for(tmp_path, place / "data.npz", torchscript=True)
    told: list[str] = []
    export_module(source, request, told.append)
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
    source = ModuleSource(
        factory=f"foreign_models:{name}", weights=place / "net.pt", spec=spec_of(output=output, positive_threshold=0.9)
    )
    request = request_for(tmp_path, place / "data.npz")
    export_module(source, request)
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
        ("Chance", {"output": "logits"}, "looks like a probability (a sigmoid comes last)"),
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
    source = ModuleSource(factory=f"foreign_models:{name}", weights=place / "net.pt", spec=spec_of(**fields))
    with pytest.raises(TorchstoneError) as refused:
        export_module(source, request_for(tmp_path, place / "data.npz"))

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
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec), request_for(tmp_path, place / "data.npz"))
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
    adopt_onnx(
        OnnxSource(tmp_path / "made.onnx", spec_of(output="probabilities")), request_for(tmp_path, place / "data.npz")
    )

    assert answers(tmp_path, place)[0].shape == (80, 2)


def test_a_probability_that_is_said_to_be_a_logit_is_refused(place: Path, tmp_path: Path) -> None:
    """Of an ONNX file too."""
    onnx.save(one_output("Sigmoid", flat=False), tmp_path / "made.onnx")
    with pytest.raises(DataError, match=r'a sigmoid comes last.*\n.*output = "probabilities"'):
        adopt_onnx(
            OnnxSource(tmp_path / "made.onnx", spec_of(output="logits")), request_for(tmp_path, place / "data.npz")
        )


def of_shade(*, unit: float, zero: float = 0.0, ending: str | None = None) -> onnx.ModelProto:
    """An ONNX file that takes uint8 and whose one output is `(shade - zero) * unit`, then `ending`."""
    last = "output" if ending is None else "one"
    nodes = [
        helper.make_node("Cast", ["input"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float"], ["shade"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["shade", "zero"], ["moved"]),
        helper.make_node("Mul", ["moved", "unit"], [last]),
    ]
    nodes += [] if ending is None else [helper.make_node(ending, ["one"], ["output"])]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n"])],
        [
            onnx.numpy_helper.from_array(np.array(value, dtype=np.float32), name)
            for name, value in (("unit", unit), ("zero", zero))
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def shades(path: Path) -> np.ndarray[Any, Any]:
    """Write a dataset of pictures of one shade each, every shade of 256 once; return the shades."""
    shade = np.arange(256, dtype=np.uint8)
    images = np.broadcast_to(shade[:, None, None, None], (256, 3, 8, 8))
    np.savez(path, images=images, labels=shade // 128, class_names=["dark", "light"])
    return shade


def decisions(bundle: Path, data: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Columns that the exported file's outputs point at, by output, in ONNX Runtime itself."""
    session = ort.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = session.run(["logits", "probabilities"], {"images": np.load(data)["images"]})
    return {name: value.argmax(axis=1) for name, value in zip(("logits", "probabilities"), outputs, strict=True)}


@pytest.mark.parametrize("level", [1, 77, 127, 128, 204, 254])
def test_at_the_exact_threshold_the_answer_is_the_first_class(level: int, tmp_path: Path) -> None:
    """A probability that is the threshold itself is not above it; the next shade is."""
    shade = shades(tmp_path / "data.npz")
    onnx.save(of_shade(unit=1 / 256), tmp_path / "made.onnx")
    spec = spec_of(**UINT8, output="probabilities", positive_threshold=level / 256)
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec), request_for(tmp_path, tmp_path / "data.npz"))

    for found in decisions(tmp_path / "bundle", tmp_path / "data.npz").values():
        np.testing.assert_array_equal(found, shade > level)


@pytest.mark.parametrize("ending", [None, "Sigmoid"])
@pytest.mark.parametrize("unit", [1.0, 1e-8])
def test_ties_are_those_of_the_file(ending: str | None, unit: float, tmp_path: Path) -> None:
    """A logit of 0 is the first class, and so is one that only the sigmoid rounds to the threshold."""
    shades(tmp_path / "data.npz")
    model = of_shade(unit=unit, zero=128, ending=ending)
    onnx.save(model, tmp_path / "made.onnx")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of(**UINT8)), request_for(tmp_path, tmp_path / "data.npz"))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    own = session.run(None, {"input": np.load(tmp_path / "data.npz")["images"]})[0]

    for found in decisions(tmp_path / "bundle", tmp_path / "data.npz").values():
        np.testing.assert_array_equal(found, own > (0 if ending is None else 0.5))


@pytest.mark.parametrize("kind", ["logits", "probabilities", "sigmoid"])
@settings(deadline=None, max_examples=40)
@example(threshold=0.5)
@example(threshold=0.9)
@given(threshold=st.floats(2**-20, 1 - 2**-20, width=32))
def test_a_decision_is_the_comparison_itself(kind: str, threshold: float) -> None:
    """In PyTorch and in the graph, over numbers next to the limit; logits and probabilities agree."""
    two = TwoClasses("probabilities" if kind == "probabilities" else "logits", threshold, sigmoid=kind == "sigmoid")
    centre = np.float32(threshold if kind == "probabilities" else two.shift)
    above, below = [centre], [centre]
    for _ in range(40):
        above.append(np.nextafter(above[-1], np.float32(np.inf)))
        below.append(np.nextafter(below[-1], np.float32(-np.inf)))
    values = np.array([*above, *below], dtype=np.float32)
    nodes = [*logits_of_two(two, "given"), helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("logits", "probabilities")]
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("given", TensorProto.FLOAT, ["n"])], outputs
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(["logits", "probabilities"], {"given": values})
    in_torch = two.logits(torch.from_numpy(values)).numpy()
    if kind != "sigmoid":
        expected = values > centre
        np.testing.assert_array_equal(in_torch.argmax(axis=1), expected)
        np.testing.assert_array_equal(found[0].argmax(axis=1), expected)
    np.testing.assert_array_equal(found[0].argmax(axis=1), found[1].argmax(axis=1))
    # Their sigmoids differ by some 1e-7, which is much beside a small probability.
    np.testing.assert_allclose(found[0], in_torch, atol=1e-5 if kind != "sigmoid" else 1e-6 / min(threshold, 0.01))


def test_a_sigmoid_that_comes_last_tells_that_the_output_is_a_probability(place: Path, tmp_path: Path) -> None:
    """Nothing has to be stated then; the manifest says what was found."""
    onnx.save(one_output("Sigmoid", flat=False), tmp_path / "made.onnx")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, place / "data.npz"))
    origin = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["provenance"]["origin"]

    assert origin["output"] == "probabilities"
    assert origin["two_classes"]["sigmoid_taken_off"] is True


def test_the_commands_follow_one_output(place: Path, tmp_path: Path) -> None:
    """`adopt`, `verify`, `evaluate` and `predict`, with the threshold as an option."""
    onnx.save(one_output("Sigmoid", flat=True), tmp_path / "made.onnx")
    data = ("--data", f"npz:{place / 'data.npz'}")
    spec = ("--input", "3x8x8", "--mean", "0.4,0.5,0.6", "--std", "0.2,0.25,0.3", "--positive-threshold", "0.3")
    made = run_torchstone("adopt", "made.onnx", *spec, *data, "--out", "bundle", cwd=tmp_path)
    verified = run_torchstone("verify", "bundle", *data, cwd=tmp_path)
    evaluated = run_torchstone("evaluate", "bundle", *data, cwd=tmp_path)
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "black.png")
    predicted = run_torchstone("predict", "bundle", "black.png", cwd=tmp_path)

    for result in (made, verified, evaluated, predicted):
        assert result.returncode == 0, result.stderr
    assert "one output as two classes: 'yes' where its probability is above 0.3, else 'no'" in made.stdout
    assert predicted.stdout.split("\t")[1][:2] in ("ye", "no")
