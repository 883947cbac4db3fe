"""A model as it is sent to the workers of another engine: its bundle's bytes, and what it must be when it is loaded."""

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.packed import pack_bundle, unpacked_bundle
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions

BundleSource = str | os.PathLike[str] | bytes


@dataclass(frozen=True, slots=True)
class PackedModel:
    """A bundle's variant, to be loaded by a process of another machine.

    Attributes:
        content: packed bundle, as `pack_bundle` returns it.
        options: options that load the variant that the driver loaded, on one thread.
        sha256: SHA-256 (hex) of the model file.
    """

    content: bytes
    options: LoadOptions
    sha256: str

    @classmethod
    def of(cls, classifier: Classifier) -> Self:
        """Pack the model that a classifier runs.

        Raises:
            UsageError: it was loaded from a lone file, which carries neither hashes nor golden samples.
            BundleError: a file of the bundle is missing, or was altered since.
        """
        if classifier.bundle is None:
            raise UsageError("A lone file carries nothing by which workers could check it.", "Give the bundle.")
        plan = classifier.plan
        bundle = Bundle.open(classifier.bundle.path)
        if bundle.manifest_sha256 != classifier.bundle.manifest_sha256:
            raise BundleError(f"The bundle at {bundle.path} was replaced meanwhile.", "Run the command again.")
        options = replace(classifier.source.options, provider=plan.provider, public_key=None)
        return cls(pack_bundle(bundle, plan.variant), one_thread(options), classifier.sha256)

    def load(self) -> Classifier:
        """Load it here: sizes and hashes are checked, and the golden samples replayed.

        Raises:
            BundleError: it is not the model that was packed.
            As for `Classifier.load`.
        """
        classifier = load_packed(self.content, self.options)
        if classifier.sha256 != self.sha256:
            classifier.close()
            raise BundleError("The model that arrived is not the one that was sent.", "Run the command again.")
        return classifier


def load_packed(content: bytes, options: LoadOptions) -> Classifier:
    """Load a packed bundle; nothing of it stays on the disk.

    Raises:
        BundleError: it is not a packed bundle.
        As for `Classifier.load`.
    """
    with ExitStack() as failing, unpacked_bundle(content) as folder:
        classifier = failing.enter_context(Classifier.load_with(folder, options))
        if classifier.statistics.present:
            classifier.statistics.read()  # while the file is there
        failing.pop_all()
    return classifier


def one_thread(options: LoadOptions) -> LoadOptions:
    """Return the options of a worker that is one of many on its machine."""
    return replace(options, threads=1, mode="throughput")
