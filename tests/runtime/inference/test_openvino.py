"""OpenVINO, where it is installed (`make test-openvino`): every node on it or none, in the precision that was named."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper
from PIL import Image

from helpers.in_process import run_in_process
from helpers.processors import lacks_exact_int8, needs_exact_int8
from helpers.support import assert_refused
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.bench import golden_batch
from torchstone_runtime.benchmark.provider_choice import other_providers
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.certificate.verify import verify_bundle
from torchstone_runtime.errors import CheckFailedError, ProviderError, UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import ON_CPU, LoadOptions
from torchstone_runtime.inference.providers import open_session
from torchstone_runtime.system.cpu import BF16_FEATURES, cpu_features

pytestmark = pytest.mark.skipif(
    "OpenVINOExecutionProvider" not in ort.get_available_providers(), reason="torchstone[openvino] is not installed"
)
needs_bfloat16 = pytest.mark.skipif(
    cpu_features().isdisjoint(BF16_FEATURES), reason="this processor has no products in bfloat16"
)
NOT_TAKEN = ("Hardmax", "Det")
"""Operators that OpenVINO does not take, and that the CPU runs."""


@pytest.fixture(scope="module")
def model(digits_bundle: Path) -> bytes:
    """The digits model."""
    return (digits_bundle / "model.onnx").read_bytes()


@pytest.fixture
def images(digits_bundle: Path) -> Uint8Array:
    """The golden images of the digits model."""
    return GoldenSamples.from_bytes((digits_bundle / "golden.npz").read_bytes()).images


def with_hardmax(content: bytes) -> bytes:
    """Put a node between the last layer and the logits that OpenVINO leaves to the CPU: they become 0 and 1."""
    model = onnx.load_from_string(content)
    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                names[position] = "before" if name == "logits" else name
    last = next(place for place, node in enumerate(graph.node) if "before" in node.output)
    graph.node.insert(last + 1, helper.make_node("Hardmax", ["before"], ["logits"], name="left_out"))
    return bytes(model.SerializeToString())


def test_every_node_runs_there_and_gives_the_certified_outputs(digits_bundle: Path) -> None:
    """The golden samples are replayed on it; what decides is the assignment of the session's own nodes."""
    with Classifier.load(digits_bundle, provider="openvino") as classifier:
        assert classifier.plan.provider == "openvino"
        assert "products in fp32" in str(classifier.plan)


@pytest.mark.data
def test_the_built_in_bundle_decides_as_certified(data_dir: Path) -> None:
    """All 10,000 decisions of both variants, compared with the certificate."""
    outcome = run_in_process(
        "verify", "fashion", "--provider", "openvino", "--data", "fashion-mnist", "--data-dir", data_dir
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "test decisions are those of the certificate" in outcome.stdout


def test_a_node_that_it_leaves_to_the_cpu_is_refused_by_name(model: bytes) -> None:
    """A real one: without the check ONNX Runtime would run it elsewhere without a word."""
    with pytest.raises(ProviderError, match="leaves to the CPU: 1 Hardmax") as caught:
        open_session(with_hardmax(model), LoadOptions(provider="openvino"))
    assert "--cpu-fallback" in caught.value.remedy


@pytest.mark.parametrize("operator", NOT_TAKEN)
def test_alone_such_an_operator_is_refused_as_well(operator: str) -> None:
    """A model of nothing else, which is not taken for one that has no nodes."""
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 2]) for name in ("x", "y")]
    output = values[1] if operator == "Hardmax" else helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "one", [values[0]], [output])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    open_session(content, ON_CPU)
    with pytest.raises(ProviderError, match=f"1 {operator}"):
        open_session(content, LoadOptions(provider="openvino"))


def test_allowed_by_name_the_cpu_runs_such_a_node_and_the_reason_says_so(model: bytes, images: Uint8Array) -> None:
    """The outputs are those of the CPU, within rounding."""
    content = with_hardmax(model)
    opened = open_session(content, LoadOptions(provider="openvino", cpu_fallback=True))
    found, expected = (
        item.session.run(["logits"], {"images": images})[0] for item in (opened, open_session(content, ON_CPU))
    )
    assert "left to the CPU, as allowed: 1 Hardmax" in opened.reason
    assert np.array_equal(found, expected)


