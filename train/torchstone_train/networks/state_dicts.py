"""The sets of weights that a file holds: nested and prefixed names, each set held against a module's own names."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from torch import Tensor, nn

_WRAPPERS: Final = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Parts of a name that torch.compile, FSDP and activation checkpointing add, anywhere in it."""
_BESIDE: Final = re.compile(
    r"loss|criteri|metric|accuracy|auroc|conf_?mat|confusion"
    r"|(^|_)(acc|auc|f1|precision|recall|ece|kappa|crit|bce|ce|nll)(_|\d|$)|^(class|pos|label)_?weights?$",
    re.IGNORECASE,
)
"""First part of the names of what a training keeps beside a model: losses and metrics."""
_COUNTERS: Final = frozenset({"n_averaged", "num_updates", "num_batches_tracked", "step", "steps", "initted", "decay"})
_UNNAMED_SLACK: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class StateDict:
    """One set of weights of a file, as far as its names are a module's.

    Attributes:
        prefix: dotted prefix of every name of it in the file; empty for the whole file.
        tensors: tensors by their names in the module.
        missing: names of the module that it lacks, counters of batch norm aside.
        uncounted: counters of batch norm that it lacks.
        misfits: names whose tensors are of another shape or kind.
        extra: other names under the prefix, in the file's form.
        harmless: names in `extra` that belong to losses, metrics and averaging.
    """

    prefix: str
    tensors: Mapping[str, Tensor]
    missing: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    misfits: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it has every tensor of the module."""
        return not self.missing and not self.misfits

    @property
    def exact(self) -> bool:
        """Whether it is the module's state dict and nothing else."""
        return self.complete and len(self.extra) == len(self.harmless)

    @property
    def shown(self) -> str:
        """The prefix as a person types it."""
        return self.prefix or "."


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What a file holds for a module.

    Attributes:
        sets: sets of weights that have the module's names, the best first.
        unnamed: prefixes of tensors with the shapes of the module's parameters, under other names or none.
    """

    sets: tuple[StateDict, ...]
    unnamed: tuple[str, ...]

    @property
    def exact(self) -> tuple[StateDict, ...]:
        """Those that fit exactly."""
        return tuple(item for item in self.sets if item.exact)


def find_state_dicts(module: nn.Module, flat: Mapping[str, Tensor]) -> Found:
    """Find the sets of weights whose names, behind some prefix, are those of a module.

    Args:
        module: module that gives the names and shapes.
        flat: tensors by dotted path, see `read_weights`.
    """
    # DataParallel around a part puts `module` into the middle of names: taken off only where nothing fits with it.
    first = _find(module, flat, _WRAPPERS)
    if first.exact:
        return first
    second = _find(module, flat, _WRAPPERS | {"module"})
    return second if second.exact else first


def without_wrappers(name: str, wrappers: Collection[str] = _WRAPPERS) -> str:
    """Return a dotted name without the parts that torch.compile and FSDP add."""
    return ".".join(part for part in name.split(".") if part not in wrappers)


def is_beside(name: str) -> bool:
    """Tell whether a name, without prefix, is that of a loss, a metric or a counter of an averaging."""
    return bool(_BESIDE.search(name.partition(".")[0])) or name.rpartition(".")[2] in _COUNTERS


def is_under(prefix: str, name: str) -> bool:
    """Tell whether a name begins with a dotted prefix; every name does with an empty one."""
    return not prefix or name.startswith(f"{prefix}.")


def describe(value: object) -> str:
    """Return a tensor's shape, and its kind where it is not of floating numbers."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    shape = "x".join(map(str, value.shape)) or "a number"
    return shape if value.is_floating_point() else f"{shape} of {str(value.dtype).removeprefix('torch.')}"


def fits(given: Tensor, own: Tensor) -> bool:
    """Tell whether a tensor can take another's place: of its shape, and of numbers of its kind."""
    alike = given.is_floating_point() if own.is_floating_point() else not (given.is_complex() or given.is_quantized)
    return given.shape == own.shape and alike


def _find(module: nn.Module, flat: Mapping[str, Tensor], wrappers: Collection[str]) -> Found:
    state = module.state_dict()
    names = _shortened(state, wrappers)
    own = {short: state[name] for short, name in names.items()}
    given = {short: flat[name] for short, name in _shortened(flat, wrappers).items()}
    sets = _named_sets(own, given)
    if not any(item.exact for item in sets) and (mixed := _mixed(own, given)):
        sets = [mixed, *sets]
    renamed = (replace(item, tensors={names[key]: value for key, value in item.tensors.items()}) for item in sets)
    return Found(tuple(renamed), tuple(_unnamed(module, given, sets)))


