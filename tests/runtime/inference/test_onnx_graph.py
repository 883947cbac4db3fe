"""Graphs that may never end, or reach outside their file, are refused before ONNX Runtime sees them."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import FunctionProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from helpers.support_polyglot import in_ort_format, polyglot
from torchstone_runtime.errors import BundleError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.engine import Engine
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.inference.onnx_graph import check_graph
from torchstone_runtime.inference.providers import accept_onnx_alone, open_session
from torchstone_runtime.inference.session_io import OUTPUTS

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
WEIGHTS = numpy_helper.from_array(np.zeros((4, 2), np.float32), "w")
YES = numpy_helper.from_array(np.ones((), bool), "yes")
BEFORE = [
    helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
    helper.make_node("Flatten", ["float"], ["flat"]),
    helper.make_node("MatMul", ["flat", "w"], ["x"]),
]
AFTER = [helper.make_node("Softmax", ["logits"], ["probabilities"])]


def model(
    nodes: Sequence[NodeProto],
    initializers: Sequence[TensorProto] = (WEIGHTS, YES),
    functions: Sequence[FunctionProto] = (),
) -> bytes:
    """Return an ONNX file for pictures of 2 x 2 pixels and two classes, with these nodes from x to the logits."""
    graph = helper.make_graph(
        [*BEFORE, *nodes, *AFTER],
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 1, 2, 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in ("logits", "probabilities")],
        list(initializers),
    )
    made = helper.make_model(graph, opset_imports=OPSETS, functions=functions)
    made.ir_version = 9
    return bytes(made.SerializeToString())


def branch(nodes: Sequence[NodeProto], initializers: Sequence[TensorProto] = ()) -> GraphProto:
    """Return a graph for a branch of an If, with the output y."""
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    return helper.make_graph(nodes, "branch", [], [output], initializers)


def function(name: str, *called: str) -> FunctionProto:
    """Return a function from a to b that calls these functions one after the other."""
    names = ["a", *(f"v{index}" for index in range(len(called) - 1)), "b"]
    nodes = [
        helper.make_node(one, [names[i]], [names[i + 1]], domain="" if one == "Abs" else "local")
        for i, one in enumerate(called)
    ]
    return helper.make_function("local", name, ["a"], ["b"], nodes, OPSETS)


def external(location: str) -> TensorProto:
    """Return the weights as a tensor whose data lies in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def loop() -> NodeProto:
    """Return a Loop whose condition stays true."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["go"]), helper.make_node("Add", ["v", "v"], ["w2"])],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("on", TensorProto.BOOL, []),
            value("v", TensorProto.FLOAT, ["N", 2]),
        ],
        [value("go", TensorProto.BOOL, []), value("w2", TensorProto.FLOAT, ["N", 2])],
    )
    return helper.make_node("Loop", ["", "yes", "x"], ["logits"], body=body)


def test_a_plain_graph_passes(digits_bundle: Path) -> None:
    """What an export writes, a graph with branches, and one with a function."""
    inner = branch([helper.make_node("Identity", ["x"], ["y"])])
    choice = helper.make_node("If", ["yes"], ["logits"], then_branch=inner, else_branch=inner)
    call = helper.make_node("F", ["x"], ["logits"], domain="local")
    check_graph((digits_bundle / "model.onnx").read_bytes())
    for content in (model([choice]), model([call], functions=[function("F", "Abs", "Abs")])):
        check_graph(content)
        assert open_session(content, ON_CPU).session.run(OUTPUTS, {"images": np.zeros((3, 1, 2, 2), np.uint8)})


def test_a_loop_is_refused() -> None:
    """ONNX Runtime would run it forever, also where it stands inside a branch or a function."""
    inside = branch([loop(), helper.make_node("Identity", ["logits"], ["y"])])
    choice = helper.make_node("If", ["yes"], ["logits"], then_branch=inside, else_branch=inside)
    hidden = helper.make_function("local", "F", ["x", "yes"], ["logits"], [loop()], OPSETS)
    call = helper.make_node("F", ["x", "yes"], ["logits"], domain="local")
    for content in (model([loop()]), model([choice]), model([call], functions=[hidden])):
        with pytest.raises(BundleError, match="has a loop"):
            open_session(content, ON_CPU)


@pytest.mark.parametrize("called", [("F",), ("G",)])
def test_functions_that_never_end_are_refused(called: tuple[str, ...]) -> None:
    """One that calls itself, and two that call each other."""
    call = helper.make_node("F", ["x"], ["logits"], domain="local")
    with pytest.raises(BundleError, match="call each other"):
        open_session(model([call], functions=[function("F", *called), function("G", "F")]), ON_CPU)


def test_functions_that_unfold_without_bound_are_refused() -> None:
    """Twenty functions of three calls each, a file of 3 KiB, are a thousand million nodes."""
    chain = [function("F0", "Abs")]
    chain += [function(f"F{index}", *[f"F{index - 1}"] * 3) for index in range(1, 20)]
    call = helper.make_node("F19", ["x"], ["logits"], domain="local")
    with pytest.raises(BundleError, match="unfolds to 1,162,261,4"):
        open_session(model([call], functions=chain), ON_CPU)


@pytest.mark.parametrize("location", ["/etc/passwd", "../../etc/passwd", "w.bin", "*/_ORT_MEM_ADDR_/*"])
def test_weights_outside_the_file_are_refused(location: str) -> None:
    """Among the graph's tensors, in a constant, and inside a branch; also ONNX Runtime's mark for an address."""
    identity = helper.make_node("Identity", ["x"], ["logits"])
    constant = helper.make_node("Constant", [], ["w"], value=external(location))
    inside = branch([helper.make_node("MatMul", ["flat", "w"], ["y"])], [external(location)])
    choice = helper.make_node("If", ["yes"], ["logits"], then_branch=inside, else_branch=inside)
    for content in (
        model([identity], [external(location)]),
        model([constant, identity], []),
        model([choice], [WEIGHTS, YES]),
    ):
        with pytest.raises(BundleError, match="weights in another file"):
            open_session(content, ON_CPU)


@pytest.mark.parametrize("domain", ["com.example", "pyopadd", "ai.onnx.contrib"])
def test_operators_of_another_library_are_refused(domain: str) -> None:
    """Nothing is loaded to run them."""
    call = helper.make_node("Custom", ["x"], ["logits"], domain=domain)
    with pytest.raises(BundleError, match="cannot load the model"):
        open_session(model([call]), ON_CPU)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_graph_that_asks_for_more_memory_than_there_is(workers: int) -> None:
    """A tensor of 4 EiB: a message, and no exception of ONNX Runtime's own."""
    shape = numpy_helper.from_array(np.array([2**60], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["logits"]),
    ]
    session = open_session(model(nodes, [WEIGHTS, shape]), ON_CPU).session
    engine = Engine(session, num_classes=2, workers=workers, micro_batch=2)
    with pytest.raises(BundleError, match="cannot run the model on"):
        engine.run(np.zeros((5, 1, 2, 2), np.uint8))