def test_the_switch_is_on_the_command_line(model: bytes, tmp_path: Path) -> None:
    """Refused without, loaded with; no picture is needed for either."""
    lone = tmp_path / "model.onnx"
    lone.write_bytes(with_hardmax(model))
    picture = tmp_path / "black.png"
    Image.new("L", (28, 28)).save(picture)
    arguments = ("predict", lone, picture, "--provider", "openvino")
    refused, allowed = run_in_process(*arguments), run_in_process(*arguments, "--cpu-fallback")
    assert_refused(refused, "leaves to the CPU: 1 Hardmax", "--cpu-fallback")
    assert allowed.returncode == 0, allowed.stderr


def test_float32_is_float32(model: bytes, images: Uint8Array) -> None:
    """Not the bfloat16 that OpenVINO prefers where the processor has it: as close to the CPU's as two float32s are."""
    found, expected = (
        open_session(model, options).session.run(["logits"], {"images": images})[0]
        for options in (LoadOptions(provider="openvino"), ON_CPU)
    )
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@needs_bfloat16
def test_bfloat16_is_computed_where_it_is_named(model: bytes, images: Uint8Array) -> None:
    """Its error is that of 8 bits of mantissa: hundreds of times float32's, and a few percent at most."""
    found, expected = (
        open_session(model, options).session.run(["logits"], {"images": images})[0]
        for options in (LoadOptions(provider="openvino", precision="bf16"), ON_CPU)
    )
    assert 1e-4 < np.abs(found - expected).max() / np.abs(expected).max() < 0.1


@needs_bfloat16
def test_bfloat16_without_a_certificate_fails_the_golden_samples(digits_bundle: Path) -> None:
    """Whoever reaches past the variant's name is stopped by what it computes."""
    with pytest.raises(CheckFailedError, match="golden samples"):
        Classifier.load_with(digits_bundle, LoadOptions(provider="openvino", precision="bf16"))


