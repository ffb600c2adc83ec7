"""The random streams of an ensemble: the numbers of each are a pure function of its name.

A stream is named by (seed, source, member, epoch) and nothing else, so member 7 of seed 0 gets the
same random numbers whether it is trained alone or in a pack of 64, on one device or on eight, first
or last, in one go or resumed. A source is either separate for each member or shared by all members;
sharing all sources but one isolates its contribution to the variance. Sharing all of them in the
first epochs forks the members from one network.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Int64

SOURCES = ("init", "order", "augmentation", "bootstrap")
"""init: initial weights. order: order of the samples in an epoch. augmentation: crops and flips.
bootstrap: the training samples of a member, drawn once for all epochs.

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
            `kfold` on all samples but one fold, so that as many members as there are folds leave
            out each sample once; `off` trains on the training set itself.
        folds: of `kfold`. Members 0 to folds - 1 leave out the folds of one random partition, the
            next ones those of another, and so on.
        shared_epochs: epochs at the start in which all members draw the same random numbers, of
            every source: they are forked from one network, and then go on with their own.

    Raises:
        ValueError: there are fewer than two folds, or epochs are shared where each member has its
            own training set.
    """

    init: Literal["member", "shared"] = "member"
    order: Literal["member", "shared"] = "member"
    augmentation: Literal["member", "shared"] = "member"
    bootstrap: Literal["off", "member", "shared", "kfold"] = "off"
    folds: int = 4
    shared_epochs: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"model.randomness.folds must be at least 2, got {self.folds}")
        if self.shared_epochs < 0:
            raise ValueError(
                f"model.randomness.shared_epochs must be at least 0, got {self.shared_epochs}"
            )
        if self.shared_epochs and self.bootstrap in ("member", "kfold"):
            raise ValueError(
                "model.randomness.shared_epochs needs --model.randomness.bootstrap=off or shared, "
                f"got {self.bootstrap}: members that share epochs share the training set"
            )

    def identity(self) -> dict[str, object]:
        """The fields that have an effect."""
        unused = {"shared_epochs": 0} | ({} if self.bootstrap == "kfold" else {"folds": self.folds})
        return {key: value for key, value in vars(self).items() if unused.get(key) != value}


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

    def generator(
        self, source: str, member: int, epoch: int = 0, *, during: int | None = None
    ) -> np.random.Generator:
        """Makes a generator at the start of the stream (seed, source, member, epoch).

        Args:
            source: see `SOURCES`.
            member: global id.
            epoch: of the stream; 0 where numbers are drawn once for all epochs.
            during: epoch of the training, where that is another number; it decides whether the
                numbers are those of all members.
        """
        return np.random.default_rng(self._sequence(source, member, epoch, during))

    def torch_seed(
        self, source: str, member: int, epoch: int = 0, *, during: int | None = None
    ) -> int:
        """Makes a seed for `torch.manual_seed`, for code that only uses torch's generator."""
        return int(self._sequence(source, member, epoch, during).generate_state(1, np.uint32)[0])

    def samples_per_epoch(self, num_samples: int) -> int:
        """How many samples every member visits in an epoch.

        Folds are of equal size up to one, and so are the samples outside them. A member that has
        one more than others leaves a random one of them out of each epoch.

        Args:
            num_samples: size of the training set.

        Raises:
            ValueError: there are more folds than samples.
        """
        if self.randomness.bootstrap != "kfold":
            return num_samples
        folds = self.randomness.folds
        if folds > num_samples:
            raise ValueError(
                f"model.randomness.folds must be at most the {num_samples} training samples, got "
                f"{folds}"
            )
        return num_samples - math.ceil(num_samples / folds)

    def samples(self, member: int, num_samples: int) -> Int64[np.ndarray, " drawn"]:
        """Rows of the training set that a member is trained on; a resample repeats some.

        Args:
            member: global id.
            num_samples: size of the training set.
        """
        kind, folds = self.randomness.bootstrap, self.randomness.folds
        if kind == "off":
            return np.arange(num_samples)
        drawn = self.generator("bootstrap", member)
        if kind != "kfold":
            return drawn.integers(num_samples, size=num_samples)
        return np.delete(drawn.permutation(num_samples), slice(member % folds, None, folds))

    def _sequence(
        self, source: str, member: int, epoch: int, during: int | None
    ) -> np.random.SeedSequence:
        kind = getattr(self.randomness, source.partition(".")[0], "member")
        if (epoch if during is None else during) < self.randomness.shared_epochs:
            kind = "shared"
        shared, name = kind == "shared", int.from_bytes(source.encode())
        failed = self.attempts.get(member, 0) if kind == "member" else 0
        if kind == "kfold":
            member //= self.randomness.folds  # one partition for as many members as folds
        key = (name, 0 if shared else member + 1, epoch, *([failed] if failed else []))
        return np.random.SeedSequence(self.seed, spawn_key=key)
