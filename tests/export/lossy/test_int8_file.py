"""The int8 and fp16 files: what is in them, and that they are made of the model alone."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from helpers.int8_networks import network_that_int8_ruins
from helpers.processors import HAS_EXACT_INT8
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.lossy import int8_file, layer_error
from torchstone_export.lossy.fp16_file import to_fp16
from torchstone_export.lossy.int8_file import Int8Config, layer_names, pixel_scale_of, quantize
from torchstone_export.lossy.int8_search import CALIBRATION_IMAGES, calibration_sample
from torchstone_export.lossy.layer_error import layer_errors, worst_layers
from torchstone_export.lossy.production_run import run_split
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import ProviderError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import open_session
from torchstone_train.networks.image_classifier import ImageClassifier

SPEC = InputSpec(color="L", height=8, width=8, mean=(0.286,), std=(0.353,))
NAMES = ("a", "b", "c")
BITS: Final[Literal[7, 8]] = 8 if HAS_EXACT_INT8 else 7
"""Of weights whose products this processor adds exactly."""
PLAIN = Int8Config(weight_bits=BITS)
FOLDED = replace(PLAIN, folded_input=True)


def make_file(spec: InputSpec = SPEC, temperature: float = 1.0) -> bytes:
    """A small network with fresh weights, exported."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(spec.channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)]
    model = ExportableClassifier(ImageClassifier(nn.Sequential(*layers), spec), temperature).eval()
    return export_onnx(model, "small", NAMES, spec)


@pytest.fixture(scope="module")
def content() -> bytes:
    """The float file."""
    return make_file()


@pytest.fixture(scope="module")
def images() -> Uint8Array:
    """64 random images."""
    return np.random.default_rng(0).integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)


def split_of(images: Uint8Array, labels: Int64Array | None = None) -> Split:
    """A split of images, all of class 0 unless told otherwise."""
    chosen = np.zeros(len(images), np.int64) if labels is None else labels
    return Split("train", ArrayStore(images), chosen, NAMES, [str(index) for index in range(len(images))])


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
@pytest.mark.parametrize("folded", [True, False])
def test_the_weights_are_eight_bits_and_the_logits_close(
    content: bytes, images: Uint8Array, form: str, folded: bool
) -> None:
    """Per channel; normalisation, logits and softmax are float; errors are of the size of a step of the input."""
    config = Int8Config(form=form, folded_input=folded, weight_bits=BITS)  # type: ignore[arg-type]
    quantized = quantize(content, images, config)
    exact, _ = run_split(content, split_of(images), 3)
    logits, probabilities = run_split(quantized, split_of(images), 3)
    graph = onnx.load_from_string(quantized).graph
    weights = [numpy_helper.to_array(item) for item in graph.initializer if item.data_type == onnx.TensorProto.INT8]

    assert max(weight.size for weight in weights) == 8 * 16 * 9
    assert 0 < np.abs(logits - exact).max() < 0.05 * np.abs(exact).max()
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-6
    assert len(np.unique(logits)) > 150  # 192 values; a quantised output would have few levels


def test_raw_pixels_enter_the_first_layer(content: bytes, images: Uint8Array) -> None:
    """No node computes on them in float before it, and the zero point is the mean's pixel."""
    scale = pixel_scale_of(content)
    assert scale is not None
    assert scale.zero_point == round(0.286 * 255)
    assert scale.scale == pytest.approx(1 / 255 / 0.353)
    first = onnx.load_from_string(quantize(content, images, replace(FOLDED, form="qoperator"))).graph.node[0]
    assert (first.op_type, first.input[0]) == ("QLinearConv", "images")


