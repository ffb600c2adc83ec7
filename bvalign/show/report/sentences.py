"""The main results in sentences, each with its interval."""

from collections.abc import Iterator

from bvalign.analysis.slopes import Estimate, stored_estimates

Summary = dict[str, object]

LARGEST_SLOPE = 10
"""Largest slope, or end of its interval, that a sentence quotes; votes of few members exceed it."""


def in_words(summary: Summary) -> list[str]:
    """Writes sentences for a reader who has not read the documentation.

    Args:
        summary: as in summary.json.
    """
    return [*_accuracy(summary), *_risk(summary), *_slopes(summary)]


def _accuracy(summary: Summary) -> Iterator[str]:
    members, mean = summary["member_accuracy"], f"{summary['accuracy']:.2%}"
    if summary["num_members"] == 1:
        yield f"The single member is right on {mean} of the test samples."
        return
    yield (
        f"A member is right on {members['mean']:.2%} of the test samples (the worst on "
        f"{members['min']:.2%}, the best on {members['max']:.2%}), the mean of all "
        f"{summary['num_members']} on {mean}."
    )


def _risk(summary: Summary) -> Iterator[str]:
    means = summary["means"]
    risk, bias_sq, variance = (means[name] for name in ("risk", "bias_sq", "variance"))
    if summary["num_members"] == 1 or not risk["value"]:
        yield f"Its mean risk is {_with_interval(risk)}; one member has no variance."
        return
    share = variance["value"] / risk["value"]
    yield (
        f"The mean risk of a member is {_with_interval(risk)}. {1 - share:.0%} of it is squared "
        f"bias, {_with_interval(bias_sq)}: what members get wrong together. {share:.0%} is "
        f"variance, {_with_interval(variance)}: what they disagree on."
    )


def _slopes(summary: Summary) -> Iterator[str]:
    fits = stored_estimates(summary["alignment"])
    quoted, paper = fits["cross_half"]["slope"], fits["ols"]["slope"]
    if quoted.value is None:
        yield f"The slope to quote, cross_half, is undefined: {quoted.reason}."
    elif max(map(abs, (quoted.value, *(quoted.quoted_interval or ())))) > LARGEST_SLOPE:
        slope = _slope(quoted)
        yield f"The slope to quote, cross_half, is not determined by these samples: {slope}."
    else:
        yield (
            "Among samples that the ensemble gets right, ten times the squared bias goes with "
            f"{_times(quoted)} the variance: a slope of {_slope(quoted)} by cross_half, the "
            "estimator to quote. A slope of one would give ten times the variance."
        )
    if paper.value is not None:
        yield (
            f"The paper's estimator, ols, gives {_slope(paper)}. With a finite number of "
            "members the errors on its two axes are correlated, which pulls it towards one."
        )


def _slope(estimate: Estimate) -> str:
    ends = estimate.quoted_interval
    if not ends:
        return f"{estimate.value:.3f} (no interval: {estimate.reason})"
    what = "" if estimate.interval else " over samples alone"
    return f"{estimate.value:.3f} (95% interval{what} {ends[0]:.3f} to {ends[1]:.3f})"


def _times(estimate: Estimate) -> str:
    ends = estimate.quoted_interval
    factor = f"{10**estimate.value:.1f} times"
    return factor if not ends else f"{factor} ({10 ** ends[0]:.1f} to {10 ** ends[1]:.1f})"


def _with_interval(mean: Summary) -> str:
    error = mean["standard_error"]
    if error is None:
        return f"{mean['value']:.3g}"
    low, high = mean["value"] - 1.96 * error, mean["value"] + 1.96 * error
    return f"{mean['value']:.3g} (95% interval over samples {max(low, 0):.3g} to {high:.3g})"
