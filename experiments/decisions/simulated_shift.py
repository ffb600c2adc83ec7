"""Simulated ensembles whose mean is calibrated: does an interval without labels cover?

A sample has logits s ~ N(0, 2²) for each of four classes, and its label is drawn from softmax(s).
Member m sees s + b_m + 0.8 noise with a small effect b_m of its own. A target "less clear" has s
divided by 1.25, and labels that follow. The truth is the mean over 300 members and 60,000 samples.
"""

import numpy as np
import torch

from bvalign.analysis.given import Kept
from bvalign.decisions.without_labels import Source
from bvalign.decisions.without_labels.learn import learn
from bvalign.decisions.without_labels.values import (
    QUANTITIES,
    sample_of,
    truth_of,
    values_of,
)

CLASSES, MEMBERS, SAMPLES, DRAWS = 4, 8, 600, 400
TARGETS = {"like the source": 1.0, "less clear": 1.25}


def coverage(*, quick: bool) -> dict:
    """Shares of the draws whose intervals hold the truth, by chance alone and as recommended."""
    rng, found = np.random.default_rng(0), {}
    draws = 4 if quick else DRAWS
    for name, blurred in TARGETS.items():
        truth = np.mean([_truth(rng, blurred) for _ in range(2 if quick else 12)], axis=0)
        held = np.zeros((len(QUANTITIES), 2))
        for _ in range(draws):
            effects = 0.3 * rng.standard_normal((MEMBERS, 1, CLASSES))
            source, target = (_drawn(rng, b, effects, SAMPLES) for b in (1.0, blurred))
            learnt = learn(target, [Source("source", source)])
            for row, quantity in enumerate(QUANTITIES):
                recommended, method = learnt.recommended[quantity]
                for column, number in enumerate((learnt.rows[method][quantity], recommended)):
                    low, high = number.quoted_interval
                    held[row, column] += low <= truth[row] <= high
        shares = (held / draws).tolist()
        found[name] = {"draws": draws, "held": dict(zip(QUANTITIES, shares, strict=True))}
    return found


def _drawn(rng: np.random.Generator, blurred: float, effects: np.ndarray, number: int) -> Kept:
    clean = 2 / blurred * rng.standard_normal((number, CLASSES))
    labels = (clean + rng.gumbel(size=clean.shape)).argmax(axis=1)
    logits = clean + effects + 0.8 * rng.standard_normal((len(effects), *clean.shape))
    return Kept(torch.arange(number), torch.from_numpy(logits), torch.from_numpy(labels))


def _truth(rng: np.random.Generator, blurred: float) -> np.ndarray:
    """Quantities of ensembles of as many members, over many members and samples."""
    total = np.zeros(len(QUANTITIES))
    parts = 25
    for _ in range(parts):
        effects = 0.3 * rng.standard_normal((MEMBERS, 1, CLASSES))
        kept = _drawn(rng, blurred, effects, 5000)
        total += truth_of(values_of(sample_of(kept)), kept.target).mean(dim=1).numpy()
    return total / parts
