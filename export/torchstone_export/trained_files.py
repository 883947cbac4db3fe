"""The model files of a trained network, and the one message where PyTorch can't write them."""

from collections.abc import Iterator
from contextlib import contextmanager

from torchstone_export.cascade.build import export_cascade
from torchstone_export.cascade.confidence_cascade import CascadeClassifier
from torchstone_export.formats.exporter_errors import explain_failure_of_trained, exporters_silent
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.formats.torchscript_file import export_torchscript
from torchstone_export.model import TrainedModel
from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.progress import stage


def build_files(model: TrainedModel, *, torchscript: bool) -> dict[str, bytes]:
    """Return the bytes of the model files by variant.

    Raises:
        DataError: PyTorch's exporters can't write the network; the message says what stops them and what to do.
    """
    with stage("exporting to ONNX"), _told_as(model, "ONNX"):
        contents = {"fp32": _onnx_file(model)}
    if torchscript:
        with stage("exporting to TorchScript"), _told_as(model, "TorchScript"):
            contents["torchscript"] = export_torchscript(model.module, model.spec)
    return contents


@contextmanager
def _told_as(model: TrainedModel, form: str) -> Iterator[None]:
    try:
        with exporters_silent():
            yield
    except (TorchstoneError, MemoryError):
        raise
    except Exception as error:  # the exporters raise whatever an operator or a network's code raises
        name = str(model.provenance["recipe"]["architecture"])
        raise explain_failure_of_trained(name, form, error) from error


def _onnx_file(model: TrainedModel) -> bytes:
    classifier = model.module.classifier
    if isinstance(classifier, CascadeClassifier):
        return export_cascade(model, classifier)
    return export_onnx(model.module, model.name, model.class_names, model.spec)
