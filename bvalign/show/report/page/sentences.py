"""The main results in sentences, each with its interval."""

from collections.abc import Iterator, Sequence

from bvalign.analysis.intervals import Estimate, stored
from bvalign.analysis.slopes import FLAGS, SHAPE_MEMBERS

Summary = dict[str, object]

LARGEST_SLOPE = 10
"""Largest slope, or end of its interval, that a sentence quotes; votes of few members exceed it."""

ENOUGH_MEMBERS = 8
"""Members from which on the population slope is quoted without a word on their number."""


def in_words(summary: Summary) -> list[str]:
    """Writes sentences for a reader who has not read the documentation.

    Args:
        summary: as in summary.json.
    """
    return [
        *_labels(summary),
        *_accuracy(summary),
        *_risk(summary),
        *_population(summary),
        *_paper(summary),
    ]


def cautions(
    slope: Estimate, offset: Estimate, flags: Sequence[str], num_members: int
) -> Iterator[str]:
    """Writes what a reader has to know before quoting the population slope and offset.

    Args:
        slope: of the population.
        offset: that goes with it.
        flags: keys of FLAGS.
        num_members: M.
    """
    if slope.value is None:
        yield f"No population slope: {slope.reason}."
    if flags:
        reasons = "; ".join(f"{FLAGS[flag]} ({flag})" for flag in flags)
        yield f"Do not quote the population slope and offset: {reasons}."
    if offset.value is None or num_members >= ENOUGH_MEMBERS:
        return
    if num_members < SHAPE_MEMBERS:
        yield (
            f"{num_members} members cannot show the shape of their noise: the population slope and "
            f"offset assume a Gaussian one. From {ENOUGH_MEMBERS} members on it is measured well."
        )
    else:
        yield (
            f"{num_members} members are few: the intervals of the population slope and offset are "
            f"wide. From {ENOUGH_MEMBERS} members on they are much narrower."
        )


def _labels(summary: Summary) -> Iterator[str]:
    if summary.get("soft_labels"):
        yield (
            "Labels are soft, distributions over the classes: right, or correct, means that the "
            "most probable class of the label is hit."
        )


def _accuracy(summary: Summary) -> Iterator[str]:
    members, mean = summary["member_accuracy"], _quoted(stored(summary["accuracy"]), ".2%")
    if summary["num_members"] == 1:
        yield f"The single member is right on {mean} of the samples."
        return
    yield (
        f"A member is right on {_quoted(stored(members['mean']), '.2%')} of the samples, the "
        f"worst of these members on {members['min']:.2%}, the best on {members['max']:.2%}, and "
        f"the mean of all {summary['num_members']} on {mean}."
    )


def _risk(summary: Summary) -> Iterator[str]:
    means = summary["means"]
    numbers = [stored(means[name]) for name in ("risk", "bias_sq", "variance")]
    risk, bias_sq, variance = (_quoted(number, ".3g", least=0.0) for number in numbers)
    noise_share, noise = 0.0, ""
    if summary.get("soft_labels"):
        noise_share = summary["noise_share"]["squared"]
        found = _quoted(stored(means["noise"]), ".3g", least=0.0)
        noise = (
            f" Of the risk, {noise_share:.0%} is label noise, {found}: what no model can avoid, as "
            "the labels themselves vary."
        )
        if "noise_unbiased" in means:
            few = _quoted(stored(means["noise_unbiased"]), ".3g", least=0.0)
            noise += f" With so few answers that is too low; unbiased, it is {few}."
    if summary["num_members"] == 1:
        yield f"Its mean risk is {risk}; one member has no variance.{noise}"
        return
    share = summary["variance_share"]["squared"]
    if share is None:
        yield f"The mean risk of a member is {risk}."
        return
    yield (
        f"The mean risk of a member is {risk}.{noise} {1 - share - noise_share:.0%} of it is "
        f"squared bias, {bias_sq}: what members get wrong together. {share:.0%} is variance, "
        f"{variance}: what they disagree on."
    )


def _population(summary: Summary) -> Iterator[str]:
    fit = summary["alignment"]["logit_slope"]
    slope, offset = stored(fit["slope"]), stored(fit["offset"])
    ratio = stored(summary["ratio"]["population"]["geometric_mean"])
    both = f"a slope of {_quoted(slope)} and an offset of {_quoted(offset)}"
    if fit["quotable"] and _largest(slope) > LARGEST_SLOPE:
        yield f"The population slope is not determined by these samples: {both}."
    elif fit["quotable"]:
        yield (
            "Among samples that the ensemble gets right, ten times the squared bias goes with "
            f"{_times(slope)} the variance; a slope of one would give ten times. Variance there is "
            f"{_quoted(ratio, '.3g')} times the squared bias (geometric mean). The numbers to "
            f"quote, for infinitely many members and samples: {both} (logit_slope)."
        )
    elif slope.value is not None:
        yield f"Not to be quoted: for infinitely many members, logit_slope gives {both}."
    yield from cautions(slope, offset, fit["flags"], summary["num_members"])


def _paper(summary: Summary) -> Iterator[str]:
    paper = stored(summary["alignment"]["ols"]["slope"])
    if paper.value is not None:
        yield (
            f"The line of these {summary['num_members']} members (ols, the paper's) has a slope of "
            f"{_quoted(paper)}. With a finite number of members the errors on its two axes are "
            "correlated, which pulls it towards one: it does not say what more members would show."
        )


def _quoted(number: Estimate, digits: str = ".3f", least: float | None = None) -> str:
    """The number with its interval, whose lower end is not below `least`."""
    if number.value is None:
        return f"none ({number.reason})"
    if not number.quoted_interval:
        return f"{number.value:{digits}} (no interval: {number.reason})"
    low, high = number.quoted_interval
    low = low if least is None else max(low, least)
    what = "" if number.interval else " over samples alone"
    return f"{number.value:{digits}} (95% interval{what} {low:{digits}} to {high:{digits}})"


def _largest(number: Estimate) -> float:
    return max(map(abs, (number.value, *(number.quoted_interval or ()))))


def _times(slope: Estimate) -> str:
    ends = slope.quoted_interval
    factor = f"{10**slope.value:.1f} times"
    return factor if not ends else f"{factor} ({10 ** ends[0]:.1f} to {10 ** ends[1]:.1f})"