@pytest.mark.parametrize("count", [1, 5])
def test_outputs_of_another_shape_than_stated_are_refused(count: int) -> None:
    """A graph that says [N, 2] and gives one row, whatever N is."""
    nodes = [helper.make_node("ReduceMax", ["x"], ["logits"], keepdims=1)]
    engine = Engine(open_session(model(nodes), ON_CPU).session, num_classes=2, workers=1, micro_batch=4)
    with pytest.raises(BundleError, match=r"gives \(1, 1\) for"):
        engine.run(np.zeros((count, 1, 2, 2), np.uint8))


def test_metadata_that_is_not_text_is_refused(digits_bundle: Path, tmp_path: Path) -> None:
    """A lone file whose own description is not valid UTF-8."""
    content = (digits_bundle / "model.onnx").read_bytes()
    at = content.index(b'"classes"') + 1
    (tmp_path / "m.onnx").write_bytes(content[:at] + b"\xff\xfe" + content[at + 2 :])
    with pytest.raises(BundleError, match="not valid UTF-8"):
        Classifier.load(tmp_path / "m.onnx")


def test_metadata_that_lies_about_the_classes_is_refused(digits_bundle: Path, tmp_path: Path) -> None:
    """More names than the model has outputs."""
    made = onnx.load(digits_bundle / "model.onnx")
    made.metadata_props[0].value = made.metadata_props[0].value.replace('"classes": [', '"classes": ["extra", ')
    onnx.save(made, tmp_path / "m.onnx")
    with pytest.raises(BundleError, match="output 'logits'"):
        Classifier.load(tmp_path / "m.onnx")


SMALL = model([helper.make_node("F", ["x"], ["logits"], domain="local")], functions=[function("F", "Abs", "Abs")])


