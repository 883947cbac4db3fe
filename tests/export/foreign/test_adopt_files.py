"""ONNX files as other tools write and store them: unknown sizes, weights beside them, links, batch statistics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from helpers.support_foreign import onnx_model, request_for, spec_of, write_data
from torchstone_export.foreign.adopt import OnnxSource, adopt_onnx
from torchstone_export.foreign.beside import open_beside
from torchstone_runtime.errors import DataError
from torchstone_runtime.inference.classifier import Classifier

MEAN, STD = (np.array(v, dtype=np.float32).reshape(1, 3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random images in four classes."""
    return write_data(tmp_path_factory.mktemp("data") / "data.npz")


def adopted_logits(path: Path, data: Path, out: Path, **fields: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """Adopt a file; return the bundle's logits of all images, which it answers one by one as well."""
    adopt_onnx(OnnxSource(path, spec_of(**fields)), request_for(out, data))
    images = np.load(data)["images"]
    with Classifier.load(out / "bundle") as classifier:
        logits = classifier.predict(images).logits
        np.testing.assert_allclose(classifier.predict(images[:1]).logits, logits[:1], atol=1e-5)
    return logits


def own_logits(data: Path) -> np.ndarray[Any, Any]:
    """What `onnx_model()` gives for all images, in ONNX Runtime."""
    session = ort.InferenceSession(onnx_model().SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = (np.load(data)["images"].astype(np.float32) / 255 - MEAN) / STD
    result: np.ndarray[Any, Any] = session.run(None, {"input": pixels})[0]
    return result


def test_of_several_outputs_the_one_named_logits_is_taken(data: Path, tmp_path: Path) -> None:
    """As exporters of Hugging Face's networks name it, whatever stands before it."""
    model = onnx_model(names=("input", "logits"))
    model.graph.output.insert(0, helper.make_tensor_value_info("flat", onnx.TensorProto.FLOAT, ["n", 216]))
    onnx.save(model, tmp_path / "made.onnx")

    found = adopted_logits(tmp_path / "made.onnx", data, tmp_path)
    np.testing.assert_allclose(found, own_logits(data), atol=1e-4)


@pytest.mark.parametrize(
    "dims", [(-1, 3, 8, 8), (0, 3, 8, 8), (-2, 3, 8, 8), ("", 3, 8, 8), ("N", 3, 8, 8), ("-1", 3, 8, 8), None]
)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_batch_axis_of_no_known_size_is_free(
    dims: tuple[int | str, ...] | None, layout: str, data: Path, tmp_path: Path
) -> None:
    """-1 and 0, as some converters write it, an empty name, any name, and no shape at all."""
    sides = dims or ("n", 3, 8, 8)
    model = onnx_model(dims=sides if layout == "NCHW" else (sides[0], 8, 8, 3), layout=layout)
    if dims is None:
        model.graph.input[0].type.tensor_type.ClearField("shape")
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())

    logits = adopted_logits(tmp_path / "made.onnx", data, tmp_path, layout=layout)
    np.testing.assert_allclose(logits, own_logits(data), atol=2e-5)


@pytest.mark.parametrize("dims", [(-1, 3, -1, -1), (-1, -1, -1, -1), (0, 0, 0, 0)])
def test_other_axes_of_no_known_size_are_those_of_the_spec(dims: tuple[int, ...], data: Path, tmp_path: Path) -> None:
    """Sizes of -1 and 0 are no sizes anywhere."""
    (tmp_path / "made.onnx").write_bytes(onnx_model(dims=dims).SerializeToString())

    logits = adopted_logits(tmp_path / "made.onnx", data, tmp_path, layout="NCHW")
    np.testing.assert_allclose(logits, own_logits(data), atol=2e-5)


def save_apart(folder: Path, location: str, stored: str = "w.data") -> Path:
    """Save `onnx_model()` in a folder, its weights in `stored` beside it, which the file calls `location`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "made.onnx"
    onnx.save(onnx_model(), path, save_as_external_data=True, location="weights.tmp", size_threshold=0)
    (folder / stored).parent.mkdir(parents=True, exist_ok=True)
    (folder / "weights.tmp").rename(folder / stored)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = location
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("location", "stored"),
    [
        ("w.data", "w.data"),
        ("./w.data", "w.data"),
        (".//./w.data", "w.data"),
        ("sub/../w.data", "w.data"),
        ("sub/w.data", "sub/w.data"),
        ("./a/../sub/w.data", "sub/w.data"),
        (".\\w.data", "w.data"),
        ("sub\\w.data", "sub/w.data"),
        ("w with spaces.data", "w with spaces.data"),
        ("..data", "..data"),
    ],
)
def test_weights_in_the_directory_of_the_file_or_below_are_taken_in(
    location: str, stored: str, data: Path, tmp_path: Path
) -> None:
    """However the relative path is written."""
    path = save_apart(tmp_path / "models", location, stored)

    np.testing.assert_allclose(adopted_logits(path, data, tmp_path), own_logits(data), atol=2e-5)


@pytest.mark.parametrize(
    "location",
    [
        *("../w.data", "../../w.data", "sub/../../w.data", "a/../../models/w.data", "/w.data", "//w.data", ""),
        *(".", "..", "./", "sub/..", "w.data/", "w.data/.", "..\\w.data", "C:\\w.data", "C:/w.data", "w\0.data"),
    ],
)
def test_a_place_outside_the_directory_is_refused(location: str, data: Path, tmp_path: Path) -> None:
    """Even where a file is there."""
    path = save_apart(tmp_path / "models", location)
    (tmp_path / "w.data").write_bytes((tmp_path / "models" / "w.data").read_bytes())
    with pytest.raises(DataError, match="only a file in its own directory or below is read"):
        adopt_onnx(OnnxSource(path, spec_of()), request_for(tmp_path, data))


def test_a_place_beyond_the_end_of_the_weights_is_refused(data: Path, tmp_path: Path) -> None:
    """Without a length, all that follows would be the tensor."""
    path = save_apart(tmp_path / "models", "w.data")
    model = onnx.load(path, load_external_data=False)
    tensor = model.graph.initializer[0]
    del tensor.external_data[:]
    for key, value in {"location": "w.data", "offset": "99999999"}.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match=r"w\.data is too short or too long"):
        adopt_onnx(OnnxSource(path, spec_of()), request_for(tmp_path, data))


@given(parts=st.lists(st.sampled_from(["..", ".", "", "in", "out", "w", "link"]), max_size=6))
def test_no_path_opens_a_file_outside(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the parts are, also through links to directories."""
    top = tmp_path_factory.mktemp("top")
    (top / "in" / "in").mkdir(parents=True)
    for place, text in (("w", b"outside"), ("in/w", b"inside"), ("in/in/w", b"inside")):
        (top / place).write_bytes(text)
    (top / "in" / "link").symlink_to(top)
    try:
        with open_beside("/".join(parts), [(top / "in").resolve()]) as handle:
            assert handle.read() == b"inside"
    except DataError:
        pass


def link_in_same_folder(folder: Path) -> Path:
    """The model by another name; its weights beside it."""
    save_apart(folder, "w.data")
    (folder / "latest.onnx").symlink_to("made.onnx")
    return folder / "latest.onnx"


def link_from_another_folder(folder: Path) -> Path:
    """The weights are beside the file, not beside the link; another file of that name is beside the link."""
    path = save_apart(folder / "store", "w.data")
    (folder / "here").mkdir()
    (folder / "here" / "w.data").write_bytes(b"of another model")
    (folder / "here" / "model.onnx").symlink_to(path)
    return folder / "here" / "model.onnx"


def link_of_links(folder: Path) -> Path:
    """Two links, one through a directory that is a link itself."""
    path = link_from_another_folder(folder)
    (folder / "alias").symlink_to(folder / "here")
    (folder / "last.onnx").symlink_to(folder / "alias" / path.name)
    return folder / "last.onnx"


def weights_by_a_link_beside(folder: Path) -> Path:
    """The weights have two names in one directory."""
    path = save_apart(folder, "w.data", "real.data")
    (folder / "w.data").symlink_to("real.data")
    return path


def weights_by_a_link_below(folder: Path) -> Path:
    """The weights lie in a directory below."""
    path = save_apart(folder, "w.data", "sub/real.data")
    (folder / "w.data").symlink_to(Path("sub") / "real.data")
    return path


def download_cache(folder: Path) -> Path:
    """Model and weights are links to files named by their hash, as a model hub's cache has them."""
    blobs, snapshot = folder / "blobs", folder / "snapshots" / "1f2e" / "onnx"
    path = save_apart(blobs, "model.onnx_data", "b" * 64)
    path.rename(blobs / ("a" * 64))
    snapshot.mkdir(parents=True)
    (snapshot / "model.onnx").symlink_to(Path("../../../blobs") / ("a" * 64))
    (snapshot / "model.onnx_data").symlink_to(Path("../../../blobs") / ("b" * 64))
    return snapshot / "model.onnx"


@pytest.mark.parametrize(
    "make",
    [
        link_in_same_folder,
        link_from_another_folder,
        link_of_links,
        weights_by_a_link_beside,
        weights_by_a_link_below,
        download_cache,
    ],
)
def test_a_model_or_weights_given_through_links_are_adopted(
    make: Callable[[Path], Path], data: Path, tmp_path: Path
) -> None:
    """As the file itself."""
    path = make(tmp_path / "models")

    np.testing.assert_allclose(adopted_logits(path, data, tmp_path), own_logits(data), atol=2e-5)


def test_missing_weights_of_a_linked_model_name_both_places(data: Path, tmp_path: Path) -> None:
    """Beside the file and beside the link."""
    path = save_apart(tmp_path / "store", "w.data")
    (tmp_path / "store" / "w.data").unlink()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "model.onnx").symlink_to(path)
    with pytest.raises(DataError) as refused:
        adopt_onnx(OnnxSource(tmp_path / "here" / "model.onnx", spec_of()), request_for(tmp_path, data))

    assert f"neither in {tmp_path / 'store'} nor in {tmp_path / 'here'}" in str(refused.value)


