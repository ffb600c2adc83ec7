"""The noise of an accuracy: of the questions that were drawn, and of the answers that were.

For N questions with M answers each, with c_mi whether answer m to question i is right,

    V_s  variance over questions of the mean of c_i, or over clusters of them
    V_b  W / (N M), W the mean over questions of the unbiased variance of c_i over answers
    V_m  variance of the accuracy over members

    data     V_s - V_b          which questions were drawn; it shrinks with questions alone
    answers  V_b                which answers were drawn, question by question; with both
    shared   max(V_m - V_b, 0)  what all answers of a member have in common (its seed, its prompt);
                                with members alone
    total    their sum, the variance of the interval

as in the law of total variance (Miller 2024; Wang 2025 calls the last two prediction noise).
"""

import math
from typing import NamedTuple

from bvalign.analysis.intervals import Spread

HALF_WIDTH = 1.96
"""Of a 95% error bar, in standard errors."""

NEAR = 1.05
"""How much longer than with infinitely many answers an error bar is with enough of them."""


class Noise(NamedTuple):
    """Variances of an accuracy."""

    data: float
    answers: float
    shared: float | None  # None where it is unknown, with fewer than three members
    questions: int  # N
    repeats: int  # M

    @property
    def total(self) -> float:
        """Variance of the accuracy."""
        return self.data + self.answers + (self.shared or 0.0)

    @property
    def answer_share(self) -> float:
        """Fraction of it that is noise of the answers."""
        return 1 - self.data / self.total if self.total else 0.0

    def error_bar(self, questions: float = 1.0, repeats: float = 1.0) -> float:
        """Half the width of a 95% interval, with so many times the questions and answers to each.

        >>> noise = Noise(data=0.0003, answers=0.0001, shared=0.0, questions=1000, repeats=2)
        >>> round(noise.error_bar(), 4), round(noise.error_bar(repeats=math.inf), 4)
        (0.0392, 0.0339)
        """
        answers = self.answers / questions + (self.shared or 0.0)
        return HALF_WIDTH * math.sqrt(self.data / questions + answers / repeats)

    @property
    def enough(self) -> int | None:
        """Fewest answers to each question with an error bar near that of infinitely many.

        None where the questions give no noise, so that no number is near.
        """
        excess = self.data * (NEAR**2 - 1)
        noise = (self.total - self.data) * self.repeats
        if not noise:
            return 1
        return math.ceil(noise / excess - 1e-9) if excess else None


def noise_of(spread: Spread, within: float, questions: int, repeats: int) -> Noise:
    """Splits the variances behind a mean accuracy.

    Args:
        spread: of the accuracy.
        within: W.
        questions: N.
        repeats: M.
    """
    answers = within / questions / repeats
    shared = None if spread.members is None else max(spread.members - spread.both, 0.0)
    return Noise(max(spread.samples - answers, 0.0), answers, shared, questions, repeats)
