"""`torchstone adopt`: an ONNX file made elsewhere becomes a bundle that decides as it does, or is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from helpers.support import assert_refused, run_torchstone
from helpers.support_foreign import onnx_model, request_for, spec_of, write_data
from torchstone_export.foreign.adopt import OnnxSource, adopt_onnx
from torchstone_runtime.errors import CheckFailedError, DataError, TorchstoneError
from torchstone_runtime.inference.classifier import Classifier

MEAN, STD = (np.array(v, dtype=np.float32).reshape(1, 3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random images in four classes."""
    return write_data(tmp_path_factory.mktemp("data") / "data.npz")


def answers(model: onnx.ModelProto, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the file itself gives for images in its own form, as many a call as it takes."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[0]
    step = size if isinstance(size, int) else len(images)
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: images[i : i + step]})[0] for i in range(0, len(images), step)]
    return np.concatenate(parts)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "NCHW": ({}, {}),
    "NHWC": ({"dims": ("n", 8, 8, 3), "layout": "NHWC"}, {}),
    "no names for the axes": ({"dims": ("n", "c", "h", "w")}, {"layout": "NCHW"}),
    "uint8": ({"dtype": TensorProto.UINT8}, {"mean": None, "std": None, "dtype": "uint8"}),
    "uint8 NHWC": (
        {"dtype": TensorProto.UINT8, "dims": ("n", 8, 8, 3), "layout": "NHWC"},
        {"mean": None, "std": None, "dtype": "uint8"},
    ),
    "BGR": ({}, {"color": "BGR", "mean": [0.6, 0.5, 0.4], "std": [0.3, 0.25, 0.2]}),
    "pixels to 255": ({}, {"pixel_range": "0-255", "mean": [102, 127.5, 153], "std": [51, 63.75, 76.5]}),
    "batch of 1": ({"dims": (1, 3, 8, 8)}, {}),
    "batch of 4": ({"dims": (4, 3, 8, 8)}, {}),
    "batch of 1 in a Reshape": ({"dims": (1, 3, 8, 8), "flat": (1, -1)}, {}),
    "opset 11": ({"opset": 11}, {}),
    "opset 8": ({"opset": 8}, {}),
    "our own names": ({"names": ("images", "probabilities")}, {}),
    "names crossed": ({"names": ("probabilities", "images_")}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_bundle_answers_as_the_file(case: str, data: Path, tmp_path: Path) -> None:
    """Compared here with the file itself, fed by hand."""
    made, fields = CASES[case]
    model = onnx_model(**made)
    onnx.save(model, tmp_path / "made.onnx")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of(**fields)), request_for(tmp_path, data))
    images = np.load(data)["images"]
    pixels = images if "uint8" in case else ((images.astype(np.float32) / 255 - MEAN) / STD).astype(np.float32)
    pixels = pixels[:, ::-1] if case == "BGR" else pixels
    pixels = np.ascontiguousarray(np.moveaxis(pixels, 1, -1) if "NHWC" in case else pixels)
    with Classifier.load(tmp_path / "bundle") as classifier:
        found = classifier.predict(images).logits

    np.testing.assert_allclose(found, answers(model, pixels), atol=2e-5)


