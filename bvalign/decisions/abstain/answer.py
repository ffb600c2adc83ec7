"""The answer to "When to abstain?": a card, columns of samples.csv and a rule."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.decompositions import Column, Unit
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.decisions.abstain import said
from bvalign.decisions.abstain.choice import COMBINATION
from bvalign.decisions.abstain.question import LEAST_SAMPLES, Found, find
from bvalign.decisions.card import Card, Decision

FORMULAS = {
    "confidence": "1 - largest mean probability",
    "margin": "1 - (largest - second largest mean probability)",
    "entropy": "entropy of the mean probabilities (nats)",
    "variance": "mean over members of the squared distance to the mean probabilities",
    "mutual_information": "entropy of the mean - mean entropy of the members (nats)",
    "votes": "share of the members that vote for another class than the mean predicts",
    COMBINATION: "fitted probability of an error, from the other doubts and the predicted class",
}
"""Each doubt; a sample is accepted where it is at most the threshold."""

QUESTION = "When to abstain?"
PAGE = "docs/decisions/abstain.md"
RULE = "abstain.json"


@dataclass(frozen=True)
class Abstention(Decision):
    """Which predictions to accept.

    Attributes:
        found: None where there are too few samples.
        num_classes: K.
        columns_of_samples: for samples.csv.
        soft_labels: whether "wrong" is about the most probable class of each label.
        clustered: whether samples come in clusters.
    """

    found: Found | None
    num_classes: int
    columns_of_samples: dict[str, Column]
    soft_labels: bool
    clustered: bool

    def card(self) -> Card:
        """The card."""
        number = Estimate(None, reason=f"needs {LEAST_SAMPLES} samples with labels")
        if self.found is None:
            answer = f"There is no rule: it {number.reason}."
            return Card("abstain", QUESTION, answer, number, "", "", None, PAGE)
        found = self.found
        return Card(
            key="abstain",
            question=QUESTION,
            answer=said.answer(found),
            number=found.accepted,
            assumption=said.assumption(clustered=self.clustered, soft_labels=self.soft_labels),
            baseline=said.baseline(found),
            chart=said.chart(found),
            page=PAGE,
            beside=RULE,
        )

    def summary(self) -> dict[str, object]:
        """Numbers beside those of the card."""
        found = self.found
        if found is None:
            return {}
        return {
            "doubt": found.choice.name,
            "max_error": found.max_error,
            "confidence": found.confidence,
            "threshold": found.threshold._asdict(),
            "threshold_of_confidence": found.of_confidence._asdict(),
            "accepted": found.accepted,
            "error": found.error,
            "error_accepted": found.error_accepted,
            "doubts": found.scores,
            "one_member": found.one_member,
            "augrc_gain": found.gain,
            "chosen_on": found.chosen_on,
        }

    def columns(self) -> dict[str, Column]:
        """`mutual_information` and, with a threshold, `accepted`."""
        return self.columns_of_samples

    def files(self) -> dict[str, dict[str, object]]:
        """The rule."""
        if self.found is None:
            return {}
        found, at = self.found, self.found.threshold
        accept = "doubt <= threshold"
        if at.threshold is None:
            accept = "nothing"
        elif math.isinf(at.threshold):
            accept = "everything"
        combination = found.choice.combination if found.choice.name == COMBINATION else None
        return {
            RULE: {
                "kind": "abstain",
                "schema": 1,
                "num_classes": self.num_classes,
                "doubt": found.choice.name,
                "formula": FORMULAS[found.choice.name],
                "combination": combination,
                "accept": accept,
                "threshold": at.threshold,
                "max_error": found.max_error,
                "confidence": found.confidence,
                "guarantee": said.guarantee(found),
                "tested_on": {"samples": at.samples, "accepted": at.accepted, "wrong": at.wrong},
                "chosen_on": {"samples": found.chosen_on},
                "p_value": at.p_value,
            }
        }


def when_to_abstain(
    analysis: Analysis, max_error: float | None = None, confidence: float = 0.95
) -> Abstention:
    """Finds which predictions to accept so that at most a wanted share of them is wrong.

    Args:
        analysis: with labels.
        max_error: wanted error rate of the accepted predictions, between 0 and 1; by default half
            the error rate of all.
        confidence: of the guarantee, between 0 and 1.

    Raises:
        ValueError: `max_error` or `confidence` is not between 0 and 1.
    """
    check_asked(max_error, confidence)
    doubts, found, columns = analysis.table.doubts, None, {}
    if analysis.num_samples >= LEAST_SAMPLES:
        found = find(analysis, max_error, confidence)
    if analysis.num_members > 1:
        unit = Unit("nats", kind="positive")
        columns["mutual_information"] = Column(doubts.mutual_information, unit)
    if found is not None:
        accepted = accepted_of(found.choice.doubt(doubts), found.threshold.threshold)
        columns["accepted"] = Column(accepted, Unit("whether the prediction is accepted"))
    clustered = analysis.table.cluster is not None
    return Abstention(found, analysis.num_classes, columns, analysis.soft_labels, clustered)


def check_asked(max_error: float | None, confidence: float) -> None:
    """Checks what is asked, before an analysis takes its time.

    Raises:
        ValueError: a number is not between 0 and 1.
    """
    for name, value in (("max_error", max_error), ("confidence", confidence)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value}; 0.02 is 2%")


def accepted_of(doubt: Float[Tensor, " samples"], threshold: float | None) -> Tensor:
    """Whether each prediction is accepted; none is without a threshold."""
    return torch.zeros_like(doubt).bool() if threshold is None else doubt <= threshold