def test_a_link_that_leads_outside_is_refused_with_its_target(data: Path, tmp_path: Path) -> None:
    """The owner sees which file it would have been."""
    path = save_apart(tmp_path / "models", "w.data")
    (tmp_path / "models" / "w.data").rename(tmp_path / "secret.data")
    (tmp_path / "models" / "w.data").symlink_to(tmp_path / "secret.data")
    with pytest.raises(DataError) as refused:
        adopt_onnx(OnnxSource(path, spec_of()), request_for(tmp_path, data))

    assert f"is a link to {tmp_path / 'secret.data'}, outside the model's directory" in str(refused.value)
    assert "cp -L w.data" in str(refused.value)


def test_a_link_to_nothing_is_refused(data: Path, tmp_path: Path) -> None:
    """And one to itself."""
    path = save_apart(tmp_path / "models", "w.data")
    for target in ("gone.data", "w.data"):
        (tmp_path / "models" / "w.data").unlink()
        (tmp_path / "models" / "w.data").symlink_to(target)
        with pytest.raises(DataError, match=r"w\.data, which holds weights"):
            adopt_onnx(OnnxSource(path, spec_of()), request_for(tmp_path, data))


@pytest.mark.parametrize("operators", [["Conv", "Gemm", "MatMul"], ["Conv"], ["MatMul"]])
@pytest.mark.parametrize("dims", [("n", 3, 8, 8), (1, 3, 8, 8)])
def test_dynamic_quantisation_is_refused_for_its_reason(
    operators: list[str], dims: tuple[int | str, ...], data: Path, tmp_path: Path
) -> None:
    """As ONNX Runtime's own tool makes it: an answer depends on the images beside it."""
    model = onnx_model(dims=dims)
    gemm = model.graph.node.pop()
    model.graph.node.append(helper.make_node("MatMul", ["flat", "scale"], ["product"]))
    model.graph.node.append(helper.make_node("Add", ["product", "bias"], list(gemm.output)))
    onnx.save(model, tmp_path / "float.onnx")
    quantize_dynamic(
        tmp_path / "float.onnx", tmp_path / "made.onnx", op_types_to_quantize=operators, weight_type=QuantType.QUInt8
    )
    with pytest.raises(DataError) as refused:
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))

    for fragment in ("quantised dynamically", "DynamicQuantize", "depends on the images beside it", "statically"):
        assert fragment in str(refused.value)