@pytest.mark.parametrize(("ending", "output"), [("Softmax", "probabilities"), ("LogSoftmax", "log-probabilities")])
def test_normalised_outputs_keep_their_probabilities(ending: str, output: str, data: Path, tmp_path: Path) -> None:
    """The bundle's probabilities are the file's, not the softmax of them."""
    onnx.save(onnx_model(ending=ending), tmp_path / "made.onnx")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of(output=output)), request_for(tmp_path, data))
    images = np.load(data)["images"]
    expected = answers(onnx_model(ending="Softmax"), (images.astype(np.float32) / 255 - MEAN) / STD)
    with Classifier.load(tmp_path / "bundle") as classifier:
        found = classifier.predict(images).probabilities

    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_sure_model_of_probabilities_stays_finite(data: Path, tmp_path: Path) -> None:
    """Probabilities that are 0 in float32 have a finite logarithm, and the decisions stay."""
    model = onnx_model(ending="Softmax")
    kernel = next(item for item in model.graph.initializer if item.name == "scale")
    values = onnx.numpy_helper.to_array(kernel) * 60
    kernel.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), "scale"))
    onnx.save(model, tmp_path / "made.onnx")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of(output="probabilities")), request_for(tmp_path, data))
    images = np.load(data)["images"]
    expected = answers(model, (images.astype(np.float32) / 255 - MEAN) / STD)
    with Classifier.load(tmp_path / "bundle") as classifier:
        found = classifier.predict(images)

    assert (expected == 0).any()
    assert np.isfinite(found.logits).all()
    assert (found.indices == expected.argmax(axis=1)).all()


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network in float16 throughout, input and output included."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    return model


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("ending", [None, "Softmax"])
def test_a_file_of_float16_is_adopted(ending: str | None, layout: str, data: Path, tmp_path: Path) -> None:
    """As `model.half()` gives it: ONNX Runtime rounds less of it in a bundle than where it stands alone."""
    made: dict[str, Any] = {"dims": ("n", 8, 8, 3), "layout": layout} if layout == "NHWC" else {}
    model = halved(onnx_model(ending=ending, **made))
    onnx.save(model, tmp_path / "made.onnx")
    spec = spec_of(output="probabilities" if ending else "logits")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec), request_for(tmp_path, data))
    images = np.load(data)["images"]
    pixels = (images.astype(np.float32) / 255 - MEAN) / STD
    expected = answers(model, (np.moveaxis(pixels, 1, -1) if made else pixels).astype(np.float16))
    with Classifier.load(tmp_path / "bundle") as classifier:
        found = classifier.predict(images)

    np.testing.assert_allclose(found.probabilities if ending else found.logits, expected, atol=0.01)
    assert (found.indices == expected.argmax(axis=1)).all()


def test_maps_of_classes_are_refused_with_the_way_to_tensors(data: Path, tmp_path: Path) -> None:
    """As scikit-learn's converter gives probabilities by default."""
    model = onnx_model(ending="Softmax", names=("input", "before_map"))
    names: dict[str, Any] = {"classlabels_int64s": [0, 1, 2, 3]}
    model.graph.node.append(helper.make_node("ZipMap", ["before_map"], ["chances"], domain="ai.onnx.ml", **names))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    del model.graph.output[:]
    model.graph.output.append(helper.make_value_info("chances", helper.make_sequence_type_proto(kind)))
    onnx.save(model, tmp_path / "made.onnx")
    with pytest.raises(DataError, match="'chances' holds text, or a sequence or map") as refused:
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of(output="probabilities")), request_for(tmp_path, data))

    assert "zipmap" in str(refused.value)


def leave_traces(model: onnx.ModelProto) -> None:
    """Write a maker's path wherever a file has room for one: in a function, a constant, an annotation."""
    path = "/home/maker/net.py"
    function = helper.make_function(
        *("made.here", "Same", ["x"], ["y"]),
        nodes=[helper.make_node("Identity", ["x"], ["y"], doc_string=path)],
        opset_imports=[helper.make_opsetid("", 17)],
    )
    function.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value=path)
    value = onnx.numpy_helper.from_array(np.array(0, dtype=np.float32), path)
    constant = helper.make_node("Constant", [], ["nought"], value=value)
    constant.attribute[0].doc_string = constant.attribute[0].t.doc_string = path
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("made.here", 1))
    model.graph.node.extend(
        [
            helper.make_node("Same", ["before"], ["same"], domain="made.here"),
            constant,
            helper.make_node("Add", ["same", "nought"], ["output"]),
        ]
    )
    model.graph.quantization_annotation.add(tensor_name=path)


def test_no_corner_of_the_file_keeps_its_makers_paths(data: Path, tmp_path: Path) -> None:
    """Neither functions, as PyTorch's exporter may write them, nor constants."""
    model = onnx_model(names=("input", "before"))
    leave_traces(model)
    model.graph.output[0].name = "output"
    onnx.save(model, tmp_path / "made.onnx")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))

    assert b"maker" not in (tmp_path / "bundle" / "model.onnx").read_bytes()


