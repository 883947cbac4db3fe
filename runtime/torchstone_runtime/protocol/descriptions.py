"""What a server and its models say of themselves: metadata and configuration, as JSON data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.protocol.infer_request import ENCODED, IMAGES, OUTPUTS

EXTENSIONS: Final = (
    *("binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"),
    "torchstone_encoded_images",
)
"""Extensions of the protocol; the last one is the input `encoded`, picture files in place of pixels."""
_PLATFORM: Final = "onnxruntime_onnx"
"""Triton's name for an ONNX file that ONNX Runtime runs."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What clients may know of a model.

    Attributes:
        name: name that it is served under.
        versions: versions that can be asked for.
        shape: channels, height and width of its images.
        class_names: its K classes.
        max_batch: most images of several requests that are computed together.
        max_queue: most images that wait.
        max_delay: seconds that the first of a batch waits for company.
        on_gpu: whether it runs on a GPU.
        facts: further facts by name: variant, SHA-256 and so on.
    """

    name: str
    versions: Sequence[str]
    shape: tuple[int, int, int]
    class_names: Sequence[str]
    max_batch: int
    max_queue: int
    max_delay: float
    on_gpu: bool
    facts: Mapping[str, str]


def server_metadata(name: str, version: str, extensions: Sequence[str] = ()) -> dict[str, Any]:
    """Return the server's metadata, with extensions beside those of the protocol."""
    return {"name": name, "version": version, "extensions": [*EXTENSIONS, *extensions]}


def model_metadata(model: ModelDescription) -> dict[str, Any]:
    """Return a model's metadata; its two inputs are alternatives, which the protocol has no sign for."""
    classes = len(model.class_names)
    return {
        "name": model.name,
        "versions": list(model.versions),
        "platform": _PLATFORM,
        "inputs": [
            {"name": IMAGES, "datatype": "UINT8", "shape": [-1, *model.shape]},
            {"name": ENCODED, "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, classes]} for name in OUTPUTS],
    }


def model_config(model: ModelDescription) -> dict[str, Any]:
    """Return a model's configuration, in the form that Triton gives to its own."""
    outputs = [{"name": name, "data_type": "TYPE_FP32", "dims": [len(model.class_names)]} for name in OUTPUTS]
    return {
        "name": model.name,
        "platform": _PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": [int(text) for text in model.versions if text.isdecimal()]}},
        "max_batch_size": model.max_batch,
        "input": [
            {"name": IMAGES, "data_type": "TYPE_UINT8", "format": "FORMAT_NCHW", "dims": list(model.shape)},
            {"name": ENCODED, "data_type": "TYPE_STRING", "dims": [1], "optional": True},
        ],
        "output": outputs,
        "instance_group": [{"name": model.name, "kind": "KIND_GPU" if model.on_gpu else "KIND_CPU", "count": 1}],
        "dynamic_batching": {
            "max_queue_delay_microseconds": round(model.max_delay * 1e6),
            "default_queue_policy": {"max_queue_size": model.max_queue, "timeout_action": "REJECT"},
        },
        "parameters": {key: {"string_value": value} for key, value in model.facts.items()},
    }
