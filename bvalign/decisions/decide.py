"""All questions that an analysis can answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions.answers import repeated_answers
from bvalign.decisions.calibrate import calibrate_ensemble
from bvalign.decisions.card import Decision

Decisions = Mapping[str, Decision]
"""Key of the question -> what answers it."""

EVALUATIONS = ("lm_eval", "inspect")
"""Formats whose members are repeated answers."""


@dataclass(frozen=True)
class Options:
    """What a user asks beside the questions themselves.

    Attributes:
        targets: wanted values by name, such as {"risk": 0.1}.
        evaluation: whether the predictions are a log of evaluations, as members that only vote are.
    """

    targets: Mapping[str, float] = field(default_factory=dict)
    evaluation: bool = False

    def of(self, origin: Mapping[str, object]) -> "Options":
        """The same for predictions that come from there."""
        return replace(self, evaluation=origin.get("format") in EVALUATIONS)


def decide(analysis: Analysis | UnlabelledAnalysis, options: Options) -> dict[str, Decision]:
    """Answers the questions, in the order in which a report shows them.

    Args:
        analysis: with labels or without.
        options: of the user.
    """
    found: dict[str, Decision] = {}
    if isinstance(analysis, Analysis):
        found["calibrate"] = calibrate_ensemble(analysis)
        if options.evaluation or analysis.only_votes:
            found["answers"] = repeated_answers(analysis)
    return found
