"""Files that hold several sets of weights, or more than a model's: what is used is named, what is in doubt is asked."""

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from torchstone_export.foreign.weights import FittedWeights, fit_weights, read_weights
from torchstone_runtime.errors import DataError, TorchstoneError, UsageError

State = dict[str, Any]


class Net(nn.Module):
    """A small network with a body and a head."""

    def __init__(self, classes: int = 3, layers: int = 1, channels: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4))
        self.more = nn.ModuleList(nn.Linear(4, 4) for _ in range(layers))
        self.head = nn.Linear(4, classes)


def state_of(seed: int, **arguments: int) -> State:
    """The weights of a network of chance."""
    torch.manual_seed(seed)
    return dict(Net(**arguments).state_dict())


RAW, AVERAGED = state_of(1), state_of(2)


def prefixed(prefix: str, state: State) -> State:
    """The same with a prefix before every name."""
    return {f"{prefix}{name}": value for name, value in state.items()}


def without(text: str, state: State) -> State:
    """The same without the names that hold a text."""
    return {name: value for name, value in state.items() if text not in name}


def load(
    content: object, folder: Path, key: str | None = None, net: nn.Module | None = None
) -> tuple[State, FittedWeights]:
    """Save, read and load; return what the module has then."""
    path = folder / ("w.safetensors" if isinstance(content, bytes) else "w.pt")
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    net = net or Net()
    fitted = fit_weights(net, read_weights(path), path, key)
    return net.state_dict(), fitted