def test_a_network_that_always_gives_zero_has_a_certificate(data: Path, tmp_path: Path) -> None:
    """A last layer that was never trained from its zeros: all errors are 0, and so is what they are compared with."""
    model = onnx_model()
    for tensor in model.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 0, tensor.name))
    onnx.save(model, tmp_path / "made.onnx")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))
    with Classifier.load(tmp_path / "bundle") as classifier:
        assert not classifier.predict(np.load(data)["images"]).logits.any()


def test_weights_beside_the_file_are_taken_into_it(data: Path, tmp_path: Path) -> None:
    """The bundle's model is one file."""
    onnx.save(onnx_model(), tmp_path / "made.onnx", save_as_external_data=True, location="made.data", size_threshold=0)
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))
    found = onnx.load(tmp_path / "bundle" / "model.onnx", load_external_data=False)

    assert all(item.data_location == TensorProto.DEFAULT for item in found.graph.initializer)
    assert (found.ir_version, found.opset_import[0].version) == (10, 17)


@pytest.mark.parametrize(
    ("location", "fragment"),
    [
        ("../secret.data", "only a file in its own directory"),
        ("/etc/passwd", "only a file in its own directory"),
        ("link.data", "is a link"),
        ("gone.data", "not beside it"),
        ("short.data", "too short"),
        ("pipe.data", "not a regular file"),
    ],
)
def test_weights_elsewhere_are_not_read(location: str, fragment: str, data: Path, tmp_path: Path) -> None:
    """No path outside, no link, no pipe, and no file that is too short."""
    folder = tmp_path / "models"
    folder.mkdir()
    onnx.save(onnx_model(), folder / "made.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    model = onnx.load(folder / "made.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    (tmp_path / "secret.data").write_bytes((folder / "w.data").read_bytes())
    (folder / "link.data").symlink_to(tmp_path / "secret.data")
    (folder / "short.data").write_bytes(b"1234")
    os.mkfifo(folder / "pipe.data")
    (folder / "made.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError) as refused:
        adopt_onnx(OnnxSource(folder / "made.onnx", spec_of()), request_for(tmp_path, data))

    assert fragment in str(refused.value)
    assert not (tmp_path / "bundle").exists()


def two_inputs(model: onnx.ModelProto) -> None:
    """Add an input."""
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))


def two_outputs(model: onnx.ModelProto) -> None:
    """Give out the features as well."""
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["n", 216]))


def random_output(model: onnx.ModelProto) -> None:
    """Add noise before the last layer."""
    gemm = model.graph.node.pop()
    model.graph.node.append(helper.make_node("RandomNormalLike", ["flat"], ["noise"]))
    model.graph.node.append(helper.make_node("Add", ["flat", "noise"], ["noisy"]))
    gemm.input[0] = "noisy"
    model.graph.node.append(gemm)


def unknown_operator(model: onnx.ModelProto) -> None:
    """An operator that ONNX Runtime doesn't have."""
    model.graph.node[1].op_type = "Reluu"


def nothing(model: onnx.ModelProto) -> None:
    """Leave it as it is."""
    del model


