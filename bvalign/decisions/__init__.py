"""Decisions: what someone who has an ensemble can do with it, one question per file."""

from bvalign.decisions.abstain import Abstention, when_to_abstain
from bvalign.decisions.answers import RepeatedAnswers, repeated_answers
from bvalign.decisions.calibrate import Calibrate, calibrate_ensemble
from bvalign.decisions.card import Card, Chart, Curve, Decision
from bvalign.decisions.decide import Decisions, Options, decide
from bvalign.decisions.members import HowManyMembers, how_many_members
from bvalign.decisions.systematic import Systematic, systematic_or_chance
from bvalign.decisions.without_labels import Source, risk_without_labels
from bvalign.decisions.wrong_labels import WrongLabels, wrong_labels

__all__ = [
    "Abstention",
    "Calibrate",
    "Card",
    "Chart",
    "Curve",
    "Decision",
    "Decisions",
    "HowManyMembers",
    "Options",
    "RepeatedAnswers",
    "Source",
    "Systematic",
    "WrongLabels",
    "calibrate_ensemble",
    "decide",
    "how_many_members",
    "repeated_answers",
    "risk_without_labels",
    "systematic_or_chance",
    "when_to_abstain",
    "wrong_labels",
]
