"""SGD whose weights become a running average of themselves every few steps."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import SGD


class Lookahead(SGD):
    """Lookahead of Zhang et al. (2019, arXiv:1907.08610) with the weights of Jordan (2024).

    At each step t of T that is a multiple of n, the average w̄ and the weights w become

        w̄ ← k w̄ + (1 - k) w,   w ← w̄,   k = 0.95^n (t / T)³, and k = 0 at the first

    Steps are counted on the device and take no branch, so that a CUDA graph can repeat them.

    Args:
        params: see torch.optim.
        every: n, steps from one average to the next.
        **settings: of `SGD`.
    """

    def __init__(self, params: Iterable[Any], every: int, **settings: Any) -> None:
        super().__init__(params, **settings)
        self.defaults |= {"every": every, "total_steps": 1}
        for group in self.param_groups:
            group |= {"every": every, "total_steps": 1}

    def expect(self, steps: int) -> None:
        """Sets T."""
        for group in self.param_groups:
            group["total_steps"] = steps

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if trained:
                self._average(trained, group["every"], group["total_steps"])
        return loss

    def _average(self, weights: list[Tensor], every: int, steps: int) -> None:
        states = [self.state[parameter] for parameter in weights]
        for parameter, state in zip(weights, states, strict=True):
            if "average" not in state:
                state["average"] = torch.zeros_like(parameter)
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        torch._foreach_add_([state["step"] for state in states], 1)
        step = states[0]["step"]
        now = (step % every == 0).to(step.dtype)
        keep = 0.95**every * (step / steps) ** 3 * (step > every)
        averages = [state["average"] for state in states]
        _move(averages, weights, now * (1 - keep))
        _move(weights, averages, now)


def _move(here: Sequence[Tensor], there: Sequence[Tensor], fraction: Float[Tensor, ""]) -> None:
    """Moves tensors by a fraction of the way to others."""
    way = torch._foreach_sub(there, here)
    torch._foreach_mul_(way, fraction)
    torch._foreach_add_(here, way)
