"""Bias and variance written from their definitions in plain NumPy; imports nothing of bvalign."""

import numpy as np
import pytest


def softmax(logits):
    shifted = np.exp(logits - logits.max())
    return shifted / shifted.sum()


def bias_variance(logits, target):
    """(members, samples, classes), (samples) -> dict of (samples) arrays."""
    num_members, num_samples, num_classes = logits.shape
    names = ("bias_sq", "variance", "risk", "bias_sq_unbiased", "variance_unbiased")
    out = {name: np.zeros(num_samples) for name in names}
    for n in range(num_samples):
        onehot = np.zeros(num_classes)
        onehot[target[n]] = 1
        probs = [softmax(logits[m, n].astype(np.float64)) for m in range(num_members)]
        mean = sum(probs) / num_members
        out["bias_sq"][n] = ((mean - onehot) ** 2).sum()
        out["variance"][n] = sum(((p - mean) ** 2).sum() for p in probs) / num_members
        out["risk"][n] = sum(((p - onehot) ** 2).sum() for p in probs) / num_members
        pairs = [
            ((probs[i] - onehot) * (probs[j] - onehot)).sum()
            for i in range(num_members)
            for j in range(num_members)
            if i != j
        ]
        out["bias_sq_unbiased"][n] = np.mean(pairs) if pairs else np.nan
        out["variance_unbiased"][n] = (
            out["variance"][n] * num_members / (num_members - 1) if num_members > 1 else np.nan
        )
    return out


def line(x, y):
    """Slope, intercept and R² of least squares."""
    slope, intercept = np.polyfit(x, y, 1)
    return slope, intercept, np.corrcoef(x, y)[0, 1] ** 2


GOLDEN_KEYS = {
    "bias_sq": "bias2",
    "variance": "vari",
    "risk": "risk",
    "bias_sq_unbiased": "bias2_u",
    "variance_unbiased": "vari_u",
}


def check_golden(found, expected, case):
    """1e-10 relative; a value that is zero may be 1e-15 of the risk; undefined is NaN."""
    for name, key in GOLDEN_KEYS.items():
        value = float(getattr(found, name))
        if expected[key] is None:
            assert np.isnan(value), (case, name)
        elif float(expected[key]) == 0:
            assert abs(value) <= 1e-15 * float(expected["risk"]), (case, name)
        else:
            assert value == pytest.approx(float(expected[key]), rel=1e-10, abs=0), (case, name)
    assert bool(found.correct) == bool(expected["correct"]), case
