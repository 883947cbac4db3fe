"""What a recipe is: a named, complete training configuration. Free of PyTorch, so that listing recipes is quick."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, Self, get_args

from torchstone_runtime.errors import UsageError
from torchstone_train.recipes.transforms import CROP, AugmentName, parse_transforms

OptimizerName = Literal["adam", "adamw", "sgd"]
ScheduleName = Literal["constant", "cosine", "one-cycle"]
MonitorName = Literal["accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "loss"]
AmpName = Literal["off", "auto", "bf16", "fp16"]
CompileName = Literal["off", "default", "reduce-overhead", "max-autotune"]
FlipName = Literal["random", "alternating"]
MethodName = Literal["scratch", "finetune", "probe"]
NormName = Literal["auto", "on", "off"]
HeadStartName = Literal["random", "probe"]
ClassWeightsName = Literal["none", "balanced", "auto"]
SamplerName = Literal["shuffle", "balanced"]


_CHOICES: Final = {
    "optimizer": OptimizerName,
    "schedule": ScheduleName,
    "monitor": MonitorName,
    "amp": AmpName,
    "compile": CompileName,
    "augment": AugmentName,
    "flips": FlipName,
    "method": MethodName,
    "freeze_norm": NormName,
    "head_start": HeadStartName,
    "class_weights": ClassWeightsName,
    "sampler": SamplerName,
}


_SMALLEST_SIDE: Final = 8
"""Of the images of a training; less is a slip of the pen, such as a share in the place of pixels."""


class FieldError(UsageError):
    """A field of a recipe has a value that it can't have.

    Args:
        field: name of the field, as the message calls it: its value may come from an option, a file or Python.
        expected: the end of the sentence that begins with "must be".
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field} must be {expected}.", "torchstone recipes --fields says what each field takes.")
        self.field = field
        self.expected = expected

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Keep all parts on the way from one process to another."""
        return type(self), (self.field, self.expected)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that decides how a model is trained, but for the data and the seed.

    Attributes:
        name: name by which it is chosen.
        summary: one line for people.
        architecture: a name of `torchstone_train.networks.architectures`, `package.module:NAME` of the owner's code, or
            of a backbone `torchvision:NAME`, `timm:NAME` or `package.module:factory`; empty where a recipe leaves the
            backbone to be named.
        method: part that is trained: `scratch`: a whole network with fresh weights; `finetune`: a backbone (see
            `networks.backbones.opening`) with its weights; `probe`: its last layer alone.
        head: dotted name of the last layer of a backbone; found if empty.
        optimizer: `adam`, `adamw` or `sgd`.
        lr: learning rate, the largest of the training.
        schedule: schedule of the learning rate: `constant`, `cosine` or `one-cycle` (`optimization.schedule_factor`).
        momentum: momentum of `sgd`; the others ignore it. nesterov: whether it is Nesterov's.
        weight_decay: L2 penalty (`adamw`: decoupled).
        head_start: weights with which the head of a pretrained backbone begins: `random`, or those of a `probe`
            (`probe.head.begin_head`).
        head_epochs: epochs in which the head of a backbone is trained alone, with a constant rate, before the schedule.
        layer_decay: factor from the learning rate of each stage of a backbone to that of the stage below it
            (`stages.stages_of`); the head has the whole rate.
        freeze: number of stages, from the lowest, that are not trained.
        freeze_norm: whether batch norm keeps its statistics: `on`, `off`, or `auto`: where a pretrained backbone is
            trained in small batches (`frozen_norm.SMALLEST_FOR_STATISTICS`).
        warmup_epochs: epochs in which the rate rises linearly to `lr`, before the schedule.
        clip_norm: largest Euclidean norm of the gradient of all weights; longer ones are shortened; 0: none are.
        accumulate: batches whose gradients make one update, as if they were one batch.
        decay_biases: whether weight decay also applies to biases, and to scale and shift of normalisation.
        ema: decay of the moving average of the weights that is validated, kept and exported (`ema.EMA`);
            0: the weights themselves.
        fused: whether the optimiser updates all weights in one kernel, where PyTorch has one for the device; the last
            bits of the weights differ from those of separate updates.
        label_smoothing: share of the target spread evenly over all classes, 0 to 1.
        mixup: parameter of the Beta distribution by which two images and their targets are blended (`mixing`); 0: none.
        cutmix: the same parameter, for a rectangle of one image in the other. Where both are set, each batch has one of
            them.
        class_weights: weight of each image in the loss: `none`: 1; `balanced`: n / (k * n_class)
            (`class_balance.balanced_weights`); `auto`: `balanced` where the classes are unequal
            (`class_balance.are_balanced`). It multiplies the whole loss of the image, the smoothed target and the
            teacher's part with it.
        sampler: images of an epoch: `shuffle`: each once; `balanced`: as many images, all classes equally often
            (`class_balance.balanced_order`).
        distill_weight: share of the teacher's loss (`distill.distillation_loss`) where there is a teacher, 0 to 1;
            the rest is the labels'. distill_temperature: temperature by which both outputs are softened.
        teacher: the recipe whose model, trained on the same data with the same seed, is to be the teacher
            (docs/reference/results.md was made with it; `torchstone train` takes its bundle); empty: none.
        augment: `none`, or `flip`, `shift` (by up to 2 pixels) and `erase` (a rectangle of noise) in the combinations
            of `AugmentName`, at random for each image and epoch.
        transforms: random changes of each picture, made before `augment`, from whole photographs where the first is a
            crop: names of `transforms.TRANSFORMS`, separated by commas; empty: none.
        train_size: shorter side, in pixels, of the images that the steps of a training see (`training_size`), which are
            cut out by `transforms` that begin with a crop; 0: that of the model's input, as in validation.
        flips: choice of the images that `flip` mirrors: `random` or `alternating` (`augment.Augmentation`).
        amp: mixed precision: `off` (float32), `auto`, `bf16` or `fp16` (`precision.choose_precision`).
        compile: mode of `torch.compile` for the steps of training, or `off` (`compiled_steps.CompiledSteps`).
            `accumulate` goes with `default` alone: the CUDA graphs of the other modes reuse the memory of gradients.
        batch_size: images per step; the last batch of an epoch may differ (`batch_plan.plan_batches`).
        monitor: validation figure by which the best epoch is chosen and patience is counted.
        epochs: largest number of epochs.
        target_accuracy: accuracy on the validation data at which training stops at once; 0: never.
        patience: epochs without improvement after which training stops; 0 never stops early.
        min_delta: smallest gain of the monitored figure (of `loss`: smallest fall) that counts as improvement.
        val_fraction: share of the training data, of each class, that is held out for validation.
        mean: value subtracted from pixels scaled to 0..1, the same for each channel.
        std: divisor of that difference.
    """

    name: str
    summary: str
    architecture: str
    method: MethodName = "scratch"
    head: str = ""
    optimizer: OptimizerName = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    nesterov: bool = False
    schedule: ScheduleName = "constant"
    weight_decay: float = 0.0
    decay_biases: bool = True
    head_start: HeadStartName = "random"
    head_epochs: int = 0
    layer_decay: float = 1.0
    freeze: int = 0
    freeze_norm: NormName = "off"
    warmup_epochs: float = 0.0
    clip_norm: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    fused: bool = False
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    class_weights: ClassWeightsName = "none"
    sampler: SamplerName = "shuffle"
    distill_weight: float = 0.9
    distill_temperature: float = 2.0
    teacher: str = ""
    augment: AugmentName = "none"
    transforms: str = ""
    train_size: int = 0
    flips: FlipName = "random"
    amp: AmpName = "off"
    compile: CompileName = "off"
    batch_size: int = 64
    epochs: int = 10
    target_accuracy: float = 0.0
    monitor: MonitorName = "accuracy"
    patience: int = 5
    min_delta: float = 0.0
    val_fraction: float = 0.2
    mean: float = 0.5
    std: float = 0.5

    def __post_init__(self) -> None:
        for option, names in _CHOICES.items():
            value = getattr(self, option)
            _require(value in get_args(names), option, f"one of {', '.join(get_args(names))}")
        self._check_images()
        _require(math.isfinite(self.lr) and self.lr > 0, "lr", "a number greater than 0")
        _require(0 <= self.weight_decay < math.inf, "weight_decay", "0 or more")
        _require(0 <= self.label_smoothing < 1, "label_smoothing", "at least 0 and less than 1")
        _require(0 <= self.distill_weight <= 1, "distill_weight", "at least 0 and at most 1")
        _require(0 < self.distill_temperature < math.inf, "distill_temperature", "greater than 0")
        _require(0 <= self.momentum < 1, "momentum", "at least 0 and less than 1")
        _require(0 <= self.ema < 1, "ema", "at least 0 and less than 1")
        _require(0 <= self.target_accuracy <= 1, "target_accuracy", "0 (no target) to 1")
        by_accuracy = self.monitor == "accuracy" and self.min_delta == 0
        _require(not self.target_accuracy or by_accuracy, "target_accuracy", "given without monitor and min_delta")
        _require(not self.nesterov or self.momentum > 0, "momentum", "greater than 0 with nesterov")
        _require(self.batch_size >= 1, "batch_size", "1 or more")
        _require(self.epochs >= 1, "epochs", "1 or more")
        _require(self.patience >= 0, "patience", "0 (never stop early) or more")
        _require(0 <= self.min_delta < 1, "min_delta", "at least 0 and less than 1")
        _require(0 < self.val_fraction < 1, "val_fraction", "between 0 and 1")
        _require(math.isfinite(self.mean), "mean", "a finite number")
        _require(0 < self.std < math.inf, "std", "a number greater than 0")
        self._check_stages()

    def _check_images(self) -> None:
        transforms = parse_transforms(self.transforms)
        _require(
            self.train_size == 0 or self.train_size >= _SMALLEST_SIDE, "train_size", f"0, or {_SMALLEST_SIDE} or more"
        )
        cut = bool(transforms) and transforms[0].name == CROP and self.method != "probe"
        _require(self.train_size == 0 or cut, "train_size", f"left out, unless the transforms begin with {CROP}")

    def _check_stages(self) -> None:
        _require(0 <= self.head_epochs < self.epochs, "head_epochs", f"0 or more, and less than epochs ({self.epochs})")
        _require(0 < self.layer_decay <= 1, "layer_decay", "greater than 0 and at most 1 (no decay)")
        _require(self.freeze >= 0, "freeze", "0 (no stage) or more")
        _require(
            0 <= self.warmup_epochs <= self.epochs - self.head_epochs,
            "warmup_epochs",
            "0 to the epochs after the head's",
        )
        _require(0 <= self.clip_norm < math.inf, "clip_norm", "0 (no clipping) or more")
        _require(self.accumulate >= 1, "accumulate", "1 or more")
        keeps_gradients = self.compile in ("off", "default")
        _require(self.accumulate == 1 or keeps_gradients, "compile", "off or default where accumulate is more than 1")
        _require(0 <= self.mixup < math.inf, "mixup", "0 (none) or more")
        _require(0 <= self.cutmix < math.inf, "cutmix", "0 (none) or more")
        backbone = self.method == "finetune"
        only = {"head_start": "random", "head_epochs": 0, "layer_decay": 1.0, "freeze": 0}
        for name, off in only.items():
            _require(
                backbone or getattr(self, name) == off,
                name,
                "left out: it is for the recipe finetune",
            )

    def with_overrides(self, overrides: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with every given field that is not None replaced.

        Raises:
            FieldError: a value is out of range; the message names the field.
        """
        return replace(self, **{name: value for name, value in overrides.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Recipe":
        """Read what `to_json` wrote; fields this version doesn't know are an error of type TypeError."""
        return cls(**data)


def _require(fulfilled: bool, field: str, expected: str) -> None:
    if not fulfilled:
        raise FieldError(field, expected)
