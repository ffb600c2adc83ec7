"""The tiles of the first screen: four to six numbers that say what the ensemble does."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from bvalign.analysis.intervals import Estimate, stored
from bvalign.decisions.without_labels.values import complement
from bvalign.show.report.page.quoted import interval, may_be_zero, percent, quoted, value
from bvalign.show.report.page.sentences import LARGEST_SLOPE, largest

Summary = dict[str, object]

MOST = 6
LEAST = 4


class Tile(NamedTuple):
    """One number of the first screen."""

    title: str
    value: str
    interval: str  # at 95%, or empty
    note: str  # one line
    href: str  # of its section
    flagged: bool = False  # not to be quoted


def tiles(summary: Summary) -> list[Tile]:
    """Chooses the tiles by what the numbers say.

    Args:
        summary: as in summary.json.
    """
    chosen = [
        tile for make in (LABELLED if summary["labels"] else UNLABELLED) for tile in make(summary)
    ]
    for make in MEANS if summary["labels"] else ():
        chosen += make(summary) if len(chosen) < LEAST else ()
    return chosen[:MOST]


def decision(summary: Summary, key: str) -> dict[str, object]:
    """The numbers of a decision that has an answer; empty without one."""
    found = summary.get("decisions", {}).get(key)
    return found | {"key": key} if found and found["number"]["value"] is not None else {}


def _accuracy(summary: Summary) -> Iterator[Tile]:
    accuracy, one = stored(summary["accuracy"]), summary["num_members"] == 1
    digits = percent(accuracy.value)
    member = quoted(stored(summary["member_accuracy"]["mean"]), digits).replace("95% CI ", "")
    note = "the only member" if one else f"a single member: {member}"
    yield Tile(
        f"Accuracy of the {'member' if one else 'ensemble'}",
        value(accuracy, digits),
        interval(accuracy, digits),
        f"{note}; most probable label" if summary.get("soft_labels") else note,
        "#losses",
    )


def _risk(summary: Summary) -> Iterator[Tile]:
    risk, found = stored(summary["means"]["risk"]), decision(summary, "systematic")
    share = stored(found["variance_share"]) if found else Estimate(None)
    if share.value is None:
        share = Estimate(summary["variance_share"]["squared"])
    if summary["num_members"] == 1 or share.value is None:
        yield Tile(
            "Risk of the member" if summary["num_members"] == 1 else "Risk of a member",
            value(risk),
            interval(risk, least=0.0),
            "Brier score",
            "#losses",
        )
        return
    rest = 1 - share.value
    what = "squared bias, which members share"
    if summary.get("soft_labels"):
        noise = summary["noise_share"]["squared"]
        what = f"{noise:.0%} label noise, {rest - noise:.0%} squared bias"
    yield Tile(
        "Systematic share of risk",
        f"{rest:.0%}",
        interval(complement(share), ".0%"),
        f"{what}; {share.value:.0%} is chance (variance)",
        "#decide-systematic" if found else "#losses",
    )


def _alignment(summary: Summary) -> Iterator[Tile]:
    fit, paper = (summary["alignment"][name] for name in ("logit_slope", "ols"))
    slope, offset = stored(fit["slope"]), stored(fit["offset"])
    if slope.value is None:
        slope = stored(paper["slope"])
        if slope.value is not None and largest(slope) <= LARGEST_SLOPE:
            note = "of these members only (ols); there is none of the population"
            yield Tile(
                "Alignment", f"slope {slope.value:.2f}", interval(slope, ".2f"), note, "#alignment"
            )
        return
    if largest(slope) > LARGEST_SLOPE:
        yield Tile(
            "Alignment", "no slope", "", "these samples do not determine it", "#alignment", True
        )
        return
    ratio = stored(summary["ratio"]["population"]["geometric_mean"])
    both = quoted(offset, ".2f").replace("95% CI ", "")
    note = f"offset {both}: variance is {ratio.value:.2g} times squared bias"
    if fit["flags"]:
        note = f"offset {both}. Do not quote: {', '.join(fit['flags']).replace('_', ' ')}"
    yield Tile(
        "Alignment",
        f"slope {value(slope, '.2f')}",
        interval(slope, ".2f"),
        note,
        "#alignment",
        bool(fit["flags"]),
    )


def _members(summary: Summary) -> Iterator[Tile]:
    if found := decision(summary, "members"):
        gain, more = (stored(found[key]["error"]) for key in ("gain_of_all", "gain_of_more"))
        size = found["gain_of_more"]["members"] - summary["num_members"]
        shown = "no gain shown" if may_be_zero(gain) else f"{value(more, 'points')} by {size} more"
        left = stored(found["bias_share"])
        yield Tile(
            "What more members bring",
            value(gain, "points"),
            interval(gain, "points"),
            f"of error, {shown}; {left.value:.0%} of the risk stays" if left.value else shown,
            "#decide-members",
        )


def _answers(summary: Summary) -> Iterator[Tile]:
    found = decision(summary, "answers")
    if found and found["noise"]:
        run, bar = found["error_bar_single_run"], found["noise"]["error_bar"]
        yield Tile(
            "Error bar of the accuracy",
            f"±{100 * bar:.2g} points",
            "",
            f"the usual one of a single run is ±{100 * run:.2g} points",
            "#decide-answers",
        )


def _wrong_labels(summary: Summary) -> Iterator[Tile]:
    found = decision(summary, "wrong_labels")
    if found and found["reviewed"]:
        number = stored(found["number"])
        yield Tile(
            "Suspect labels",
            value(number, ",.0f"),
            interval(number, ",.0f"),
            f"expected to be wrong; {found['reviewed']:,} are worth a review",
            "#decide-wrong_labels",
        )


def _calibrate(summary: Summary) -> Iterator[Tile]:
    found = decision(summary, "calibrate")
    if found and found["best"] and not may_be_zero(stored(found["number"])):
        change = stored(found["number"])
        before = found["before"]["cross_entropy"]["value"]
        yield Tile(
            "What calibration brings",
            value(change, ".2g"),
            interval(change, ".2g"),
            f"nats of cross-entropy, from {before:.3g}",
            "#decide-calibrate",
        )


def _abstain(summary: Summary) -> Iterator[Tile]:
    found = decision(summary, "abstain")
    if found and found["accepted"]["value"]:
        accepted, most = stored(found["number"]), 100 * found["max_error"]
        digits = percent(accepted.value)
        yield Tile(
            "Predictions to accept",
            value(accepted, digits),
            interval(accepted, digits),
            f"at most {most:.2g}% of them wrong, {found['confidence']:.0%} sure",
            "#decide-abstain",
        )


def _without_labels(summary: Summary) -> Iterator[Tile]:
    """Error rates as expected: what is recommended or, without a source, the simplest."""
    if not (found := summary.get("without_labels")):
        return
    for key, (who, simplest, note) in SIMPLEST.items():
        chosen = found[key]["recommended"]
        number = stored(chosen or found[key]["methods"][simplest])
        if number.value is None:
            continue
        note = f"estimated from {found['sources'][0]}" if chosen else note
        note = "source and target differ too much" if found["warning"] else note
        digits = percent(number.value)
        yield Tile(
            f"Expected error, {who}",
            value(number, digits),
            interval(number, digits),
            note,
            "#without-labels",
            bool(found["warning"]),
        )


def _mean(key: str, title: str, note: str, digits: str) -> Callable[[Summary], Iterator[Tile]]:
    """Makes a function that makes the tile of a mean over the samples."""

    def make(summary: Summary) -> Iterator[Tile]:
        number = stored(summary["means"].get(key, {"value": None}))
        if number.value is not None:
            yield Tile(title, value(number, digits), interval(number, digits), note, "#losses")

    return make


SIMPLEST = {
    "error_rate": ("member", "disagreement", "if vote shares are calibrated, else higher"),
    "ensemble_error_rate": ("ensemble", "confidence", "if it is calibrated, else higher"),
}
"""Error rate -> whose, the method without a source, and what that assumes."""

LABELLED = (
    _accuracy,
    _risk,
    _alignment,
    _members,
    _answers,
    _wrong_labels,
    _without_labels,
    _calibrate,
    _abstain,
)
MEANS = (
    _mean("kl_risk", "Cross-entropy of a member", "nats", ".3g"),
    _mean("disagreement", "Disagreement", "pairs of members that predict other classes", ".1%"),
)
UNLABELLED = (
    _without_labels,
    _mean("risk_label_free", "Expected risk", "if mean probabilities are calibrated", ".3g"),
    *MEANS[1:],
    _mean("variance", "Variance", "what the members disagree on, squared probability", ".3g"),
    _mean("confidence", "Confidence", "mean of the largest probability", ".1%"),
    _mean("uncertainty", "Uncertainty", "of the members, squared probability", ".3g"),
)
"""What makes the tiles, the most important first."""
