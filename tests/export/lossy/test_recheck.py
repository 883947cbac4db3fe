"""`verify --run` of lossy variants: what an honest other machine may decide, and what it can't run."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_export.lossy.recheck import recheck_lossy
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.evaluation.evaluate import decisions_sha256, evaluate
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.providers import is_built_in

TEST = Dataset(DatasetRef("digits"), Path()).test()
TIE = 7


@pytest.fixture
def certify(bundle_copy: Path) -> Callable[..., list[str]]:
    """Give a bundle the variant `fp16`, with the file of fp32 and changes of its certificate; check it again."""
    path = bundle_copy / "certificate.json"
    certificate = json.loads(path.read_text())

    def check(provider: str = "cpu", **repeat: Any) -> list[str]:  # noqa: ANN401 - JSON
        part = json.loads(json.dumps(certificate["variants"]["fp32"]))
        if repeat:
            part["splits"]["test"]["repeat"] |= repeat
            part["splits"]["test"]["decisions_sha256"] = "0" * 64
        changed = certificate | {"lossy": {"fp16": {"provider": provider}}}
        changed["variants"] = certificate["variants"] | {"fp16": part}
        path.write_text(json.dumps(changed))
        _record(bundle_copy)
        content = (bundle_copy / "model.onnx").read_bytes()
        logits = np.zeros((len(TEST), 10))
        reference = Reference({"test": SplitReference(TEST, logits.astype(np.float32), logits)})
        return recheck_lossy(Bundle.open(bundle_copy), {"fp32": content, "fp16": content}, reference)

    return check


def _record(bundle: Path) -> None:
    path, content = bundle / "manifest.json", (bundle / "certificate.json").read_bytes()
    manifest = json.loads(path.read_text())
    manifest["variants"]["fp16"] = manifest["variants"]["fp32"]
    manifest["files"]["certificate"] |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(manifest))


def tied(bundle: Path, others: tuple[int, ...]) -> dict[str, Any]:
    """A record in which one sample is a near-tie of the classes so far behind the one that it gets here."""
    with Classifier.load(bundle, provider="cpu") as classifier:
        decisions, names = evaluate(classifier, TEST).predicted, classifier.class_names
    classes = [names[(decisions[TIE] + other) % 10] for other in others]
    tie = {"index": TIE, "id": TEST.ids[TIE], "classes": classes}
    return {"settled_sha256": decisions_sha256(np.delete(decisions, TIE)), "near_ties": [tie]}


def test_a_near_tie_may_be_decided_otherwise(certify: Callable[..., list[str]], digits_bundle: Path) -> None:
    """As `verify --data` has it: all decisions together have another digest then."""
    (line,) = certify(**tied(digits_bundle, (1, 0)))

    assert line.startswith("fp16: 358 of 359 test decisions are those of the certificate (1 near-ties")
    assert line.endswith("accuracy +0.00 points against fp32")


def test_a_class_that_no_accepted_error_gives_is_found(certify: Callable[..., list[str]], digits_bundle: Path) -> None:
    """A near-tie of two other classes."""
    with pytest.raises(CheckFailedError, match="fp16 does not decide as it was certified to"):
        certify(**tied(digits_bundle, (1, 2)))


@pytest.mark.skipif(is_built_in("cuda"), reason="this ONNX Runtime has CUDA")
def test_a_variant_that_was_measured_elsewhere_is_left_out_with_the_reason(certify: Callable[..., list[str]]) -> None:
    """The bundle is no worse for the machine that it is checked on."""
    (line,) = certify("cuda")

    assert line.startswith("fp16: not run here: it was measured on 'cuda'")
