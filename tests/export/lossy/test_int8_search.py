"""Choosing how to quantise: on validation data, with the layer that suffers most kept in float."""

import numpy as np
import pytest

from helpers.in_process import short_stopwatch
from helpers.int8_networks import network_that_int8_ruins
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.lossy.int8_file import layer_names
from torchstone_export.lossy.int8_search import _steps_to_float, choose_int8
from torchstone_export.lossy.production_run import run_split
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.system.cpu import cpu_features
from torchstone_train.networks.image_classifier import ImageClassifier

SPEC = InputSpec(color="L", height=8, width=8, mean=(0.5,), std=(0.5,))
NAMES = ("a", "b", "c")


@pytest.mark.slow
def test_the_layer_that_int8_ruins_goes_back_to_float() -> None:
    """And with it in float the file decides as the float file on nearly every image."""
    model = ExportableClassifier(ImageClassifier(network_that_int8_ruins(), SPEC)).eval()
    content = export_onnx(model, "small", NAMES, SPEC)
    images = np.random.default_rng(0).integers(0, 256, (600, 1, 8, 8), dtype=np.uint8)
    ids = [str(index) for index in range(600)]
    unlabelled = Split("validation", ArrayStore(images), np.zeros(600, np.int64), NAMES, ids)
    decisions = run_split(content, unlabelled, 3)[0].argmax(axis=1)
    # The float file's decisions as the truth: any other decision is a mistake.
    validation = Split("validation", ArrayStore(images), decisions, NAMES, ids)

    with short_stopwatch():
        choice = choose_int8(content, images[:64], validation, 0.03, cpu_features())

    assert choice.config.float_layers == (list(layer_names(content))[1],)
    agreements = [item["validation_agreement"] for item in choice.tried]
    assert max(agreements[:-1]) < 0.95 < agreements[-1]
    chosen = run_split(choice.content, validation, 3)[0].argmax(axis=1)
    assert (chosen == decisions).mean() == agreements[-1]


@pytest.mark.parametrize(
    ("layers", "steps"),
    [(1, [1, 1, 1]), (5, [1, 1, 1]), (21, [1, 1, 1, 2]), (59, [1, 1, 1, 2, 4]), (82, [1, 1, 1, 2, 4, 8])],
)
def test_layers_go_back_to_float_faster_in_deep_networks(layers: int, steps: list[int]) -> None:
    """Each step costs a file and a run over validation; never more than a quarter of many layers."""
    assert list(_steps_to_float(layers)) == steps


def test_a_search_without_time_gives_its_first_file() -> None:
    """And the certificate names what was left out."""
    model = ExportableClassifier(ImageClassifier(network_that_int8_ruins(), SPEC)).eval()
    content = export_onnx(model, "small", NAMES, SPEC)
    images = np.random.default_rng(0).integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)
    validation = Split("validation", ArrayStore(images), np.zeros(64, np.int64), NAMES, [str(n) for n in range(64)])

    choice = choose_int8(content, images, validation, 0.03, frozenset({"avx512_vnni"}), minutes=1e-9)

    assert len(choice.tried) == 1
    assert choice.config.calibration == "minmax"
    assert any(step.startswith("percentile-99.99,") for step in choice.time.left_out)
