"""When to abstain: which predictions to accept, so that few of them are wrong.

The samples are split once at random, clusters together. The first half (at most 20,000 samples)
chooses the doubt (`choice.py`) and the order of the tests; the others, which had no part in that,
judge it (`ranking.py`, on at most 20,000) and set the threshold (`threshold.py`).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration.temperature import in_random_order
from bvalign.analysis.groups import Doubts
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.decisions.abstain.choice import Choice, choose
from bvalign.decisions.abstain.combination import rows_of
from bvalign.decisions.abstain.judged import (
    Part,
    Replicates,
    difference,
    error_rate,
    over_members,
    replicates,
    share,
    with_intervals,
)
from bvalign.decisions.abstain.ranking import Area, areas, curve
from bvalign.decisions.abstain.threshold import Samples, Threshold, find_threshold

LEAST_SAMPLES = 40
MOST_SAMPLES = 20_000
"""Samples that choose the doubt, and those that judge it."""

COVERAGES = torch.arange(1, 41).double() / 40


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        choice: the doubt.
        threshold: of the doubt, for the wanted error.
        of_confidence: the same of plain confidence, set in the same way.
        max_error: the wanted error rate of accepted predictions.
        confidence: of the guarantee.
        scores: aurc and augrc by doubt.
        one_member: the same of the confidence of one member, averaged over members.
        gain: AUGRC of the doubt minus that of plain confidence.
        error: rate over all samples that judge.
        accepted: fraction accepted.
        error_accepted: rate of those accepted.
        curves: error rate over coverage, by doubt; `member` of one member's confidence.
        chosen_on: samples that chose the doubt.
    """

    choice: Choice
    threshold: Threshold
    of_confidence: Threshold
    max_error: float
    confidence: float
    scores: dict[str, dict[str, Estimate]]
    one_member: dict[str, Estimate]
    gain: Estimate
    error: Estimate
    accepted: Estimate
    error_accepted: Estimate
    curves: dict[str, list[Estimate]]
    chosen_on: int


class _Halves(NamedTuple):
    """Rows of the samples, in random order."""

    choose: Int[Tensor, " rows"]
    test: Int[Tensor, " others"]


class _Judges(NamedTuple):
    """Samples that judge, with all members and without some."""

    all: Part  # one set
    kept: Replicates
    clusters: Int[Tensor, " samples"] | None
    kept_clusters: Int[Tensor, " kept"] | None


def find(analysis: Analysis, max_error: float | None, confidence: float) -> Found:
    """Chooses, judges and sets the threshold; arguments as for `when_to_abstain`."""
    table = analysis.table
    wrong = (table.doubts.prediction != table.target).double()
    halves = _halves(len(wrong), table.cluster)

    def samples(rows: Tensor) -> tuple[Doubts, Tensor, Tensor | None]:
        return rows_of(table.doubts, rows), wrong[rows], _some(table.cluster, rows)

    first, others = samples(halves.choose), samples(halves.test)
    choice = choose(*first, analysis.num_members, analysis.num_classes)
    if max_error is None:
        max_error = default_error(float(first[1].mean()), len(halves.test), confidence)

    def threshold(name: str) -> Threshold:
        chosen_on, tested_on = (
            Samples(choice.doubt(found, name), *rest) for found, *rest in (first, others)
        )
        return find_threshold(chosen_on, tested_on, max_error, confidence)

    at = threshold(choice.name)
    judges = _judges(analysis, wrong, halves.test[:MOST_SAMPLES])
    scores = _areas(choice, judges)
    return Found(
        choice=choice,
        threshold=at,
        of_confidence=threshold("confidence"),
        max_error=max_error,
        confidence=confidence,
        **scores,
        **_at_threshold(choice, at, judges),
        curves=_curves(choice, judges),
        chosen_on=len(halves.choose),
    )


