"""The fields of a recipe as a person writes them: `--set ema=0.99`, or a line of a configuration file."""

import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, Literal, get_args, get_origin

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.transforms import TRANSFORMS, AugmentName

_SUMMARIES: Final = {
    "optimizer": "Optimizer.",
    "lr": "Learning rate, the largest of the training.",
    "momentum": "SGD momentum; other optimizers ignore it.",
    "nesterov": "Use Nesterov momentum.",
    "schedule": "Learning-rate schedule.",
    "weight_decay": "Weight decay; decoupled for adamw.",
    "decay_biases": "Apply weight decay to biases and norm parameters as well.",
    "head_start": "finetune: weights with which the head begins; probe: fitted on the pretrained features.",
    "head_epochs": "finetune: epochs in which the head alone is trained, first.",
    "layer_decay": "finetune: factor of the learning rate from each stage to the one below.",
    "freeze": "finetune: number of stages, from the lowest, that are not trained.",
    "freeze_norm": "Keep the statistics of batch norm; auto: of a pretrained network in small batches.",
    "warmup_epochs": "Epochs in which the learning rate rises, before the schedule.",
    "clip_norm": "Largest norm of the gradient; 0 = any.",
    "accumulate": "Batches whose gradients make one update.",
    "ema": "Decay of the moving average of the weights that is validated and kept; 0 = none.",
    "fused": "Update all weights in one kernel, where PyTorch has one for the device.",
    "label_smoothing": "Share of the target spread evenly over all classes.",
    "mixup": "Blend pairs of images: parameter of the Beta distribution; 0 = none.",
    "cutmix": "Put a rectangle of one image into another: likewise.",
    "class_weights": "Weight of each class in the loss; balanced: rare classes count as much as frequent ones.",
    "sampler": "Images of an epoch; balanced: every class equally often.",
    "distill_weight": "With a teacher: share of the teacher's loss, 0 to 1.",
    "distill_temperature": "With a teacher: temperature that softens both answers.",
    "augment": "Random changes of each training image: one of these words, or a list of transforms.",
    "transforms": "Random changes of each picture, in this order, with such numbers as random-resized-crop=0.5.",
    "train_size": "Shorter side of the training's images in pixels; 0 = the input's; needs random-resized-crop.",
    "flips": "How augmentation flips images: at random, or in every second epoch.",
    "amp": "Mixed precision.",
    "compile": "Compile the steps of training: a mode of torch.compile; needs a compiler on the machine.",
    "batch_size": "Images per step.",
    "epochs": "Largest number of epochs.",
    "target_accuracy": "Validation accuracy at which training stops; 0 = none.",
    "monitor": "Validation figure that chooses the best epoch and counts patience.",
    "patience": "Epochs without improvement before training stops; 0 = never.",
    "min_delta": "Smallest gain of the monitored figure that counts as improvement.",
    "val_fraction": "Share of the training data held out for validation.",
    "mean": "Mean subtracted from pixels scaled to 0..1.",
    "std": "Standard deviation that the difference is divided by.",
}
_BOOLEANS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_EXPECTED: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_TEXTS: Final = {
    "augment": " | ".join((*get_args(AugmentName), "a list of transforms")),
    "transforms": f"any of {', '.join(TRANSFORMS)}",
}
"""What may be written where neither a type nor choices say it; the recipe checks it."""


@dataclass(frozen=True, slots=True)
class RecipeField:
    """A field of a recipe that can be set.

    Attributes:
        name: name of the field in `Recipe`.
        kind: `bool`, `int`, `float` or `str`.
        choices: allowed values of a `str`.
        default: value of a recipe that doesn't state it.
        summary: one line for people.
    """

    name: str
    kind: type
    choices: tuple[str, ...]
    default: Any
    summary: str

    @property
    def expected(self) -> str:
        """What may be written, for people."""
        return " | ".join(self.choices) or _TEXTS.get(self.name, _EXPECTED[self.kind])

    def parse(self, text: str) -> Any:  # noqa: ANN401 - of the field's type
        """Return the value that a text of `--set` stands for.

        Raises:
            UsageError: it stands for none.
        """
        if self.choices:
            return self.check(text)
        try:
            return _BOOLEANS[text.lower()] if self.kind is bool else self.kind(text)
        except (KeyError, ValueError) as error:
            raise UsageError(f"--set {self.name} is '{text}'; expected {self.expected}.") from error

    def check(self, value: Any) -> Any:  # noqa: ANN401 - of a file, and of the field's type
        """Return a value of a configuration file, a whole number as the float that is wanted.

        Raises:
            UsageError: it has another type, or is none of the choices.
        """
        if self.choices and isinstance(value, str) and value not in self.choices:
            raise UsageError(f"{self.name} can't be '{value}'.", suggestion(value, self.choices))
        if self.kind is float and type(value) is int:
            return float(value)
        if type(value) is not self.kind:
            raise UsageError(f"{self.name} is {value!r}; expected {self.expected}.")
        return value


def _recipe_fields() -> dict[str, RecipeField]:
    hints = typing.get_type_hints(Recipe)
    found = {}
    for field in fields(Recipe):
        if field.name in _SUMMARIES:
            hint = hints[field.name]
            is_literal = get_origin(hint) is Literal
            choices = get_args(hint) if is_literal and field.name not in _TEXTS else ()
            default = None if field.default is MISSING else field.default
            kind = str if is_literal else hint
            found[field.name] = RecipeField(field.name, kind, choices, default, _SUMMARIES[field.name])
    return found


RECIPE_FIELDS: Final = _recipe_fields()
"""The fields by name, in the order of `Recipe`."""


def find_field(name: str) -> RecipeField:
    """Return a field by name; hyphens stand for underscores.

    Raises:
        UsageError: there is none; the message suggests the nearest.
    """
    found = RECIPE_FIELDS.get(name.replace("-", "_"))
    if found is None:
        raise UsageError(f"A recipe has no field '{name}'.", suggestion(name.replace("-", "_"), RECIPE_FIELDS))
    return found


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of `field=value` texts, by field; of two for one field the last.

    Raises:
        UsageError: another form, no such field, or a value that it can't have.
    """
    values = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set is '{text}'; expected FIELD=VALUE.", "Such as --set ema=0.99.")
        field = find_field(name.strip())
        values[field.name] = field.parse(value.strip())
    return values


def check_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration file, by field.

    Raises:
        UsageError: no such field, or a value that it can't have.
    """
    checked = {}
    for name, value in values.items():
        field = find_field(name)
        checked[field.name] = field.check(value)
    return checked
