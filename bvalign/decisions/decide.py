"""All questions that an analysis can answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions.card import Decision
from bvalign.decisions.without_labels import Source, risk_without_labels

Decisions = Mapping[str, Decision]
"""Key of the question -> what answers it."""


@dataclass(frozen=True)
class Options:
    """What a user asks beside the questions themselves.

    Attributes:
        targets: wanted values by name, such as {"risk": 0.1}.
        sources: labelled predictions of the same members, for risk without labels.
        rest: where some of the samples have no label, the analysis of those.
    """

    targets: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    rest: UnlabelledAnalysis | None = None


def decide(analysis: Analysis | UnlabelledAnalysis, options: Options) -> dict[str, Decision]:
    """Answers the questions, in the order in which a report shows them.

    Args:
        analysis: with labels or without.
        options: of the user.
    """
    answers: dict[str, Decision] = {}
    if options.sources or isinstance(analysis, UnlabelledAnalysis):
        target = options.rest or analysis
        answers["without_labels"] = risk_without_labels(target, options.sources)
    return answers
