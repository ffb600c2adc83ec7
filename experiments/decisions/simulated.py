"""Simulated ensembles whose numbers at any size are known."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

CLASSES = 4


class World(NamedTuple):
    """Logits of a member: e^(tz) (margins + noise) + bias, in nats.

    Temperature (z) and biases are of a member and the same on all samples; the noise is not.
    """

    margin: float  # mean logit of the label
    spread: float  # standard deviation of margins over samples and classes
    noise: float  # over members
    member: float  # t, and half the standard deviation of a member's biases


WORLDS = {
    "little variance": World(2.0, 1.5, 0.7, 0.05),
    "some variance": World(2.0, 2.0, 1.2, 0.1),
    "much variance": World(3.0, 3.0, 3.0, 0.2),
}


def draw_samples(
    number: int, world: World, generator: torch.Generator
) -> tuple[Float[Tensor, "samples classes"], Int[Tensor, " samples"]]:
    """Mean logits and labels of some samples."""
    mean = torch.randn(number, CLASSES, generator=generator, dtype=torch.float64) * world.spread
    target = torch.randint(CLASSES, (number,), generator=generator)
    mean[torch.arange(number), target] += world.margin
    return mean, target


def draw_members(
    number: int,
    mean: Float[Tensor, "samples classes"],
    world: World,
    generator: torch.Generator,
) -> Float[Tensor, "members samples classes"]:
    """Logits of some members on the samples."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    scale = (world.member * normal(number, 1, 1)).exp()
    bias = 2 * world.member * normal(number, 1, CLASSES)
    return scale * (mean + world.noise * normal(number, *mean.shape)) + bias
