"""Callers that wait are answered together, where that is faster and changes no bit.

A call costs something whatever it computes, and callers that hand over to one another leave a processor idle in
between. So whoever has a turn computes the images of those who wait as well, if a trial has shown that it pays.
"""

from collections.abc import Callable, Sequence

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.call_turns import Answer, Caller, CallTurns
from torchstone_runtime.inference.merging_trial import MergingTrial
from torchstone_runtime.inference.session_io import INPUT, OUTPUTS, ModelRunner


class MergedCalls:
    """Runs small calls, those of several callers at once where that pays; safe to be used from several threads.

    Args:
        session: session of one thread on the CPU, which computes what is put together.
        turns: turns of all calls.
        trial: trial of that session, which goes on behind the calls that others wait for.
        when_merged: called with each batch of several callers.
    """

    def __init__(
        self, session: ModelRunner, turns: CallTurns, trial: MergingTrial, when_merged: Callable[[], None]
    ) -> None:
        self._session = session
        self._turns = turns
        self._trial = trial
        self._when_merged = when_merged

    @property
    def note(self) -> str:
        """What was decided and why, for people; empty before that."""
        return self._trial.note

    def run(self, session: ModelRunner, images: Uint8Array) -> Answer:
        """Run images, alone on the given session or together with those of other callers.

        Args:
            session: session for these images alone.
            images: uint8 [N, C, H, W].

        Returns:
            Logits and probabilities.
        """
        most = self._trial.most
        caller = self._turns.enter(images if len(images) < most else None)
        if caller is None:
            return self._with_turn(session, images, most - len(images))
        if caller.answer is not None:
            return [part.copy() for part in caller.answer]  # else each would keep the whole batch
        self._turns.enter(None)
        return self._with_turn(session, images, 0)

    def _with_turn(self, session: ModelRunner, images: Uint8Array, room: int) -> Answer:
        others: list[Caller] = []
        try:
            others = self._turns.take_along(room) if room > 0 else []
            if others and (answer := self._together(images, others)) is not None:
                return answer
            answer = session.run(OUTPUTS, {INPUT: images}, None)
            if self._turns.crowded:
                self._trial.go_on(images)
            return answer
        finally:
            self._turns.leave()
            for other in others:
                other.wake()

    def _together(self, images: Uint8Array, others: Sequence[Caller]) -> Answer | None:
        """Answer all of them; where that fails, nobody is answered, and nothing is put together any more."""
        parts = [images, *(other.images for other in others if other.images is not None)]
        try:
            outputs = self._session.run(OUTPUTS, {INPUT: np.concatenate(parts)}, None)
        except Exception:  # noqa: BLE001 - onnxruntime's exceptions share no base class of their own
            self._trial.give_up("a batch of several failed")
            return None
        self._when_merged()
        ends = np.cumsum([len(part) for part in parts]).tolist()
        for other, start, end in zip(others, ends, ends[1:], strict=False):
            other.answer = [output[start:end] for output in outputs]
        return [output[: ends[0]].copy() for output in outputs]
