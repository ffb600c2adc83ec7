"""When to abstain: which predictions to accept, so that few of them are wrong.

The samples are split once at random, clusters together. The first half (at most 20,000 samples)
chooses the doubt (`choice.py`) and the order of the tests; the others, which had no part in that,
judge it (`ranking.py`, on at most 10,000) and set the threshold (`threshold.py`).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from bvalign.analysis.calibration.temperature import in_random_order
from bvalign.analysis.groups import Doubts
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.decisions.abstain.choice import Choice, choose
from bvalign.decisions.abstain.combination import rows_of
from bvalign.decisions.abstain.judged import Judges, difference, judges_of, share
from bvalign.decisions.abstain.ranking import areas, places
from bvalign.decisions.abstain.threshold import Samples, Threshold, find_threshold

LEAST_SAMPLES = 40
MOST_SAMPLES = 20_000
"""That choose the doubt."""

SEED = 1
"""Not that of `draw_positions`, or the kept samples would all be in the first half."""

COVERAGES = torch.arange(1, 26).double() / 25


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
        curves: error rate over coverage, by doubt.
        curve_of_member: the same of one member's confidence, averaged over members.
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
    curve_of_member: list[float]
    chosen_on: int


class _Halves(NamedTuple):
    """Rows of the samples, in random order."""

    choose: Int[Tensor, " rows"]
    test: Int[Tensor, " others"]


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
    judges = judges_of(analysis, wrong, halves.test)
    return Found(
        choice=choice,
        threshold=at,
        of_confidence=threshold("confidence"),
        max_error=max_error,
        confidence=confidence,
        **_numbers(choice, at, judges),
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
    order = in_random_order(number, clusters, SEED)
    cut = min(number // 2, MOST_SAMPLES)
    if clusters is not None:  # the cluster in the middle goes to the first half
        while cut < number and clusters[order[cut]] == clusters[order[cut - 1]]:
            cut += 1
    return _Halves(order[:cut], order[cut:])


def _numbers(choice: Choice, at: Threshold, judges: Judges) -> dict[str, object]:
    """All fields of `Found` that are judged."""
    parts = judges.parts
    ranked = {
        name: [areas(choice.doubt(part.doubts, name), part.wrong) for part in parts]
        for name in choice.names
    }
    pairs = zip(ranked[choice.name], ranked["confidence"], strict=True)
    found = {
        "scores": {
            name: {
                "aurc": judges.estimate([part.aurc for part in of_parts]),
                "augrc": judges.estimate([part.augrc for part in of_parts]),
            }
            for name, of_parts in ranked.items()
        },
        "gain": judges.estimate([difference(a.augrc, b.augrc) for a, b in pairs], "real"),
        "one_member": judges.alone.areas(),
        "curves": {
            name: _curve(choice, name, judges)
            for name in dict.fromkeys((choice.name, "confidence"))
        },
        "curve_of_member": judges.alone.rates(COVERAGES),
        "error": judges.error_rate([torch.ones_like(part.wrong).bool() for part in parts]),
    }
    if at.threshold is None:
        none = Estimate(None, reason="no threshold reaches the wanted error")
        return found | {"accepted": none, "error_accepted": none}
    accepted = [choice.doubt(part.doubts) <= at.threshold for part in parts]
    found["accepted"] = judges.estimate([share(taken) for taken in accepted])
    return found | {"error_accepted": judges.error_rate(accepted)}


def _curve(choice: Choice, name: str, judges: Judges) -> list[Estimate]:
    """Error rate among the most certain samples at each coverage.

    Intervals are those of the samples accepted here, as if the doubt of the last one were a
    threshold set before.
    """
    ranks = [places(choice.doubt(part.doubts, name)) for part in judges.parts]
    return [
        judges.error_rate([rank < math.ceil(share * rank.shape[1]) for rank in ranks])
        for share in COVERAGES.tolist()
    ]


def _some(values: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if values is None else values[rows]