def test_batches_and_threads_do_not_change_an_answer(digits_bundle: Path) -> None:
    """One stream and several, one picture and many."""
    images = GoldenSamples.from_bytes((digits_bundle / "golden.npz").read_bytes()).images
    many = np.ascontiguousarray(np.tile(images, (20, 1, 1, 1)))
    with (
        Classifier.load(digits_bundle, provider="openvino", threads=1) as one,
        Classifier.load(digits_bundle, provider="openvino", threads=2, mode="latency") as two,
    ):
        first, second, single = one.predict(many), two.predict(many), two.predict(images[:1])
    assert "2 threads" in str(two.plan)
    np.testing.assert_allclose(first.logits, second.logits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(single.logits, first.logits[:1], rtol=0, atol=1e-4)


def test_a_forked_process_is_told_to_load_it_again(digits_bundle: Path) -> None:
    """Its threads stayed in the parent: a call would wait forever."""
    program = f"""
import os, numpy as np
from torchstone_runtime import Classifier
classifier = Classifier.load({os.fspath(digits_bundle)!r}, provider="openvino")
images = np.zeros((1, *classifier.input_spec.shape), np.uint8)
classifier.predict(images)
if (child := os.fork()) == 0:
    try:
        classifier.predict(images)
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "does not work in a process made by fork" in result.stdout, result.stderr


@needs_bfloat16
class TestVariantInBfloat16:
    """A bundle with a variant `bf16`, as `export --bf16` writes it: the file of `fp32` with its own golden samples."""

    @pytest.fixture
    def bundle(self, tmp_path: Path, digits_bundle: Path) -> Path:
        """The digits with such a variant, its outputs those that OpenVINO gives here."""
        folder = shutil.copytree(digits_bundle, tmp_path / "bundle")
        samples = GoldenSamples.from_bytes((folder / "golden.npz").read_bytes())
        content = (folder / "model.onnx").read_bytes()
        options = LoadOptions(provider="openvino", precision="bf16")
        logits, probabilities = open_session(content, options).session.run(
            ["logits", "probabilities"], {"images": samples.images}
        )
        own = GoldenSamples(samples.images, logits, probabilities)
        (folder / "golden.npz").write_bytes(samples.to_bytes({"bf16": own}))
        write_variant(folder)
        return folder

    def test_its_name_brings_provider_and_precision(self, bundle: Path) -> None:
        """Nothing else has to be said."""
        with Classifier.load(bundle, variant="bf16") as classifier:
            assert (classifier.plan.provider, classifier.plan.precision) == ("openvino", "bf16")
            assert "products in bf16" in str(classifier.plan)

    def test_another_provider_is_refused(self, bundle: Path) -> None:
        """It would compute something else than what was certified."""
        with pytest.raises(ProviderError, match="certified on 'openvino', in bf16"):
            Classifier.load(bundle, variant="bf16", provider="cpu")

    def test_a_processor_without_it_is_refused(self, bundle: Path) -> None:
        """OpenVINO would take float32 there without a word, and be no faster."""
        with pytest.raises(ProviderError, match="has none of"):
            Classifier.load(bundle, variant="bf16", features=frozenset({"avx2"}))

    def test_verify_replays_it(self, bundle: Path) -> None:
        """As any other variant."""
        lines = list(verify_bundle(bundle, LoadOptions()))
        assert any(line.startswith("bf16") and "on openvino" in line for line in lines), lines

    def test_verify_on_the_cpu_says_why_it_is_not_run(self, bundle: Path) -> None:
        """And checks the others."""
        lines = list(verify_bundle(bundle, LoadOptions(provider="cpu")))
        assert any(line.startswith("bf16") and "certified on 'openvino', not on 'cpu'" in line for line in lines), lines


def write_variant(folder: Path) -> None:
    """Enter a variant `bf16` in the manifest of a bundle, and the hashes of what was changed."""
    file = folder / "manifest.json"
    data = json.loads(file.read_text())
    golden = (folder / "golden.npz").read_bytes()
    data["files"]["golden"] |= {"sha256": hashlib.sha256(golden).hexdigest(), "size": len(golden)}
    place = {"provider": "openvino", "precision": "bf16", "golden_tolerance": 0.05, "requires_any": [*BF16_FEATURES]}
    data["variants"]["bf16"] = data["variants"]["fp32"] | place
    file.write_text(json.dumps(data))


def test_tf32_is_not_its_own() -> None:
    """A choice without effect is refused."""
    with pytest.raises(UsageError, match="Leave tf32 out"):
        open_session(b"", LoadOptions(provider="openvino", tf32=True))


def test_the_doctor_finds_it_sound() -> None:
    """Installed, loaded, and every node of a small model on it; and how fast it is beside the CPU."""
    outcome = run_in_process("doctor", "--json", "-")
    found = {item["check"]: item for item in json.loads(outcome.stdout)["findings"]}
    assert found["provider openvino"]["status"] == "ok"
    assert re.search(r"openvino ran the built-in network .* \d+\.\d\d times as fast as cpu", found["speed"]["summary"])


def test_bench_states_how_fast_the_other_provider_is(digits_bundle: Path) -> None:
    """On the bundle itself, for each batch size."""
    options = LoadOptions(provider="cpu", threads=1)
    with Classifier.load_with(digits_bundle, options) as classifier:
        batches = [golden_batch(classifier, count) for count in (1, 3)]
        found = other_providers(classifier, options, batches, rounds=6)
    assert [(choice.other, choice.batch) for choice in found] == [("openvino", 1), ("openvino", 3)]
    assert all("times as fast as cpu" in choice.describe("cpu") for choice in found)


@needs_exact_int8
def test_the_built_in_int8_variant_runs_there() -> None:
    """Its golden samples decide: other kernels may round otherwise, but not beyond what was accepted."""
    with Classifier.load(locate_bundle("fashion"), provider="openvino", variant="int8") as classifier:
        assert classifier.plan.variant == "int8"


@lacks_exact_int8
def test_the_built_in_int8_variant_is_refused_where_its_sums_would_saturate() -> None:
    """As with the CPU provider: it was certified on another kind of processor."""
    with pytest.raises(ProviderError, match="certified on another kind of processor"):
        Classifier.load(locate_bundle("fashion"), provider="openvino", variant="int8")
