"""The random streams of an ensemble: the numbers of each are a pure function of its name.

A stream is named by (seed, source, member, epoch) and nothing else, so member 7 of seed 0 gets the
same random numbers whether it is trained alone or in a pack of 64, on one device or on eight, first
or last, in one go or resumed. A source is either separate for each member or shared by all members;
sharing all sources but one isolates its contribution to the variance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

SOURCES = ("init", "order", "augmentation", "bootstrap")
"""init: initial weights. order: order of the samples in an epoch. augmentation: crops and flips.
bootstrap: the training samples of a member, drawn with replacement once for all epochs.

Any other name is allowed too, and is then separate for each member, such as dropout: the masks of a
training step, whose number takes the place of the epoch. A name after a dot makes another stream of
the source before it, such as augmentation.flip: the first of alternating flips."""


@dataclass(frozen=True)
class Randomness:
    """Sources of randomness in which the members differ.

    Args:
        init: `member` gives each member its own initial weights, `shared` gives all the same.
        order: likewise for the order in which an epoch visits the samples.
        augmentation: likewise for crops and flips.
        bootstrap: `member` or `shared` trains on a resample with replacement of the training set;
            `off` trains on the training set itself.
    """

    init: Literal["member", "shared"] = "member"
    order: Literal["member", "shared"] = "member"
    augmentation: Literal["member", "shared"] = "member"
    bootstrap: Literal["off", "member", "shared"] = "off"


@dataclass(frozen=True)
class Streams:
    """All random streams of one ensemble.

    Args:
        seed: the ensemble's seed, >= 0 (`--seed_everything`).
        randomness: sources in which the members differ.
        attempts: member -> how often its training has failed; a new attempt uses new streams.
    """

    seed: int = 0
    randomness: Randomness = field(default_factory=Randomness)
    attempts: Mapping[int, int] = field(default_factory=dict)

    def generator(self, source: str, member: int, epoch: int = 0) -> np.random.Generator:
        """Makes a generator at the start of the stream (seed, source, member, epoch)."""
        return np.random.default_rng(self._sequence(source, member, epoch))

    def torch_seed(self, source: str, member: int, epoch: int = 0) -> int:
        """Makes a seed for `torch.manual_seed`, for code that only uses torch's generator."""
        return int(self._sequence(source, member, epoch).generate_state(1, np.uint32)[0])

    def _sequence(self, source: str, member: int, epoch: int) -> np.random.SeedSequence:
        shared = getattr(self.randomness, source.partition(".")[0], "member") == "shared"
        name = int.from_bytes(source.encode())
        failed = 0 if shared else self.attempts.get(member, 0)
        key = (name, 0 if shared else member + 1, epoch, *([failed] if failed else []))
        return np.random.SeedSequence(self.seed, spawn_key=key)
