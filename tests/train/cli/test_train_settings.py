"""`train --set`, `--config` and `--from`: what is trained, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import click
import pytest

from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.errors import DataError, TorchstoneError, UsageError
from torchstone_train.cli import train
from torchstone_train.cli.repeated_options import repeated_options
from torchstone_train.cli.train_options import take_fields
from torchstone_train.cli.train_settings import Settings, read_config, read_run
from torchstone_train.recipes.catalog import CNN3, RECIPES
from torchstone_train.recipes.fields import RECIPE_FIELDS, RecipeField, check_values, parse_assignments
from torchstone_train.recipes.resolve import OVERRIDABLE

CONTEXT = click.Context(train)


def written(folder: Path, text: str) -> Path:
    """Write a configuration file."""
    (folder / "train.toml").write_text(text, encoding="utf-8")
    return folder / "train.toml"


def test_every_field_that_can_be_changed_is_listed() -> None:
    """`recipes --fields` and `--set` know the same fields as the Python interface."""
    assert set(RECIPE_FIELDS) == OVERRIDABLE


def test_set_reads_each_value_by_the_type_of_its_field() -> None:
    """Text becomes a number, a truth value, or a choice; hyphens stand for underscores."""
    given = ("ema=0.99", "nesterov=true", "fused = off", "batch-size=32", "schedule=one-cycle")

    assert parse_assignments(given) == {
        "ema": 0.99,
        "nesterov": True,
        "fused": False,
        "batch_size": 32,
        "schedule": "one-cycle",
    }


@pytest.mark.parametrize("field", RECIPE_FIELDS.values(), ids=lambda field: field.name)
def test_every_default_is_a_value_of_its_field(field: RecipeField) -> None:
    """What `recipes --fields` prints as default can be given to `--set`."""
    assert field.parse(str(field.default)) == field.default


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("emma=0.9", "Did you mean 'ema'?"),
        ("ema", "FIELD=VALUE"),
        ("ema=much", "a number"),
        ("epochs=1.5", "a whole number"),
        ("nesterov=maybe", "true or false"),
        ("schedule=cosinus", "Did you mean 'cosine'?"),
    ],
)
def test_a_mistake_in_set_is_told(text: str, fragment: str) -> None:
    """With the nearest name, or what was expected."""
    with pytest.raises(UsageError) as caught:
        parse_assignments((text,))
    assert fragment in str(caught.value)


def test_a_file_states_types_that_are_checked() -> None:
    """A whole number may stand for a float; text may not, nor a truth value for a number."""
    assert check_values({"lr": 1}) == {"lr": 1.0}
    for values in ({"lr": "0.1"}, {"epochs": True}, {"nesterov": 1}):
        with pytest.raises(UsageError, match="expected"):
            check_values(values)


def test_a_configuration_file_states_recipe_options_and_fields(tmp_path: Path) -> None:
    """Fields stand at the top or in [set]; hyphens and a byte order mark do no harm."""
    path = written(
        tmp_path,
        '\ufeffrecipe = "cnn3"\ndata = "digits"\nimage-size = "48x64"\nepochs = 2\nstream = true\n'
        'teacher = ["a", "b"]\n[set]\nema = 0.5\n',
    )
    settings = read_config(path, CONTEXT)

    assert settings.recipe == CNN3
    assert settings.fields == {"epochs": 2, "ema": 0.5}
    assert settings.options == {
        "dataset": "digits",
        "image_size": (48, 64),
        "stream": True,
        "teachers": (Path("a"), Path("b")),
    }


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("sed = 1", "Did you mean 'seed'?"),
        ("[set]\nepoch = 1", "Did you mean 'epochs'?"),
        ('recipe = "cnn33"', "Did you mean 'cnn3'?"),
        ("recipe = 3", "expected a name"),
        ("seed = -1", "seed"),
        ("seed = true", "expected"),
        ("stream = 1", "true or false"),
        ("data = [1]", "one value"),
        ("set = 1", "[set]"),
        ("recipe =", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_name(text: str, fragment: str, tmp_path: Path) -> None:
    """One message with the file, what is wrong, and the nearest name where one was misspelt."""
    path = written(tmp_path, text)
    with pytest.raises(TorchstoneError) as caught:
        read_config(path, CONTEXT)
    assert str(path) in str(caught.value)
    assert fragment in str(caught.value)


def test_a_run_is_repeated_with_all_fields(tiny_run: Path) -> None:
    """`--from` finds recipe, data and seed in run.json, given as the file or its directory."""
    info = json.loads((tiny_run / "run.json").read_text())
    settings = read_run(tiny_run)

    assert settings == read_run(tiny_run / "run.json")
    assert settings.recipe is not None
    assert settings.recipe.to_json() == info["recipe"]
    assert settings.options == {
        "dataset": info["dataset"]["source"],
        "seed": info["seed"],
        "deterministic": info["deterministic"],
    }


def test_mean_and_std_that_were_stated_are_repeated(tiny_run: Path, tmp_path: Path) -> None:
    """They are not in the recipe, whose own were replaced; numbers that are all the same fit any colour."""
    info = json.loads((tiny_run / "run.json").read_text())
    info["input"]["in_graph"] |= {"mean": [0.2, 0.3, 0.4], "std": [0.1, 0.1, 0.1]}
    (tmp_path / "run.json").write_text(json.dumps(info))
    options = read_run(tmp_path).options

    assert (options["mean"], options["std"]) == ((0.2, 0.3, 0.4), (0.1,))


RUN = Settings(
    replace(RECIPES["finetune"], architecture="torchvision:resnet18", head="fc"),
    {
        "dataset": "folder:photos",
        "seed": 3,
        "color": "RGB",
        "image_size": (224, 224),
        "fit": "crop",
        "resize": 256,
        "mean": (0.485, 0.456, 0.406),
        "weights": "ResNet18_Weights.IMAGENET1K_V1",
        "weights_sha256": "f37072fd",
    },
)


@pytest.mark.parametrize(("size", "resize"), [((224, 224), 256), ((112, 112), 128), ((64, 96), 96), ((448, 448), 512)])
def test_a_run_that_is_repeated_at_another_size_cuts_out_the_same_share(size: tuple[int, int], resize: int) -> None:
    """The old side before the crop would leave a small centre of each picture, or be too small."""
    assert repeated_options(RUN, {"image_size": size})["resize"] == resize


def test_a_run_that_is_repeated_in_gray_has_one_mean() -> None:
    """That of the channels, as a backbone's weights in gray have it."""
    assert repeated_options(RUN, {"color": "L"})["mean"] == pytest.approx((0.449,), abs=1e-3)


