"""A model whose files are certified: what the bundle's certificate, model card and manifest are written from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torchstone_export.certificate.accuracy import accuracy_line
from torchstone_export.certificate.certify import VariantCertificate, certificate_json
from torchstone_export.certificate.reference import Reference
from torchstone_export.certificate.summary import summarize
from torchstone_export.certificate.temperature import Calibration
from torchstone_export.lossy.lossy_variant import LossyVariant
from torchstone_export.model import TrainedModel
from torchstone_runtime.bundle.provenance import describe_cascade


@dataclass(frozen=True, slots=True)
class CertifiedExport:
    """A model whose files are certified, and what was found of them.

    Attributes:
        model: model that was exported, with its temperature.
        reference: its outputs.
        certificates: certificates by variant; all passed.
        calibration: figures on the calibration of the model's probabilities.
        lossy: lossy variants that were asked for, with what was decided on each.
    """

    model: TrainedModel
    reference: Reference
    certificates: dict[str, VariantCertificate]
    calibration: Calibration
    lossy: Sequence[LossyVariant] = ()

    @property
    def accepted(self) -> dict[str, LossyVariant]:
        """The lossy variants that are shipped, by name."""
        return {item.name: item for item in self.lossy if item.accepted}

    @property
    def variants(self) -> list[str]:
        """The names of all variants that are shipped."""
        return [*self.certificates, *self.accepted]

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of each split, measured on the fp32 file."""
        return {name: part["metrics"] for name, part in self.certificates["fp32"].splits.items()}

    def certificate(self) -> dict[str, Any]:
        """Return the content of `certificate.json`."""
        certificate = certificate_json(self.reference, self.certificates)
        if self.lossy:
            certificate["lossy"] = {item.name: item.to_json() for item in self.lossy}
            certificate["variants"] |= {name: item.certificate for name, item in self.accepted.items()}
        return certificate | {"calibration": self.calibration.to_json()}

    def summary(self) -> list[str]:
        """Return the certificate in a few lines, as the bundle keeps it: with the variants that are not shipped."""
        lines = [*summarize(self.reference, self.certificates), *(item.line for item in self.lossy)]
        return [*lines, *(item.bound_line for item in self.accepted.values()), self.calibration.summary()]

    def told(self) -> list[str]:
        """Return what the person who exports is told: of the shipped files, with their accuracy."""
        cascade = describe_cascade(self.model.provenance)
        lines = [f"cascade: {cascade}"] if cascade else []
        lines += summarize(self.reference, self.certificates)
        lines += [line for item in self.accepted.values() for line in (item.line, item.bound_line)]
        return [*lines, self.calibration.summary(), accuracy_line(self.certificates["fp32"])]

    def rejected(self) -> list[str]:
        """Return why lossy variants are not shipped, one line per variant."""
        return [item.line for item in self.lossy if not item.accepted]
