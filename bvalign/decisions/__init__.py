"""Decisions: what someone who has an ensemble can do with it, one question per file."""

from bvalign.decisions.abstain import Abstention, when_to_abstain
from bvalign.decisions.answers import RepeatedAnswers, repeated_answers
from bvalign.decisions.calibrate import Calibrate, calibrate_ensemble
from bvalign.decisions.card import Card, Chart, Curve, Decision
from bvalign.decisions.decide import Decisions, Options, decide

__all__ = [
    "Abstention",
    "Calibrate",
    "Card",
    "Chart",
    "Curve",
    "Decision",
    "Decisions",
    "Options",
    "RepeatedAnswers",
    "calibrate_ensemble",
    "decide",
    "repeated_answers",
    "when_to_abstain",
]
