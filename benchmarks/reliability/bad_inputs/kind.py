"""A kind of bad input: what is made, how bvalign is called, and what must come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Expected = Literal["refused", "right", "either"]
Made = Sequence[str | Path] | Callable[[], object]
"""Arguments of the command line, or a call of the Python interface."""


@dataclass(frozen=True)
class Kind:
    """One kind of bad input.

    Attributes:
        target: what is damaged, such as `npz`.
        fault: how, such as `cut in half`.
        make: folder -> the call, once the input is in the folder.
        expected: one clear line, right numbers, or either where the fault may not matter.
        names: of which one must stand in the line; by default all that lies in the folder.
        check: folder -> what is wrong with a result, or None; numbers of the ensemble by default.
    """

    target: str
    fault: str
    make: Callable[[Path], Made]
    expected: Expected = "refused"
    names: tuple[str, ...] = ()
    check: Callable[[Path], str | None] | None = None

    @property
    def name(self) -> str:
        return f"{self.target}: {self.fault}"


@dataclass(frozen=True)
class Ensemble:
    """A small ensemble and its numbers, in plain NumPy.

    Attributes:
        logits: (members, samples, classes).
        labels: class ids (samples).
    """

    logits: np.ndarray
    labels: np.ndarray

    @classmethod
    def draw(cls, members: int = 3, samples: int = 12, classes: int = 3) -> "Ensemble":
        generator = np.random.default_rng(21)
        labels = generator.integers(classes, size=samples)
        logits = generator.normal(size=(members, samples, classes))
        logits += 2 * np.eye(classes)[labels]
        return cls(logits.round(3), labels)

    @property
    def probs(self) -> np.ndarray:
        exp = np.exp(self.logits - self.logits.max(axis=2, keepdims=True))
        return exp / exp.sum(axis=2, keepdims=True)

    @property
    def means(self) -> dict[str, float]:
        """Means of the columns that every report has."""
        probs, truth = self.probs, np.eye(self.logits.shape[2])[self.labels]
        mean = probs.mean(axis=0)
        return {
            "bias_sq": float(((mean - truth) ** 2).sum(axis=1).mean()),
            "variance": float(((probs - mean) ** 2).sum(axis=2).mean()),
        }


ENSEMBLE = Ensemble.draw()
