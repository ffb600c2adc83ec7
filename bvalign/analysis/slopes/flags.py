"""Reasons not to quote the population slope."""

from typing import NamedTuple

from bvalign.analysis.slopes.noise_pooling import ShapeChange
from bvalign.analysis.slopes.wrong_logits import Skewness

FLAGS = {
    "tail_dependent": "the noise of the members has heavier tails than normal, and the answer "
    "depends on them: exponential tails move it by a third of its interval",
    "tails_unknown": "no distribution with exponential tails fits the noise, so how much depends "
    "on them is unknown",
    "heavy_tails": "the noise has heavier tails than exponential: no population slope is claimed",
    "light_tails": "the noise of the members ends sooner than a normal distribution, in a way that "
    "its skewness and kurtosis do not determine",
    "unseen_members": "more than a quarter of the squared label residual comes from members rarer "
    "than any of these",
    "alike_margins": "the samples are too alike for so few members: less than 70% of the spread of "
    "log squared bias is theirs",
    "asymmetric_logits": "the logits of wrong classes are skewed, which hides the upper tail that "
    "sets the variance of easy samples",
    "saturated": "more than 5% of the correct samples are left out: a member gives them a "
    "probability of exactly 0 or 1, or all members the same one",
}
"""Name -> sentence."""

MOST_SHIFT = 1 / 3  # half-widths of the interval
MOST_KURTOSIS = 3.0  # that of exponential tails on both sides
LEAST_KURTOSIS = -0.4  # a third of that of uniform noise
MOST_UNSEEN, LEAST_RELIABILITY, MOST_SKEWNESS, MOST_SATURATED = 0.25, 0.7, 0.1, 0.05


class Evidence(NamedTuple):
    """What the flags look at; pairs are of slope and offset."""

    half_widths: tuple[float, ...]  # of the intervals before they are stretched
    tail_shifts: tuple[float, ...]  # with exponential tails
    change: ShapeChange | None  # None where the shape is assumed
    unseen: float  # fraction of E (1 - p_y)² from members rarer than any seen
    reliability: float  # fraction of the variance of log bias_sq that is not error
    skewness: Skewness
    saturated: int  # correct samples that are left out
    samples: int  # in the fit


def flags_of(evidence: Evidence) -> tuple[str, ...]:
    """Names of the reasons that hold, in the order of FLAGS."""
    change, found = evidence.change, dict.fromkeys(FLAGS, False)
    if change is not None:
        pairs = list(zip(evidence.tail_shifts, evidence.half_widths, strict=True))
        matters = any(abs(shift) > MOST_SHIFT * half for shift, half in pairs)
        heavier = change.kurtosis - 2 * change.kurtosis_error > 0
        found["tail_dependent"] = heavier and matters
        found["tails_unknown"] = any(shift != shift for shift, _ in pairs)  # NaN
        found["heavy_tails"] = change.kurtosis > MOST_KURTOSIS
        found["light_tails"] = change.kurtosis + 2 * change.kurtosis_error < LEAST_KURTOSIS
    skewness = evidence.skewness
    found["unseen_members"] = evidence.unseen > MOST_UNSEEN
    found["alike_margins"] = evidence.reliability < LEAST_RELIABILITY
    found["asymmetric_logits"] = abs(skewness.value) - 2 * skewness.standard_error > MOST_SKEWNESS
    correct = evidence.samples + evidence.saturated
    found["saturated"] = evidence.saturated > MOST_SATURATED * correct
    return tuple(name for name, holds in found.items() if holds)
