"""Bounds of the cross-entropy from top-k logits.

Symbols as in `squared.py`, with L_k = mean_m log p_mk, which is exact for the classes A that all
members keep, and Z = sum_k e^L_k, so that kl_variance = -log Z. A probability that is not kept may
be zero, so Z is at least Z_A, its sum over A, and the rest of it at most the lesser of

    sum over k of the e^L_k that the limits t_m allow, and for classes outside at most
    e^(mean_m log r_m)
    e^(mean_m log of what m has left for all classes but A)       (Hölder's inequality)

The last makes -log Z at least the kl_variance of the members when they only tell the classes of A
and "another one" apart: data that are coarser diverge less. kl_risk and kl_bias are bounded from
above only where all members keep the label. With t_(-m) that of all members but m,

    kl_variance_jackknife = M kl_variance - (M-1) mean_m t_(-m), at least kl_variance
    kl_bias_jackknife = kl_risk - kl_variance_jackknife
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bvalign.analysis.decompositions import log_moments_of
from bvalign.analysis.decompositions.log_probs import log_sum_exp
from bvalign.analysis.top_k.known import Known
from bvalign.analysis.top_k.squared import Bound


class Logs(NamedTuple):
    """Bounds of the cross-entropy; NaN where a member excludes a class that is kept."""

    kl_risk: Bound
    kl_bias: Bound
    kl_variance: Bound
    kl_bias_jackknife: Bound
    kl_variance_jackknife: Bound


class _Total(NamedTuple):
    """The sum Z of one set of members."""

    kept: Float[Tensor, "*sets samples"]  # log Z_A
    more: Float[Tensor, "*sets samples"]  # logarithm of the most that it may lack


def logs(known: Known, label: Float[Tensor, "samples asked"] | None) -> Logs:
    """Bounds of the cross-entropy with equal weights.

    Args:
        known: with the classes of the label among `asked`.
        label: probabilities of those classes; None without labels, where what needs them is zero.
    """
    number = len(known.probs)
    shared = ~known.unknown.any(dim=0)
    kept, left = _coarse(known, shared)
    mean = kept.mean(dim=0)
    total = _total(known, mean, left.mean(dim=0), shared)
    top = mean.amax(dim=-1).abs() + total.kept.abs()
    coarse = log_moments_of(torch.cat([kept, left.unsqueeze(-1)], dim=-1)).divergence / number
    low = torch.maximum(-torch.logaddexp(*total) - 1e-15 * (1 + top), coarse.nan_to_num(nan=0.0))
    variance = Bound(low.clamp(min=0), -total.kept).outward(top)
    jackknife = _jackknife(kept, left, variance)
    if label is None:
        none = Bound(torch.zeros_like(low), torch.zeros_like(low))
        return _defined(known, Logs(none, none, variance, none, jackknife))
    risk, noise = _risk(known, label), -torch.special.xlogy(label, label).sum(dim=-1)
    excess = Bound(risk.low - noise, risk.high - noise)  # over the noise of soft labels
    also = excess.plus(variance, -1.0).outward(top + noise + risk.low)
    bias = _bias(known, label, mean, total).both(also)
    of_bias = excess.plus(jackknife, -1.0).outward(risk.low + noise)
    of_bias = of_bias._replace(high=torch.minimum(of_bias.high, bias.high))
    return _defined(known, Logs(risk, bias, variance, of_bias, jackknife))


def _coarse(
    known: Known, shared: Bool[Tensor, "samples some"]
) -> tuple[Float[Tensor, "members samples some"], Float[Tensor, "members samples"]]:
    """Logarithms of the probabilities of A, and of what is left for all other classes."""
    others = _some(known.log_probs.where(~shared, -torch.inf)).logsumexp(dim=-1)
    left = torch.logaddexp(others, known.log_rest)
    return known.log_probs.where(shared, -torch.inf), left.where(left > -1e299, -torch.inf)


def _total(
    known: Known,
    mean: Float[Tensor, "samples some"],
    left: Float[Tensor, " samples"],
    shared: Bool[Tensor, "samples some"],
) -> _Total:
    limits = known.log_probs.where(~known.unknown, known.log_limit.unsqueeze(-1)).mean(dim=0)
    partly = limits.where(~shared, -torch.inf).logsumexp(dim=-1)
    count = known.outside.clamp(min=0).log()
    outside = torch.minimum(count + known.log_limit.mean(dim=0), known.log_rest.mean(dim=0))
    more = torch.minimum(torch.logaddexp(partly, outside.where(count >= 0, -torch.inf)), left)
    return _Total(log_sum_exp(_some(mean)).where(mean.amax(dim=-1) > -torch.inf, -torch.inf), more)


def _jackknife(
    kept: Float[Tensor, "members samples some"],
    left: Float[Tensor, "members samples"],
    variance: Bound,
) -> Bound:
    number = len(kept)
    if number == 1:
        nan = torch.full_like(variance.low, torch.nan)
        return Bound(nan, nan)
    finite, rest = kept.where(kept > -torch.inf, 0.0), left.where(left > -torch.inf, 0.0)
    without = ((finite.sum(dim=0) - finite) / (number - 1)).where(kept > -torch.inf, -torch.inf)
    others = ((rest.sum(dim=0) - rest) / (number - 1)).where(left > -torch.inf, -torch.inf)
    known = log_sum_exp(_some(without)).where(without.amax(dim=-1) > -torch.inf, -torch.inf)
    size = without.amax(dim=-1).abs().nan_to_num(posinf=0.0).mean(dim=0)
    least = (-torch.logaddexp(known, others)).clamp(min=0).mean(dim=0)
    of_sets = Bound(least, -known.mean(dim=0)).outward(size)
    found = variance.scaled(float(number)).plus(of_sets, 1.0 - number)
    return Bound(torch.maximum(found.low.nan_to_num(nan=0.0), variance.low), found.high)


def _risk(known: Known, label: Float[Tensor, "samples asked"]) -> Bound:
    at = known.asked.expand(len(known.probs), *known.asked.shape)
    unknown = known.unknown.gather(-1, at)
    log_probs = known.log_probs.gather(-1, at)
    most = log_probs.where(~unknown, known.log_limit.unsqueeze(-1)).mean(dim=0)
    low = -torch.where(label > 0, label * most, 0.0).sum(dim=-1)
    lost = (unknown.any(dim=0) & (label > 0)).any(dim=-1)
    return Bound(low, low.where(~lost, torch.inf)).outward()


def _bias(
    known: Known,
    label: Float[Tensor, "samples asked"],
    mean: Float[Tensor, "samples some"],
    total: _Total,
) -> Bound:
    """Of the log odds against the label; of soft labels, which have none, only that it is >= 0."""
    if label.shape[1] > 1:
        return Bound(torch.zeros_like(total.kept), torch.full_like(total.kept, torch.inf))
    at = known.asked
    others = _some(mean.scatter(-1, at, -torch.inf)).logsumexp(dim=-1)
    of_label = known.log_probs.gather(-1, at.expand(len(known.probs), *at.shape)).squeeze(-1)
    limit = torch.where(of_label > -torch.inf, of_label, known.log_limit).mean(dim=0)
    all_keep = (of_label > -torch.inf).all(dim=0)
    high = (torch.logaddexp(others, total.more) - limit).exp().log1p()
    low = (others - limit).exp().log1p()
    return Bound(low, high.where(all_keep, torch.inf)).outward()


def _some(values: Float[Tensor, "*sets classes"]) -> Float[Tensor, "*sets classes+1"]:
    """The same with a class that counts for nothing, so that none has only -inf."""
    return torch.cat([values, values.new_full((*values.shape[:-1], 1), -1e300)], dim=-1)


def _defined(known: Known, found: Logs) -> Logs:
    """NaN where a probability is zero, as logits of -inf make it."""
    padding = ~known.unknown.any(dim=0) & (known.probs == 0).all(dim=0)
    zero = (known.log_probs == -torch.inf) & ~known.unknown & ~padding
    undefined = zero.any(dim=-1).any(dim=0)
    if known.num_others:
        undefined |= (known.log_rest == -torch.inf).any(dim=0)
    return Logs(*(Bound(*(e.masked_fill(undefined, torch.nan) for e in b)) for b in found))