def default_error(error: float, number: int, confidence: float) -> float:
    """Half the error rate, but no less than what twice the fewest samples can show; two digits.

    >>> default_error(0.1446, 5000, 0.95), default_error(0.0, 5000, 0.95)
    (0.072, 0.0012)
    """
    least = -2 * math.log(1 - confidence) / number
    return float(f"{min(max(error / 2, least), 0.99):.2g}")


def _halves(number: int, clusters: Int[Tensor, " samples"] | None) -> _Halves:
    order = in_random_order(number, clusters)
    cut = min(number // 2, MOST_SAMPLES)
    if clusters is not None:  # the cluster in the middle goes to the first half
        while cut < number and clusters[order[cut]] == clusters[order[cut - 1]]:
            cut += 1
    return _Halves(order[:cut], order[cut:])


def _judges(
    analysis: Analysis, wrong: Float[Tensor, " samples"], rows: Int[Tensor, " rows"]
) -> _Judges:
    table, kept = analysis.table, analysis.kept
    among = torch.isin(kept.positions, rows).nonzero().squeeze(-1)
    return _Judges(
        Part(Doubts(*(values[None, rows] for values in table.doubts)), wrong[None, rows]),
        replicates(kept, among),
        _some(table.cluster, rows),
        _some(table.cluster, kept.positions[among]),
    )


def _areas(choice: Choice, judges: _Judges) -> dict[str, object]:
    """Areas of all doubts, and the gain of the chosen one."""
    (found, wrong), (without, alone, wrong_alone), clusters, of_kept = judges
    whole, less = {}, {}
    for name in choice.names:
        whole[name] = areas(choice.doubt(found, name), wrong)
        less[name] = without and areas(choice.doubt(without.doubts, name), without.wrong)

    def estimates(name: str) -> dict[str, Estimate]:
        return {
            area: with_intervals(
                getattr(whole[name], area), less[name] and getattr(less[name], area), clusters
            )
            for area in ("aurc", "augrc")
        }

    gains = [
        of[choice.name] and difference(of[choice.name].augrc, of["confidence"].augrc)
        for of in (whole, less)
    ]
    members = areas(alone, wrong_alone)
    return {
        "scores": {name: estimates(name) for name in choice.names},
        "gain": with_intervals(*gains, clusters, "real"),
        "one_member": {
            area: over_members(values, of_kept) for area, values in members._asdict().items()
        },
    }


def _at_threshold(choice: Choice, at: Threshold, judges: _Judges) -> dict[str, Estimate]:
    """Fraction accepted and error rates, over the samples that judge."""
    without, clusters = judges.kept.without, judges.clusters
    parts = [judges.all, without]

    def everything(part: Part) -> Area:
        return error_rate(torch.ones_like(part.wrong), part.wrong)

    error = with_intervals(*(part and everything(part) for part in parts), clusters)
    if at.threshold is None:
        none = Estimate(None, reason="no threshold reaches the wanted error")
        return {"error": error, "accepted": none, "error_accepted": none}
    taken = [part and choice.doubt(part.doubts) <= at.threshold for part in parts]
    shares = (None if some is None else share(some) for some in taken)
    rates = (
        None if some is None else error_rate(some, part.wrong)
        for some, part in zip(taken, parts, strict=True)
    )
    return {
        "error": error,
        "accepted": with_intervals(*shares, clusters),
        "error_accepted": with_intervals(*rates, clusters),
    }


def _curves(choice: Choice, judges: _Judges) -> dict[str, list[Estimate]]:
    (found, wrong), (without, alone, wrong_alone), clusters, of_kept = judges
    curves = {}
    for name in dict.fromkeys((choice.name, "confidence")):
        whole = curve(choice.doubt(found, name), wrong, COVERAGES)
        less = [None] * len(whole)
        if without:
            less = curve(choice.doubt(without.doubts, name), without.wrong, COVERAGES)
        curves[name] = [with_intervals(*pair, clusters) for pair in zip(whole, less, strict=True)]
    curves["member"] = [
        over_members(point, of_kept) for point in curve(alone, wrong_alone, COVERAGES)
    ]
    return curves


def _some(values: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if values is None else values[rows]
