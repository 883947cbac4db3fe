"""A model repository of Triton Inference Server with one model: its ONNX file, labels, configuration and warm-up.

The fields are those of Triton's `model_config.proto`. Left out on purpose: `optimization.graph.level`, where only the
default has all of ONNX Runtime's optimisations (the values -1, 1 and 2 each mean fewer).
"""

from dataclasses import dataclass
from typing import Final

from torchstone_runtime.deployment.packaged_model import PackagedModel
from torchstone_runtime.errors import UsageError

MODEL_FILE: Final = "model.onnx"
LABELS_FILE: Final = "labels.txt"
WARM_UP_FILE: Final = "golden-00"
_QUEUE: Final = 1024
_TIMEOUT_US: Final = 30_000_000


@dataclass(frozen=True, slots=True)
class TritonSettings:
    """How Triton is to run the model.

    Attributes:
        version: number of the version's directory, 1 or more.
        max_batch: most images in a batch, 1 or more.
        max_delay_us: microseconds that a request may wait for others; 0 batches only what waits anyway.
        instances: sessions that run at once, one thread each; None for one that uses all cores. On a GPU, sessions on
            each.
        gpu: whether it runs on GPUs.
    """

    version: int = 1
    max_batch: int = 64
    max_delay_us: int = 0
    instances: int | None = None
    gpu: bool = False

    def __post_init__(self) -> None:
        if min(self.version, self.max_batch, self.instances or 1) < 1 or self.max_delay_us < 0:
            raise UsageError("Versions, batches and instances are counted from 1, and a delay is at least 0.")


def triton_files(model: PackagedModel, settings: TritonSettings) -> dict[str, bytes]:
    """Return the files of the model's directory in a repository, by their paths below it."""
    labels = "".join(f"{name}\n" for name in model.bundle.manifest.class_names)
    return {
        "config.pbtxt": config_text(model, settings).encode(),
        LABELS_FILE: labels.encode(),
        f"{settings.version}/{MODEL_FILE}": model.content,
        f"warmup/{WARM_UP_FILE}": model.golden.images[0].tobytes(),
    }


def config_text(model: PackagedModel, settings: TritonSettings) -> str:
    """Return `config.pbtxt`, in protocol buffers' text format."""
    manifest = model.bundle.manifest
    dims = ", ".join(map(str, manifest.input_spec.shape))
    outputs = ",\n".join(
        f'  {{ name: "{name}" data_type: TYPE_FP32 dims: [ {len(manifest.class_names)} ] '
        f'label_filename: "{LABELS_FILE}" }}'
        for name in ("logits", "probabilities")
    )
    warm_ups = ",\n".join(_warm_up(count, dims) for count in dict.fromkeys((1, settings.max_batch)))
    lines = [
        f"# Written by torchstone package: {model.name}, variant {model.variant}.",
        f'name: "{model.name}"',
        'backend: "onnxruntime"',
        f'default_model_filename: "{MODEL_FILE}"',
        f"max_batch_size: {settings.max_batch}",
        "input [",
        f'  {{ name: "images" data_type: TYPE_UINT8 dims: [ {dims} ] }}',
        "]",
        "output [",
        outputs,
        "]",
        "version_policy { latest { num_versions: 1 } }",
        *_instances(settings),
        "dynamic_batching {",
        f"  max_queue_delay_microseconds: {settings.max_delay_us}",
        "  default_queue_policy {",
        "    timeout_action: REJECT",
        f"    default_timeout_microseconds: {_TIMEOUT_US}",
        "    allow_timeout_override: true",
        f"    max_queue_size: {_QUEUE}",
        "  }",
        "}",
        "model_warmup [",
        warm_ups,
        "]",
    ]
    return "\n".join(lines) + "\n"


def _instances(settings: TritonSettings) -> list[str]:
    kind = "KIND_GPU" if settings.gpu else "KIND_CPU"
    lines = [f"instance_group [ {{ kind: {kind} count: {settings.instances or 1} }} ]"]
    if not settings.gpu and settings.instances is not None:
        # Each instance would start a thread per core, and they would stand in each other's way.
        lines.append('parameters { key: "intra_op_thread_count" value { string_value: "1" } }')
    return lines


def _warm_up(count: int, dims: str) -> str:
    return (
        f'  {{ name: "golden-{count}" batch_size: {count} inputs {{ key: "images" value {{ data_type: TYPE_UINT8 '
        f'dims: [ {dims} ] input_data_file: "{WARM_UP_FILE}" }} }} }}'
    )
