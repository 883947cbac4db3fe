"""Weights of a file laid into a backbone, or refused with what does not match."""

from collections.abc import Mapping

from torch import Tensor, nn

from torchstone_runtime.errors import DataError
from torchstone_runtime.text import shortlist, showable
from torchstone_train.networks.backbones.head import head_names
from torchstone_train.networks.state_dicts import StateDict, describe, find_state_dicts

_SHOWN = 4


def lay_weights(network: nn.Module, head: str, tensors: Mapping[str, Tensor], name: str, architecture: str) -> str:
    """Load weights into a network; a last layer of another size stays as it is.

    Args:
        network: network with a fresh head.
        head: names of its last layers.
        tensors: tensors by dotted path, of a file.
        name: name of the file, for messages.
        architecture: name of the network, for messages.

    Returns:
        A sentence on what became of the head.

    Raises:
        DataError: the weights are another network's; the message says what doesn't match and how many.
    """
    own = network.state_dict()
    heads = {key for key in own if key.startswith(tuple(f"{part}." for part in head_names(head)))}
    found = find_state_dicts(network, tensors)
    best = found.sets[0] if found.sets else StateDict("", {}, missing=tuple(own))
    _require_body(best, own, heads, head, (name, architecture))
    wrong = (heads & set(best.misfits)) | (heads & set(best.missing))
    taken = {key: value for key, value in best.tensors.items() if not (wrong and key in heads)}
    network.load_state_dict(taken, strict=False)
    outputs = next(iter(own[key].shape[0] for key in sorted(heads)), 0)
    if not wrong:
        return f"all of {showable(name)} was taken, its last layer of {outputs} outputs as well"
    given = next((best.tensors[key].shape for key in sorted(wrong) if key in best.tensors), None)
    had = f"of {given[0]} outputs" if given else "is missing and"
    return f"the last layer of {showable(name)} {had} was replaced by a fresh one of {outputs}"


def _require_body(
    best: StateDict, own: Mapping[str, Tensor], heads: set[str], head: str, names: tuple[str, str]
) -> None:
    missing = [key for key in best.missing if key not in heads]
    misfits = [key for key in best.misfits if key not in heads]
    parts = tuple(f"{part}." for part in head_names(head))
    start = len(best.prefix) + 1 if best.prefix else 0
    extra = [key for key in best.extra if key not in best.harmless and not key[start:].startswith(parts)]
    if not missing and not misfits and not extra:
        return
    body = len(own) - len(heads)
    counts = [
        (len(missing), f"of the network's {body} tensors are not in the file", missing),
        (len(misfits), "have another shape", [_shapes(key, best, own) for key in misfits]),
        (len(extra), "of the file are not in the network", extra),
    ]
    details = [f"{count} {what}: {showable(shortlist(keys, _SHOWN))}" for count, what, keys in counts if count]
    file, architecture = names
    raise DataError(
        f"{showable(file)} holds the weights of another network than {architecture}.",
        "Give --weights of this network, or the --backbone that they belong to.",
        details,
    )


def _shapes(key: str, best: StateDict, own: Mapping[str, Tensor]) -> str:
    return f"{key} ({describe(best.tensors[key])} in the file, {describe(own[key])} in the network)"
