"""The population slope and offset of log variance on log squared bias: the numbers to quote.

Target. With members drawn from a distribution of which these are M, and samples from one of which
these are N, let b = ‖E p - e_y‖² and v = E ‖p - E p‖² for each sample that E p gets right. Then

    slope    Cov(log v, log b) / Var(log b)        the paper's least-squares slope, at infinite M, N
    offset   E (log v - log b)                     so variance is about e^offset times squared bias

`logit_values.py` estimates log b and log v of each sample, `logit_fit.py` the two numbers from
them, `flags.py` says when not to quote them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.intervals import Estimate
from bvalign.analysis.slopes.flags import flags_of
from bvalign.analysis.slopes.logit_block import LogitBlock
from bvalign.analysis.slopes.logit_fit import FirstPass, LogitFit
from bvalign.analysis.slopes.noise_pooling import LEAST_SAMPLES


class LogitSlope(NamedTuple):
    """Population slope and offset with intervals, and reasons not to quote them."""

    slope: Estimate
    offset: Estimate
    spread: Estimate  # standard deviation of log v - log b over samples, without members' errors
    intercept: float | None
    flags: tuple[str, ...]  # keys of FLAGS
    samples: int  # in the fit
    slope_influence: Float[Tensor, " samples"]  # variance over samples: sum of squares / samples²
    offset_influence: Float[Tensor, " samples"]

    @property
    def quotable(self) -> bool:
        """Whether there is a slope and no reason against it."""
        return self.slope.value is not None and not self.flags


def fit_logit_slope(
    block: LogitBlock | None,
    first: FirstPass,
    num_samples: int,
    clusters: Int[Tensor, " samples"] | None = None,
) -> LogitSlope:
    """Fits slope and offset to the values and sums of all samples.

    Args:
        block: of all samples; None with fewer than three members.
        first: of the first pass.
        num_samples: N.
        clusters: of the samples; None if they are independent.
    """
    if block is None or first.noise is None:
        members = sum(first.groups.sizes)
        return no_logit_slope(f"needs three members; there are {members}", num_samples)
    used = block.log_bias_sq.isfinite()
    number = int(used.sum())
    if number < LEAST_SAMPLES:
        saturated = int(block.saturated)
        why = f" ({saturated} others are saturated)" if saturated else ""
        return no_logit_slope(
            f"needs {LEAST_SAMPLES} correct samples whose members all give probabilities between 0 "
            f"and 1 that differ; there are {number}{why}",
            num_samples,
        )
    fit = LogitFit(block, first, used, clusters)
    slope, offset = fit.slope(), fit.offset()
    numbers = [number for number in (slope, offset) if number is not None]
    found = [fit.estimate(number) for number in numbers]
    flags = flags_of(fit.evidence(numbers, found))
    *slope_found, offset_found = map(fit.stretched, found, numbers)
    if slope is None:
        none = Estimate(None, reason="the samples differ less than the errors of the members")
        influence, intercept, slope_found = torch.zeros_like(offset.influence), None, [none]
    else:
        influence, intercept = slope.influence, fit.intercept(slope_found[0], offset_found)
    return LogitSlope(
        slope_found[0],
        offset_found,
        fit.spread(),
        intercept,
        flags,
        len(fit.x),
        influence,
        offset.influence,
    )


def no_logit_slope(reason: str, num_samples: int) -> LogitSlope:
    """The same where there is none, for a reason."""
    none, influence = Estimate(None, reason=reason), torch.zeros(num_samples, dtype=torch.float64)
    return LogitSlope(none, none, none, None, (), 0, influence, influence)