def training_norm(model: onnx.ModelProto) -> None:
    """Batch norm that normalises by the batch."""
    for name in ("gain", "shift", "mean", "var"):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(6, dtype=np.float32), name))
    node = helper.make_node(
        "BatchNormalization",
        ["convolved", "gain", "shift", "mean", "var"],
        ["normed", "new_mean", "new_var"],
        training_mode=1,
    )
    model.graph.node.insert(1, node)
    model.graph.node[2].input[0] = "normed"


def less_the_mean(model: onnx.ModelProto) -> None:
    """The mean over the batch is taken off."""
    gemm = model.graph.node.pop()
    model.graph.node.append(helper.make_node("ReduceMean", ["flat"], ["average"], axes=[0], name="centre"))
    model.graph.node.append(helper.make_node("Sub", ["flat", "average"], ["less"]))
    gemm.input[0] = "less"
    model.graph.node.append(gemm)


def largest_of_all(model: onnx.ModelProto) -> None:
    """Scaled by the largest number of all images."""
    gemm = model.graph.node.pop()
    model.graph.node.append(helper.make_node("ReduceMax", ["flat"], ["largest"], keepdims=0, name="range"))
    model.graph.node.append(helper.make_node("Div", ["flat", "largest"], ["less"]))
    gemm.input[0] = "less"
    model.graph.node.append(gemm)


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        (training_norm, ["exported in training mode", "BatchNormalization", "model.eval()"]),
        (less_the_mean, ["depends on the images that are in the same batch", "ReduceMean 'centre'"]),
        (largest_of_all, ["depends on the images that are in the same batch", "ReduceMax 'range'"]),
    ],
)
def test_statistics_of_the_batch_are_refused_and_their_operator_named(
    change: Callable[[onnx.ModelProto], None], fragments: list[str], data: Path, tmp_path: Path
) -> None:
    """Whatever takes them."""
    model = onnx_model()
    change(model)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError) as refused:
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))

    for fragment in fragments:
        assert fragment in str(refused.value)


