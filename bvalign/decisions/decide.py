"""All questions that an analysis can answer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from bvalign.analysis.collect import one_thread_each
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions.abstain import check_asked, when_to_abstain
from bvalign.decisions.answers import repeated_answers
from bvalign.decisions.calibrate import calibrate_ensemble
from bvalign.decisions.card import Decision
from bvalign.decisions.members import how_many_members
from bvalign.decisions.needed import check_targets
from bvalign.decisions.systematic import systematic_or_chance
from bvalign.decisions.without_labels import Source, risk_without_labels
from bvalign.decisions.wrong_labels import wrong_labels
from bvalign.memory import return_freed_memory
from bvalign.predictions import Groups, Predictions

Decisions = Mapping[str, Decision]
"""Key of the question -> what answers it."""

EVALUATIONS = ("lm_eval", "inspect")
"""Formats whose members are repeated answers."""


@dataclass(frozen=True)
class Options:
    """What a user asks beside the questions themselves.

    Attributes:
        targets: wanted values of `risk`, `error`, `accuracy` or `cross_entropy`, by name.
        max_error: wanted error rate of accepted predictions; half of that of all if None.
        confidence: of guarantees.
        sources: labelled predictions of the same members, for risk without labels.
        rest: where some of the samples have no label, the analysis of those.
        groups: of the samples to compare, by column.
        class_names: one per class, if they have names.
        evaluation: whether the predictions are a log of evaluations, as members that only vote are.

    Raises:
        ValueError: a share is not between 0 and 1, or a target that no ensemble can have.
    """

    targets: Mapping[str, object] = field(default_factory=dict)
    max_error: float | None = None
    confidence: float = 0.95
    sources: tuple[Source, ...] = ()
    rest: UnlabelledAnalysis | None = None
    groups: Mapping[str, Groups] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    evaluation: bool = False

    def __post_init__(self) -> None:
        check_asked(self.max_error, self.confidence)
        object.__setattr__(self, "targets", check_targets(self.targets))

    def of(self, predictions: Predictions, origin: Mapping[str, object]) -> "Options":
        """The same with what is known of the samples and classes, and of where they come from."""
        return replace(
            self,
            groups=predictions.groups,
            class_names=predictions.class_names,
            evaluation=origin.get("format") in EVALUATIONS,
        )


def decide(
    analysis: Analysis | UnlabelledAnalysis,
    options: Options,
    track: Callable[[list[str]], Iterable[str]] = iter,
) -> dict[str, Decision]:
    """Answers the questions, in the order in which a report shows them.

    Args:
        analysis: with labels or without.
        options: of the user.
        track: gives the keys of the questions one by one, as a progress bar does.
    """
    answers, questions = {}, _questions(analysis, options)
    with one_thread_each():
        for key in track(list(questions)):
            ask, *about = questions[key]
            answers[key] = ask(*about)
            return_freed_memory()  # each needs many times what it keeps
    return answers


def _questions(
    analysis: Analysis | UnlabelledAnalysis, asked: Options
) -> dict[str, tuple[Callable[..., Decision], *tuple[object, ...]]]:
    """Key of each question -> function that answers it, and its arguments."""
    questions = {}
    if isinstance(analysis, Analysis):
        questions = {
            "members": (how_many_members, analysis, asked.targets),
            "systematic": (systematic_or_chance, analysis, asked.groups, asked.class_names),
            "wrong_labels": (wrong_labels, analysis),
            "calibrate": (calibrate_ensemble, analysis),
            "abstain": (when_to_abstain, analysis, asked.max_error, asked.confidence),
        }
        if asked.evaluation or analysis.only_votes:
            questions["answers"] = (repeated_answers, analysis)
    if asked.sources or isinstance(analysis, UnlabelledAnalysis):
        target, groups = (asked.rest, {}) if asked.rest else (analysis, asked.groups)
        questions["without_labels"] = (risk_without_labels, target, asked.sources, groups)
    return questions
