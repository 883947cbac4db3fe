"""A model that takes for ever to answer its golden samples is ended, with a message."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.isolated import check_in_own_process
from torchstone_runtime.system.load_deadline import VARIABLE, bound_in_seconds

EditManifest = Callable[[Path, Callable[[dict[str, object]], object]], None]


def slow_model(model: onnx.ModelProto, *, side: int, times: int) -> bytes:
    """Return the model with so many products of matrices of that side before its first output, which stays the same."""
    graph = model.graph
    first = graph.node[0].input[0]
    shape = helper.make_tensor("slow_shape", TensorProto.INT64, [2], [side, side])
    names = [f"slow_{index}" for index in range(times + 1)]
    graph.initializer.append(shape)
    before = [
        helper.make_node("Cast", [first], ["slow_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["slow_float"], ["slow_small"], keepdims=0),
        helper.make_node("Expand", ["slow_small", "slow_shape"], [names[0]]),
        *(helper.make_node("MatMul", [one, names[0]], [two]) for one, two in pairwise(names)),
        helper.make_node("ReduceMax", [names[-1]], ["slow_end"], keepdims=0),
    ]
    nodes = [*before, *graph.node]
    added = helper.make_node("Mean", ["logits", "slow_end"], ["slow_mean"])
    output = next(index for index, node in enumerate(nodes) if "logits" in node.output)
    nodes.insert(output + 1, added)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.output.append(helper.make_tensor_value_info("slow_mean", TensorProto.FLOAT, None))
    return bytes(model.SerializeToString())


def make_slow(bundle: Path, edit_manifest: EditManifest, *, side: int, times: int) -> Path:
    """Put a slow model into a bundle, with the hash that belongs to it."""
    path = bundle / "model.onnx"
    path.write_bytes(slow_model(onnx.load(path), side=side, times=times))
    edit_manifest(bundle, lambda _: None)
    return bundle


def test_a_model_of_many_slow_nodes_is_stopped(
    bundle_copy: Path, edit_manifest: EditManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime looks between two nodes whether it shall stop, so that a library's process goes on."""
    make_slow(bundle_copy, edit_manifest, side=1000, times=4000)
    monkeypatch.setenv(VARIABLE, "1")
    # On a busy machine opening alone takes longer.
    told = r"longer than 1 s to (open|answer its golden samples).*\n.*TORCHSTONE_LOAD_SECONDS"
    with pytest.raises(BundleError, match=told):
        Classifier.load(bundle_copy, variant="fp32")


def test_the_command_line_ends_where_one_node_never_does(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Nothing stops it inside the node, so the process ends: one message, exit code 2."""
    make_slow(bundle_copy, edit_manifest, side=14000, times=1)
    assert_refused(run_torchstone("evaluate", bundle_copy, "--data", "digits", env={VARIABLE: "1"}), "longer than 1 s")


def test_a_library_checks_in_a_process_of_its_own(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Which is ended, whatever the model does."""
    check_in_own_process(bundle_copy)
    make_slow(bundle_copy, edit_manifest, side=14000, times=1)
    with pytest.raises(BundleError, match="not verified within 3 s"):
        check_in_own_process(bundle_copy, seconds=3)


def test_what_does_not_pass_in_its_own_process_is_an_error(bundle_copy: Path) -> None:
    """With the first line that verify says."""
    (bundle_copy / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"did not pass: .*model\.onnx"):
        check_in_own_process(bundle_copy)


@pytest.mark.parametrize("stated", ["soon", "-1", "nan", "1e300"])
def test_a_bound_that_is_no_time_is_refused(stated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable."""
    monkeypatch.setenv(VARIABLE, stated)
    with pytest.raises(UsageError, match=VARIABLE):
        bound_in_seconds()


def test_no_bound_lets_a_slow_model_answer(
    bundle_copy: Path, edit_manifest: EditManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zero is no bound."""
    make_slow(bundle_copy, edit_manifest, side=300, times=2)
    monkeypatch.setenv(VARIABLE, "0")
    Classifier.load(bundle_copy, variant="fp32").close()