@pytest.mark.parametrize(
    ("made", "change", "fields", "fragments"),
    [
        ({}, two_inputs, {}, ["2 inputs ('input', 'other')"]),
        ({}, two_outputs, {}, ["2 outputs: output, flat", "output_name"]),
        ({}, two_outputs, {"output_name": "logits"}, ["no output 'logits'", "output, flat"]),
        ({}, two_outputs, {"output_name": "flat"}, ["shape 3x216", "expected 3x4"]),
        ({}, random_output, {}, ["other outputs each time"]),
        ({}, unknown_operator, {}, ["cannot load the model", "Reluu"]),
        ({"dims": ("n", 192)}, nothing, {}, ["2 axes (n x 192)"]),
        ({"dims": ("n", 3, 9, 9)}, nothing, {}, ["n x 3 x 9 x 9", "8 x 8"]),
        ({"dims": ("n", 8, 8, 3), "layout": "NHWC"}, nothing, {"layout": "NCHW"}, ["not NCHW"]),
        ({"dims": ("n", "c", "h", "w")}, nothing, {}, ["layout can't be told"]),
        ({"dtype": TensorProto.UINT8}, nothing, {"dtype": "float32"}, ["says dtype float32", "is uint8"]),
        ({}, nothing, {"mean": None, "std": None, "dtype": "uint8"}, ["says dtype uint8", "is float32"]),
        ({"dtype": TensorProto.UINT8}, nothing, {}, ["takes uint8", "mean and std"]),
        ({}, nothing, {"classes": "a,b,c,d,e"}, ["shape 3x4", "expected 3x5"]),
        ({}, nothing, {"output": "probabilities"}, ["not probabilities"]),
        ({"ending": "Softmax"}, nothing, {}, ["look like probabilities"]),
        ({"dims": (2, 3, 8, 8), "flat": (1, 432)}, nothing, {}, ["cannot load the model"]),
        ({"flat": (1, 216)}, nothing, {}, ["fails on 3 images", "any number of images"]),
        ({"dims": (1, 3, 8, 8), "flat": (-1, 216)}, nothing, {"classes": "a,b"}, ["classes of the data"]),
    ],
)
def test_a_file_that_cannot_be_adopted_is_refused(
    made: dict[str, Any],
    change: Callable[[onnx.ModelProto], None],
    fields: dict[str, Any],
    fragments: list[str],
    data: Path,
    tmp_path: Path,
) -> None:
    """One message with exit code 2, and nothing is written."""
    model = onnx_model(**made)
    change(model)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(TorchstoneError) as refused:
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of(**fields)), request_for(tmp_path, data))

    assert refused.value.exit_code == 2
    for fragment in fragments:
        assert fragment in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["made.onnx"]


def test_a_batch_axis_that_cannot_be_freed_is_named(data: Path, tmp_path: Path) -> None:
    """One image is built into the operators themselves: here a sum over the batch axis."""
    model = onnx_model(dims=(1, 3, 8, 8))
    gemm = model.graph.node.pop()
    model.graph.node.append(helper.make_node("ReduceSum", ["flat", "axis"], ["summed"], keepdims=1))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0], dtype=np.int64), "axis"))
    gemm.input[0] = "summed"
    model.graph.node.append(gemm)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match=r"axis 0 of its input 'input', the batch, is fixed to 1"):
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))


@pytest.mark.parametrize("content", [b"", b"hello world", b"\x08", b"\xff" * 100])
def test_a_file_that_is_no_onnx_is_refused(content: bytes, data: Path, tmp_path: Path) -> None:
    """Neither text nor bytes of chance."""
    (tmp_path / "made.onnx").write_bytes(content)
    with pytest.raises(DataError, match=r"made.onnx is not an ONNX file"):
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))


def test_a_truncated_file_is_refused(data: Path, tmp_path: Path) -> None:
    """Cut in the middle."""
    content = onnx_model().SerializeToString()
    (tmp_path / "made.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"made.onnx is not an ONNX file"):
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))


