"""The tiles of decisions on the first screen."""

from collections.abc import Iterator
from typing import NamedTuple

from bvalign.analysis.intervals import stored
from bvalign.show.report.page.quoted import interval, may_be_zero, percent, value

Summary = dict[str, object]

SIMPLEST = {
    "error_rate": ("Expected error, member", "disagreement", "if vote shares are calibrated"),
    "ensemble_error_rate": ("Expected error", "confidence", "if the confidence is calibrated"),
    "risk": ("Expected risk", "calibrated", "if mean probabilities are calibrated"),
}
"""Number -> title, the method without a source, and what that assumes."""


class Tile(NamedTuple):
    """One number of the first screen."""

    title: str
    value: str
    interval: str  # at 95%, or empty
    note: str  # one line
    href: str  # of its section
    flagged: bool = False  # not to be quoted


def decision(summary: Summary, key: str) -> dict[str, object]:
    """The numbers of a decision that has an answer; empty without one."""
    found = summary.get("decisions", {}).get(key)
    return found | {"key": key} if found and found["number"]["value"] is not None else {}


def members(summary: Summary) -> Iterator[Tile]:
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


def answers(summary: Summary) -> Iterator[Tile]:
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


def wrong_labels(summary: Summary) -> Iterator[Tile]:
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


def calibrate(summary: Summary) -> Iterator[Tile]:
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


def abstain(summary: Summary) -> Iterator[Tile]:
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


def without_labels(summary: Summary) -> Iterator[Tile]:
    """Errors and risk as expected: what is recommended or, without a source, the simplest."""
    if not (found := summary.get("without_labels")):
        return
    for key, (title, simplest, assumed) in SIMPLEST.items():
        chosen = found[key]["recommended"]
        number = stored(chosen or found[key]["methods"].get(simplest, {"value": None}))
        if number.value is None:
            continue
        note = f"estimated from {found['sources'][0]}" if chosen else assumed
        note = "source and target differ too much" if found["warning"] else note
        digits = ".3g" if key == "risk" else percent(number.value)
        yield Tile(
            title,
            value(number, digits),
            interval(number, digits),
            note,
            "#without-labels",
            bool(found["warning"]),
        )