def _shortened(names: Iterable[str], wrappers: Collection[str]) -> dict[str, str]:
    short: dict[str, list[str]] = defaultdict(list)
    for name in names:
        short[without_wrappers(name, wrappers)].append(name)
    # Where two names would become one, both stay as they are.
    return {key if len(full) == 1 else name: name for key, full in short.items() for name in full}


def _named_sets(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[StateDict]:
    by_prefix: dict[str, set[str]] = defaultdict(set)
    for name in given:
        parts = name.split(".")
        for start in range(len(parts)):
            if (suffix := ".".join(parts[start:])) in own:
                by_prefix[".".join(parts[:start])].add(suffix)
    sets = [_state_dict(prefix, names, own, given) for prefix, names in by_prefix.items()]
    complete = [item.prefix for item in sets if item.complete]
    tops = {name.partition(".")[0] for name in own}
    sets = [_with_extra(item, own, given, complete, tops) for item in sets]
    return sorted(sets, key=lambda item: (not item.exact, len(item.missing) + len(item.misfits), len(item.extra)))


def _state_dict(
    prefix: str, names: Collection[str], own: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> StateDict:
    tensors = {name: given[f"{prefix}.{name}" if prefix else name] for name in names}
    lacking = [name for name in own if name not in tensors]
    return StateDict(
        prefix,
        tensors,
        missing=tuple(name for name in lacking if not _is_batch_counter(name)),
        uncounted=tuple(name for name in lacking if _is_batch_counter(name)),
        misfits=tuple(name for name in own if name in tensors and not fits(tensors[name], own[name])),
    )


def _with_extra(
    item: StateDict,
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    complete: Collection[str],
    tops: Collection[str],
) -> StateDict:
    inner = [prefix for prefix in complete if prefix != item.prefix and is_under(item.prefix, prefix)]
    start = len(item.prefix) + 1 if item.prefix else 0
    extra = [
        name
        for name in given
        if is_under(item.prefix, name)
        and name[start:] not in own
        and not any(is_under(prefix, name) for prefix in inner)
    ]
    harmless = [
        name
        for name in extra
        if _is_batch_counter(name) or (is_beside(name[start:]) and name[start:].partition(".")[0] not in tops)
    ]
    return replace(item, extra=tuple(extra), harmless=tuple(harmless))


def _is_batch_counter(name: str) -> bool:
    return name.rpartition(".")[2] == "num_batches_tracked"


def _mixed(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> StateDict | None:
    """Return the set that several prefixes make up together, where every name is found once and none is left over."""
    places: dict[str, list[str]] = defaultdict(list)
    for name in given:
        parts = name.split(".")
        suffix = next((rest for i in range(len(parts)) if (rest := ".".join(parts[i:])) in own), None)
        if suffix is not None:
            places[suffix].append(name)
        elif not is_beside(name):
            return None
    needed = [name for name in own if not _is_batch_counter(name)]
    if not all(len(places.get(name, ())) == 1 for name in needed) or any(len(names) > 1 for names in places.values()):
        return None
    tensors = {suffix: given[names[0]] for suffix, names in places.items()}
    if not all(fits(tensor, own[name]) for name, tensor in tensors.items()):
        return None
    used = {names[0] for names in places.values()}
    left = tuple(name for name in given if name not in used)
    uncounted = tuple(name for name in own if name not in tensors)
    return StateDict("", tensors, uncounted=uncounted, extra=left, harmless=left)


def _unnamed(module: nn.Module, given: Mapping[str, Tensor], sets: Iterable[StateDict]) -> list[str]:
    """Return prefixes under which tensors have the shapes of all parameters: averages that are kept without names."""
    shapes = Counter(tuple(parameter.shape) for parameter in module.parameters())
    most = len(module.state_dict()) + _UNNAMED_SLACK
    taken = [item.prefix for item in sets if item.exact]
    groups: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
    for name, tensor in given.items():
        parts = name.split(".")
        for end in range(1, len(parts)):
            groups[".".join(parts[:end])][tuple(tensor.shape)] += 1
    fitting = [
        prefix
        for prefix, found in groups.items()
        if shapes
        and shapes <= found
        and found.total() <= most
        and not any(prefix == item or is_under(item, prefix) or is_under(prefix, item) for item in taken)
    ]
    return [prefix for prefix in fitting if not any(other != prefix and is_under(prefix, other) for other in fitting)]
