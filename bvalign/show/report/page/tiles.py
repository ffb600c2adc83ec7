"""The tiles of the first screen: four to six numbers that say what the ensemble does."""

from collections.abc import Callable, Iterator

from bvalign.analysis.intervals import Estimate, stored
from bvalign.decisions.without_labels.values import complement
from bvalign.show.report.page import decision_tiles
from bvalign.show.report.page.decision_tiles import Tile, decision
from bvalign.show.report.page.quoted import interval, percent, quoted, value
from bvalign.show.report.page.sentences import LARGEST_SLOPE, largest

Summary = dict[str, object]

MOST = 6
LEAST = 4


def tiles(summary: Summary) -> list[Tile]:
    """Chooses the tiles by what the numbers say.

    Args:
        summary: as in summary.json.
    """
    makers, more = (LABELLED, MEANS) if summary["labels"] else (UNLABELLED, UNLABELLED_MEANS)
    chosen = [tile for make in makers for tile in make(summary)]
    for make in more:
        chosen += make(summary) if len(chosen) < LEAST else ()
    return chosen[:MOST]


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
        "Shared part of the risk",
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


def _mean(key: str, title: str, note: str, digits: str) -> Callable[[Summary], Iterator[Tile]]:
    """Makes a function that makes the tile of a mean over the samples."""

    def make(summary: Summary) -> Iterator[Tile]:
        number = stored(summary["means"].get(key, {"value": None}))
        if number.value is not None:
            yield Tile(title, value(number, digits), interval(number, digits), note, "#losses")

    return make


LABELLED = (
    _accuracy,
    _risk,
    _alignment,
    decision_tiles.members,
    decision_tiles.answers,
    decision_tiles.wrong_labels,
    decision_tiles.without_labels,
    decision_tiles.calibrate,
    decision_tiles.abstain,
)
MEANS = (
    _mean("kl_risk", "Cross-entropy of a member", "nats", ".3g"),
    _mean("disagreement", "Disagreement", "pairs of members that predict other classes", ".1%"),
)
UNLABELLED = (
    decision_tiles.without_labels,
    *MEANS[1:],
    _mean("variance", "Variance", "what the members disagree on, squared probability", ".3g"),
    _mean("confidence", "Confidence", "mean of the largest probability", ".1%"),
    _mean("uncertainty", "Uncertainty", "of the members, squared probability", ".3g"),
)
UNLABELLED_MEANS = (
    _mean("risk_label_free_plug_in", "Expected risk", "if probabilities are calibrated", ".3g"),
)
"""What makes the tiles, the most important first; means only where there are too few others."""
