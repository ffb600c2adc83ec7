"""What each number assumes, and the sentences of the card."""

from collections.abc import Mapping

from bvalign.analysis.intervals import Estimate

ASSUMES = {
    "disagreement": "vote shares of infinitely many such members are calibrated, all classes "
    "together: the Generalization Disagreement Equality",
    "confidence": "the largest probabilities are calibrated",
    "calibrated": "the mean probabilities of infinitely many such members are calibrated for each "
    "class",
    "calibrated_plug_in": "the mean probabilities of these very members are calibrated for each "
    "class",
    "source": "nothing has changed",
    "scaled": "errors grow in proportion to disagreement, risk and bias_sq to the variance",
    "line": "accuracy moves as agreement does, in probits",
    "atc": "errors are the samples below one threshold of confidence, the source's",
    "temperature": "the source's temperature calibrates the target",
    "noise_model": "samples of equal variance are wrong as often as in the source",
    "held_shares": "errors grow in proportion to disagreement, and class shares are those of the "
    "source unless the target looks like a mixture of its classes",
}
OVER_CONFIDENT = {
    "disagreement": "members that agree more often than they are right make it too low",
    "confidence": "a confidence above the accuracy makes it too low, by their difference",
    "calibrated": "an over-confident mean makes it too low, by its mean calibration residual",
    "calibrated_plug_in": "an over-confident mean makes it too low, by its mean calibration "
    "residual",
}
"""Method without a source -> its error if the members are over-confident."""

NO_SOURCE = "no labelled predictions to compare with: give --source LABELLED, of the same members"
ALLOWED = "The interval allows for chance, and for a shift as far as labelled sets have shown one"
UNDEFINED = "needs two members that disagree somewhere in the source"


def percent(number: Estimate) -> str:
    """A rate with its interval.

    >>> percent(Estimate(0.24, (0.2, 0.3)))
    '24.0% (95% CI 20.0% to 30.0%)'
    """
    ends = number.quoted_interval
    if number.value is None or ends is None:
        return f"unknown ({number.reason})" if number.value is None else f"{number.value:.1%}"
    alone = "" if number.interval else ", samples alone"
    return f"{number.value:.1%} (95% CI {ends[0]:.1%} to {ends[1]:.1%}{alone})"


def rates(member: Estimate, ensemble: Estimate) -> str:
    """Both error rates."""
    return (
        f"Expect a member to be wrong on {percent(member)} of the samples, and the ensemble on "
        f"{percent(ensemble)}."
    )


def plain_number(number: Estimate) -> str:
    """Another number with its interval."""
    ends = number.quoted_interval
    if number.value is None or ends is None:
        return "unknown" if number.value is None else f"{number.value:.3g}"
    return f"{number.value:.3g} (95% CI {ends[0]:.3g} to {ends[1]:.3g})"


def without_source(rows: Mapping[str, Mapping[str, Estimate]]) -> str:
    """The answer where there is no source."""
    error = rows["disagreement"]["error_rate"]
    said = ""
    if error.value is not None:
        said = f"If vote shares are calibrated, a member is wrong on {percent(error)}. "
    ensemble = percent(rows["confidence"]["ensemble_error_rate"])
    return (
        f"{said}If its confidence is calibrated, the ensemble is wrong on {ensemble}. Where "
        "members are over-confident, as is usual on shifted data, the true values are higher, and "
        "no interval covers that: give labelled predictions of the same members with --source."
    )


def differs(class_change: float | None, distance: float | None) -> str:
    """The warning.

    Args:
        class_change: odds of an error with class shares held, over those without; None if close.
        distance: of source and target; None if not too far.
    """
    reasons = []
    if class_change is not None:
        reasons.append(
            "the predicted class shares have moved: if the true ones have not, the odds of an "
            f"error are {class_change:.2g} times what they are otherwise, and nothing here tells "
            "which; the interval spans both"
        )
    if distance is not None:
        reasons.append(
            f"{distance:.0%} of the samples would have to be others to make predicted classes and "
            "confidences those of the source"
        )
    return "Source and target differ too much to say: " + "; ".join(reasons) + "."


def baseline(
    rows: Mapping[str, Mapping[str, Estimate]], recommended: str, misses: Mapping[str, float]
) -> str:
    """The simple ways to the error of a member, and what further labelled sets say of them.

    Args:
        rows: method -> quantity -> estimate.
        recommended: the method.
        misses: method -> mean absolute error on the further labelled sets; empty without them.
    """
    simple = {
        "the source's own rate": "source",
        "disagreement": "disagreement",
        "one minus confidence": "confidence",
    }
    parts = [
        f"{name} {rows[method]['error_rate'].value:.1%}"
        for name, method in simple.items()
        if rows[method]["error_rate"].value is not None
    ]
    said = "Simpler: " + ", ".join(parts) + "."
    if not misses:
        return f"{said} One labelled set cannot tell which is best; the page of documentation does."
    best = min(misses, key=misses.__getitem__)
    verdict = f"On the further labelled sets, {recommended} was off by {misses[recommended]:.2g}"
    against = f"the source's own rate by {misses['source']:.2g}"
    wins = "" if misses[best] == misses[recommended] else f"; least by {best}, {misses[best]:.2g}"
    return f"{said} {verdict} on average, {against}{wins}."
