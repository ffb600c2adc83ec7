"""What the card of "When to abstain?" says."""

import math
from collections.abc import Sequence

from bvalign.analysis.intervals import Estimate
from bvalign.decisions.abstain.choice import COMBINATION
from bvalign.decisions.abstain.question import COVERAGES, Found
from bvalign.decisions.card import Chart, Curve

NAMES = {
    "confidence": "confidence",
    "margin": "margin",
    "entropy": "entropy",
    "variance": "variance",
    "mutual_information": "mutual information",
    "votes": "share of votes",
    COMBINATION: "fitted probability of an error",
}
FIRST = {name: f"smallest {words}" for name, words in NAMES.items()}
FIRST |= {name: f"largest {NAMES[name]}" for name in ("confidence", "margin", "votes")}
"""What the samples have that are accepted first."""


def answer(found: Found) -> str:
    """The rule in words, or that there is none."""
    at, wanted = found.threshold, percent(found.max_error)
    sure = f"{100 * found.confidence:.3g}%"
    if at.threshold is None:
        return (
            f"No threshold of the {NAMES[found.choice.name]} keeps the error rate of accepted "
            f"predictions at {wanted} with {sure} confidence; of all predictions, "
            f"{with_ends(found.error)} are wrong. Allow a larger --max-error, or label more "
            f"samples than the {at.samples:,} that tested the thresholds."
        )
    if math.isinf(at.threshold):
        return (
            f"Accept every prediction: with {sure} confidence, at most {wanted} are wrong; here "
            f"{at.wrong:,} of {at.samples:,} {_were(at.wrong)}, {with_ends(found.error)}."
        )
    return (
        f"Accept the {with_ends(found.accepted)} of the predictions with the "
        f"{FIRST[found.choice.name]}: with {sure} confidence, at most {wanted} of them are wrong. "
        f"Of the {at.accepted:,} accepted here, {at.wrong:,} {_were(at.wrong)} wrong; of all "
        f"predictions, {with_ends(found.error)} are."
    )


def guarantee(found: Found) -> str:
    """What the rule promises."""
    if found.threshold.threshold is None:
        return "none: no threshold reaches the wanted error"
    return (
        f"with a probability of at least {found.confidence:g} over the draw of the samples that "
        f"tested it, at most {found.max_error:g} of the accepted predictions of these members are "
        "wrong, on samples drawn like those (learn then test, exact binomial)"
    )


def assumption(*, clustered: bool, soft_labels: bool) -> str:
    """What must hold."""
    lines = [
        "New samples are drawn like these, and predicted by the same members: another ensemble "
        "needs a rule of its own. The samples that chose the doubt are not those that set the "
        "threshold."
    ]
    if clustered:
        lines.append("New clusters are no larger than the largest here.")
    if soft_labels:
        lines.append("Wrong means another class than the most probable one of the label.")
    return " ".join(lines)


def baseline(found: Found) -> str:
    """Plain confidence and that of one member, beside the doubt."""
    scores, name = found.scores, found.choice.name
    member = f"confidence of one member {found.one_member['augrc']}"
    area = "AUGRC (mean share of wrong accepted predictions over all coverages, smaller is better)"
    if name == "confidence":
        return (
            "Plain confidence of the mean is the doubt that was chosen: no other was shown to rank "
            f"better. {area}: {scores[name]['augrc']}; {member}."
        )
    plain, gain = found.of_confidence, found.gain
    low, high = gain.quoted_interval or (-math.inf, math.inf)
    better = f"{NAMES[name]} ranks better" if high < 0 else "neither is shown to rank better"
    better = "plain confidence ranks better" if low > 0 else better
    return (
        f"Plain confidence of the mean, with a threshold set in the same way, accepts "
        f"{percent(plain.accepted / plain.samples)} in place of "
        f"{percent(found.threshold.accepted / plain.samples)}. {area}: {NAMES[name]} "
        f"{scores[name]['augrc']}, plain confidence {scores['confidence']['augrc']}, difference "
        f"{gain}: {better}; {member}."
    )


def chart(found: Found) -> Chart:
    """Error rate over coverage, with the rule as a point."""
    member = (_percents(COVERAGES.tolist()), _percents(found.curve_of_member))
    curves = [
        _curve(found, found.choice.name, NAMES[found.choice.name]),
        _curve(found, "confidence", "confidence of the mean")._replace(low=None, high=None),
        Curve("confidence of one member", *member, style="dashed"),
    ]
    if found.choice.name == "confidence":
        curves.pop(1)
    rule = found.error_accepted
    if rule.value is not None:
        low, high = rule.quoted_interval or (rule.value, rule.value)
        at = ([100 * found.accepted.value], [100 * rule.value], [100 * low], [100 * high])
        curves.append(Curve("the rule", *at, style="points"))
    return Chart(tuple(curves), "accepted predictions (%)", "wrong among them (%)")


def percent(share: float) -> str:
    """A share with the digits that matter.

    >>> percent(0.8812), percent(0.00156), percent(1.0), percent(0.0)
    ('88.1%', '0.16%', '100%', '0%')
    """
    if share >= 0.1:
        return f"{100 * share:.1f}%".replace(".0%", "%")
    return f"{100 * share:.2g}%"


def with_ends(number: Estimate) -> str:
    """A share with its interval."""
    ends = number.quoted_interval
    if ends is None:
        return percent(number.value)
    alone = "" if number.interval else ", over samples alone"
    return f"{percent(number.value)} (95% CI {percent(ends[0])} to {percent(ends[1])}{alone})"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _curve(found: Found, key: str, name: str) -> Curve:
    points = found.curves[key]
    ends = zip(*(p.quoted_interval or (p.value, p.value) for p in points), strict=True)
    values = [point.value for point in points]
    return Curve(name, *map(_percents, (COVERAGES.tolist(), values, *ends)))


def _percents(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]
