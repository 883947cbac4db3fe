"""What a person asks a training for."""

from dataclasses import dataclass, field
from pathlib import Path

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.images.input_spec import ColorMode
from torchstone_train.data.folds import Fold
from torchstone_train.data.picture_geometry import PictureGeometry
from torchstone_train.data.picture_loading import Loading
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.training.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRequest:
    """What a person asks for.

    Attributes:
        recipe: recipe with all overrides applied.
        dataset: name of the data; `data_dir`: folder that holds downloaded datasets.
        out: directory of the run.
        device: `auto`, `cpu`, `cuda` or `mps`.
        seed: 0 to 2**32 - 1.
        resume: whether the run at `out` is continued; overwrite: whether it is replaced.
        image_size, color: height and width, and color mode, that a folder's pictures are converted to; chosen from them
            if None.
        geometry: fit and filter of a folder's pictures; as a backbone's weights have them, else stretched,
            wherever nothing is asked for.
        weights: weights that a backbone begins with: `default`, `none`, a name of torchvision's, or the path of a file
            (`opening.open_backbone`); None: `default`. weights_sha256: SHA-256 that they must have; any if None.
        mean, std: per channel, in place of the recipe's and of what a backbone's weights state.
        bits: number of bits that the 16-bit pictures of a folder use; all if None.
        resident_budget: bytes of images held in memory before they are streamed; half of what is free if None.
        loading: place of decoded pictures, and number of threads that decode.
        teachers: bundles whose answers are learnt beside the labels (`distill.Teacher`).
        min_class_size: images that a class must have to be learnt; any number if None, or that of a run that goes on.
        fold: the fold of a cross-validation that is held out in the place of the test part.
        deterministic: same seed, same machine, same weights; False may be faster on a GPU.
        figures: whether figures, TensorBoard's log and `report.html` are made once it has ended.
        logs: logs of other systems that watch the training, see `report.experiment_logs.EXPERIMENT_LOGS`.
        unstated: fields of the recipe that nobody stated: a run that goes on keeps those that it began with.
    """

    recipe: Recipe
    dataset: DatasetRef
    data_dir: Path
    out: Path
    device: str = "auto"
    seed: int = 0
    resume: bool = False
    overwrite: bool = False
    image_size: tuple[int, int] | None = None
    color: ColorMode | None = None
    geometry: PictureGeometry = field(default_factory=PictureGeometry)
    weights: str | None = None
    weights_sha256: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    bits: int | None = None
    resident_budget: int | None = None
    loading: Loading = field(default_factory=Loading)
    teachers: tuple[Path, ...] = ()
    min_class_size: int | None = None
    fold: Fold | None = None
    deterministic: bool = True
    figures: bool = True
    logs: tuple[str, ...] = ()
    unstated: frozenset[str] = frozenset()
    progress: Progress | None = field(default=None)
