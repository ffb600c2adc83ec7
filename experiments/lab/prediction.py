"""Slope and offset of infinitely many members, predicted from the first two.

Symbols as in `odds_models.py`, for two members: mu_i and v_i = (L_1i - L_2i)² / 2 estimate the mean
and the variance of the log odds of sample i. What two members cannot show is assumed or pooled:

    margins    mu_i holds noise of variance v_i / 2, so the spread of all mu is shrunk to
               Var mu - mean v / 2
    noise      Gaussian; its variance is a function of mu times a log-normal factor of each sample,
               of mean one: E v² = 3 e^(tau²) (E v)² by the fourth moment of a normal variable
    classes    with q the magnitudes of the residuals and a = q_y, the bins of `curve` have
               log bias_sq - 2 log E a = log mean (q_1 . q_2 / a_1 a_2), and of the variance
               log mean (‖q_1 - q_2‖² / b²) - log mean ((a_1 - a_2)² / b²), b the larger a

    predicted.slope, predicted.offset              from the first two members
    prediction.slope_error, prediction.offset_error    minus the number of `logit_slope` of all
                                                   other members, whose flags it carries
    prediction.slope_scatter, prediction.offset_scatter    root mean square error of all disjoint
                                                   pairs against the number of all M members,
                                                   times M / (M - 2), as a pair is part of them

The interval of a prediction is over samples (a jackknife over ten groups) and over pairs of members
(the variance over disjoint pairs, at most sixteen).
"""

import io
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import torch
from finite import read_logits
from intervals import exact
from jaxtyping import Float, Int
from measures import Extra
from odds_models import GAUSSIAN, curve, line, model_logs
from rich.progress import track
from torch import Tensor
from verdicts import BOTH, Number, Numbers, difference

import bvalign
from bvalign.analysis.decompositions.squared_loss import decompose, moments, softmax
from bvalign.analysis.groups import left_out_variance, residuals
from bvalign.analysis.intervals import Spread, estimate
from bvalign.analysis.slopes import LogitSlope
from bvalign.analysis.slopes.logit_values import has_spread

LEAST_MEMBERS, LEAST_SAMPLES = 8, 300
SAMPLE_GROUPS, MOST_PAIRS = 10, 16
LEAST_LEFT = 0.1
"""Least fraction of the spread of mu that is not noise."""

_SCORES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = torch.from_numpy(_WEIGHTS / _WEIGHTS.sum()).unsqueeze(1)
NUMBERS = ("slope", "offset")


def prediction(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """The prediction of each run of eight members and 300 correct samples or more."""
    rows = {}
    for name, path in track(runs.items(), "prediction"):
        logits, target = read_logits(path)
        whole = summaries[name]["alignment"]["logit_slope"]
        if len(logits) < LEAST_MEMBERS or None in (whole[n]["value"] for n in NUMBERS):
            continue
        with redirect_stderr(io.StringIO()):  # a bar for each run
            others = bvalign.analyze(logits[2:].numpy(), target.numpy()).alignment.logit_slope
        if others.slope.value is None or others.samples < LEAST_SAMPLES:
            continue
        rows[name] = _numbers(logits, target, others, whole)
    return Extra(rows, {})


def predict(
    logits: Float[Tensor, "2 samples classes"], target: Int[Tensor, " samples"]
) -> tuple[float, float]:
    """Slope and offset, from the samples that the mean of two members gets right."""
    correct = decompose(moments(logits, target), target).correct
    given = residuals(softmax(logits[:, correct]), target[correct])
    keep = has_spread(given.odds)
    odds, q = given.odds[:, keep], given.magnitude[:, keep]
    mean, v = odds.mean(dim=0), (odds[0] - odds[1]).square() / 2
    left = max(1 - float(v.mean() / 2 / mean.var()), LEAST_LEFT)
    mu = mean.mean() + left**0.5 * (mean - mean.mean())
    variance = curve(mu, v)
    scaled = v / variance(mu)
    tau = np.sqrt(np.log(max(float(scaled.square().mean() / scaled.mean() ** 2) / 3, 1.0)))
    factors = np.exp(tau * _SCORES - tau**2 / 2)
    x, y = (
        torch.stack(part)
        for part in zip(
            *(model_logs(mu, lambda at, f=f: f * variance(at), GAUSSIAN) for f in factors),
            strict=True,
        )
    )
    mean_x, mean_y = ((_WEIGHTS * part).sum(dim=0) for part in (x, y))
    spread_xx, spread_xy = (
        float((_WEIGHTS * (x - mean_x) * dev).sum(dim=0).mean()) for dev in (x - mean_x, y - mean_y)
    )
    bias, of_variance = _shares(q, given.target[keep], mu)
    return line((mean_x + bias, mean_y + of_variance), -spread_xx, -spread_xy)


def _shares(
    q: Float[Tensor, "2 samples classes"], target: Int[Tensor, " samples"], mu: Tensor
) -> tuple[Tensor, Tensor]:
    """What the wrong classes add to both logarithms, less that of a single one."""
    a = q.gather(-1, target.expand(q.shape[:2]).unsqueeze(-1)).squeeze(-1)
    pairs = (q[0] * q[1]).sum(dim=-1) / (a[0] * a[1])
    largest = a.amax(dim=0).square()
    apart, at_label = ((d[0] - d[1]).square() / largest for d in (q.permute(0, 2, 1), a))
    of_variance = curve(mu, apart.sum(dim=0))(mu) / curve(mu, at_label)(mu)
    return curve(mu, pairs)(mu).log() - np.log(2), of_variance.log() - np.log(2)


def _numbers(
    logits: Tensor, target: Tensor, others: LogitSlope, whole: dict[str, object]
) -> Numbers:
    part = torch.arange(len(target)) % SAMPLE_GROUPS
    found = predict(logits[:2], target)
    without = torch.tensor(
        [predict(logits[:2, part != out], target[part != out]) for out in range(SAMPLE_GROUPS)]
    )
    pairs = torch.tensor(
        [predict(pair, target) for pair in logits.split(2)[:MOST_PAIRS] if len(pair) == 2]
    )
    numbers: Numbers = {}
    for place, number in enumerate(NUMBERS):
        spread = Spread(
            float(left_out_variance(without[:, place])),
            SAMPLE_GROUPS,
            float(pairs[:, place].var()),
            0.0,
            len(pairs),
        )
        ends = estimate(found[place], spread).interval
        predicted: Number = {"value": found[place], "interval": list(ends), "over": BOTH}
        held_out = getattr(others, number)
        against = {
            "value": held_out.value,
            "interval": list(held_out.quoted_interval),
            "over": BOTH,
            "flags": list(others.flags),
        }
        errors = (pairs[:, place] - whole[number]["value"]) * len(logits) / (len(logits) - 2)
        scatter = exact(float(errors.square().mean().sqrt())) | {"flags": list(whole["flags"])}
        numbers |= {
            f"predicted.{number}": predicted,
            f"held_out.{number}": against,
            f"prediction.{number}_error": difference(predicted, against),
            f"prediction.{number}_scatter": scatter,
        }
    return numbers
