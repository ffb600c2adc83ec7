"""Estimates of error rates, risk and bias_sq on samples without labels.

Each method maps a source with labels, and a target without, to the quantities of `values.py`.
Without a source:

    disagreement   of pairs of members, for the error of a member (Jiang et al. 2022)
    confidence     1 - max p, of a member and of the mean (Guo et al. 2017)
    calibrated     2 variance_unbiased + uncertainty for the risk, and that less the variance for
                   bias_sq: the mean of infinitely many members is calibrated; `_plug_in` with
                   variance: the mean of these

With a source:

    source         its own numbers
    scaled         disagreement x (error / disagreement of the source), and variance likewise
    line           accuracy on the line of agreement, both in probits, here with slope one, as
                   members of one ensemble lie too close together for another (Baek et al. 2022)
    atc            the share of samples below the confidence that as many of the source's samples
                   fall short of as are wrong (Garg et al. 2022); of each member, and of the mean
    temperature    of the mean, at which the source's errors are as expected (`posterior.py`)
    noise_model    error rates and bias_sq as functions of the variance, means of 50 bins of the
                   source, at the variances of the target
    held_shares    `scaled`, spread over the samples by a temperature, then with the predicted class
                   shares of the source, as far as their move is neither chance nor like that of
                   labels (`shift.py`)

`temperature` and `held_shares` are multiplied by what makes them exact on the source itself.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.special import ndtr, ndtri
from torch import Tensor

from bvalign.decisions.without_labels.posterior import (
    expected,
    log_temperature,
    tempered,
    with_shares,
)
from bvalign.decisions.without_labels.values import (
    QUANTITIES,
    RATES,
    Sample,
    Values,
    truth_of,
    values_of,
)

BINS = 50
"""Of the source's variance."""

DEFAULT = "held_shares"
"""What is recommended unless other labelled sets speak for another method."""

Numbers = dict[str, float]
"""Quantity -> estimate; NaN where the method has none."""


class Labelled(NamedTuple):
    """A source: values, and the truth of each sample."""

    values: Values
    truth: Float[Tensor, "4 samples"]
    member_errors: Float[Tensor, " members"]
    label_probs: Float[Tensor, "samples classes"]  # at the source's own temperature
    log_temperature: float

    @property
    def mean(self) -> Numbers:
        """Mean of each quantity."""
        return dict(zip(QUANTITIES, self.truth.mean(dim=1).tolist(), strict=True))


def labelled(sample: Sample) -> Labelled:
    """Values and truth of a source."""
    values = values_of(sample)
    errors = (sample.votes != sample.target).double().mean(dim=1)
    truth = truth_of(values, sample.target)
    at = log_temperature(values, float(truth[0].mean()))
    return Labelled(values, truth, errors, tempered(values, at), at)


def disagreement(target: Values) -> Numbers:
    """Of pairs of members."""
    return {"error_rate": float(target.disagreement.mean())}


def confidence(target: Values) -> Numbers:
    """One minus the largest probability."""
    of_mean = target.mean.amax(dim=1)
    return dict(zip(RATES, (1 - float(p.mean()) for p in (target.largest, of_mean)), strict=True))


def calibrated(target: Values) -> Numbers:
    """The mean of infinitely many members is calibrated for each class."""
    risk = float((2 * target.variance_unbiased + target.uncertainty).mean())
    return {"risk": risk, "bias_sq": risk - float(target.variance.mean())}


def calibrated_plug_in(target: Values) -> Numbers:
    """The mean of these members is calibrated for each class."""
    bias_sq = float((target.variance + target.uncertainty).mean())
    return {"risk": bias_sq + float(target.variance.mean()), "bias_sq": bias_sq}


def source_rate(source: Labelled, target: Values, held: float) -> Numbers:
    """The source's own numbers."""
    return source.mean


def scaled(source: Labelled, target: Values, held: float) -> Numbers:
    """Disagreement and variance in the source's proportion to errors, risk and bias_sq."""
    change = [
        _ratio(float(getattr(target, name).mean()), float(getattr(source.values, name).mean()))
        for name in ("disagreement", "variance")
    ]
    found = {name: value * change[name not in RATES] for name, value in source.mean.items()}
    return found | {name: min(found[name], 1.0) for name in RATES}