def test_control_flow_keeps_its_names_apart(data: Path, tmp_path: Path) -> None:
    """An If whose branches read values of the graph around them, and have a value called 'logits'."""
    model = onnx_model(names=("input", "before"))
    branches = [
        helper.make_graph(
            [helper.make_node(operator, ["before", "bias"], ["logits"])],
            operator,
            [],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])],
        )
        for operator in ("Add", "Sub")
    ]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((), dtype=bool), "choice"))
    model.graph.node.append(
        helper.make_node("If", ["choice"], ["output"], then_branch=branches[0], else_branch=branches[1])
    )
    model.graph.output[0].name = "output"
    onnx.save(model, tmp_path / "made.onnx")
    adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))
    images = np.load(data)["images"]
    with Classifier.load(tmp_path / "bundle") as classifier:
        found = classifier.predict(images).logits

    expected = answers(model, (images.astype(np.float32) / 255 - MEAN) / STD)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_wrapping_that_changes_decisions_is_caught(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong scale in the graph ends with exit code 1, and nothing is published."""
    from torchstone_export.foreign import adopt as adopting
    from torchstone_export.foreign.onnx_wrap import wrap_onnx

    def wrong(*arguments: Any, **options: Any) -> bytes:  # noqa: ANN401 - handed on
        model = onnx.load_from_string(wrap_onnx(*arguments, **options))
        scale = next(node for node in model.graph.node if node.output[0] == "scale")
        value = onnx.numpy_helper.to_array(scale.attribute[0].t) * np.float32(1.001)
        scale.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(value, "scale"))
        return bytes(model.SerializeToString())

    onnx.save(onnx_model(), tmp_path / "made.onnx")
    monkeypatch.setattr(adopting, "wrap_onnx", wrong)
    monkeypatch.setattr(adopting, "_BATCH_TOLERANCE", 1.0)
    with pytest.raises(CheckFailedError, match="times the original file's own"):
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))

    assert not (tmp_path / "bundle").exists()


def test_the_same_file_gives_the_same_bytes_and_nothing_of_its_maker(data: Path, tmp_path: Path) -> None:
    """Notes and stack traces in the file don't reach the bundle."""
    model = onnx_model()
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "/home/somebody/train.py"
    helper.set_model_props(model, {"made on": "somebodys-laptop"})
    model.graph.node[0].metadata_props.add(key="stack", value="/home/somebody/train.py")
    digests = []
    for place in (tmp_path / "one", tmp_path / "two"):
        place.mkdir()
        onnx.save(model, place / "made.onnx")
        adopt_onnx(OnnxSource(place / "made.onnx", spec_of()), request_for(place, data))
        contents = {path.name: path.read_bytes() for path in sorted((place / "bundle").iterdir())}
        digests.append(contents)

    assert digests[0] == digests[1]
    assert b"somebody" not in b"".join(digests[0].values())


def test_the_command_adopts_and_the_other_commands_follow(data: Path, tmp_path: Path) -> None:
    """The certificate, the card and `inspect` say that there was no PyTorch reference."""
    onnx.save(onnx_model(), tmp_path / "made.onnx")
    (tmp_path / "spec.toml").write_text('input = "3x8x8"\nmean = [0.4, 0.5, 0.6]\nstd = [0.2, 0.25, 0.3]\n')
    common = ("--spec", "spec.toml", "--data", f"npz:{data}")
    result = run_torchstone("adopt", "made.onnx", *common, "--out", "bundle", cwd=tmp_path)
    shown = run_torchstone("inspect", "bundle", cwd=tmp_path)
    verified = run_torchstone("verify", "bundle", "--data", f"npz:{data}", cwd=tmp_path)
    evaluated = run_torchstone("evaluate", "bundle", "--data", f"npz:{data}", cwd=tmp_path)
    certificate = json.loads((tmp_path / "bundle" / "certificate.json").read_text())
    origin = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["provenance"]["origin"]
    card = (tmp_path / "bundle" / "README.md").read_text()

    assert result.returncode == 0, result.stderr
    assert "fp32: all 28 decisions are the original file's" in result.stdout
    assert "there was no PyTorch model" in certificate["reference"]
    assert origin["producer"] == "elsewhere"
    for text in (result.stdout, shown.stdout, card):
        assert "no PyTorch reference" in text
    assert "an ONNX file made by elsewhere" in shown.stdout
    assert f"sha256 {origin['onnx_sha256'][:16]}" in card
    assert verified.returncode == 0, verified.stderr
    assert "all 16 test decisions" in verified.stdout
    assert evaluated.returncode == 0, evaluated.stderr


def test_a_missing_file_is_one_message(data: Path, tmp_path: Path) -> None:
    """On the command line."""
    result = run_torchstone(
        *("adopt", "none.onnx", "--input", "3x8x8", "--mean", "0,0,0", "--std", "1,1,1", "--data", f"npz:{data}"),
        *("--out", "bundle"),
        cwd=tmp_path,
    )

    assert_refused(result, "none.onnx does not exist.", "Give an existing ONNX file.")
