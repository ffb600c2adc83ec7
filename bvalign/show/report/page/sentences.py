"""The main results in sentences, each with its interval."""

from collections.abc import Iterator, Sequence

from bvalign.analysis.intervals import Estimate, stored
from bvalign.analysis.slopes import FLAGS, SHAPE_MEMBERS
from bvalign.show.report.page.quoted import percent, quoted

Summary = dict[str, object]

LARGEST_SLOPE = 10
"""Largest slope, or end of its interval, that a sentence quotes; votes of few members exceed it."""

ENOUGH_MEMBERS = 8
"""Members from which on the population slope is quoted without a word on their number."""


def of_alignment(summary: Summary) -> Iterator[str]:
    """Says how variance goes with squared bias.

    Args:
        summary: as in summary.json.
    """
    fit = summary["alignment"]["logit_slope"]
    slope, offset = stored(fit["slope"]), stored(fit["offset"])
    both = f"slope {quoted(slope, '.3f')} and offset {quoted(offset, '.3f')}"
    if fit["quotable"] and largest(slope) > LARGEST_SLOPE:
        yield f"These samples do not determine the population slope: {both}."
    elif fit["quotable"]:
        ratio = stored(summary["ratio"]["population"]["geometric_mean"])
        yield (
            f"{tenfold(slope)}, over the samples that the ensemble gets right; at slope one it "
            "would grow tenfold as well. On a typical one of them, variance is "
            f"{quoted(ratio)} times the squared bias."
        )
        yield f"Quote {both}. They are about infinitely many such members and samples."
    elif slope.value is not None:
        yield f"For infinitely many members, the estimate is {both}, not to be quoted."
    yield from cautions(slope, offset, fit["flags"], summary["num_members"])
    paper = stored(summary["alignment"]["ols"]["slope"])
    if paper.value is not None:
        yield (
            f"The least-squares line of these {summary['num_members']} members, as in the paper, "
            f"has slope {quoted(paper, '.3f')}. It does not say what more members would show: with "
            "a finite number, the errors on its two axes are correlated, which pulls it towards "
            "one."
        )


def of_risk(summary: Summary) -> Iterator[str]:
    """Says how often members and ensemble are right, and what their risk is made of.

    Args:
        summary: as in summary.json.
    """
    if summary.get("soft_labels"):
        yield (
            "Labels are soft, distributions over the classes; right means that the prediction is "
            "the most probable class of the label."
        )
    yield _accuracy(summary)
    yield from _risk(summary)


def tenfold(slope: Estimate) -> str:
    """Says what a slope means.

    >>> tenfold(Estimate(0.9956, (0.9823, 1.0086)))
    'If squared bias grows tenfold, variance grows 9.9-fold (95% CI 9.6 to 10.2)'
    """
    ends = slope[1:4]
    grown = Estimate(10**slope.value, *(pair and (10 ** pair[0], 10 ** pair[1]) for pair in ends))
    said = quoted(grown._replace(reason=slope.reason), ".1f").replace(" (", "-fold (", 1)
    return f"If squared bias grows tenfold, variance grows {said}"


def largest(number: Estimate) -> float:
    """The largest absolute value of a number and the ends of its interval."""
    return max(map(abs, (number.value, *(number.quoted_interval or ()))))


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


def _accuracy(summary: Summary) -> str:
    members, ensemble = summary["member_accuracy"], stored(summary["accuracy"])
    digits = percent(ensemble.value)
    if summary["num_members"] == 1:
        return f"The single member is right on {quoted(ensemble, digits)} of the samples."
    return (
        f"A member is right on {quoted(stored(members['mean']), digits)} of the samples, the worst "
        f"of these on {members['min']:{digits}}, the best on {members['max']:{digits}}; the mean "
        f"of all {summary['num_members']} is right on {quoted(ensemble, digits)}."
    )


def _risk(summary: Summary) -> Iterator[str]:
    means, share = summary["means"], summary["variance_share"]["squared"]
    risk, bias_sq, variance = (
        quoted(stored(means[name]), least=0.0) for name in ("risk", "bias_sq", "variance")
    )
    noise_share = summary["noise_share"]["squared"] if summary.get("soft_labels") else 0.0
    yield f"The risk of a member, its Brier score, is {risk}."
    if summary.get("soft_labels"):
        noise = quoted(stored(means["noise"]), least=0.0)
        yield (
            f"{noise_share:.0%} of it is label noise, {noise}: what no model can avoid, as the "
            "labels themselves vary."
        )
        if "noise_unbiased" in means:
            few = quoted(stored(means["noise_unbiased"]), least=0.0)
            yield f"With so few answers a sample, that is too low; unbiased, it is {few}."
    if summary["num_members"] == 1:
        yield "One member has no variance."
    elif share is not None:
        yield (
            f"{1 - share - noise_share:.0%} of it is squared bias, {bias_sq}: what the members get "
            f"wrong together. {share:.0%} is variance, {variance}: what they disagree on."
        )
