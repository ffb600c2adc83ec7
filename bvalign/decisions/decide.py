"""All questions that an analysis can answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions.calibrate import calibrate_ensemble
from bvalign.decisions.card import Decision

Decisions = Mapping[str, Decision]
"""Key of the question -> what answers it."""


@dataclass(frozen=True)
class Options:
    """What a user asks beside the questions themselves.

    Attributes:
        targets: wanted values by name, such as {"risk": 0.1}.
    """

    targets: Mapping[str, float] = field(default_factory=dict)


def decide(analysis: Analysis | UnlabelledAnalysis, options: Options) -> dict[str, Decision]:
    """Answers the questions, in the order in which a report shows them.

    Args:
        analysis: with labels or without.
        options: of the user.
    """
    found: dict[str, Decision] = {}
    if isinstance(analysis, Analysis):
        found["calibrate"] = calibrate_ensemble(analysis)
    return found
