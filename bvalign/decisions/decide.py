"""All questions that an analysis can answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions.card import Decision
from bvalign.decisions.systematic import systematic_or_chance
from bvalign.predictions import Groups, Predictions

Decisions = Mapping[str, Decision]
"""Key of the question -> what answers it."""


@dataclass(frozen=True)
class Options:
    """What a user asks beside the questions themselves.

    Attributes:
        targets: wanted values by name, such as {"risk": 0.1}.
        groups: of the samples to compare, by column.
        class_names: one per class, if they have names.
    """

    targets: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, Groups] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    def of(self, predictions: Predictions) -> "Options":
        """The same with what the predictions say of their samples and classes."""
        return replace(self, groups=predictions.groups, class_names=predictions.class_names)


def decide(analysis: Analysis | UnlabelledAnalysis, options: Options) -> dict[str, Decision]:
    """Answers the questions, in the order in which a report shows them.

    Args:
        analysis: with labels or without.
        options: of the user.
    """
    decisions: dict[str, Decision] = {}
    if isinstance(analysis, Analysis):
        decisions["systematic"] = systematic_or_chance(
            analysis, options.groups, options.class_names
        )
    return decisions
