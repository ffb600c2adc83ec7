"""Decisions: what someone who has an ensemble can do with it, one question per file."""

from bvalign.decisions.calibrate import Calibrate, calibrate_ensemble
from bvalign.decisions.card import Card, Chart, Curve, Decision
from bvalign.decisions.decide import Decisions, Options, decide

__all__ = [
    "Calibrate",
    "Card",
    "Chart",
    "Curve",
    "Decision",
    "Decisions",
    "Options",
    "calibrate_ensemble",
    "decide",
]
