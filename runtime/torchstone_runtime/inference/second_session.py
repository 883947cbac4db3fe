"""The session of several threads that a classifier opens later: the same file, checked as the first time."""

import hashlib
from dataclasses import dataclass

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import variant_golden
from torchstone_runtime.errors import BundleError
from torchstone_runtime.inference.load_options import ON_CPU, LoadOptions, ModelSource
from torchstone_runtime.inference.providers import open_shared_session
from torchstone_runtime.inference.session_io import INPUT, OUTPUTS, OrtSession


@dataclass(frozen=True, slots=True)
class SecondSession:
    """Opens a model once more, see `latency_session.SessionOpener`.

    Attributes:
        source: origin of the model that serves already.
        variant: name of its variant.
        bundle: bundle that it is of; None for a lone file.
        options: options with the provider and the precision that the first session has.
    """

    source: ModelSource
    variant: str
    bundle: Bundle | None
    options: LoadOptions = ON_CPU

    def __call__(self, threads: int) -> OrtSession:
        """Return a session of `threads` threads.

        Raises:
            BundleError: the file is another one by now, or cannot be read.
            CheckFailedError: the golden samples give other outputs on this session than at the export.
        """
        session = open_shared_session(self._content(), threads, self.options)
        if self.bundle is not None and self.source.options.replay_golden:
            check_hash = self.source.options.check_hashes
            samples, tolerance = variant_golden(
                self.bundle, self.variant, check_hash=check_hash, provider=self.options.provider
            )
            logits, probabilities = session.run(OUTPUTS, {INPUT: samples.images})
            samples.check(logits, probabilities, tolerance, self.bundle.manifest.temperature)
        return session

    def _content(self) -> bytes:
        if self.bundle is not None:
            return self.bundle.read(
                self.bundle.manifest.variants[self.variant], check_hash=self.source.options.check_hashes
            )
        try:
            content = self.source.path.read_bytes()
        except OSError as error:
            raise BundleError(f"{self.source.path} can't be read any more: {error}.") from error
        if hashlib.sha256(content).hexdigest() != self.source.sha256:
            raise BundleError(f"{self.source.path} is another file than the one that was loaded.")
        return content
