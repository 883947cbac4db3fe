"""`torchstone package --for triton`: what Triton's own definitions and the ONNX file itself say of it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.in_process import run_in_process
from helpers.triton_config import parse_config
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import variant_golden
from torchstone_runtime.deployment.packaged_model import PackagedModel
from torchstone_runtime.deployment.triton import TritonSettings, config_text

FASHION = locate_bundle("fashion")
EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]
TYPES = {onnx.TensorProto.UINT8: "TYPE_UINT8", onnx.TensorProto.FLOAT: "TYPE_FP32"}


def package(out: Path, *arguments: str, bundle: Path = FASHION) -> Path:
    """Package a bundle for Triton and return the model's directory."""
    result = run_in_process("package", bundle, "--for", "triton", "--out", out, "--name", "clothes", *arguments)
    assert result.returncode == 0, result.stderr
    return out / "clothes"


def config(folder: Path) -> Any:  # noqa: ANN401 - a message whose class is made at run time
    """Return the configuration of a packaged model."""
    return parse_config((folder / "config.pbtxt").read_text())


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_the_configuration_is_what_the_onnx_file_says(tmp_path: Path, variant: str) -> None:
    """Names, types and dimensions, without the batch axis, which is free in the file."""
    folder = package(tmp_path, "--variant", variant)
    stated, model = config(folder), onnx.load(folder / "1" / "model.onnx")

    for tensors, values in ((stated.input, model.graph.input), (stated.output, model.graph.output)):
        assert [tensor.name for tensor in tensors] == [value.name for value in values]
        for tensor, value in zip(tensors, values, strict=True):
            batch, *dims = value.type.tensor_type.shape.dim
            assert list(tensor.dims) == [dim.dim_value for dim in dims]
            assert batch.dim_param
            kind = stated.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number[tensor.data_type].name
            assert kind == TYPES[value.type.tensor_type.elem_type]
    assert stated.max_batch_size == 64
    assert stated.backend == "onnxruntime"
    assert stated.name == folder.name


def test_the_model_file_is_the_variants_own(tmp_path: Path) -> None:
    """Byte by byte."""
    folder = package(tmp_path, "--variant", "int8")
    assert (folder / "1" / "model.onnx").read_bytes() == (FASHION / "model.int8.onnx").read_bytes()


def test_no_optimisation_level_is_set(tmp_path: Path) -> None:
    """Every value of it means fewer optimisations than leaving it out."""
    assert not config(package(tmp_path)).HasField("optimization")


def test_labels_are_the_classes_in_order(tmp_path: Path) -> None:
    """A line each, named at both outputs."""
    folder = package(tmp_path)
    classes = Bundle.open(FASHION).manifest.class_names

    assert (folder / "labels.txt").read_text().splitlines() == list(classes)
    assert {output.label_filename for output in config(folder).output} == {"labels.txt"}


def test_it_warms_up_with_a_golden_image(tmp_path: Path) -> None:
    """Raw bytes, as many as the dimensions say; alone and in a whole batch."""
    folder = package(tmp_path, "--max-batch", "16", "--variant", "int8")
    warm_ups, (golden, _) = config(folder).model_warmup, variant_golden(Bundle.open(FASHION), "int8")

    assert [warm_up.batch_size for warm_up in warm_ups] == [1, 16]
    for warm_up in warm_ups:
        tensor = warm_up.inputs["images"]
        content = (folder / "warmup" / tensor.input_data_file).read_bytes()
        assert content == golden.images[0].tobytes()
        assert len(content) == np.prod(tensor.dims)


def test_instances_never_ask_for_more_threads_than_one_each(tmp_path: Path) -> None:
    """Without --instances there is one, on all cores; on a GPU threads are no concern."""
    usual = config(package(tmp_path / "a"))
    four = config(package(tmp_path / "b", "--instances", "4"))
    gpu = config(package(tmp_path / "c", "--gpu", "--instances", "2"))
    kinds = type(usual.instance_group[0])

    assert (usual.instance_group[0].count, dict(usual.parameters)) == (1, {})
    assert four.instance_group[0].count == 4
    assert four.parameters["intra_op_thread_count"].string_value == "1"
    assert (gpu.instance_group[0].kind, gpu.instance_group[0].count) == (kinds.KIND_GPU, 2)


def test_a_full_queue_refuses(tmp_path: Path) -> None:
    """Requests are bounded in number and time, and a client may ask for less time."""
    policy = config(package(tmp_path, "--max-delay-us", "500")).dynamic_batching.default_queue_policy

    assert policy.max_queue_size > 0
    assert policy.default_timeout_microseconds > 0
    assert policy.allow_timeout_override


def test_a_variant_that_needs_a_processor_feature_is_taken_only_by_name(tmp_path: Path) -> None:
    """Triton would run it on a processor where its answers are wrong."""
    result = run_in_process("package", FASHION, "--for", "triton", "--out", tmp_path)

    assert "fp32 in place of int8" in result.stderr
    assert "--variant int8 packages it anyway" in result.stderr
    assert (tmp_path / "stone-m" / "1" / "model.onnx").read_bytes() == (FASHION / "model.onnx").read_bytes()


def test_several_models_share_a_repository(tmp_path: Path, digits_bundle: Path) -> None:
    """Each has a directory of its own."""
    package(tmp_path)
    result = run_in_process("package", digits_bundle, "--for", "triton", "--out", tmp_path, "--name", "digits")

    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clothes", "digits"]


@settings(deadline=None, max_examples=40)
@given(st.text(min_size=1, max_size=40), st.integers(1, 2**31 - 1), st.integers(0, 2**40), st.booleans())
def test_any_name_of_a_model_gives_a_valid_configuration(name: str, batch: int, delay: int, gpu: bool) -> None:
    """A bundle's own name may hold quotes, spaces and any letters."""
    bundle = Bundle.open(FASHION)
    renamed = replace(bundle, manifest=replace(bundle.manifest, name=name))
    model = PackagedModel.of(renamed, "int8")
    stated = parse_config(config_text(model, TritonSettings(max_batch=batch, max_delay_us=delay, gpu=gpu)))

    assert stated.name == model.name
    assert stated.max_batch_size == batch


def test_an_altered_model_is_not_packaged(tmp_path: Path) -> None:
    """Its hash is checked before anything is written."""
    bundle = shutil.copytree(FASHION, tmp_path / "bundle")
    with (bundle / "model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"!")
    result = run_in_process("package", bundle, "--for", "triton", "--out", tmp_path / "out")

    assert result.returncode == 2
    assert "is not the file that was exported" in result.stderr
    assert not (tmp_path / "out").exists()