def same(one: State, other: State) -> bool:
    """Whether two state dicts are equal."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(4, 1, 3, 3)}}, "param_groups": [{"lr": 0.1}]}
TWO_SETS: dict[str, tuple[Any, str, str]] = {
    "torchvision": (
        {
            "model": RAW,
            "model_ema": prefixed("module.", AVERAGED) | {"n_averaged": torch.tensor(9)},
            "optimizer": OPTIMIZER,
        },
        "model",
        "model_ema",
    ),
    "timm": ({"state_dict": RAW, "state_dict_ema": AVERAGED, "epoch": 3}, "state_dict", "state_dict_ema"),
    "ema": ({"model": RAW, "ema": AVERAGED}, "model", "ema"),
    "lightning callback": (
        {"state_dict": prefixed("model.", RAW), "callbacks": {"EMA": {"ema_state_dict": prefixed("model.", AVERAGED)}}},
        "state_dict",
        "callbacks.EMA.ema_state_dict",
    ),
    "lightning average": (
        {"state_dict": prefixed("net.", AVERAGED), "current_model_state": prefixed("net.", RAW)},
        "current_model_state",
        "state_dict.net",
    ),
    "in one flat dictionary": (
        prefixed("online_model.", RAW) | prefixed("ema_model.", AVERAGED),
        "online_model",
        "ema_model",
    ),
    "the averages below the weights": ({**RAW, "swa": AVERAGED}, ".", "swa"),
    "nested deep": ({"a": {"b": [{"c": RAW}, {"c": AVERAGED}]}}, "a.b.0.c", "a.b.1.c"),
    "compiled": (
        {"model": prefixed("_orig_mod.", RAW), "ema": prefixed("_orig_mod.module.", AVERAGED)},
        "model",
        "ema._orig_mod",
    ),
}


@pytest.mark.parametrize("case", TWO_SETS)
def test_of_two_sets_the_owner_says_which(case: str, tmp_path: Path) -> None:
    """Neither is taken in silence: the message lists both, and each key gives its own."""
    content, raw, averaged = TWO_SETS[case]
    with pytest.raises(UsageError, match=r"(?s)holds 2 sets of weights.*--weights-key") as refused:
        load(content, tmp_path)

    assert str(refused.value).count("fits the module") == 2
    assert same(load(content, tmp_path, raw)[0], RAW)
    assert same(load(content, tmp_path, averaged)[0], AVERAGED)


def test_safetensors_of_two_prefixes_are_asked_about(tmp_path: Path) -> None:
    """`model.` and `ema.` in one file."""
    content = safetensors.torch.save(prefixed("model.", RAW) | prefixed("ema.", AVERAGED))
    with pytest.raises(UsageError, match="--weights-key ema"):
        load(content, tmp_path)

    assert same(load(content, tmp_path, "ema")[0], AVERAGED)


@pytest.mark.parametrize(
    "average",
    [
        {"decay": 0.99, "shadow_params": [value for name, value in AVERAGED.items() if "running" not in name]},
        {"shadow": without("num_batches", without("running", AVERAGED))},
        {name.replace(".", ""): value for name, value in AVERAGED.items()},
    ],
    ids=["a list", "parameters alone", "names without dots"],
)
def test_averages_that_cannot_be_loaded_are_still_named(average: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """The raw weights are used only when they are asked for."""
    content = {"model": RAW, "model_ema": average}
    with pytest.raises(UsageError, match=r"(?s)model: .*fits the module.*model_ema"):
        load(content, tmp_path)

    assert same(load(content, tmp_path, "model")[0], RAW)


def test_a_set_that_repeats_another_is_no_question(tmp_path: Path) -> None:
    """Both names are told."""
    state, fitted = load({"model": RAW, "best": dict(RAW)}, tmp_path)

    assert same(state, RAW)
    assert "best holds the same" in fitted.notes[0]


def test_the_only_set_that_fits_is_used_and_named(tmp_path: Path) -> None:
    """A teacher of another architecture lies beside it."""
    state, fitted = load(
        {"student": RAW, "teacher": state_of(3, layers=3, classes=9), "optimizer": OPTIMIZER}, tmp_path
    )

    assert same(state, RAW)
    assert "'student' of w.pt" in fitted.notes[0]
    assert "teacher" in fitted.notes[1]
    assert not any("optimizer" in note for note in fitted.notes)


@pytest.mark.parametrize(("key", "fragment"), [("emma", "Did you mean 'ema'"), ("model.x", "nothing under 'model.x'")])
def test_a_key_that_leads_nowhere_is_refused(key: str, fragment: str, tmp_path: Path) -> None:
    """With the nearest one."""
    with pytest.raises(UsageError) as refused:
        load({"model": RAW, "ema": AVERAGED}, tmp_path, key)

    assert fragment in str(refused.value)


LEFT_OUT: dict[str, tuple[State, str]] = {
    "no counters": (without("num_batches", RAW), "num_batches_tracked"),
    "a loss": ({**prefixed("model.", RAW), "criterion.weight": torch.ones(3)}, "criterion.weight"),
    "a loss with layers": ({**prefixed("net.", RAW), "loss_fn.proj.weight": torch.ones(9, 4)}, "loss_fn.proj.weight"),
    "metrics at the root": (
        {**RAW, "train_acc.tp": torch.ones(3), "val_f1.tp": torch.ones(3)},
        "train_acc.tp, val_f1.tp",
    ),
    "weights of classes": ({**RAW, "class_weights": torch.ones(3)}, "class_weights"),
    "AveragedModel": ({**prefixed("module.", RAW), "n_averaged": torch.tensor(7)}, "n_averaged"),
    "more beside": ({**prefixed("net.", RAW), "projector.weight": torch.ones(8, 8)}, "projector.weight"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_a_training_keeps_beside_the_model_is_left_out_and_named(case: str, tmp_path: Path) -> None:
    """Where the rest fits exactly."""
    content, named = LEFT_OUT[case]
    state, fitted = load({"state_dict": content}, tmp_path)

    assert same(without("num_batches", state), without("num_batches", RAW))
    assert named in "\n".join(fitted.notes)


NAMES = {
    "a compiled inner module": {name.replace("body.", "body._orig_mod."): v for name, v in RAW.items()},
    "compiled within Lightning": prefixed("model._orig_mod.", RAW),
    "compiled around DataParallel": prefixed("_orig_mod.module.", RAW),
    "DataParallel inside": {name.replace("body.", "body.module."): v for name, v in RAW.items()},
    "parts under their own prefixes": {
        ("backbone." if "head" not in name else "top.") + name: v for name, v in RAW.items()
    },
    "some names with a prefix": {("net." if "body" in name else "") + name: v for name, v in RAW.items()},
    "a tree of modules": {"body": {"0": {"weight": RAW["body.0.weight"], "bias": RAW["body.0.bias"]}}}
    | without("body.0", RAW),
    "ordered": OrderedDict(RAW),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_that_wrappers_changed_are_understood(case: str, tmp_path: Path) -> None:
    """Every tensor finds its place."""
    assert same(load(NAMES[case], tmp_path)[0], RAW)


def test_a_compiled_module_takes_plain_weights(tmp_path: Path) -> None:
    """The factory may compile, or wrap in DataParallel."""
    wrapped = nn.DataParallel(Net())
    state, _ = load(RAW, tmp_path, net=wrapped)

    assert same(state, prefixed("module.", RAW))


@pytest.mark.parametrize("left", ["head.weight", "classifier.0.weight", "fc2.weight"])
def test_a_part_of_a_model_is_not_taken_for_the_whole(left: str, tmp_path: Path) -> None:
    """A head beside what fits may belong to it; the key settles it."""
    content = {**prefixed("encoder.", RAW), left: torch.ones(3, 3)}
    with pytest.raises(UsageError, match=f"(?s){left}.*--weights-key encoder"):
        load(content, tmp_path)

    assert same(load(content, tmp_path, "encoder")[0], RAW)


def wide(state: State, factor: int) -> State:
    """Every axis but the last layer's first made larger."""
    return {name: torch.zeros([side * factor for side in value.shape]) for name, value in state.items()}


