"""Ensembles that know the true classes, with wrong labels: does the interval hold their number?"""

from types import SimpleNamespace

import numpy as np
import torch

from bvalign.analysis.leading import leading
from bvalign.decisions.wrong_labels import wrong_labels

MEMBERS, SAMPLES, CLASSES, MARGIN = 5, 1000, 8, 5.0
RATES = (0.02, 0.1, 0.2)


def coverage(draws: int) -> dict[str, dict[str, float]]:
    """How often the interval holds the number of wrong labels, by their kind and rate.

    Args:
        draws: ensembles of each kind and rate.
    """
    return {
        f"{kind} {rate:.0%}": _measured(kind, rate, draws)
        for kind in ("any", "next")
        for rate in RATES
    }


def _measured(kind: str, rate: float, draws: int) -> dict[str, float]:
    held, errors, widths = [], [], []
    for seed in range(draws):
        analysis, wrong = _ensemble(kind, rate, np.random.default_rng((seed, int(1000 * rate))))
        number = wrong_labels(analysis).number
        low, high = number.interval_samples
        held.append(low <= wrong <= high)
        errors.append(number.value / wrong - 1)
        widths.append((high - low) / wrong)
    return {
        "coverage": float(np.mean(held)),
        "relative_error": float(np.mean(errors)),
        "relative_width": float(np.mean(widths)),
        "draws": draws,
    }


def _ensemble(kind: str, rate: float, rng: np.random.Generator) -> tuple[SimpleNamespace, int]:
    """What the question reads of an analysis, and the number of wrong labels."""
    true = rng.integers(CLASSES, size=SAMPLES)
    wrong = rng.random(SAMPLES) < rate
    step = rng.integers(1, CLASSES, size=SAMPLES) if kind == "any" else 1
    label = torch.from_numpy(np.where(wrong, (true + step) % CLASSES, true))
    centre = np.eye(CLASSES)[true] * rng.exponential(MARGIN, size=(SAMPLES, 1))
    logits = torch.from_numpy(centre + rng.normal(size=(MEMBERS, SAMPLES, CLASSES)))
    probs = logits.softmax(dim=-1)
    mean, votes = probs.mean(dim=0), torch.nn.functional.one_hot(probs.argmax(dim=-1), CLASSES)
    table = SimpleNamespace(
        leading=leading(mean, votes.sum(dim=0)),
        target=label,
        prediction=mean.argmax(dim=-1),
        soft_error=1 - mean.gather(1, label.unsqueeze(1)).squeeze(1),
        index=torch.arange(SAMPLES),
        num_options=None,
        cluster=None,
    )
    size = {"num_samples": SAMPLES, "num_classes": CLASSES, "num_members": MEMBERS}
    return SimpleNamespace(table=table, soft_labels=False, **size), int(wrong.sum())
