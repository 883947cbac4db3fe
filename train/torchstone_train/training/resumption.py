"""What must be the same for a run to go on, what it keeps, and what a changed number of epochs does to it."""

from collections.abc import Iterator
from typing import Any

from torchstone_runtime.errors import DataError, UsageError
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.schedule import Schedule


def carried_on(run: RunDirectory, info: dict[str, Any]) -> dict[str, Any]:
    """Check that a run can go on as asked; return the fields of `run.json` that it keeps from before.

    They are `started`, and `schedule_changes` where the number of epochs was changed under a schedule that depends on
    it: a list of `after_epoch`, `epochs_before` and `epochs`.

    Args:
        run: run as it was left.
        info: `run.json` as it would be written now.

    Raises:
        UsageError: the run was made with other settings.
        DataError: it was made with other data, or its `run.json` is damaged.
    """
    with run.told_if_damaged():
        before = run.read_info()
        _check_same(before, info)
        changes = list(before.get("schedule_changes", ()))
        then, now, done = Recipe.from_json(before["recipe"]), Recipe.from_json(info["recipe"]), len(run.read_history())
        if _changes_schedule(then, now, done):
            changes.append({"after_epoch": done, "epochs_before": then.epochs, "epochs": now.epochs})
        return {"started": before["started"], **({"schedule_changes": changes} if changes else {})}


def _check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    # A run may be given more epochs or patience, or another target; anything else would be another training.
    # The summary is a sentence for people: another wording trains nothing else.
    free = {"epochs", "patience", "target_accuracy", "summary"}
    # By way of Recipe: a run of an earlier version lacks the fields that were added since.
    then, asked = Recipe.from_json(before["recipe"]).to_json(), now["recipe"]
    different = [key for key in asked if key not in free and then[key] != asked[key]]
    different += [key for key in ("seed", "input") if before[key] != now[key]]
    different += ["weights"] if before.get("backbone") != now.get("backbone") else []
    different += ["teachers"] if before.get("teachers") != now.get("teachers") else []
    if different:
        raise UsageError(
            f"The run was made with other settings: {', '.join(different)}.",
            "Give the same ones to resume it.",
        )
    fingerprints = [
        [info["dataset"][split]["fingerprint"] for split in ("train", "validation")] for info in (before, now)
    ]
    if fingerprints[0] != fingerprints[1]:
        raise DataError("The data is not what the run was trained on.", "Restore it, or train again from the start.")


def _changes_schedule(then: Recipe, now: Recipe, done: int) -> bool:
    return now.schedule != "constant" and then.epochs != now.epochs and 0 < done < now.epochs


def schedule_warning(run: RunDirectory, now: Recipe) -> Iterator[str]:
    """Return a line for a person where the rest of a run follows another learning-rate schedule than it began with.

    Args:
        run: run as it was left.
        now: the recipe with which it goes on.
    """
    then, history = Recipe.from_json(run.read_info()["recipe"]), run.read_history()
    if not _changes_schedule(then, now, len(history)):
        return
    rate = now.lr * Schedule.of(now, now.epochs).factor(len(history))
    yield (
        f"Warning: the {now.schedule} schedule was made for {then.epochs} epochs, of which {len(history)} are done, "
        f"and is now laid over {now.epochs}: the learning rate, last {history[-1]['learning_rate']:.3g}, continues at "
        f"{rate:.3g}, and the weights will not be those of {now.epochs} epochs in one go. For those, train again: "
        f"--epochs {now.epochs} with --overwrite, or another --out, in place of --resume."
    )
