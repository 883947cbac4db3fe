"""From an ONNX file made elsewhere to a published bundle."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import torch

from torchstone_export.bundle.publish import check_target
from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_export.foreign.answer_checks import PROBED, check_answers
from torchstone_export.foreign.batch_statistics import find_batch_reductions
from torchstone_export.foreign.doubts import find_doubts
from torchstone_export.foreign.given_data import load_given_data
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.module_model import foreign_provenance
from torchstone_export.foreign.onnx_original import OnnxOriginal, read_original
from torchstone_export.foreign.onnx_runner import open_plain_session
from torchstone_export.foreign.onnx_wrap import wrap_onnx
from torchstone_export.foreign.original_answers import OriginalAnswers, OriginalClassifier, answers_of, settle_output
from torchstone_export.foreign.whole_splits import require_same_alone
from torchstone_export.model import ExportableClassifier, TrainedModel
from torchstone_export.pipeline import Exported, ExportRequest, export_model, open_signer
from torchstone_export.room import require_room
from torchstone_export.run_data import certified_part
from torchstone_export.run_over import run_over_split
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError, UsageError, first_line
from torchstone_runtime.progress import stage
from torchstone_train.compute.torch_settings import usual_settings
from torchstone_train.data.training_data import TrainingData

if TYPE_CHECKING:
    from torchstone_train.networks.image_classifier import ImageClassifier

_READ: Final = 64
_BATCH_TOLERANCE: Final = 1e-3
_ORIGIN: Final = (
    "the ONNX file as it was given, run by ONNX Runtime, one image per call, without graph optimisations, on pixels "
    "normalised in float64; there was no PyTorch model. noise_floor is the largest difference of a logit to the same "
    "file run in batches with optimisations on pixels normalised in float32"
)
_CAVEAT: Final = (
    "the ONNX file as it was given, run by ONNX Runtime; there was no PyTorch reference, so whether that file decides "
    "as the model it was made from is not shown"
)


@dataclass(frozen=True, slots=True)
class OnnxSource:
    """An ONNX file made elsewhere.

    Attributes:
        path: the file.
        spec: input and output of the model in it.
    """

    path: Path
    spec: ModelSpec


@usual_settings(traced=True)
def adopt_onnx(source: OnnxSource, request: ExportRequest, tell: Callable[[str], None] = lambda _: None) -> Exported:
    """Wrap an ONNX file, verify that the wrapped one decides as it does, and publish the bundle.

    Args:
        source: ONNX file with the specification of its input and output.
        request: place of the bundle, and the data; there is no TorchScript without a PyTorch model.
        tell: function that is called with a sentence on what is done beside.

    Raises:
        DataError: file, spec and data don't belong together, or the file can't be run for any number of images.
        CheckFailedError: the wrapped file does not do what the file does; the target is as it was.
        OutputError: the bundle can't be written; the target is as it was.
        UsageError: the spec must say more.
    """
    if request.dataset is None:
        raise UsageError("No labelled data was named.", "Add --data DATASET: the certificate is computed on it.")
    check_target(request.out)
    signer = open_signer(request)
    spec = source.spec
    original = read_original(source.path, spec)
    whole = load_given_data(request.dataset, request.data_dir, spec)
    data, sample = certified_part(whole, request.certify_limit)
    require_room((data.validation, data.test), variants=1)
    original, spec, two_classes = settle_output(original, spec, data)
    answers, plain = (answers_of(original, spec, two_classes, optimized=optimized) for optimized in (True, False))
    model = _describe(source.path, original, answers, whole if sample else data)
    free_shapes = _needs_freed_shapes(original, answers, model, next(data.validation.batches(PROBED)))
    splits = {"validation": data.validation, "test": data.test}
    reference = _make_reference(answers, plain, splits, original.batch, _batch_hint(original))
    reference = replace(reference, sample=sample)

    def build(built: TrainedModel) -> dict[str, bytes]:
        with stage("wrapping the file"):
            return {"fp32": wrap_onnx(original, spec, built, free_shapes=free_shapes, two_classes=two_classes)}

    def doubts(found: Reference) -> list[str]:
        return find_doubts(spec, found, answers.with_spec if request.check_spec else None, tell)

    exported = export_model(model, data, request, signer=signer, reference=reference, build=build, doubts=doubts)
    note = [] if two_classes is None else [two_classes.describe(model.class_names)]
    return replace(exported, summary=[*note, *exported.summary])


def _describe(path: Path, original: OnnxOriginal, answers: OriginalAnswers, data: TrainingData) -> TrainedModel:
    spec, names = answers.spec, data.validation.class_names
    model = ExportableClassifier(cast("ImageClassifier", OriginalClassifier(answers))).eval()
    check_answers(
        *(model, next(data.validation.batches(_READ)), spec, len(names)),
        one_output=answers.two_classes is not None,
        batch_hint=_batch_hint(original),
    )
    origin = {
        "kind": "onnx",
        "onnx_sha256": original.sha256,
        "producer": original.producer,
        "layout": original.layout,
        "dtype": original.dtype,
        "output": spec.output,
        "batch": original.batch,
        **({} if answers.two_classes is None else {"two_classes": answers.two_classes.to_json(names)}),
    }
    provenance = foreign_provenance(origin, data)
    return TrainedModel(spec.name or path.stem, answers.input_spec, names, model, data.ref.kind, provenance)


def _batch_hint(original: OnnxOriginal) -> str:
    reducing = find_batch_reductions(original.model)
    return f"{reducing[0]} may be what looks at the whole batch." if reducing else ""


def _needs_freed_shapes(
    original: OnnxOriginal, answers: OriginalAnswers, model: TrainedModel, images: Uint8Array
) -> bool:
    """Tell how the number of images becomes free: False, by the input alone; True, in Reshape nodes as well.

    Raises:
        DataError: it doesn't become free.
    """
    probe = np.ascontiguousarray(images)
    with torch.inference_mode():
        expected = model.module.classifier(torch.from_numpy(probe)).numpy()
    accepted = _BATCH_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    problem = ""
    for free_shapes in (False, True) if original.batch else (False,):
        try:
            content = wrap_onnx(original, answers.spec, model, free_shapes=free_shapes, two_classes=answers.two_classes)
            session = open_plain_session(content)
            single = np.concatenate([session.run(["logits"], {"images": image[np.newaxis]})[0] for image in probe])
            together = session.run(["logits"], {"images": probe})[0]
            errors = [float(np.abs(logits - expected).max()) for logits in (single, together)]
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's own exceptions
            problem = first_line(error)
            continue
        if max(errors) <= accepted:
            return free_shapes
        problem = f"the largest difference of a logit to the file as it was given is {max(errors):.3g}"
    if original.batch is None:
        raise DataError(f"Wrapped into a bundle, the file does not run as before: {problem}", "Please report this.")
    raise DataError(
        f"The file works with one number of images only: axis 0 of its input '{original.input_name}', the batch, is "
        f"fixed to {original.batch}; with {len(probe)} images: {problem}",
        "Export it again with a dynamic batch axis (torch.onnx.export: dynamic_shapes or dynamic_axes).",
    )


def _make_reference(
    answers: OriginalAnswers, plain: OriginalAnswers, splits: dict[str, Split], batch: int | None, batch_hint: str
) -> Reference:
    # What differs between the two runs is all that may differ in rounding between two honest runs of one file.
    parts = {}
    for name, split in splits.items():
        logits = run_over_split(split, _READ, partial(answers.logits, precision=np.float32), "the file as given")
        alone = partial(plain.logits, precision=np.float64)
        exact = run_over_split(split, batch or 1, alone, "the file as given, one by one", most=sys.maxsize)
        parts[name] = SplitReference(split, logits.astype(np.float32), exact)
    usual = partial(answers.logits, precision=np.float32)
    require_same_alone(parts, usual, partial(plain.logits, precision=np.float64), batch_hint)
    names = next(iter(splits.values())).class_names
    origin = _ORIGIN if answers.two_classes is None else f"{_ORIGIN}; {answers.two_classes.describe(names)}"
    return Reference(parts, origin=origin, owner="the original file's", caveat=_CAVEAT)
