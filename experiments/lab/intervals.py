"""Numbers of a study with their 95% intervals: of a summary, from a variance, or bootstrapped.

`over` of a number says what its interval is over: samples and members where it is one of
summary.json from three members on, and otherwise one of them alone.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from verdicts import BOTH, Number

from bvalign.analysis.groups import left_out_variance
from bvalign.analysis.intervals import Spread, estimate, samples_variance, stored
from bvalign.analysis.slopes.lines import log_log_line

NUM_BOOTSTRAP = 200


def exact(value: float | None) -> Number:
    """A number without an interval."""
    return {"value": value, "interval": None}


def quoted(number: dict[str, object], flags: Sequence[str] = ()) -> Number:
    """A number of summary.json with the interval that is quoted, or the reason why it has no value.

    Args:
        number: value, its intervals and the reason.
        flags: names of the reasons not to quote it.

    >>> quoted({"value": 0.5, "interval": None, "interval_samples": [0.4, 0.6], "reason": "few"})
    {'value': 0.5, 'interval': [0.4, 0.6], 'over': 'samples'}
    """
    found = stored(number)
    if found.value is None:
        return exact(None) | {"reason": found.reason}
    result = exact(found.value)
    if ends := found.quoted_interval:
        result |= {"interval": list(ends), "over": BOTH if found.interval else "samples"}
    return result | ({"flags": list(flags)} if flags else {})


def around(value: float, variance: float, units: int, over: str) -> Number:
    """A number with its interval of Student's t; none for fewer than two units.

    Args:
        value: an estimate.
        variance: its squared standard error.
        units: independent values, groups or replicates behind that, one more than its degrees of
            freedom.
        over: what the units are.

    >>> round(around(1.0, 0.01, 10, "bins")["interval"][1], 4)  # 1 + 2.262 * 0.1
    1.2262
    """
    if units < 2 or not (math.isfinite(value) and math.isfinite(variance)):
        return exact(value if math.isfinite(value) else None)
    ends = estimate(value, Spread(variance, units)).interval_samples
    return {"value": value, "interval": list(ends), "over": over}


def crossed(value: float, without: Float[torch.Tensor, "sets parts"]) -> Number:
    """A number with its interval from a jackknife over groups of members and of samples.

    V_m and V_s are the jackknife variances in either direction. What both of them count, V_b, comes
    from the interactions D = T_gj - T_g0 - T_0j + T_00 of G groups of members and J of samples:
    V_b = (G-1) (J-1) / (G J) sum D². The interval is that of `bvalign.analysis.intervals`.

    Args:
        value: an estimate.
        without: the same without each group of members (rows) and of samples (columns), the first
            of each with all of them.
    """
    if not (math.isfinite(value) and bool(without.isfinite().all())):
        return exact(value if math.isfinite(value) else None)
    over_members, over_samples = without[1:, 0], without[0, 1:]
    interaction = without[1:, 1:] - over_members.unsqueeze(1) - over_samples + without[0, 0]
    g, j = interaction.shape
    both = (g - 1) * (j - 1) / (g * j) * float(interaction.square().sum())
    members, samples = (float(left_out_variance(v)) for v in (over_members, over_samples))
    ends = estimate(value, Spread(samples, j, members, both, g)).interval
    return {"value": value, "interval": list(ends), "over": BOTH}


def mean(values: torch.Tensor, over: str) -> Number:
    """The mean of independent values, one for each of what it is over."""
    values = values.double()
    return around(float(values.mean()), *samples_variance(values), over)


def bootstrap_weights(num_samples: int, seed: int) -> torch.Tensor:
    """Replicate weights: a row of ones, for the estimate, and NUM_BOOTSTRAP rows of counts."""
    rng = np.random.default_rng(seed)
    replicate_weights = torch.ones(NUM_BOOTSTRAP + 1, num_samples, dtype=torch.float64)
    uniform = np.full(num_samples, 1 / max(num_samples, 1))
    counts = rng.multinomial(num_samples, uniform, NUM_BOOTSTRAP)
    replicate_weights[1:] = torch.from_numpy(counts).double()
    return replicate_weights


def bootstrapped(replicates: torch.Tensor) -> Number:
    """The first replicate with an interval over samples from the others; none if any is undefined.

    >>> bootstrapped(torch.tensor([1.0, 0.0, 2.0]).double())
    {'value': 1.0, 'interval': [0.05, 1.95], 'over': 'samples'}
    """
    if not replicates.isfinite().all():
        return exact(float(replicates[0]) if replicates[0].isfinite() else None)
    ends = torch.quantile(replicates[1:], torch.tensor([0.025, 0.975], dtype=torch.float64))
    return {"value": float(replicates[0]), "interval": ends.tolist(), "over": "samples"}


def resampled(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> Number:
    """A statistic of samples, with its bootstrap interval over the samples."""
    rng = np.random.default_rng(0)
    replicates = [statistic(values)]
    replicates += [statistic(rng.choice(values, len(values))) for _ in range(NUM_BOOTSTRAP)]
    return bootstrapped(torch.tensor(replicates, dtype=torch.float64))


def resampled_line(bias_sq: torch.Tensor, variance: torch.Tensor) -> dict[str, torch.Tensor]:
    """`log_log_line` over samples with both above zero: the estimate, and bootstrap replicates."""
    return log_log_line(bias_sq, variance, replicate_weights=bootstrap_weights(len(bias_sq), 0))


def median_difference(values: np.ndarray, chosen: np.ndarray) -> Number:
    """Median of the chosen values minus median of the others, resampled within each group."""
    rng = np.random.default_rng(0)
    inside, outside = values[chosen], values[~chosen]
    replicates = [float(np.median(inside) - np.median(outside))]
    for _ in range(NUM_BOOTSTRAP):
        a, b = (rng.choice(part, len(part)) for part in (inside, outside))
        replicates.append(float(np.median(a) - np.median(b)))
    return bootstrapped(torch.tensor(replicates, dtype=torch.float64))
