"""Why a file's weights are not a module's, in the words of its cause."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from torchstone_runtime.errors import DataError
from torchstone_runtime.text import showable
from torchstone_train.networks.state_dicts import StateDict, describe, is_under
from torchstone_train.networks.weight_file import Weights, shard_of

_SHOWN: Final = 4
_ARGUMENTS: Final = (
    "Give the arguments that the model was trained with (--arg key=value), or the weights of this model."
)
_MANGLED: Final = (
    (
        re.compile(r"lora_[AB]|lora_(up|down|magnitude)|\.base_layer\.|adapter_model|^base_model\.model\."),
        "The file holds LoRA adapters beside or in place of the weights.",
        "Merge them where they were trained (merge_and_unload() of peft), and save the merged state dict.",
    ),
    (
        re.compile(r"_orig$|_mask$"),
        "The file holds a pruned model: weights beside their masks.",
        "Make the pruning permanent (torch.nn.utils.prune.remove), and save again.",
    ),
    (
        re.compile(r"weight_[gv]$|parametrizations\..*original\d?$|weight_u$"),
        "The file holds parametrised weights (weight norm, spectral norm), not the weights themselves.",
        "Remove it (torch.nn.utils.parametrize.remove_parametrizations) and save again, or make it in the factory too.",
    ),
    (
        re.compile(r"_packed_params|zero_point$|\.SCB$|absmax|quant_map|qweight|qzeros|fake_quant|activation_post"),
        "The file holds a quantised model.",
        "Give the weights in floating point, from before it was quantised.",
    ),
    (
        re.compile(r"_?flat_param(_\d+)?$"),
        "The file holds flattened parameters of FSDP: shards, or parts of a whole.",
        "Gather the whole state dict where it was trained (full_state_dict=True), and save that.",
    ),
)


def explain_misfit(
    module: nn.Module, sets: Sequence[StateDict], weights: Weights, source: Path, key: str | None
) -> DataError:
    """Return an error that says what does not fit, and what that means.

    Args:
        module: module for which the weights were expected.
        sets: sets of weights that were found for it, the nearest first.
        weights: all weights of the file.
        source: path of the file.
        key: key that the search was limited to; None where it was not.
    """
    own: Mapping[str, Tensor] = module.state_dict()
    given = {name: tensor for name, tensor in weights.tensors.items() if is_under(key or "", name)}
    nearest = sets[0] if sets else StateDict("", {}, missing=tuple(own), extra=tuple(given))
    nearest = _whole_file(nearest, given) if not _is_near(nearest, own) else nearest
    cause, remedy = _cause(own, nearest, given, source)
    where = f"'{showable(nearest.prefix)}' of {source}" if nearest.prefix else str(source)
    return DataError(
        f"The weights of {where} are not those of the module{f': {cause}' if cause else ':'}",
        remedy,
        _lines(own, nearest),
    )


def _is_near(item: StateDict, own: Mapping[str, Tensor]) -> bool:
    return len(item.tensors) * 4 >= len(own)


def _whole_file(item: StateDict, given: Mapping[str, Tensor]) -> StateDict:
    if not item.prefix:
        return item
    missing = (*item.missing, *item.tensors)
    return StateDict("", {}, missing=missing, extra=tuple(given))


def _lines(own: Mapping[str, Tensor], item: StateDict) -> list[str]:
    shapes = [
        f"{name} {describe(item.tensors[name])}, the module's is {describe(own[name])}" for name in sorted(item.misfits)
    ]
    left = sorted(set(item.extra) - set(item.harmless))
    groups = (("missing", sorted(item.missing)), ("not in the module", left), ("of another shape", shapes))
    return [
        f"{len(names):,} {what}: {showable(', '.join(names[:_SHOWN]))}{', ...' if len(names) > _SHOWN else ''}"
        for what, names in groups
        if names
    ]


def _cause(own: Mapping[str, Tensor], item: StateDict, given: Mapping[str, Tensor], source: Path) -> tuple[str, str]:
    left = [name for name in (item.extra or given) if name not in item.harmless]
    for pattern, cause, remedy in _MANGLED:
        if any(pattern.search(name) for name in left):
            return cause, remedy
    if any(tensor.is_quantized or not tensor.is_floating_point() for tensor in _misfitting(item)):
        return _MANGLED[3][1:]
    if part := shard_of(source):
        return f"it is {part} of a model that was saved in shards.", "Join them into one state dict, and save that."
    return _cause_of_shapes(own, item, given)


def _cause_of_shapes(own: Mapping[str, Tensor], item: StateDict, given: Mapping[str, Tensor]) -> tuple[str, str]:
    matched = len(item.tensors) - len(item.misfits)
    left = [name for name in item.extra if name not in item.harmless]
    if item.misfits and not item.missing and not left:
        return _cause_of_misfits(own, item)
    if not item.missing and left:
        return "every weight of the module is there, but the file's model has more layers.", _ARGUMENTS
    shapes = [Counter(tuple(tensor.shape) for tensor in some.values() if tensor.ndim) for some in (own, given)]
    if item.missing and left and shapes[0] == shapes[1]:
        return (
            "the shapes are the module's, but the names differ: layers were renamed or wrapped since.",
            "Rename them in the state dict, or give the code of the model's own version.",
        )
    if matched * 2 < len(own):
        return f"it is of another architecture, {matched:,} of {len(own):,} tensors agree.", _ARGUMENTS
    if item.missing and not left and not item.misfits:
        return "layers of the module are missing from the file.", _ARGUMENTS
    return "", _ARGUMENTS


def _cause_of_misfits(own: Mapping[str, Tensor], item: StateDict) -> tuple[str, str]:
    pairs = [(tuple(item.tensors[name].shape), tuple(own[name].shape)) for name in item.misfits]
    if all(_is_turned(given, expected) for given, expected in pairs):
        return (
            "weights are transposed, as in files converted from TensorFlow, Keras or JAX.",
            "Transpose them in the conversion: PyTorch's are outputs x inputs, and outputs x inputs x height x width.",
        )
    last = [name for name in own if name.rpartition(".")[2] in ("weight", "bias")][-2:]
    counts = {(given[0], expected[0]) for given, expected in pairs if given and expected}
    if len(counts) == 1 and set(item.misfits) <= set(last) and all(g[1:] == e[1:] for g, e in pairs):
        outputs, classes = counts.pop()
        return (
            f"the last layer has {outputs} outputs in the file, {classes} in the module: another number of classes.",
            f"Give the factory that number, such as --arg num_classes={outputs}, and data of these classes.",
        )
    first = next(iter(own))
    if list(item.misfits) == [first] and len(pairs[0][0]) == len(pairs[0][1]) > 1 and pairs[0][0][0] == pairs[0][1][0]:
        return (
            f"the first layer takes {pairs[0][0][1]} channels in the file and {pairs[0][1][1]} in the module.",
            _ARGUMENTS,
        )
    return "the same layers, of another width or kernel.", _ARGUMENTS


def _is_turned(given: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    orders = {2: ((1, 0),), 4: ((3, 2, 0, 1), (2, 3, 1, 0), (3, 2, 1, 0))}.get(len(expected), ())
    return any(len(given) == len(expected) and tuple(given[i] for i in order) == expected for order in orders)


def _misfitting(item: StateDict) -> Iterable[Tensor]:
    return (item.tensors[name] for name in item.misfits)
