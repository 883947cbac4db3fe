from hypothesis import given
from hypothesis import strategies as st

from torchstone_train.training.stopping import EarlyStopping

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def watch(values: list[float], patience: int, min_delta: float = 0.0) -> tuple[EarlyStopping, int]:
    """Feed values until patience runs out; return the watcher and the number of epochs that were run."""
    stopping = EarlyStopping(patience, min_delta)
    epochs = 0
    for epoch, value in enumerate(values, start=1):
        stopping.update(epoch, value)
        epochs = epoch
        if stopping.exhausted:
            break
    return stopping, epochs


def test_stops_after_patience_epochs_without_improvement() -> None:
    """With patience 2 the second epoch without a gain is the last."""
    stopping, epochs = watch([0.5, 0.6, 0.6, 0.55, 0.9], patience=2)
    assert (epochs, stopping.best_epoch, stopping.best) == (4, 2, 0.6)


def test_improvement_resets_the_count() -> None:
    """An improvement gives the full patience again."""
    _, epochs = watch([0.1, 0.0, 0.2, 0.1, 0.3, 0.2], patience=2)
    assert epochs == 6


def test_patience_zero_never_stops() -> None:
    """Patience 0 switches early stopping off."""
    _, epochs = watch([0.5] * 30, patience=0)
    assert epochs == 30


def test_gain_of_exactly_min_delta_is_no_improvement() -> None:
    """A gain must exceed the smallest one that counts."""
    stopping = EarlyStopping(patience=5, min_delta=0.25)
    assert stopping.update(1, 0.25)
    assert not stopping.update(2, 0.5)
    assert stopping.update(3, 0.75)


def test_first_epoch_is_the_best_so_far_whatever_min_delta() -> None:
    """There is always a best epoch once one is done, even at accuracy 0."""
    assert EarlyStopping(patience=1, min_delta=0.5).update(1, 0.0)


@given(VALUES, st.integers(0, 6))
def test_best_is_the_first_maximum_of_what_was_seen(values: list[float], patience: int) -> None:
    """Without min_delta the best epoch is the first with the highest value."""
    stopping, epochs = watch(values, patience)
    seen = values[:epochs]
    assert stopping.best == max(seen)
    assert stopping.best_epoch == seen.index(max(seen)) + 1


@given(VALUES, st.integers(1, 6), st.floats(0, 0.5))
def test_it_stops_exactly_when_patience_has_passed_since_the_best(
    values: list[float], patience: int, min_delta: float
) -> None:
    """Training ends `patience` epochs after the best one, or with the data."""
    stopping, epochs = watch(values, patience, min_delta)
    assert epochs == min(stopping.best_epoch + patience, len(values))


def test_what_is_below_the_floor_counts_for_patience_but_is_not_kept() -> None:
    """The first epochs after a fitted head may regain what they lost."""
    stopping = EarlyStopping(patience=2, min_delta=0.0, floor=0.9)
    assert [stopping.update(epoch, value) for epoch, value in enumerate((0.5, 0.7, 0.89, 0.9), 1)] == [
        *[False] * 3,
        True,
    ]
    assert (stopping.best_epoch, stopping.since_best) == (4, 0)
