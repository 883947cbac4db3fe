"""`torchstone.train`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from torchstone.cross_validation import CrossValidation
from torchstone.training_run import PACKAGES, TrainingRun
from torchstone_runtime.components import require_component
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.files import numbered_directory

if TYPE_CHECKING:
    from torchstone_train.recipes.recipe import Recipe
    from torchstone_train.request import TrainingRequest

ProgressCallback = Callable[[str], None]


@overload
def train(
    recipe: "str | Recipe",
    *,
    data: str,
    out: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    seed: int = 0,
    backbone: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    head: str | None = None,
    image_size: tuple[int, int] | None = None,
    color: str | None = None,
    fit: str | None = None,
    resize: int | None = None,
    fill: int | None = None,
    resize_filter: str | None = None,
    antialias: bool | None = None,
    decode: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    cache: str = "memory",
    cache_size: int | None = None,
    workers: int | None = None,
    folds: None = None,
    teachers: Sequence[str | os.PathLike[str]] = (),
    min_class_size: int | None = None,
    deterministic: bool = True,
    figures: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | ProgressCallback = False,
    **fields: Any,  # noqa: ANN401 - fields of the recipe
) -> TrainingRun: ...
@overload
def train(recipe: "str | Recipe", *, data: str, folds: int, **options: Any) -> CrossValidation: ...  # noqa: ANN401 - as below
def train(
    recipe: "str | Recipe",
    *,
    data: str,
    out: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    seed: int = 0,
    backbone: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    head: str | None = None,
    image_size: tuple[int, int] | None = None,
    color: str | None = None,
    fit: str | None = None,
    resize: int | None = None,
    fill: int | None = None,
    resize_filter: str | None = None,
    antialias: bool | None = None,
    decode: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    cache: str = "memory",
    cache_size: int | None = None,
    workers: int | None = None,
    folds: int | None = None,
    teachers: Sequence[str | os.PathLike[str]] = (),
    min_class_size: int | None = None,
    deterministic: bool = True,
    figures: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | ProgressCallback = False,
    **fields: Any,
) -> TrainingRun | CrossValidation:
    """Train a recipe and return the run, or with `folds` the cross-validation; nothing is printed unless asked for.

    Args:
        recipe: name of a recipe (`torchstone recipes` lists them), `package.module:NAME`, or a `Recipe`.
        data: `digits`, `fashion-mnist`, `mnist`, `folder:PATH` or `npz:FILE`.
        out: run directory to write; `runs/<recipe>-<number>`, the first that is free, if None.
        data_dir: directory of the downloaded datasets; `TORCHSTONE_DATA`, or `./data`, if None.
        device: `auto`, `cpu` or `cuda`; `cuda` never falls back to the CPU.
        seed: 0 to 2**32 - 1.
        backbone: network to fine-tune: a name of torchvision's, `timm:NAME`, or `package.module:factory`.
        weights: weights that it begins with: `default`, `none`, a name of torchvision's, or the path of a file;
            `default` if None.
        head: dotted name of its last layer, where it can't be found.
        image_size: height and width that a folder's pictures are resized to; chosen from them if None, or as the
            weights of a backbone have it.
        color: `L` or `RGB`, for folders; `L` if all pictures are gray, if None.
        fit: `stretch`, `crop` or `pad`: what becomes of a folder's pictures of another shape; as the weights of a
            backbone have it, else `stretch`, if None.
        resize: pixels of their shorter side before the centre is cut out; the weights' share, or the input's larger
            side, if None.
        fill: gray level of the border of `pad`, 0 to 255; the weights' or 0 if None.
        resize_filter: `nearest`, `bilinear`, `bicubic` or `lanczos`, for folders; the weights' or `bilinear` if None.
        antialias: whether a folder's pictures that shrink are smoothed; as the weights have it, or True, if None.
        decode: size at which a folder's JPEG files are decoded, `full` or `reduced`; `full` if None.
        mean: mean of the pixels, 0 to 1, for all channels or one each; the weights' or the recipe's if None.
        std: their standard deviation, likewise.
        cache: place of decoded pictures: `memory`, as far as they fit, `disk`, for all runs, or `off`.
        cache_size: bytes that the cache may take; half of the free memory, or 20 GiB on disk, if None.
        workers: number of threads that decode and augment pictures; one per processor if None.
        folds: number of folds of a cross-validation, whose networks each leave a part of the training images out; a
            single network is trained if None.
        teachers: bundles whose answers are learnt beside the labels.
        min_class_size: classes with fewer training images are left out; none is if None.
        deterministic: same seed, same machine, same weights; False may be faster on a GPU.
        figures: whether figures, TensorBoard's log and `report.html` are made.
        resume: whether the run at `out` is continued.
        overwrite: whether a run at `out` is replaced.
        progress: True for lines and a bar on stderr, or a function that is called with each line.
        fields: fields of the recipe in place of its own values, such as `epochs=5` or `lr=0.01`.

    Raises:
        UsageError: no such recipe or field, or options that contradict each other or the run to be resumed.
        DataError: the data is missing or unusable, or is not the data of the run to be resumed.
        ProviderError: `cuda` was asked for and is not usable.
        OutputError: the run can't be written.
        CheckFailedError: the loss became NaN or infinite; the best epoch before that is kept.
        MissingComponentError: the extra `train` is not installed.
    """
    require_component("train", *PACKAGES)
    from torchstone_train.compute.openmp import wait_passively  # noqa: PLC0415 - before PyTorch

    wait_passively()
    from torchstone_train.data.picture_geometry import PictureGeometry  # noqa: PLC0415
    from torchstone_train.data.picture_loading import Loading  # noqa: PLC0415 - likewise
    from torchstone_train.recipes.resolve import (  # noqa: PLC0415 - likewise
        get_recipe,
        resolve_recipe,
        unstated_stages,
        with_backbone,
    )
    from torchstone_train.run_training import TrainingRequest  # noqa: PLC0415 - loads PyTorch
    from torchstone_train.run_training import train as run_training  # noqa: PLC0415
    from torchstone_train.training.progress import make_progress  # noqa: PLC0415

    found = get_recipe(recipe) if isinstance(recipe, str) else recipe
    resolved = resolve_recipe(with_backbone(found, backbone, head), fields)
    target = Path(out) if out is not None else numbered_directory(Path("runs"), _run_name(resolved.name, folds))
    geometry = PictureGeometry(
        fit=fit,  # type: ignore[arg-type]  # checked when the data is read
        resize=resize,
        fill=fill,
        resize_filter=resize_filter,  # type: ignore[arg-type]  # likewise
        antialias=antialias,
        decode=decode,  # type: ignore[arg-type]  # likewise
    )
    request = TrainingRequest(
        recipe=resolved,
        dataset=DatasetRef.parse(data),
        data_dir=Path(data_dir) if data_dir is not None else default_data_dir(),
        out=target,
        device=device,
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        weights=None if weights is None else str(weights),
        image_size=image_size,
        loading=Loading(cache=cache, cache_size=cache_size, workers=workers),  # type: ignore[arg-type]  # checked there
        color=color,  # type: ignore[arg-type]  # checked when the data is read
        geometry=geometry,
        mean=_by_channel(mean),
        std=_by_channel(std),
        teachers=tuple(map(Path, teachers)),
        min_class_size=min_class_size,
        deterministic=deterministic,
        figures=figures,
        unstated=unstated_stages(fields),
        progress=make_progress(resolved.epochs, progress),
    )
    if folds is not None:
        return _cross_validated(request, folds)
    run_training(request)
    return TrainingRun.open(target)


def _run_name(recipe: str, folds: int | None) -> str:
    return recipe if folds is None else f"{recipe}-folds"


def _cross_validated(request: "TrainingRequest", folds: int) -> CrossValidation:
    from torchstone_train.crossvalidation.cross_validate import cross_validate  # noqa: PLC0415 - loads PyTorch

    cross_validate(request, folds)
    return CrossValidation.open(request.out)


def _by_channel(values: float | Sequence[float] | None) -> tuple[float, ...] | None:
    if values is None:
        return None
    return (float(values),) if isinstance(values, int | float) else tuple(map(float, values))