def test_pixels_that_are_flattened_first_are_not_folded(images: Uint8Array) -> None:
    """A network of dense layers is quantised all the same."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
    content = export_onnx(ExportableClassifier(ImageClassifier(network, SPEC), 1.0).eval(), "dense", NAMES, SPEC)
    exact, _ = run_split(content, split_of(images), 3)
    logits, _ = run_split(quantize(content, images, PLAIN), split_of(images), 3)

    assert pixel_scale_of(content) is None
    assert 0 < np.abs(logits - exact).max() < 0.1 * np.abs(exact).max()


def test_channels_with_different_normalisations_are_not_folded(images: Uint8Array) -> None:
    """One zero point can't stand for three."""
    spec = InputSpec(color="RGB", height=8, width=8, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    content = make_file(spec)
    colour = np.repeat(images, 3, axis=1)

    assert pixel_scale_of(content) is None
    with pytest.raises(ValueError, match="normalisation"):
        quantize(content, colour, FOLDED)
    assert quantize(content, colour, Int8Config())


@pytest.mark.parametrize("make", [lambda content, images: quantize(content, images, FOLDED), lambda c, _: to_fp16(c)])
def test_the_same_file_gives_the_same_bytes_without_traces(content: bytes, images: Uint8Array, make) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Only the essentials are in the metadata; no name of a tool, no temporary folder."""
    made = make(content, images)
    model = onnx.load_from_string(made)

    assert make(content, images) == made
    assert [item.key for item in model.metadata_props] == ["torchstone"]
    assert model.producer_name == "torchstone"
    assert not any(text in made for text in (b"/tmp", b"onnx.quantize", b"onnxruntime.quant"))
    assert (model.ir_version, model.opset_import[0].version) == (10, 20)


def test_a_lone_int8_file_is_refused_where_its_sums_would_saturate(
    content: bytes, images: Uint8Array, tmp_path: Path
) -> None:
    """With 8-bit weights it says what it needs; with 7 bits it needs nothing."""
    path = tmp_path / "model.int8.onnx"
    path.write_bytes(quantize(content, images, replace(FOLDED, weight_bits=8)))
    Classifier.load(path, provider="cpu", features=frozenset({"avx_vnni"})).close()
    with pytest.raises(ProviderError, match="none of asimddp"):
        Classifier.load(path, provider="cpu", features=frozenset({"avx2"}))
    path.write_bytes(quantize(content, images, replace(FOLDED, weight_bits=7)))
    Classifier.load(path, provider="cpu", features=frozenset({"avx2"})).close()


def test_seven_bit_weights_stay_within_seven_bits(content: bytes, images: Uint8Array) -> None:
    """Two products of 255 and 64 fit into 16 bits."""
    graph = onnx.load_from_string(quantize(content, images, replace(FOLDED, weight_bits=7))).graph
    weights = [numpy_helper.to_array(item) for item in graph.initializer if item.data_type == onnx.TensorProto.INT8]

    assert 60 <= max(int(np.abs(weight.astype(np.int64)).max()) for weight in weights) <= 64


def test_a_layer_named_stays_float(content: bytes, images: Uint8Array) -> None:
    """Its weights are float32, those of the others are not, and its error counts as none of its own."""
    first, second, last = layer_names(content)
    quantized = quantize(content, images, replace(FOLDED, float_layers=(second,)))
    errors = {error.node: error for error in layer_errors(content, quantized, images)}

    assert [errors[name].quantized for name in (first, second, last)] == [True, False, True]
    worst = worst_layers(list(errors.values()), 3)
    assert {layer.node for layer in worst} == {first, last}
    assert worst[0].added >= worst[1].added


def test_a_first_layer_that_stays_float_is_given_normalised_pixels(content: bytes, images: Uint8Array) -> None:
    """Raw pixels enter layers in 8 bits alone: nothing changes where none of those takes pixels."""
    kept = replace(PLAIN, float_layers=(next(iter(layer_names(content))),))
    plain, folded = (quantize(content, images, replace(kept, folded_input=wanted)) for wanted in (False, True))

    wanted, _ = run_split(plain, split_of(images), 3)
    found, _ = run_split(folded, split_of(images), 3)
    assert (found == wanted).all()


def test_the_worst_layer_is_the_one_that_has_no_levels_left(images: Uint8Array) -> None:
    """Huge weights of a channel that is always zero take the levels of all others: that layer adds most noise."""
    content = export_onnx(
        ExportableClassifier(ImageClassifier(network_that_int8_ruins(), SPEC), 1.0).eval(), "ruined", NAMES, SPEC
    )
    (worst,) = worst_layers(layer_errors(content, quantize(content, images, FOLDED), images), 1)

    assert worst.node == list(layer_names(content))[1]


def test_calibration_in_chunks_gives_the_same_ranges(
    content: bytes, images: Uint8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large pictures are taken a few at a time, so that memory stays bounded; the last chunk is a short one."""
    whole = quantize(content, images, FOLDED)
    monkeypatch.setattr(int8_file, "_CHUNK_PIXELS", 10 * 64)
    assert quantize(content, images, FOLDED) == whole


@pytest.mark.parametrize("calibration", ["entropy", "percentile-99.999"])
def test_histograms_of_chunks_are_merged(
    content: bytes, images: Uint8Array, monkeypatch: pytest.MonkeyPatch, calibration: str
) -> None:
    """Their bins differ a little; what the files compute doesn't."""
    config = replace(FOLDED, calibration=calibration)
    whole = run_split(quantize(content, images, config), split_of(images), 3)[0]
    monkeypatch.setattr(int8_file, "_CHUNK_PIXELS", 10 * 64)
    parts = run_split(quantize(content, images, config), split_of(images), 3)[0]
    assert np.abs(whole - parts).max() < 0.1 * whole.std()


def test_the_errors_match_those_of_the_outputs(content: bytes, images: Uint8Array) -> None:
    """The last layer's signal-to-noise ratio is that of the logits themselves."""
    quantized = quantize(content, images, FOLDED)
    exact, rounded = (run_split(file, split_of(images), 3)[0].astype(np.float64) for file in (content, quantized))
    expected = 10 * np.log10(np.square(exact).sum() / np.square(exact - rounded).sum())

    assert layer_errors(content, quantized, images)[-1].sqnr_db == pytest.approx(expected, abs=2.0)


def test_layers_are_compared_on_a_few_images_at_a_time(
    content: bytes, images: Uint8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found is the same; the maps of all layers for many photographs would not fit into memory."""
    quantized = quantize(content, images, FOLDED)
    whole = layer_errors(content, quantized, images)
    counts: list[int] = []

    def watched(content: bytes, options: LoadOptions) -> SimpleNamespace:
        run = open_session(content, options).session.run

        def counted(names: list[str], feeds: dict[str, Uint8Array]) -> Any:  # noqa: ANN401 - as the original
            counts.append(len(feeds["images"]))
            return run(names, feeds)

        return SimpleNamespace(session=SimpleNamespace(run=counted))

    monkeypatch.setattr(layer_error, "open_session", watched)
    monkeypatch.setattr(layer_error, "_CHUNK_VALUES", 10 * images[0].size)
    parts = layer_errors(content, quantized, images)

    assert max(counts) == 10
    for part, other in zip(parts, whole, strict=True):
        assert (part.node, part.quantized) == (other.node, other.quantized)
        assert (part.sqnr_db, part.added) == pytest.approx((other.sqnr_db, other.added), rel=1e-6)


def test_the_fp16_file_computes_in_half_and_answers_in_float(images: Uint8Array) -> None:
    """Half the bytes of weights; temperature and softmax in float32, so that probabilities sum to 1."""
    content = make_file(temperature=1.7)
    half = to_fp16(content)
    exact, probabilities = run_split(content, split_of(images), 3)
    logits, rows = run_split(half, split_of(images), 3)
    weights = {item.data_type for item in onnx.load_from_string(half).graph.initializer if len(item.dims) > 1}

    assert onnx.TensorProto.FLOAT16 in weights
    assert 0 < np.abs(logits - exact).max() < 5e-3
    assert np.abs(rows - probabilities).max() < 5e-3
    assert np.abs(rows.sum(axis=1) - 1).max() < 1e-6


def test_calibration_images_are_balanced_and_always_the_same() -> None:
    """As many of each class as there are, up to an equal share; the same ones every time."""
    labels = np.repeat([0, 1, 2], [1500, 400, 30]).astype(np.int64)
    images = np.arange(1930, dtype=np.int64).astype(np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 1, 4, 4), np.uint8)
    images[:, 0, 0, 0] = labels
    sample = calibration_sample(split_of(images, labels))

    assert len(sample) == CALIBRATION_IMAGES
    assert np.bincount(sample[:, 0, 0, 0]).tolist() == [241, 241, 30]
    assert (calibration_sample(split_of(images, labels)) == sample).all()
