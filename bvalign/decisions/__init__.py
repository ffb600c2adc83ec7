"""Decisions: what someone who has an ensemble can do with it, one question per file."""

from bvalign.decisions.abstain import Abstention, when_to_abstain
from bvalign.decisions.card import Card, Chart, Curve, Decision
from bvalign.decisions.decide import Decisions, Options, decide

__all__ = [
    "Abstention",
    "Card",
    "Chart",
    "Curve",
    "Decision",
    "Decisions",
    "Options",
    "decide",
    "when_to_abstain",
]
