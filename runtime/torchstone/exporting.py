"""`torchstone.export`, and the bundle that it leaves."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.components import require_component
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import UsageError
from torchstone_runtime.frames import make_frame
from torchstone_runtime.html_table import html_table

if TYPE_CHECKING:
    from torchstone.training_run import TrainingRun

PACKAGES = ("torch", "torchvision", "safetensors", "onnx", "onnxscript", "tqdm")


@dataclass(frozen=True)
class ExportedBundle:
    """A bundle on disk with what its export had to say.

    Attributes:
        path: directory of the bundle.
        summary: lines of the certificate's summary.
        warnings: lines that its owner should read: variants left out with the reason, classes without images.
    """

    path: Path
    summary: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @cached_property
    def bundle(self) -> Bundle:
        """Manifest and files, checked when they are read."""
        return Bundle.open(self.path)

    @cached_property
    def certificate(self) -> dict[str, Any]:
        """Content of `certificate.json`: what was measured of each exported file, and every limit."""
        return dict(json.loads(self.bundle.read_file("certificate")))

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.bundle.manifest.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes in the order of the model's outputs."""
        return self.bundle.manifest.class_names

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the model files that it holds."""
        return tuple(self.bundle.manifest.variants)

    def to_dict(self) -> dict[str, Any]:
        """Return path, name, classes, variants, summary and warnings as JSON data."""
        return {
            "path": str(self.path),
            "name": self.name,
            "class_names": list(self.class_names),
            "variants": {name: entry.size for name, entry in self.bundle.manifest.variants.items()},
            "summary": list(self.summary),
            "warnings": list(self.warnings),
        }

    def to_pandas(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame, where pandas is installed
        """Return the model files as a pandas DataFrame: a row per variant, with `file`, `bytes` and `sha256`.

        Raises:
            MissingComponentError: pandas is not installed.
        """
        files = self.bundle.manifest.variants.items()
        rows = [{"file": entry.name, "bytes": entry.size, "sha256": entry.sha256} for _, entry in files]
        return make_frame(rows, index=[name for name, _ in files])

    def __repr__(self) -> str:
        return f"ExportedBundle({str(self.path)!r}, {self.name!r}, variants {', '.join(self.variants)})"

    def _repr_html_(self) -> str:
        files = self.bundle.manifest.variants.items()
        rows = [(name, f"{entry.size:,} bytes", entry.sha256[:16]) for name, entry in files]
        lines = html_table(("certificate",), [(line,) for line in (*self.summary, *self.warnings)])
        return html_table(("variant", "size", "SHA-256"), rows) + (lines if self.summary or self.warnings else "")


def export(
    run: "TrainingRun | str | os.PathLike[str]",
    *,
    out: str | os.PathLike[str] | None = None,
    data: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    torchscript: bool = True,
    temperature: bool = True,
    int8: bool = False,
    fp16: bool = False,
    bf16: bool = False,
    max_accuracy_drop: float = 0.003,
    min_speedup: float = 1.1,
    require_variants: bool = False,
    default_variant: str = "fp32",
    provider: str = "cpu",
    int8_minutes: float = 10.0,
    calibration_data: str | None = None,
    certify_data: str | None = None,
    fast: "TrainingRun | str | os.PathLike[str] | None" = None,
    threshold: float | None = None,
    mirror: bool = False,
    sign: str | os.PathLike[str] | None = None,
    expect_accuracy: float | None = None,
    certify_limit: int | None = None,
) -> ExportedBundle:
    """Export a run to ONNX and TorchScript, prove both over its validation and test splits, publish a bundle.

    Args:
        run: run that `train` returned, or the path of one.
        out: bundle to write; `bundles/<name of the run>-<number>`, the first that is free, if None.
        data: reference of the run's data where it lies now, if it was moved.
        data_dir: directory of the downloaded datasets; `TORCHSTONE_DATA`, or `./data`, if None.
        torchscript: whether a TorchScript file is written as well.
        temperature: whether a temperature is fitted on validation and folded into the files.
        int8: whether an 8-bit variant is added, if it is accurate enough and faster.
        fp16: whether a 16-bit variant, for GPUs, is added on the same conditions.
        bf16: whether a variant that OpenVINO computes in bfloat16 is added, likewise.
        max_accuracy_drop: largest accepted drop of the test accuracy of such a variant.
        min_speedup: smallest accepted speed ratio of such a variant.
        require_variants: whether one that is not accepted ends the export.
        default_variant: variant that runs where none is named, if it is accepted.
        provider: provider that int8 and fp16 are measured on: `cpu` or `cuda`.
        int8_minutes: time after which the search for an int8 file tries nothing more.
        calibration_data: reference of the images that int8 is calibrated on; the training split if None.
        certify_data: reference of labelled images, none of which the model has seen, that decide on a variant's
            accuracy; the test split if None.
        fast: run of a faster model that answers where it is confident: a cascade of both becomes one file.
        threshold: confidence from which it answers alone; chosen on validation if None.
        mirror: whether `run` answers with the mean over picture and mirror image, in a cascade.
        sign: private key (PEM) that signs the bundle.
        expect_accuracy: accuracy, 0 to 1, that the exported file must reach on the test split; any if None.
        certify_limit: most validation images, and most test images, that are certified, drawn at random; all if None.

    Raises:
        CheckFailedError: an exported file does not do what the model does or is less accurate than expected, or a
            required variant is not good enough; an earlier bundle at `out` is as it was.
        DataError: the run or its data is missing, damaged, or not what the run was trained on.
        OutputError: the bundle can't be written.
        UsageError: `out` holds something that is not a bundle, a limit lies outside its range, or options contradict
            each other.
        MissingComponentError: the extras `cpu` and `export` are not installed.
    """
    require_component("export", *PACKAGES)
    require_component("cpu", "onnxruntime")
    from torchstone_train.compute.openmp import wait_passively  # noqa: PLC0415 - before PyTorch

    wait_passively()
    from torchstone_export.bundle.default_path import default_bundle  # noqa: PLC0415 - not installed everywhere
    from torchstone_export.lossy.decide import LossyLimits  # noqa: PLC0415 - loads PyTorch
    from torchstone_export.option_checks import require_cascade  # noqa: PLC0415
    from torchstone_export.pipeline import CascadeSource, ExportRequest, RunSource, export_run  # noqa: PLC0415

    lossy = tuple(name for name, wanted in (("int8", int8), ("fp16", fp16), ("bf16", bf16)) if wanted)
    limits: dict[str, Any] = {
        "max_accuracy_drop": max_accuracy_drop,
        "min_speedup": min_speedup,
        "provider": provider,
        "int8_minutes": int8_minutes,
    }
    others = {"require_variants": require_variants, "calibration_data": calibration_data, "certify_data": certify_data}
    _require_variants(lossy, default_variant, limits | others)
    require_cascade(fast, threshold, mirror=mirror, spelled=str)
    path = _run_path(run)
    source: RunSource | CascadeSource = RunSource(path)
    if fast is not None:
        source = CascadeSource(run=path, fast=_run_path(fast), threshold=threshold, mirror=mirror)
    request = ExportRequest(
        out=Path(out) if out is not None else default_bundle(path.resolve().name),
        data_dir=Path(data_dir) if data_dir is not None else default_data_dir(),
        dataset=DatasetRef.parse(data) if data is not None else None,
        torchscript=torchscript,
        temperature=temperature,
        sign=Path(sign) if sign is not None else None,
        lossy=lossy,
        limits=LossyLimits(**_sensible(limits)),
        calibration_data=DatasetRef.parse(calibration_data) if calibration_data is not None else None,
        certify_data=DatasetRef.parse(certify_data) if certify_data is not None else None,
        require_lossy=require_variants,
        default_variant=default_variant,
        expect_accuracy=_accuracy(expect_accuracy),
        certify_limit=_limit(certify_limit),
    )
    exported = export_run(source, request)
    return ExportedBundle(request.out, tuple(exported.summary), (*exported.warnings, *exported.rejected))


def _require_variants(names: tuple[str, ...], default: str, options: dict[str, Any]) -> None:
    from torchstone_export.option_checks import require_variants  # noqa: PLC0415 - not installed everywhere

    given = [name for name, value in options.items() if value != (export.__kwdefaults__ or {})[name]]
    require_variants(names, given, default=default, provider=options["provider"], spelled=str)


def _sensible(limits: dict[str, Any]) -> dict[str, Any]:
    """Return the limits of lossy variants, in the ranges of the command line's options."""
    ranges = {
        "max_accuracy_drop": (0 < limits["max_accuracy_drop"] <= 1, "a share above 0, of 1 at most, such as 0.003"),
        "min_speedup": (limits["min_speedup"] >= 0, "a ratio from 0 on, such as 1.1"),
        "int8_minutes": (limits["int8_minutes"] > 0, "a time above 0, such as 10"),
    }
    for name, (holds, expected) in ranges.items():
        if not holds:
            raise UsageError(f"{name} is {limits[name]!r}.", f"Give {expected}.")
    return limits


def _accuracy(expected: float | None) -> float | None:
    if expected is not None and not 0 <= expected <= 1:
        raise UsageError(f"expect_accuracy is {expected!r}.", "Give a share from 0 to 1, such as 0.761.")
    return expected


def _limit(images: int | None) -> int | None:
    if images is not None and images < 1:
        raise UsageError(f"certify_limit is {images!r}.", "Give a number of images from 1 on, or None for all.")
    return images


def _run_path(run: "TrainingRun | str | os.PathLike[str]") -> Path:
    return Path(run) if isinstance(run, str | os.PathLike) else run.path
