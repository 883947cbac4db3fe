"""The pieces by name: where their steps are, and how long each may take on a GPU."""

import importlib
from dataclasses import dataclass
from typing import Final

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps


@dataclass(frozen=True)
class Piece:
    """A subject that is measured by a process of its own.

    Attributes:
        module: module of `benchmarks.gpu` whose function `steps` takes a `Setting`.
        seconds: seconds after which its process is ended, on a GPU.
        about: what it answers.
        runtime: whether it needs onnxruntime-gpu.
    """

    module: str
    seconds: int
    about: str
    runtime: bool = False

    def steps(self, setting: Setting) -> Steps:
        """Return the steps by name."""
        found: Steps = importlib.import_module(f"benchmarks.gpu.{self.module}").steps(setting)
        return found


PIECES: Final[dict[str, Piece]] = {
    "machine": Piece("machine", 40, "the card, the versions, and the peaks of its arithmetic and memory"),
    "sprint": Piece("sprint", 200, "time to accuracy of sprint and sprint-mnist, compared with the documents' loop"),
    "precision": Piece("precision", 110, "bf16, fp16 with loss scaling and torch.compile in training"),
    "resume": Piece(
        "resume", 70, "a resumed training compared with an uninterrupted one, and the cost of --deterministic"
    ),
    "memory": Piece("memory", 40, "what happens when memory runs out: the message names a batch size that fits"),
    "finetune": Piece("finetune", 80, "resnet18 and efficientnet_b0 on photographs"),
    "stone_l": Piece("stone_l", 170, "training of stone-l for long enough to reach its aim"),
    "several_gpus": Piece(
        "several_gpus", 30, "training in several processes, and what is said if there are too few GPUs"
    ),
    "doctor": Piece("doctor", 30, "what doctor says there", runtime=True),
    "providers": Piece("providers", 70, "cuda and tensorrt with every variant, and where each node runs", runtime=True),
    "fail_closed": Piece(
        "fail_closed", 80, "what is said if a library is missing, one library after the other", runtime=True
    ),
    "tolerances": Piece("tolerances", 110, "errors of each provider over correct exports", runtime=True),
    "tensorrt_float32": Piece("tensorrt_float32", 30, "errors of TensorRT without TF32", runtime=True),
    "session_options": Piece(
        "session_options", 90, "what bound memory, CUDA graphs, batch sizes and caches gain", runtime=True
    ),
    "speed": Piece(
        "speed",
        260,
        "five networks, compared with PyTorch and TensorRT, with the share of the peak that they reach",
        runtime=True,
    ),
    "lossy": Piece("lossy", 60, "int8 and fp16, judged by the same limits as in an export", runtime=True),
    "serving": Piece("serving", 45, "serve and score, compared with Classifier.predict", runtime=True),
}
"""In the order in which they are worth most where time runs out within a call."""