def line(source: Labelled, target: Values, held: float) -> Numbers:
    """Accuracy moves as agreement does, in probits."""
    agreement = [1 - float(v.disagreement.mean()) for v in (target, source.values)]
    if not all(0 < share < 1 for share in agreement):  # one member, or no disagreement at all
        return dict.fromkeys(RATES, math.nan)
    there, here = (ndtri(share) for share in agreement)
    return {name: float(ndtr(ndtri(source.mean[name]) - there + here)) for name in RATES}


def atc(source: Labelled, target: Values, held: float) -> Numbers:
    """Share of the samples below the source's threshold of confidence."""
    means = [values.mean.amax(dim=1) for values in (source.values, target)]
    threes = zip(source.values.largest, target.largest, source.member_errors, strict=True)
    of_members = [_below(*three) for three in threes]
    of_mean = _below(*means, source.truth[1].mean())
    return {"error_rate": sum(of_members) / len(of_members), "ensemble_error_rate": of_mean}


def temperature(source: Labelled, target: Values, held: float) -> Numbers:
    """The source's temperature on the target."""
    q = tempered(target, source.log_temperature)
    return _all(_exact_on_source(source, target, q).mean(dim=1))


def noise_model(source: Labelled, target: Values, held: float) -> Numbers:
    """Errors and bias_sq as functions of the variance."""
    ours, theirs = source.values.variance, target.variance
    edges = ours.quantile(torch.linspace(0, 1, BINS + 1, dtype=ours.dtype)[1:-1]).unique()
    place = torch.searchsorted(edges, ours)
    counts = place.bincount(minlength=len(edges) + 1)
    truth = source.truth.clone()
    truth[2] -= ours  # the variance itself is known
    sums = truth.new_zeros(4, len(edges) + 1).index_add(1, place, truth)
    filled = counts > 0
    means = sums[:, filled] / counts[filled]
    place = (filled.long().cumsum(0) - 1).clamp(min=0)[torch.searchsorted(edges, theirs)]
    found = means[:, place].mean(dim=1)
    found[2] += theirs.mean()
    return _all(found)


def held_shares(source: Labelled, target: Values, held: float) -> Numbers:
    """Scaled disagreement, with the class shares of the source."""
    return _all(held_samples(source, target, held).mean(dim=1))


def held_samples(source: Labelled, target: Values, held: float) -> Float[Tensor, "4 samples"]:
    """The same of each sample, in the order of `QUANTITIES`."""
    error = scaled(source, target, held)["error_rate"]
    if not math.isfinite(error):  # one member, or members that agree
        error = temperature(source, target, held)["error_rate"]
    q = tempered(target, log_temperature(target, error))
    if held:
        shares = q.mean(dim=0)
        q = with_shares(q, shares + held * (source.label_probs.mean(dim=0) - shares))
    return _exact_on_source(source, target, q)


WITHOUT_SOURCE: dict[str, Callable[[Values], Numbers]] = {
    "disagreement": disagreement,
    "confidence": confidence,
    "calibrated": calibrated,
    "calibrated_plug_in": calibrated_plug_in,
}
WITH_SOURCE: dict[str, Callable[[Labelled, Values, float], Numbers]] = {
    "source": source_rate,
    "scaled": scaled,
    "line": line,
    "atc": atc,
    "temperature": temperature,
    "noise_model": noise_model,
    "held_shares": held_shares,
}


def estimates(source: Labelled, target: Values, held: float) -> dict[str, Numbers]:
    """All methods on one target."""
    found = {name: method(target) for name, method in WITHOUT_SOURCE.items()}
    return found | {name: method(source, target, held) for name, method in WITH_SOURCE.items()}


def _exact_on_source(source: Labelled, target: Values, q: Tensor) -> Float[Tensor, "4 samples"]:
    """What label probabilities say, times what makes the source's say what is true of it."""
    expects = expected(source.values, source.label_probs).mean(dim=1)
    return expected(target, q) * (source.truth.mean(dim=1) / expects).unsqueeze(1)


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.nan


def _all(numbers: Tensor) -> Numbers:
    """Names the numbers; a rate ends at one."""
    found = dict(zip(QUANTITIES, numbers.tolist(), strict=True))
    return found | {name: min(found[name], 1.0) for name in RATES}


def _below(ours: Tensor, theirs: Tensor, rate: Tensor) -> float:
    """Share of the target below the source's quantile."""
    return float((theirs < ours.quantile(rate)).double().mean())