def mix_with_the_batch(model: onnx.ModelProto) -> None:
    """Attention along the wrong axis, as `batch_first` forgotten makes it; of few images each attends to itself."""
    gemm = model.graph.node.pop()
    for node in (
        helper.make_node("Gemm", ["flat", "flat"], ["likeness"], alpha=0.05, transB=1),
        helper.make_node("Softmax", ["likeness"], ["attention"], axis=1),
        helper.make_node("MatMul", ["attention", "flat"], ["less"]),
    ):
        model.graph.node.append(node)
    gemm.input[0] = "less"
    model.graph.node.append(gemm)


def double_large_batches(model: onnx.ModelProto) -> None:
    """Twice the logits, for more than five images."""
    gemm = model.graph.node.pop()
    for name, value in {"first": np.array(0), "five": np.array(5), "one": np.array(1, dtype=np.float32)}.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    for node in (
        helper.make_node("Shape", ["flat"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "first"], ["count"]),
        helper.make_node("Greater", ["count", "five"], ["many"]),
        helper.make_node("Cast", ["many"], ["more"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Add", ["more", "one"], ["factor"]),
        helper.make_node("Mul", ["flat", "factor"], ["less"]),
    ):
        model.graph.node.append(node)
    gemm.input[0] = "less"
    model.graph.node.append(gemm)


@pytest.mark.parametrize("change", [mix_with_the_batch, double_large_batches])
def test_a_batch_that_the_first_images_do_not_tell_of_is_found(
    change: Callable[[onnx.ModelProto], None], data: Path, tmp_path: Path
) -> None:
    """It is not taken for the rounding of the file."""
    model = onnx_model()
    change(model)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    images = np.load(data)["images"]
    images[::7] = 0  # likes every other image as well as itself
    np.savez(tmp_path / "dark.npz", images=images, labels=np.load(data)["labels"])
    with pytest.raises(DataError, match="depends on the images that are in the same batch"):
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, tmp_path / "dark.npz"))


def test_a_little_noise_is_no_rounding(data: Path, tmp_path: Path) -> None:
    """A ten-thousandth of the features: each call gives other answers, of which the certificate would bear as much."""
    model = onnx_model()
    gemm = model.graph.node.pop()
    model.graph.node.append(helper.make_node("RandomNormalLike", ["flat"], ["noise"], scale=1e-4))
    model.graph.node.append(helper.make_node("Add", ["flat", "noise"], ["less"]))
    gemm.input[0] = "less"
    model.graph.node.append(gemm)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="other outputs each time"):
        adopt_onnx(OnnxSource(tmp_path / "made.onnx", spec_of()), request_for(tmp_path, data))


def test_a_reduction_over_each_image_is_no_statistic_of_the_batch(data: Path, tmp_path: Path) -> None:
    """The mean over height and width, as every pooling network has it."""
    model = onnx_model()
    gemm = model.graph.node.pop()
    model.graph.node.append(helper.make_node("ReduceMean", ["flat"], ["average"], axes=[1]))
    model.graph.node.append(helper.make_node("Sub", ["flat", "average"], ["less"]))
    gemm.input[0] = "less"
    model.graph.node.append(gemm)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())

    assert adopted_logits(tmp_path / "made.onnx", data, tmp_path).shape == (80, 4)
