"""What `reproduce` is asked for: a recipe by its name, or a cascade of two as `FAST+ACCURATE[-mirror]`."""

from dataclasses import dataclass
from typing import Any, Final, Self

from benchmarks.recipe_results.targets import natural_dataset
from torchstone_train.recipes.catalog import RECIPES
from torchstone_train.recipes.resolve import get_recipe

_MIRROR: Final = "-mirror"


@dataclass(frozen=True, slots=True)
class BenchmarkModel:
    """A model that a row of the results page is about: of one recipe, or a cascade of two.

    Attributes:
        recipe: whose model answers, of a cascade the accurate one's.
        fast: of a cascade, the recipe whose model goes before; None of a recipe by itself.
        mirror: of a cascade, whether the accurate model also looks at mirror images.
    """

    recipe: str
    fast: str | None = None
    mirror: bool = False

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name.

        Raises:
            UsageError: there is no such recipe; the message suggests the nearest.
        """
        fast, plus, accurate = name.rpartition("+")
        if not plus:
            get_recipe(name)
            return cls(name)
        mirror = accurate not in RECIPES and accurate.endswith(_MIRROR)
        model = cls(accurate.removesuffix(_MIRROR) if mirror else accurate, fast, mirror)
        for recipe in model.recipes:
            get_recipe(recipe)
        return model

    @property
    def name(self) -> str:
        """What `parse` reads."""
        return self.recipe if self.fast is None else f"{self.fast}+{self.recipe}{_MIRROR if self.mirror else ''}"

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes that are trained, that of the accurate model last."""
        return (self.recipe,) if self.fast is None else (self.fast, self.recipe)

    @property
    def dataset(self) -> str:
        """What it is trained on where no dataset is named."""
        return natural_dataset(self.recipe)

    def settings(self) -> dict[str, Any]:
        """Return a recipe's fields; of a cascade those of both, and whether mirror images are looked at."""
        if self.fast is None:
            return get_recipe(self.recipe).to_json()
        fast, accurate = (get_recipe(recipe).to_json() for recipe in self.recipes)
        return {"fast": fast, "accurate": accurate, "mirror": self.mirror}
