"""Torchstone's runtime: run exported image classifiers, and measure them, without PyTorch.

from torchstone_runtime import Classifier

with Classifier.load("bundles/fm") as classifier:
    predictions = classifier.predict(["boot.png", "shirt.png"])
    print(predictions.labels, predictions.confidences)
"""

from typing import TYPE_CHECKING, Any

from torchstone_runtime.version import __version__

if TYPE_CHECKING:
    from torchstone_runtime.bundle.bundle import Bundle
    from torchstone_runtime.errors import NoAnswerError, TorchstoneError
    from torchstone_runtime.images.input_spec import InputSpec
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.inference.plan import ExecutionPlan, Plan
    from torchstone_runtime.inference.predictions import Predictions
    from torchstone_runtime.metrics.classification import Metrics


__all__ = [
    "Bundle",
    "Classifier",
    "ExecutionPlan",
    "InputSpec",
    "Metrics",
    "NoAnswerError",
    "Plan",
    "Predictions",
    "TorchstoneError",
    "__version__",
]

_HOME = {
    "Bundle": "bundle.bundle",
    "Classifier": "inference.classifier",
    "ExecutionPlan": "inference.plan",
    "InputSpec": "images.input_spec",
    "Metrics": "metrics.classification",
    "NoAnswerError": "errors",
    "Plan": "inference.plan",
    "Predictions": "inference.predictions",
    "TorchstoneError": "errors",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the public name stands for
    """Import a public name when it is first used, so that `torchstone --help` loads neither NumPy nor ONNX Runtime."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when needed

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
