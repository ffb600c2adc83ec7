"""Named filters of the samples: which of them a reader may want to see at once, and why."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from bvalign.analysis.decompositions import NEARLY_ALL, error_kinds
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions import Decisions
from bvalign.show.report.page.galleries import scores

CONFIDENT = 0.9
UNSURE = 0.6
MOST_VARIABLE = 0.05
SPLIT = 1 / 3
"""Least share of the members that vote for another class than most do."""

DEVIATIONS = 2.0
"""Standard deviations of log variance about the line, beyond which a sample is off it."""

ROUNDING = 1e-9


class Scenario(NamedTuple):
    """A named filter."""

    title: str
    explanation: str  # one sentence
    mask: Bool[np.ndarray, " samples"]


def scenarios(analysis: Analysis | UnlabelledAnalysis, decisions: Decisions) -> dict[str, Scenario]:
    """Returns the scenarios that some samples meet, but not all, by their key in the address.

    Args:
        analysis: with labels or without.
        decisions: what the analysis answers; some add lists of samples.
    """
    if isinstance(analysis, UnlabelledAnalysis):
        found = _unlabelled(analysis)
    else:
        found = _labelled(analysis) | _decided(analysis, decisions)
    return {
        key: scenario
        for key, scenario in found.items()
        if 0 < scenario.mask.sum() < len(scenario.mask)
    }


def _labelled(analysis: Analysis) -> dict[str, Scenario]:
    wrong, confidence = ~analysis["correct"], 1 - analysis.table.doubts.confidence.numpy()
    found = {
        "confidently-wrong": Scenario(
            "confidently wrong",
            f"The ensemble is wrong although its confidence is at least {CONFIDENT:.0%}.",
            wrong & (confidence >= CONFIDENT),
        ),
        "split-votes": _split(analysis),
    }
    if off := _off_line(analysis):
        found["off-line"] = off
    found["wrong"] = Scenario("wrong", "The ensemble predicts another class than the label.", wrong)
    return found


def _off_line(analysis: Analysis) -> Scenario | None:
    distance = scores(analysis).off_line
    known = np.isfinite(distance)
    if not known.any():
        return None
    far = DEVIATIONS * math.sqrt(np.square(distance[known]).mean())
    text = (
        "Correct samples whose variance is further than two standard deviations, a factor of "
        f"{math.exp(min(far, 700)):.3g}, from the line of these members."
    )
    return Scenario("off the line", text, np.abs(np.nan_to_num(distance)) > far)


def _decided(analysis: Analysis, decisions: Decisions) -> dict[str, Scenario]:
    found, table = {}, analysis.table
    if labels := decisions.get("wrong_labels"):
        mask = np.zeros(analysis.num_samples, dtype=bool)
        mask[labels.suspicious().numpy()] = True
        text = "The labels that review.html asks about: the most likely to be wrong."
        found["wrong-labels"] = Scenario("suspect labels", text, mask)
    if "systematic" in decisions and analysis.num_members > 1:
        votes = table.zero_one
        kinds = error_kinds(
            table.decomposition.correct,
            votes.main != table.target,
            1 - votes.variance_01,
            votes.error_rate,
        )
        text = f"At least {NEARLY_ALL:.0%} of the members make the same mistake."
        found["systematic"] = Scenario("systematic errors", text, kinds.systematic.numpy())
        text = "The ensemble is wrong, not systematically, and some members are right."
        found["chance"] = Scenario("chance errors", text, kinds.chance.numpy())
    if "abstain" in decisions and "accepted" in (columns := decisions["abstain"].columns()):
        text = "The rule of abstain.json does not accept these predictions."
        mask = ~columns["accepted"].values.bool().numpy()
        found["not-accepted"] = Scenario("not accepted", text, mask)
    return found


def _unlabelled(analysis: UnlabelledAnalysis) -> dict[str, Scenario]:
    variance, confidence = analysis["variance"], analysis["confidence"]
    mask = np.zeros(analysis.num_samples, dtype=bool)
    if analysis.num_members > 1:
        number = math.ceil(MOST_VARIABLE * analysis.num_samples)
        mask[np.argsort(-variance, kind="stable")[:number]] = True
    return {
        "unsure": Scenario(
            "unsure",
            f"The confidence of the mean prediction is below {UNSURE:.0%}.",
            confidence < UNSURE,
        ),
        "split-votes": _split(analysis),
        "most-variable": Scenario(
            "most variable", f"The {MOST_VARIABLE:.0%} of the samples with the most variance.", mask
        ),
    }


def _split(analysis: Analysis | UnlabelledAnalysis) -> Scenario:
    with np.errstate(invalid="ignore"):  # NaN with one member
        mask = analysis["variance_01"] >= SPLIT - ROUNDING
    if analysis.num_members == 1:
        mask = np.zeros(analysis.num_samples, dtype=bool)
    text = "At least a third of the members vote for another class than most do."
    return Scenario("split votes", text, mask)
