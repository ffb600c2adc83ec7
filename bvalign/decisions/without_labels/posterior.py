"""Probabilities of the label of each sample, as far as a source and the target's predictions tell.

q_i is what p̄_i becomes at a temperature T, q_i ∝ p̄_i^(1/T). Given the label probabilities q, every
quantity follows without a label; with a_i the shares of votes:

    error of a member     1 - mean_i <q_i, a_i>
    error of the ensemble 1 - mean_i q_i at argmax p̄_i
    risk, bias_sq         1 + mean_m ‖p_m‖² - 2 <q, p̄>,   1 + ‖p̄‖² - 2 <q, p̄>

At T = 1 that is the label-free risk of `analysis/label_free.py`. T is chosen so that the error of a
member is the one that is expected.

Class shares are held by moving the q_i as little as possible, in the sense of Kullback-Leibler
divergence, so that they have a given mean: q_i ∝ w q_i with one weight for each class, found by
iterative proportional fitting (Deming & Stephan 1940; Csiszár 1975). It is the entropic form of the
optimal transport between predictions and labels of Lu et al. (2023), who assume the same: that the
target has the class shares of the source.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.decisions.without_labels.values import Values

FLOOR = 1e-9
"""Least probability of a class, as logarithms need one."""

EXCLUDED = -1e6
"""Log probability of a class that a sample does not have."""

LOG_TEMPERATURES = (-3.0, 5.0)
ROUNDS, CLOSE = 40, 1e-9
"""Of Newton's method: most rounds, and largest error of the expected error."""

STEPS, TOLERANCE = 60, 1e-6
"""Of iterative proportional fitting: most rounds, and largest error of a share."""


def tempered(values: Values, log_temperature: float) -> Float[Tensor, "samples classes"]:
    """p̄ at a temperature."""
    return (_logs(values) / math.exp(log_temperature)).softmax(dim=1)


def log_temperature(values: Values, error: float) -> float:
    """The log temperature at which the expected error of a member has a value.

    By Newton's method, with bisection where that leaves the range in which the solution lies; the
    end of the range where there is none.
    """
    logs, (low, high), u = _logs(values), LOG_TEMPERATURES, 0.0
    for _ in range(ROUNDS):
        s = logs / math.exp(u)
        q = s.softmax(dim=1)
        right = q * values.shares
        off = 1 - float(right.sum(dim=1).mean()) - error
        if abs(off) < CLOSE or high - low < CLOSE:
            break
        low, high = (u, high) if off < 0 else (low, u)
        slope = float((right * (s - (q * s).sum(dim=1, keepdim=True))).sum(dim=1).mean())
        u = u - off / slope if slope > 0 else math.inf
        if not low < u < high:
            u = (low + high) / 2
    return u


def with_shares(
    q: Float[Tensor, "samples classes"], shares: Float[Tensor, " classes"]
) -> Float[Tensor, "samples classes"]:
    """Moves label probabilities as little as possible, so that their mean is as given.

    >>> q = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
    >>> with_shares(q, torch.tensor([0.5, 0.5])).mean(dim=0).round(decimals=3).tolist()
    [0.5, 0.5]
    """
    weights = torch.ones_like(shares)
    moved = q
    for _ in range(STEPS):
        found = moved.mean(dim=0)
        if float((found - shares).abs().max()) < TOLERANCE:
            break
        weights = weights * shares / found.clamp(min=1e-12)
        moved = q * (weights / weights.max())
        moved = moved / moved.sum(dim=1, keepdim=True)
    return moved


def expected(values: Values, q: Float[Tensor, "samples classes"]) -> Float[Tensor, "4 samples"]:
    """The quantities of each sample, in the order of `QUANTITIES`, if labels have these shares."""
    error = 1 - (q * values.shares).sum(dim=1)
    wrong = 1 - q.gather(1, values.prediction.unsqueeze(1)).squeeze(1)
    risk, bias_sq = values.squares + 1 - 2 * (q * values.mean).sum(dim=1)
    return torch.stack([error, wrong, risk, bias_sq])


def _logs(values: Values) -> Float[Tensor, "samples classes"]:
    return values.mean.clamp(min=FLOOR).log().masked_fill(~values.possible, EXCLUDED)