def test_every_byte_changed_gives_a_session_or_a_bundle_error() -> None:
    """Each byte of a small file replaced by three others, and the file cut at each byte; nothing else escapes."""
    for position in range(len(SMALL)):
        for value in (0, 0xFF, SMALL[position] ^ 1):
            with contextlib.suppress(BundleError):
                open_session(SMALL[:position] + bytes([value]) + SMALL[position + 1 :], ON_CPU)
        with contextlib.suppress(BundleError):
            open_session(SMALL[:position], ON_CPU)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_refused(content: bytes) -> None:
    """The walk through the file ends with a BundleError or without one."""
    with contextlib.suppress(BundleError):
        check_graph(content)


HONEST = [helper.make_node("Identity", ["x"], ["logits"])]


def test_ort_format_is_refused() -> None:
    """ONNX Runtime knows it by content, and the check of the graph can't read it."""
    with pytest.raises(BundleError, match="own format"):
        open_session(in_ort_format(model(HONEST)), ON_CPU)


def test_a_file_of_two_formats_is_refused() -> None:
    """An honest ONNX file to a reader of protocol buffers, a loop without an end to ONNX Runtime."""
    with pytest.raises(BundleError, match="own format"):
        open_session(polyglot(model([loop()]), model(HONEST)), ON_CPU)


def test_a_session_takes_onnx_alone() -> None:
    """Also where the check of the graph found nothing: what it read is what the session reads."""
    content = polyglot(model([loop()]), model(HONEST))
    assert ort.InferenceSession(content, providers=["CPUExecutionProvider"]).get_inputs()
    options = ort.SessionOptions()
    accept_onnx_alone(options)
    with pytest.raises(Exception, match=r"INVALID_PROTOBUF|Protobuf parsing failed"):
        ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def test_a_file_without_a_graph_is_refused() -> None:
    """It has nothing that a check could look at."""
    for content in (b"", onnx.ModelProto(ir_version=9).SerializeToString()):
        with pytest.raises(BundleError, match="no graph"):
            check_graph(content)


def length_prefixed(tag: bytes, content: bytes) -> bytes:
    """Return a field of protocol buffers, as its tag, five bytes of length, and the content."""
    size = bytes((len(content) >> shift & 0x7F) | (0x80 if shift < 28 else 0) for shift in (0, 7, 14, 21, 28))
    return tag + size + content


LOOP_MODEL = onnx.ModelProto.FromString(model([loop()]))
WITHOUT_GRAPH = onnx.ModelProto.FromString(model(HONEST))
WITHOUT_GRAPH.ClearField("graph")
# Field 7 as a tag of five bytes, whose highest bits are beyond the 32 that protocol buffers keep.
LONG_TAG = bytes([0x80 | 7 << 3 | 2, 0x80, 0x80, 0x80, 0x10])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            length_prefixed(LONG_TAG, LOOP_MODEL.graph.SerializeToString()) + WITHOUT_GRAPH.SerializeToString(),
            id="a tag beyond 32 bits",
        ),
        pytest.param(
            model(HONEST) + length_prefixed(b"\x3a", LOOP_MODEL.graph.SerializeToString()), id="a second graph"
        ),
        pytest.param(
            WITHOUT_GRAPH.SerializeToString()
            + length_prefixed(
                b"\x3a",
                LOOP_MODEL.graph.SerializeToString()
                + length_prefixed(b"\x0a", loop().SerializeToString() + b"\x20\x01"),
            ),
            id="an operator's name followed by a number of the same field",
        ),
        pytest.param(
            model([helper.make_node("BeamSearch", ["x"], ["logits"], domain="com.microsoft", decoder=branch(HONEST))]),
            id="a search of ONNX Runtime's own",
        ),
    ],
)
def test_a_loop_can_not_be_hidden_in_the_wire_format(content: bytes) -> None:
    """What protocol buffers' own parser reads as a loop is refused, however it is written."""
    with pytest.raises(BundleError, match=r"has a loop|not an ONNX file"):
        check_graph(content)


def test_weights_of_a_sparse_tensor_outside_the_file_are_refused() -> None:
    """They are tensors like others."""
    sparse = onnx.SparseTensorProto(values=external("x"), dims=[4, 2])
    made = onnx.ModelProto.FromString(model(HONEST))
    made.graph.sparse_initializer.append(sparse)
    with pytest.raises(BundleError, match="external data"):
        check_graph(made.SerializeToString())
