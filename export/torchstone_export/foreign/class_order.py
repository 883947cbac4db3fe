"""Whether another order of the classes, or chance, explains the answers of a model of another origin."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_export.certificate.reference import SplitReference
from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.text import showable

LEVEL: Final = 0.01
"""Probability below which something is not taken for an accident."""
_TIMES_BETTER: Final = 2
_HALFWAY: Final = 0.5
_LISTED: Final = 20
_MOVES_SHOWN: Final = 10


@dataclass(frozen=True, eq=False, slots=True)
class LabelledDecisions:
    """What a model answers over one split: `decided` and `labels`, int64 [N], positions of classes."""

    decided: Int64Array
    labels: Int64Array


def doubts_about_order(
    splits: Mapping[str, SplitReference], names: tuple[str, ...], *, stated: bool = False
) -> list[str]:
    """Return a warning where another order of the classes, or chance, explains the answers; else nothing.

    Args:
        splits: `validation`, where another order is looked for, and `test`, where it must hold.
        names: names of the K classes, in the order that was taken.
        stated: whether the owner stated that order; else it is the data's.
    """
    validation, test = (
        LabelledDecisions(splits[name].decisions, splits[name].split.labels) for name in ("validation", "test")
    )
    order = find_order(validation, test, len(names))
    if (order != np.arange(len(names))).any():
        return [_describe_order(order, test, names, stated=stated)]
    decided, labels = (np.concatenate(parts) for parts in zip(*_arrays(validation, test), strict=True))
    return _describe_chance(LabelledDecisions(decided, labels), stated=stated)


def find_order(validation: LabelledDecisions, test: LabelledDecisions, num_classes: int) -> Int64Array:
    """Return which output each class comes to, int64 [K], where that explains the answers; else 0 to K - 1.

    The order is looked for on validation. Of each set of classes that it exchanges, the test images of these classes
    must be correct at least twice as often as in the order used, and more often than the same answers dealt out
    by chance; each with a probability of an accident of at most 1 %, divided by the number of such sets.
    """
    found = _best_order(validation, num_classes)
    exchanges = _exchanges(found)
    order = np.arange(num_classes)
    for classes in exchanges:
        if _holds(found, classes, test, LEVEL / len(exchanges)):
            order[classes] = found[classes]
    return order


def _arrays(*parts: LabelledDecisions) -> list[tuple[Int64Array, Int64Array]]:
    return [(part.decided, part.labels) for part in parts]


def _best_order(answers: LabelledDecisions, num_classes: int) -> Int64Array:
    # Pairs of class and output that meet more often than by chance, the most frequent first: those of a model that
    # decides at all stand out, so that no exact assignment is needed. What remains stays where it is, if it can.
    pairs, counts = np.unique(answers.labels * num_classes + answers.decided, return_counts=True)
    classes, outputs = np.divmod(pairs, num_classes)
    by_class = np.bincount(answers.labels, minlength=num_classes)
    by_output = np.bincount(answers.decided, minlength=num_classes)
    excess = counts - by_class[classes] * by_output[outputs] / max(1, len(answers.labels))
    order = np.full(num_classes, -1)
    free = np.ones(num_classes, dtype=bool)
    for index in np.lexsort((classes != outputs, -excess)):
        if excess[index] > 0 and order[classes[index]] < 0 and free[outputs[index]]:
            order[classes[index]], free[outputs[index]] = outputs[index], False
    same = np.flatnonzero((order < 0) & free)
    order[same], free[same] = same, False
    order[order < 0] = np.flatnonzero(free)
    return order


def _exchanges(order: Int64Array) -> list[Int64Array]:
    """Return the sets of classes that take each other's outputs, the cycles of a permutation."""
    found = []
    seen = order == np.arange(len(order))
    for start in range(len(order)):
        cycle = []
        current = start
        while not seen[current]:
            seen[current] = True
            cycle.append(current)
            current = int(order[current])
        if cycle:
            found.append(np.array(cycle))
    return found


def _holds(order: Int64Array, classes: Int64Array, test: LabelledDecisions, level: float) -> bool:
    rows = np.isin(test.labels, classes)
    labels, decided = test.labels[rows], test.decided[rows]
    kept, moved = int((decided == labels).sum()), int((decided == order[labels]).sum())
    chance = _chance(order[labels], decided, len(order))
    return (
        moved >= _TIMES_BETTER * max(kept, 1)
        and at_least(moved, moved + kept, 0.5) <= level
        and at_least(moved, len(labels), chance) <= level
    )


def _chance(wanted: Int64Array, decided: Int64Array, num_classes: int) -> float:
    """Return the share of right answers that the same answers, dealt out at random, would have."""
    if not len(wanted):
        return 1.0
    shares = [np.bincount(values, minlength=num_classes) / len(wanted) for values in (wanted, decided)]
    return float(shares[0] @ shares[1])


def at_least(successes: int, trials: int, probability: float) -> float:
    """Return the probability of so many successes or more in independent trials."""
    if successes <= 0 or probability >= 1:
        return 1.0
    if probability <= 0:
        return 0.0
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    counts = np.arange(successes, trials + 1)
    logs = factorials[trials] - factorials[counts] - factorials[trials - counts]
    logs += counts * np.log(probability) + (trials - counts) * np.log1p(-probability)
    return min(1.0, float(np.exp(logs).sum()))


def _describe_order(order: Int64Array, test: LabelledDecisions, names: tuple[str, ...], *, stated: bool) -> str:
    right, kept = int((test.decided == order[test.labels]).sum()), int((test.decided == test.labels).sum())
    listed = [names[index] for index in np.argsort(order)]
    if len(names) <= _LISTED:
        what = f"in this order: {', '.join(map(showable, listed))}"
    else:
        moved = [index for index, name in enumerate(listed) if name != names[index]]
        shown = [f"output {index} is '{showable(listed[index])}'" for index in moved[:_MOVES_SHOWN]]
        more = f" and {len(moved) - len(shown):,} more" if len(moved) > len(shown) else ""
        what = f"in another order ({', '.join(shown)}{more}; outputs are counted from 0)"
    plain = len(names) <= _LISTED and not any("," in name or name != name.strip() for name in names)
    given = f'--classes "{",".join(map(showable, listed))}"' if plain else "--classes @FILE, one name per line"
    return (
        f"The predictions fit better if the classes are {what}. Then {right:,} of {len(test.labels):,} test images "
        f"are correct, against {kept:,} in the order {'stated' if stated else 'of the data'}, which was used. "
        f"If the model was trained with that order, pass {given}."
    )


def _describe_chance(answers: LabelledDecisions, *, stated: bool) -> list[str]:
    total = len(answers.labels)
    right = int((answers.decided == answers.labels).sum())
    classes = int(max(answers.labels.max(), answers.decided.max())) + 1
    chance = _chance(answers.labels, answers.decided, classes)
    halfway = chance + _HALFWAY * (1 - chance)
    # As many wrong as here, or more: how likely that is of a model halfway between chance and perfection.
    poor = at_least(total - right, total, 1 - halfway) <= LEVEL
    if len(np.unique(answers.labels)) < 2 or at_least(right, total, chance) <= LEVEL or not poor:  # noqa: PLR2004
        return []
    order = "the order stated" if stated else "their order is the data's; --classes states another"
    return [
        (
            f"The model answers {right:,} of {total:,} validation and test images right, no more than chance explains "
            f"(the same answers dealt out at random: {chance * total:,.0f}). Check the classes ({order}), mean, std, "
            "color, pixel_range and the weights."
        )
    ]
