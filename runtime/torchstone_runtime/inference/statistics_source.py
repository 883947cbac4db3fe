"""Where a loaded model finds the statistics of its validation images, which most callers never ask for."""

from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.errors import UsageError

if TYPE_CHECKING:
    from torchstone_runtime.drift.monitor import DriftMonitor
    from torchstone_runtime.inference.validation_statistics import ValidationStatistics

PURPOSE: Final = "validation"
"""Key of the file in the manifest."""


class StatisticsSource:
    """The statistics of a loaded model, read when they are first asked for. Pickled, it is its bundle's path.

    Args:
        bundle: bundle that the model was loaded from; None for a lone file.
        variant: variant that answers.
        check_hash: whether the file's SHA-256 is checked.
    """

    def __init__(self, bundle: Bundle | None, variant: str, *, check_hash: bool = True) -> None:
        self._bundle = bundle
        self._variant = variant
        self._check_hash = check_hash
        self._lock = Lock()
        self._read: ValidationStatistics | None = None

    @property
    def present(self) -> bool:
        """Whether the bundle carries any."""
        return self._bundle is not None and PURPOSE in self._bundle.manifest.files

    def read(self) -> "ValidationStatistics":
        """Return the statistics of the variant.

        Raises:
            UsageError: a lone file, or a bundle that carries none: it was exported before there were any.
            BundleError: the file is missing, altered or not readable.
        """
        with self._lock:
            if self._read is None:
                self._read = self._read_now()
            return self._read

    def monitor(self, window: int | None = None) -> "DriftMonitor":
        """Return a new monitor that compares images with the validation images.

        Args:
            window: number of the latest images that are compared; all of them if None.

        Raises:
            As for `read`.
        """
        from torchstone_runtime.drift.monitor import DriftMonitor  # noqa: PLC0415 - for those who watch alone

        reference = self.read().drift
        manifest = self._of_bundle().manifest
        return DriftMonitor(reference, manifest.class_names, temperature=manifest.temperature, window=window)

    def _of_bundle(self) -> Bundle:
        if self._bundle is None:
            raise UsageError(
                "A lone file carries no statistics of its validation images, which coverage and drift need.",
                "Give the bundle's directory.",
            )
        return self._bundle

    def _read_now(self) -> "ValidationStatistics":
        bundle = self._of_bundle()
        entry = bundle.manifest.files.get(PURPOSE)
        if entry is None:
            raise UsageError(
                f"The bundle at {bundle.path} carries no statistics of its validation images, which coverage and "
                "drift need: it was exported by an earlier version.",
                "Export it again.",
            )
        # A variant with golden samples of its own has answers of its own: see bundle-format.md.
        lossy = bundle.manifest.variants[self._variant].golden_tolerance is not None
        from torchstone_runtime.inference.validation_statistics import ValidationStatistics  # noqa: PLC0415 - as above

        content = bundle.read(entry, check_hash=self._check_hash)
        return ValidationStatistics.from_bytes(
            content, len(bundle.manifest.class_names), self._variant if lossy else None
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_read": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())
