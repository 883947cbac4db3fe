"""Asking a model for its certified outputs again, on this machine and without PyTorch."""

import json
from dataclasses import dataclass
from typing import Any

from torchstone_runtime.certificate.record import CertifiedSplit, LogitSketch
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import BundleError, CheckFailedError
from torchstone_runtime.evaluation.evaluate import Evaluation, evaluate, require_answers
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions


@dataclass(frozen=True, slots=True)
class CertifiedTest:
    """What a certificate says about a variant over the test split.

    Attributes:
        accuracy: certified accuracy over the test split, 0 to 1.
        decisions_sha256: SHA-256 (hex) of all decisions over the test split, in its order, at the export.
        repeat: record of the outputs that are to be found again; None in certificates that are older than this record.
    """

    accuracy: float
    decisions_sha256: str
    repeat: CertifiedSplit | None


@dataclass(frozen=True, slots=True)
class Recheck:
    """What was found here.

    Attributes:
        samples: number of samples compared; accuracy: accuracy found here, 0 to 1.
        otherwise: near-ties that are decided otherwise here: id, certified class, class found.
        rms_error: estimated root mean square of the logit errors; None where the certificate has no sketch.
        rms_tolerance: largest accepted root mean square of the logit errors; None where the certificate has no sketch.
    """

    samples: int
    accuracy: float
    otherwise: tuple[tuple[str, str, str], ...]
    rms_error: float | None
    rms_tolerance: float | None


def read_certified_test(certificate: bytes, variant: str, class_names: tuple[str, ...]) -> CertifiedTest:
    """Read the part of `certificate.json` that `recheck_test` needs.

    Raises:
        BundleError: it isn't there, or not what an export writes.
    """
    try:
        stated: dict[str, Any] = json.loads(certificate)["variants"][variant]["splits"]["test"]
        repeat = CertifiedSplit.from_json(stated["repeat"], class_names) if "repeat" in stated else None
        return CertifiedTest(float(stated["accuracy"]), str(stated["decisions_sha256"]), repeat)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BundleError(f"The certificate is not valid: {error!r}.", "Export the bundle again.") from error


def recheck_test(classifier: Classifier, split: Split, certified: CertifiedTest) -> Recheck:
    """Run the test split and compare decisions and logits with the certificate.

    Near-ties may be decided as the accepted error allows; everything else must be as certified.

    Raises:
        CheckFailedError: the model gives no answer for an image, or something differs that no accepted error explains.
    """
    sketch = LogitSketch(len(split), len(classifier.class_names))

    def take_in(_: Split, start: int, predictions: Predictions) -> None:
        del start  # batches come in the order of the split
        sketch.add(predictions.logits)

    found = evaluate(classifier, split, take_in)
    require_answers(found.unanswered_ids, len(split), f"{classifier.plan.variant}: ")
    accuracy = found.metrics.accuracy
    if certified.repeat is None:
        if found.decisions_sha256 != certified.decisions_sha256:
            raise _differs(classifier, found, certified, "its decisions have another digest")
        return Recheck(len(split), accuracy, (), None, None)
    _check_decisions(classifier, found, certified, certified.repeat)
    rms = certified.repeat.rms_error(sketch.result())
    if not rms <= certified.repeat.rms_tolerance:
        reason = f"its logits are off by {rms:.3g} (root mean square), accepted is {certified.repeat.rms_tolerance:.3g}"
        raise _differs(classifier, found, certified, reason)
    otherwise = _decided_otherwise(classifier, found, certified.repeat)
    return Recheck(len(split), accuracy, otherwise, rms, certified.repeat.rms_tolerance)


def _check_decisions(
    classifier: Classifier, found: Evaluation, certified: CertifiedTest, repeat: CertifiedSplit
) -> None:
    if not repeat.settled_agree(found.predicted):
        raise _differs(classifier, found, certified, "decisions that are not near-ties differ")
    impossible = repeat.impossible_ties(found.predicted)
    if impossible:
        shown = ", ".join(tie.sample_id for tie in impossible[:3])
        raise _differs(classifier, found, certified, f"near-ties got classes that are not candidates: sample {shown}")


def _decided_otherwise(
    classifier: Classifier, found: Evaluation, repeat: CertifiedSplit
) -> tuple[tuple[str, str, str], ...]:
    names = classifier.class_names
    return tuple(
        (tie.sample_id, names[tie.classes[0]], names[int(found.predicted[tie.index])])
        for tie in repeat.near_ties
        if int(found.predicted[tie.index]) != tie.classes[0]
    )


def _differs(classifier: Classifier, found: Evaluation, certified: CertifiedTest, reason: str) -> CheckFailedError:
    return CheckFailedError(
        f"{classifier.plan.variant} does not decide as it was certified to: {reason}; accuracy "
        f"{found.metrics.accuracy:.4f}, certified {certified.accuracy:.4f}.",
        "Don't rely on it on this machine; 'torchstone evaluate --predictions FILE.csv' shows every margin.",
    )
