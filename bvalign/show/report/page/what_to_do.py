"""What to do: at most five sentences made from the numbers, each with its section and its list."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from bvalign.analysis.intervals import Estimate, stored
from bvalign.analysis.slopes import FLAGS
from bvalign.show.report.page.decision_tiles import decision
from bvalign.show.report.page.quoted import may_be_zero, percent, quoted, value
from bvalign.show.report.page.sentences import LARGEST_SLOPE, largest, tenfold

Summary = dict[str, object]

MOST = 5
FEW = 5
"""Fewer members say little of what more would bring."""
VIEW = "#view="
LEAST_SYSTEMATIC = 0.05
"""Share of the errors from which on those that all members share come first."""


class Advice(NamedTuple):
    """A sentence, and where to go on."""

    text: str
    links: tuple[tuple[str, str], ...]  # words and address, the list first


def what_to_do(summary: Summary, views: Collection[str]) -> list[Advice]:
    """Makes the sentences, the most important first.

    Args:
        summary: as in summary.json.
        views: names of the lists of samples that the page has.
    """
    labelled = REPEATED if decision(summary, "answers") else LABELLED
    makers = labelled if summary["labels"] else UNLABELLED
    said = [advice for make in makers for advice in make(summary)][:MOST]
    return [
        Advice(text, tuple(link for link in links if _leads(link[1], views)))
        for text, links in said
    ]


def _leads(address: str, views: Collection[str]) -> bool:
    """Whether the page has what a link shows."""
    return not address.startswith(VIEW) or address.removeprefix(VIEW) in views


def _wrong_labels(summary: Summary) -> Iterator[Advice]:
    found = decision(summary, "wrong_labels")
    if found and found["reviewed"]:
        number = quoted(stored(found["number"]), ",.0f")
        repeated = decision(summary, "answers")
        doubt = ", unless the model is wrong about them in every run" if repeated else ""
        yield Advice(
            f"Review the {found['reviewed']:,} most suspicious labels: an estimated {number} of "
            f"{summary['num_samples']:,} are wrong{doubt}.",
            _links(found, ("list", "#view=wrong-labels")),
        )


def _systematic(summary: Summary) -> Iterator[Advice]:
    found = decision(summary, "systematic")
    share = stored(found["systematic_share"]) if found else Estimate(None)
    if (share.quoted_interval or (0, 1))[0] > LEAST_SYSTEMATIC:
        count = round(found["systematic"]["value"] * summary["num_samples"])
        members, least = summary["num_members"], found["nearly_all"]
        who = f"all {members}" if least == members else f"at least {least} of {members}"
        yield Advice(
            f"Look first at the {count:,} errors that {who} members share, {quoted(share, '.0%')} "
            "of all: more members do not remove them; their cause is in labels, data or "
            "architecture.",
            (("list", "#view=systematic"), ("why", "#decide-systematic")),
        )
    worst = [g for g in found.get("groups", ()) if g["stands_out"]]
    if worst:
        group = max(worst, key=lambda g: g["error_rate"]["value"])
        rate = quoted(stored(group["error_rate"]), ".1%")
        overall = found["error_rate"]["value"]
        if group["error_rate"]["value"] > overall:
            yield Advice(
                f"Check {group['column']} {group['name']}: a member is wrong on {rate} of it, "
                f"against {overall:.1%} of all samples.",
                _links(found),
            )


def _members(summary: Summary) -> Iterator[Advice]:
    links = (("numbers", "#decide-members"),)
    if summary["num_members"] == 1:
        yield Advice("Train a second member: one does not show what members disagree on.", links)
        return
    if not (found := decision(summary, "members")):
        return
    gain, more = (stored(found[key]["error"]) for key in ("gain_of_all", "gain_of_more"))
    size = found["gain_of_more"]["members"] - summary["num_members"]
    said = f"{size} more would change the accuracy by {quoted(more, 'points')}"
    bias = found["bias_share"]["value"]
    kinds = "label noise and bias" if summary.get("soft_labels") else "bias"
    rest = f", and {bias:.0%} of the ensemble's risk is {kinds}, which they leave" if bias else ""
    if may_be_zero(gain) and summary["num_members"] < FEW:
        yield Advice(
            f"Train more members to see what they bring: {summary['num_members']} say little. "
            f"As far as they show, {said}.",
            links,
        )
    elif may_be_zero(gain):
        yield Advice(f"Do not count on more members: no gain is shown. {said}{rest}.", links)
    else:
        limit = f"infinitely many by {quoted(gain, 'points')}"
        yield Advice(f"More members help: {said}, {limit}{rest}.", links)


def _calibrate(summary: Summary) -> Iterator[Advice]:
    if not (found := decision(summary, "calibrate")):
        return
    change, links = stored(found["number"]), _links(found)
    said = quoted(change, ".2g").replace(" (", " nats (", 1)
    said = f"by {said} on samples it was not fitted to"
    if found["best"] is None:
        yield Advice(
            f"Leave the probabilities as they are: the best method changes cross-entropy {said}.",
            links,
        )
    elif may_be_zero(change):
        yield Advice(
            f"Calibration is not shown to help: it changes the cross-entropy {said}.", links
        )
    else:
        yield Advice(
            f"Calibrate with {_method(found)}: it changes the cross-entropy {said}.", links
        )


def _method(found: Summary) -> str:
    constants = found["methods"][found["best"]]["constants"]
    if found["best"] == "two_constants":
        agree, disagree = (constants[key]["value"] for key in ("agree", "disagree"))
        return (
            f"two constants, {agree:.3g} for what members agree on and {disagree:.3g} for the rest"
        )
    whose = "the mean" if found["best"] == "mean" else "every member"
    return f"a temperature of {constants['temperature']['value']:.3g} for {whose}"


def _abstain(summary: Summary) -> Iterator[Advice]:
    found = summary.get("decisions", {}).get("abstain", {}) | {"key": "abstain"}
    if "threshold" not in found:
        return
    sure = f"{found['confidence']:.0%}"
    wanted = f"{100 * found['max_error']:.2g}%"
    accepted = stored(found["accepted"])
    if not accepted.value:
        yield Advice(
            f"No rule keeps the errors among accepted predictions at {wanted} with {sure} "
            "confidence: allow more, or label more samples.",
            (("why", "#decide-abstain"),),
        )
    elif accepted.value == 1:
        yield Advice(
            f"Accept every prediction: at most {wanted} are wrong, with {sure} confidence.",
            _links(found),
        )
    else:
        yield Advice(
            f"To keep errors at {wanted} or less (with {sure} confidence), accept "
            f"{quoted(accepted, percent(accepted.value))} of the predictions and check the others.",
            _links(found, ("not accepted", "#view=not-accepted")),
        )


def _alignment(summary: Summary) -> Iterator[Advice]:
    fit = summary["alignment"]["logit_slope"]
    slope, offset, links = stored(fit["slope"]), stored(fit["offset"]), (("more", "#alignment"),)
    if slope.value is None:
        return
    if fit["flags"]:
        yield Advice(f"Do not quote slope and offset: {FLAGS[fit['flags'][0]]}.", links)
    elif largest(slope) <= LARGEST_SLOPE:
        yield Advice(
            f"Quote the alignment with its offset, {quoted(offset, '.2f')}: "
            f"{tenfold(slope)[0].lower()}{tenfold(slope)[1:]}.",
            links,
        )


def _expected(summary: Summary) -> Iterator[Advice]:
    found = summary.get("without_labels", {})
    if not found:
        return
    links = (("methods", "#without-labels"),)
    member, ensemble = (found[key]["recommended"] for key in ("error_rate", "ensemble_error_rate"))
    if not member:
        yield Advice(
            "Give labelled predictions of the same members with --source: without, error rates are "
            "right only if the members are calibrated, and too low if they are over-confident.",
            links,
        )
        return
    said = (
        f"the ensemble to be wrong on {quoted(stored(ensemble), '.1%')}, a member on "
        f"{quoted(stored(member), '.1%')}"
    )
    if found["warning"]:
        yield Advice(
            f"Label some of these samples before you rely on an error rate: they differ too much "
            f"from {found['sources'][0]}, which would let you expect {said}.",
            links,
        )
    else:
        yield Advice(f"Expect {said}, as judged by {found['sources'][0]}.", links)


def _unsure(summary: Summary) -> Iterator[Advice]:
    """Which samples to look at without labels."""
    if summary["num_members"] == 1:
        yield Advice(
            "Train a second member: one does not show what members disagree on.",
            (("samples", "#samples"),),
        )
        return
    disagree = stored(summary["means"]["disagreement"])
    yield Advice(
        "If you can label a few, start where the votes are split: two members disagree on "
        f"{quoted(disagree, percent(disagree.value))} of the samples.",
        (("split votes", "#view=split-votes"), ("most variable", "#view=most-variable")),
    )
    sure = stored(summary["means"]["confidence"])
    yield Advice(
        f"Treat the confidence, {value(sure, '.1%')} on average, as an upper bound of the accuracy "
        "where these samples differ from the training data: ensembles are usually over-confident "
        "there.",
        (("least sure samples", "#view=unsure"), ("samples", "#samples")),
    )


def _links(found: Summary, *first: tuple[str, str]) -> Sequence[tuple[str, str]]:
    """The list, the file that goes with the decision, and its section."""
    file = ((found["beside"], found["beside"]),) if found["beside"] else ()
    return (*first, *file, ("why", f"#decide-{found['key']}"))


REPEATED = (_systematic, _wrong_labels, _members, _calibrate, _abstain, _expected, _alignment)
"""Of one model's answers: what every run gets wrong is seldom the label's mistake."""
LABELLED = (_wrong_labels, _systematic, _members, _calibrate, _abstain, _expected, _alignment)
UNLABELLED = (_expected, _unsure)