LORA = {**RAW, "more.0.lora_A.weight": torch.ones(2, 4), "more.0.lora_B.weight": torch.ones(4, 2)}
PRUNED = without("head.weight", RAW) | {"head.weight_orig": torch.ones(3, 4), "head.weight_mask": torch.ones(3, 4)}
NORMED = without("head.weight", RAW) | {"head.weight_g": torch.ones(3, 1), "head.weight_v": torch.ones(3, 4)}
PARAMETRISED = without("head.weight", RAW) | {"head.parametrizations.weight.original0": torch.ones(3, 1)}
INTEGERS = RAW | {"head.weight": torch.ones(3, 4, dtype=torch.int8)}
TURNED = RAW | {
    "more.0.weight": RAW["more.0.weight"],
    "head.weight": RAW["head.weight"].T,
    "body.0.weight": RAW["body.0.weight"].permute(2, 3, 1, 0),
}
CAUSES: dict[str, tuple[Any, str]] = {
    "classes": (state_of(1, classes=10), "10 outputs in the file, 3 in the module"),
    "classes, nested": ({"state_dict": prefixed("model.", state_of(1, classes=10))}, "num_classes=10"),
    "channels": (state_of(1, channels=3), "takes 3 channels in the file and 1"),
    "more layers in the file": (state_of(1, layers=2), "more layers"),
    "fewer layers in the file": (state_of(1, layers=0), "layers of the module are missing"),
    "another architecture": (dict(nn.Sequential(nn.Linear(4, 4)).state_dict()), "another architecture"),
    "transposed": (TURNED, "transposed"),
    "integers": (INTEGERS, "quantised"),
    "pruned": (PRUNED, "pruned"),
    "weight norm": (NORMED, "parametrised"),
    "parametrised": (PARAMETRISED, "parametrised"),
    "LoRA": (LORA, "LoRA"),
    "flat parameters": ({"_fsdp_wrapped_module._flat_param": torch.ones(99)}, "FSDP"),
    "renamed": (
        {name.replace("body", "trunk").replace("more", "mid").replace("head", "fc"): v for name, v in RAW.items()},
        "renamed",
    ),
    "wider": (wide(RAW, 2), "another width"),
    "an optimizer": (OPTIMIZER, "state of an optimizer"),
    "nothing": ({}, "empty dictionary"),
    "settings alone": ({"epoch": 3, "lr": 0.1}, "no tensor in it"),
    "a number": (3, "no tensor in it"),
}


@pytest.mark.parametrize("case", CAUSES)
def test_a_file_that_does_not_fit_is_told_by_its_cause(case: str, tmp_path: Path) -> None:
    """In one short message with exit code 2; the module stays as it was."""
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    content, fragment = CAUSES[case]
    with pytest.raises(TorchstoneError) as refused:
        load(content, tmp_path, net=net)

    assert fragment in str(refused.value)
    assert refused.value.exit_code == 2
    assert len(str(refused.value).splitlines()) <= 5
    assert same(net.state_dict(), before)


def test_a_shard_and_a_directory_are_named(tmp_path: Path) -> None:
    """A file that says that it is one of several, and a distributed checkpoint."""
    path = tmp_path / "model-00001-of-00002.safetensors"
    safetensors.torch.save_file(without("head", RAW), path)
    with pytest.raises(DataError, match="file 1 of 2"):
        fit_weights(Net(), read_weights(path), path)
    with pytest.raises(DataError, match="directory: a sharded"):
        read_weights(tmp_path)


def test_torchscript_is_named(tmp_path: Path) -> None:
    """It is a zip file with tensors too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "w.pt")
    with pytest.raises(DataError, match="TorchScript archive"):
        read_weights(tmp_path / "w.pt")


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    """Whatever the file is called."""
    safetensors.torch.save_file(RAW, tmp_path / "w.bin")
    net = Net()
    fit_weights(net, read_weights(tmp_path / "w.bin"), tmp_path / "w.bin")

    assert same(net.state_dict(), RAW)


def test_a_dictionary_that_holds_itself_is_refused(tmp_path: Path) -> None:
    """Pickle can write such; reading it ends."""
    loop: dict[str, Any] = {"a": 1}
    loop["self"], loop["again"] = loop, loop
    torch.save(loop, tmp_path / "w.pt")
    with pytest.raises(DataError, match="holds itself"):
        read_weights(tmp_path / "w.pt")
