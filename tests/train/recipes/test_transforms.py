import re
from typing import Any

import pytest

from torchstone_runtime.errors import UsageError
from torchstone_train.recipes.catalog import CNN3, STONE_S
from torchstone_train.recipes.fields import parse_assignments
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.resolve import resolve_recipe
from torchstone_train.recipes.transforms import TRANSFORMS, NamedTransform, parse_transforms


def test_list_is_read_in_its_order_with_numbers_or_the_usual_ones() -> None:
    """Spaces and capitals don't matter."""
    assert parse_transforms("Random-Resized-Crop(0.5), flip,shift( 3 ),color,trivial-augment") == (
        NamedTransform("random-resized-crop", 0.5),
        NamedTransform("flip", 0.5),
        NamedTransform("shift", 3),
        NamedTransform("colour", 0.4),
        NamedTransform("trivial-augment", 0),
    )


def test_number_may_stand_behind_a_sign_that_no_shell_reads() -> None:
    """Brackets have to be quoted on a command line."""
    assert parse_transforms("random-resized-crop=0.5,flip") == parse_transforms("random-resized-crop(0.5),flip")


@pytest.mark.parametrize("text", ["", "  ", "none"])
def test_nothing_is_no_transforms(text: str) -> None:
    """As an option, a field or a line of a file."""
    assert parse_transforms(text) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trivialaugment", "Did you mean 'trivial-augment'?"),
        ("flip,rotat(3)", "Did you mean 'rotate'?"),
        ("flip,", "There is no transform ''."),
        ("flip(0.5", "There is no transform 'flip(0.5'."),
        ("flip(2)", "flip=2: expected a number from 0 to 1."),
        ("flip(nan)", "flip=nan: expected a number"),
        ("flip()", "flip=: expected a number"),
        ("shift(2.5)", "expected a whole number from 1 to 64."),
        ("trivial-augment(9)", "trivial-augment takes no number"),
        ("flip,flip", "transforms has flip twice."),
        ("flip,random-resized-crop", "Begin with it: random-resized-crop,flip"),
        ("flip-shift,erase", "Write flip,shift in the list."),
        ("flip\x1b[2J", r"There is no transform 'flip\x1b[2J'."),
    ],
)
def test_bad_list_is_refused_when_the_recipe_is_made(text: str, message: str) -> None:
    """With what would have been right."""
    with pytest.raises(UsageError, match=re.escape(message)):
        Recipe(name="own", summary="", architecture="mlp", transforms=text)


@pytest.mark.parametrize(("name", "kind"), TRANSFORMS.items())
def test_every_usual_number_is_one_that_is_accepted(name: str, kind: Any) -> None:  # noqa: ANN401
    """So is each bound."""
    for value in () if kind.default is None else (kind.default, kind.low, kind.high):
        assert parse_transforms(f"{name}({value:g})") == (NamedTransform(name, value),)


@pytest.mark.parametrize(
    ("asked", "augment", "transforms"),
    [
        ("flip", "flip", ""),
        ("none", "none", ""),
        ("shift-erase", "shift-erase", ""),
        ("flip,trivial-augment", "none", "flip,trivial-augment"),
        ("random-resized-crop", "none", "random-resized-crop"),
    ],
)
def test_augment_alone_says_all_of_it(asked: str, augment: str, transforms: str) -> None:
    """A former value means what it did; a list takes its place, and the recipe's own is gone either way."""
    own = Recipe(name="own", summary="", architecture="mlp", augment="flip-shift", transforms="gray")
    made = resolve_recipe(own, {"augment": asked})
    assert (made.augment, made.transforms) == (augment, transforms)


def test_transforms_alone_leave_the_recipes_augmentation() -> None:
    """`--set transforms=` adds to it."""
    made = resolve_recipe("stone-s", parse_assignments(("transforms=gray",)))
    assert (made.augment, made.transforms) == (STONE_S.augment, "gray")


def test_a_mistyped_augmentation_suggests_the_nearest() -> None:
    """Of the words as well as of the transforms."""
    for typed, meant in (("flipshift", "flip-shift"), ("trivialaug", "trivial-augment")):
        with pytest.raises(UsageError, match=f"Did you mean '{meant}'"):
            resolve_recipe(CNN3, {"augment": typed})
