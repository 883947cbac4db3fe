"""Networks and recipes of one's own, named as `package.module:NAME`, and of installed packages."""

from pathlib import Path

import pytest

import torchstone
from helpers.in_process import without_matplotlib
from helpers.support import run_torchstone

CODE = """
from torch import nn
from torchstone_train.recipes.recipe import Recipe

def tiny_net(shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape.channels * shape.height * shape.width, shape.num_classes))

def wrong_size(shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape.channels * shape.height * shape.width, 3))

def fails(shape):
    raise ValueError("no such thing")

MINE = Recipe(name="mine", summary="a linear model", architecture="own_nets:tiny_net", epochs=1, batch_size=32)
NUMBER = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a module of the user's own."""
    (tmp_path / "own_nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("recipe", "name"), [("own_nets:MINE", "mine"), ("own_nets:tiny_net", "tiny-net")])
def test_a_run_of_ones_own_network_is_exported_in_another_process(
    here: Path, few_digits: str, recipe: str, name: str
) -> None:
    """run.json says where the network comes from; the certificate is that of any other."""
    trained = run_torchstone("train", recipe, "--data", few_digits, "--epochs", "1", "--out", here / "run", cwd=here)
    assert trained.returncode == 0, trained.stderr
    exported = run_torchstone("export", here / "run", "--out", here / "bundle", cwd=here)
    assert exported.returncode == 0, exported.stderr
    assert torchstone.TrainingRun.open(here / "run").recipe == name
    assert torchstone.verify(here / "bundle").checks


def test_where_the_code_is_missing_one_message_says_so(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As from another directory."""
    with without_matplotlib():
        torchstone.train("own_nets:MINE", data="digits", out=here / "run", device="cpu")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    result = run_torchstone("export", here / "run", "--out", elsewhere / "bundle", cwd=elsewhere)
    assert result.returncode == 2
    assert "There is no module 'own_nets'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("own_nets:tiny", "'tiny' in own_nets does not exist"),
        ("no_nets:tiny", "There is no module 'no_nets'"),
        ("own_nets:NUMBER", "neither a Recipe nor a function"),
        ("own_nets:wrong_size", r"expected logits of shape \(2, 10\)"),
        ("own_nets:fails", r"failed \(own_nets.py, line \d+, in fails\): ValueError: no such thing"),
        ("cnn33", "There is no recipe 'cnn33'"),
    ],
)
def test_what_can_not_be_used_is_told(here: Path, recipe: str, told: str) -> None:
    """With the user's own line, and nothing left behind."""
    with pytest.raises(torchstone.TorchstoneError, match=told):
        torchstone.train(recipe, data="digits", out=here / "run", device="cpu")
    assert not (here / "run").exists()
