"""One set of weights out of those that a file holds, loaded into a module; what is in doubt is asked."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from torchstone_export.foreign.weight_causes import explain_misfit
from torchstone_runtime.errors import DataError, UsageError, suggestion
from torchstone_runtime.text import showable
from torchstone_train.networks.state_dicts import (
    Found,
    StateDict,
    find_state_dicts,
    is_beside,
    is_under,
    without_wrappers,
)
from torchstone_train.networks.weight_file import SAVE_HELP, Weights, read_weights

__all__ = ["FittedWeights", "Weights", "fit_weights", "read_weights"]

_SHOWN: Final = 4
_SETS_SHOWN: Final = 12
_AVERAGED: Final = re.compile(r"ema|averag|avg|swa|polyak|shadow|slow|teacher", re.IGNORECASE)
_BODY: Final = re.compile(r"(^|[._])(backbone|encoder|features?|trunk|body|stem|extractor)$", re.IGNORECASE)
_HEAD: Final = re.compile(
    r"(^|_)(head|heads|fc|fcs|classifier|cls|linear|decoder|neck|output|top)(_|\d|$)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """What was loaded.

    Attributes:
        key: key of the set in the file, dotted; `.` for the whole file.
        notes: sentences on what was chosen and left out, where there was anything to choose or leave out.
    """

    key: str
    notes: tuple[str, ...]


def fit_weights(module: nn.Module, weights: Weights, source: Path, key: str | None = None) -> FittedWeights:
    """Load the one set of weights of a file that a module's names and shapes fit.

    Args:
        module: module that the weights are loaded into.
        weights: the file's tensors.
        source: the file, for messages.
        key: key of the set, where the file holds several: its dotted path or prefix, `.` for the whole file.

    Raises:
        UsageError: several sets fit and no key says which; or nothing lies under the key.
        DataError: none fits, or it holds numbers that are not finite; the message names the cause.
    """
    found = find_state_dicts(module, weights.tensors)
    chosen = _choose(module, found, weights, source, key)
    if odd := [name for name, value in chosen.tensors.items() if not _is_finite(value)]:
        raise DataError(f"The weights of {source} hold values that are not finite: {odd[0]}.", "Train again.")
    own = module.state_dict()
    try:
        module.load_state_dict({name: chosen.tensors.get(name, own[name]) for name in own})
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"The weights of {source} cannot be loaded into the module: {error}", SAVE_HELP) from error
    return FittedWeights(chosen.shown, tuple(_notes(chosen, found, weights.tensors, source, key)))


def _choose(module: nn.Module, found: Found, weights: Weights, source: Path, key: str | None) -> StateDict:
    wanted = None if key is None else without_wrappers(key.strip(".") if key != "." else "")
    if wanted:
        _require_known(found, weights, source, wanted)
    # What a key names, itself before what lies deeper under it.
    sets = found.sets if wanted is None else [item for item in found.sets if _names(wanted, item.prefix)]
    exact = [item for item in sets if item.exact]
    if wanted is not None and (itself := [item for item in exact if item.prefix == wanted]):
        return itself[0]
    different = _different(exact)
    rivals = [] if wanted is not None else [*_parts(found), *found.unnamed]
    if len(different) == 1 and not rivals:
        if wanted is None:
            _require_whole(different[0], found, weights.tensors, source)
        return different[0]
    if different:
        raise _which(exact, found, source, rivals=bool(rivals))
    raise explain_misfit(module, sets, weights, source, wanted)


def _names(wanted: str, prefix: str) -> bool:
    return prefix == wanted or (wanted != "" and is_under(wanted, prefix))


def _require_known(found: Found, weights: Weights, source: Path, wanted: str) -> None:
    if any(is_under(wanted, without_wrappers(name)) for name in weights.tensors):
        return
    known = dict.fromkeys([*(item.shown for item in found.exact), *_tops(weights.tensors)])
    raise UsageError(f"{source} holds nothing under '{showable(wanted)}' (--weights-key).", suggestion(wanted, known))


def _tops(names: Mapping[str, Tensor]) -> list[str]:
    return list(dict.fromkeys(showable(name.partition(".")[0]) for name in names))[:_SETS_SHOWN]


def _different(exact: list[StateDict]) -> list[StateDict]:
    """Return the sets without those that repeat another, tensor by tensor."""
    kept: list[StateDict] = []
    for item in exact:
        if not any(_equal(item, other) for other in kept):
            kept.append(item)
    return kept


def _equal(one: StateDict, other: StateDict) -> bool:
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(value, other.tensors[name]) for name, value in one.tensors.items()
    )


def _parts(found: Found) -> list[StateDict]:
    """Return sets of most of the parameters, which lack the rest: averages without buffers, say."""
    used = {id(tensor) for item in found.exact for tensor in item.tensors.values()}
    return [
        item
        for item in found.sets
        if item.missing
        and not item.misfits
        and len(item.tensors) > len(item.missing)
        and not any(id(tensor) in used for tensor in item.tensors.values())
    ]


def _which(exact: list[StateDict], found: Found, source: Path, *, rivals: bool) -> UsageError:
    lines = [f"{showable(item.shown)}: {len(item.tensors):,} tensors, fits the module{_mark(item)}" for item in exact]
    if rivals:
        lines += [
            f"{showable(item.prefix)}: {len(item.tensors):,} tensors, lacks {len(item.missing):,} "
            f"({showable(item.missing[0])}, ...){_mark(item)}"
            for item in _parts(found)
        ]
        lines += [
            f"{showable(prefix)}: tensors of the same shapes under other names or none, which can't be loaded by name"
            for prefix in found.unnamed
        ]
    more = [] if len(lines) <= _SETS_SHOWN else [f"and {len(lines) - _SETS_SHOWN:,} more"]
    first = next((item for item in exact if _AVERAGED.search(item.prefix)), exact[0])
    return UsageError(
        f"{source} holds {len(lines)} sets of weights for this module, and they are not the same:",
        f"Say which is meant: --weights-key {showable(first.shown)}",
        [*lines[:_SETS_SHOWN], *more],
    )


def _mark(item: StateDict) -> str:
    return ", averaged by its name" if _AVERAGED.search(item.prefix) else ""


def _require_whole(chosen: StateDict, found: Found, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Refuse a set that looks like a part of the model: a body whose head lies beside it."""
    left = {name: _relative(name, chosen.prefix) for name in _outside(chosen, found, tensors) if tensors[name].ndim > 1}
    is_body = bool(_BODY.search(chosen.prefix))
    beside = [
        name
        for name, short in left.items()
        if not is_beside(short) and (is_body or _HEAD.search(short.partition(".")[0]))
    ]
    if chosen.prefix and beside:
        key = showable(chosen.prefix)
        raise UsageError(
            f"'{key}' in {source} fits the module, but beside it lies {showable(beside[0])}: perhaps another part of "
            "the model, which the module does not have.",
            f"Make the whole model in the factory, or say that this is all of it: --weights-key {key}",
        )