@pytest.mark.parametrize("backbone", ["inception_v3", "timm:resnet18", "helpers.small_backbone:build"])
def test_a_run_that_is_repeated_with_another_backbone_takes_its_weights_and_their_input(backbone: str) -> None:
    """The old ones are another network's."""
    assert repeated_options(RUN, {"backbone": backbone}) == {"dataset": "folder:photos", "seed": 3, "color": "RGB"}


@pytest.mark.parametrize("backbone", ["resnet18", "torchvision:resnet18", None])
def test_a_run_that_is_repeated_with_the_same_backbone_keeps_its_weights(backbone: str | None) -> None:
    """Named anew or not."""
    assert repeated_options(RUN, {"backbone": backbone}) == RUN.options


def test_one_fold_is_not_repeated_as_a_whole_training(tiny_run: Path, tmp_path: Path) -> None:
    """It would be trained on other images; the message says how all folds are repeated."""
    info = json.loads((tiny_run / "run.json").read_text())
    info["dataset"]["fold"] = {"number": 2, "of": 3}
    (tmp_path / "run.json").write_text(json.dumps(info))

    assert_refused(run_torchstone("train", "--from", "run.json", cwd=tmp_path), "fold 2 of 3", "--folds 3")


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    """A missing run.json and one that is damaged are errors of the data."""
    with pytest.raises(DataError, match="is an empty folder, and has no run"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text('{"recipe": 1}')
    with pytest.raises(DataError, match="not valid"):
        read_run(tmp_path)


def test_a_former_option_works_and_names_what_replaces_it(capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr; an option that stays says nothing."""
    former = dict.fromkeys(RECIPE_FIELDS) | {"epochs": 2, "ema": 0.9, "nesterov": True}

    assert take_fields(former) == {"epochs": 2, "ema": 0.9, "nesterov": True}
    said = capsys.readouterr().err
    assert said == "Deprecated: --nesterov, --ema. Write --set nesterov=true --set ema=0.9\n"


def test_the_command_line_wins_and_a_run_is_repeated_to_the_same_weights(tiny_npz: Path, tmp_path: Path) -> None:
    """--config, then --from: a second run with recipe, data, seed and weights of the first, elsewhere."""
    written(tmp_path, f'recipe = "cnn3"\ndata = "npz:{tiny_npz}"\nseed = 3\nepochs = 5\n[set]\nema = 0.5\n')
    first = run_torchstone("train", "--config", "train.toml", "--epochs", "1", "-q", "--json", cwd=tmp_path)
    second = run_torchstone("train", "--from", "runs/cnn3-1/run.json", "--json", cwd=tmp_path)

    assert first.stderr == ""
    made, again = (json.loads(result.stdout) for result in (first, second))
    assert (made["run"], again["run"]) == ("runs/cnn3-1", "runs/cnn3-2")
    assert (made["recipe"]["epochs"], made["recipe"]["ema"], made["seed"]) == (1, 0.5, 3)
    assert (again["recipe"], again["seed"]) == (made["recipe"], made["seed"])
    weights = [(tmp_path / f"runs/cnn3-{number}/best.safetensors").read_bytes() for number in (1, 2)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("--data", "digits"), "No recipe was named"),
        (("cnn3",), "--data"),
        (("cnn3", "--data", "digits", "--resume"), "--out"),
    ],
)
def test_what_is_missing_is_named(arguments: tuple[str, ...], fragment: str, tmp_path: Path) -> None:
    """Recipe, data, and the run to be resumed; nothing is written."""
    assert_refused(run_torchstone("train", *arguments, cwd=tmp_path), fragment)
    assert list(tmp_path.iterdir()) == []


def test_fields_are_listed_with_type_default_and_a_line() -> None:
    """`recipes --fields --json` has every field; without --fields, every recipe."""
    listed = json.loads(run_torchstone("recipes", "--fields", "--json").stdout)["fields"]
    recipes = json.loads(run_torchstone("recipes", "--json").stdout)["recipes"]

    assert [field["name"] for field in listed] == list(RECIPE_FIELDS)
    assert all(field["summary"] for field in listed)
    assert [recipe["name"] for recipe in recipes] == list(RECIPES)
