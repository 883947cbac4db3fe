"""An exponential moving average of the weights: what is validated, kept and exported in place of the last weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Averages a network's parameters and buffers over the steps of a training.

    After step t (from 1) the average moves towards the weights by 1 - d, where d is the smaller of `decay` and
    t / (t + 9): it forgets the initial weights soon, however short the training is. The statistics of batch norm are
    averaged likewise; integers (its count of batches) are taken as they are.

    Args:
        network: network that is trained.
        decay: 0 to 1; 0.999 looks back on about 1,000 steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._steps = 0
        self._average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self._steps += 1
        weight = 1 - min(self._decay, self._steps / (self._steps + 9))
        state = self._network.state_dict()
        moving = [name for name, tensor in state.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self._average[name] for name in moving], [state[name] for name in moving], weight)
        for name in state.keys() - set(moving):
            self._average[name].copy_(state[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the averaged weights for the time of the block."""
        own = {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self._average)
        try:
            yield
        finally:
            self._network.load_state_dict(own)

    def state_dict(self) -> dict[str, object]:
        """Return everything needed to go on."""
        return {"steps": self._steps, "average": self._average}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from what `state_dict` returned."""
        steps, average = state["steps"], state["average"]
        if not isinstance(steps, int) or not isinstance(average, dict):
            raise TypeError("not the state of an EMA")
        self._steps = steps
        for name, tensor in average.items():
            target: Tensor = self._average[name]
            target.copy_(tensor)
