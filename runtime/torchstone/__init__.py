"""Torchstone from Python: train, export, verify, evaluate and run image classifiers.

import torchstone

run = torchstone.train("cnn3", data="folder:photos", out="runs/a", epochs=5)
bundle = torchstone.export(run, out="bundles/a")
result = torchstone.evaluate(bundle, data="folder:photos")
with torchstone.load(bundle) as classifier:
    for prediction in classifier.predict_folder("inbox"):
        print(prediction.path, prediction.label, prediction.probability)

Importing this package loads neither NumPy nor PyTorch: each function imports what it needs when it is called.
"""

from typing import TYPE_CHECKING, Any

from torchstone_runtime.version import __version__

if TYPE_CHECKING:
    from torchstone.auditing import AuditResult, audit_data
    from torchstone.cross_validation import CrossValidation
    from torchstone.evaluating import EvaluationResult, evaluate
    from torchstone.exporting import ExportedBundle, export
    from torchstone.loading import load, pack_bundle
    from torchstone.training import train
    from torchstone.training_run import TrainingRun
    from torchstone.verifying import Verification, verify
    from torchstone_runtime.errors import (
        BundleError,
        CheckFailedError,
        DataError,
        ImageError,
        MissingComponentError,
        NoAnswerError,
        OutputError,
        ProviderError,
        RemoteError,
        TorchstoneError,
        UsageError,
    )
    from torchstone_runtime.images.input_spec import InputSpec
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.inference.predictions import Prediction, Predictions
    from torchstone_runtime.metrics.classification import Metrics
    from torchstone_runtime.scoring.scorer import Scorer
    from torchstone_runtime.scoring.spark import score_arrow, spark_schema

__all__ = [
    "AuditResult",
    "BundleError",
    "CheckFailedError",
    "Classifier",
    "CrossValidation",
    "DataError",
    "EvaluationResult",
    "ExportedBundle",
    "ImageError",
    "InputSpec",
    "Metrics",
    "MissingComponentError",
    "NoAnswerError",
    "OutputError",
    "Prediction",
    "Predictions",
    "ProviderError",
    "RemoteError",
    "Scorer",
    "TorchstoneError",
    "TrainingRun",
    "UsageError",
    "Verification",
    "__version__",
    "audit_data",
    "evaluate",
    "export",
    "load",
    "pack_bundle",
    "score_arrow",
    "spark_schema",
    "train",
    "verify",
]

_HOME = {
    **dict.fromkeys(("AuditResult", "audit_data"), "torchstone.auditing"),
    "CrossValidation": "torchstone.cross_validation",
    **dict.fromkeys(("EvaluationResult", "evaluate"), "torchstone.evaluating"),
    **dict.fromkeys(("ExportedBundle", "export"), "torchstone.exporting"),
    "TrainingRun": "torchstone.training_run",
    "train": "torchstone.training",
    **dict.fromkeys(("Verification", "verify"), "torchstone.verifying"),
    "load": "torchstone.loading",
    "pack_bundle": "torchstone.loading",
    "Scorer": "torchstone_runtime.scoring.scorer",
    **dict.fromkeys(("score_arrow", "spark_schema"), "torchstone_runtime.scoring.spark"),
    "Classifier": "torchstone_runtime.inference.classifier",
    "InputSpec": "torchstone_runtime.images.input_spec",
    "Metrics": "torchstone_runtime.metrics.classification",
    **dict.fromkeys(("Prediction", "Predictions"), "torchstone_runtime.inference.predictions"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the public name stands for
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when needed

    return getattr(import_module(_HOME.get(name, "torchstone_runtime.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