def _relative(name: str, prefix: str) -> str:
    """Return a name without the dotted part that it shares with a prefix."""
    parts = name.split(".")
    shared = 0
    for own, other in zip(parts[:-1], prefix.split("."), strict=False):
        if own != other:
            break
        shared += 1
    return ".".join(parts[shared:])


def _outside(chosen: StateDict, found: Found, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return names in the file that belong to no set that fits."""
    exact = [item.prefix for item in found.exact]
    inside = [prefix for prefix in exact if prefix]
    short = {name: without_wrappers(name) for name in tensors}
    if not chosen.prefix:
        return list(chosen.harmless)
    return [name for name in tensors if not any(is_under(prefix, short[name]) for prefix in inside)]


def _notes(chosen: StateDict, found: Found, tensors: Mapping[str, Tensor], source: Path, key: str | None) -> list[str]:
    notes = []
    others = [item.shown for item in found.exact if item is not chosen]
    if chosen.prefix or others:
        same = f"; {', '.join(map(showable, others))} not used" if key is not None and others else ""
        same = f"; {', '.join(map(showable, others))} holds the same" if key is None and others else same
        notes.append(f"weights: '{showable(chosen.shown)}' of {source.name}, {len(chosen.tensors):,} tensors{same}")
    left = dict.fromkeys([*chosen.harmless, *_outside(chosen, found, tensors)])
    if left:
        shown = _grouped(_relative(name, chosen.prefix) for name in left)
        more = f", and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
        notes.append(f"weights: left out, as the module has none of it: {', '.join(shown[:_SHOWN])}{more}")
    if chosen.uncounted:
        notes.append(
            f"weights: {len(chosen.uncounted):,} counters num_batches_tracked are not in {source.name} (old versions "
            "of PyTorch wrote none); they play no part in evaluation"
        )
    return notes


def _grouped(names: Iterable[str]) -> list[str]:
    """Return names for people: many of one part of a model as one item."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[".".join(name.split(".")[:2])].append(name)
    return [
        showable(members[0] if len(members) == 1 else f"{group}. ({len(members):,} tensors)")
        for group, members in groups.items()
    ]


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value.float()).all())
