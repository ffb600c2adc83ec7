"""Where members are repeated answers: error bars, pass@k, majority of k, incoherence."""

from bvalign.decisions.answers.noise import Noise
from bvalign.decisions.answers.repeated import repeated_answers
from bvalign.decisions.answers.result import RepeatedAnswers

__all__ = ["Noise", "RepeatedAnswers", "repeated_answers"]
