"""What repeated answers say of a model, as numbers and a card."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bvalign.analysis.intervals import Estimate
from bvalign.decisions.answers.noise import HALF_WIDTH, NEAR, Noise
from bvalign.decisions.card import Card, Chart, Curve, Decision


@dataclass(frozen=True)
class RepeatedAnswers(Decision):
    """Members as repeated answers to the same questions.

    Attributes:
        num_questions: N.
        num_answers: M, to each question.
        num_used: questions behind pass@k, the majority and incoherence.
        accuracy: of an answer.
        noise: of the accuracy; None with a single independent question.
        pass_at: k -> that one of k answers or more is right.
        majority_of: k -> that the option chosen most often among k answers is right.
        incoherence: share of the error that is variance; None with one answer.
        reason: why there is no answer.
    """

    num_questions: int
    num_answers: int
    num_used: int
    accuracy: Estimate | None = None
    noise: Noise | None = None
    pass_at: Mapping[int, Estimate] = field(default_factory=dict)
    majority_of: Mapping[int, Estimate] = field(default_factory=dict)
    incoherence: Estimate | None = None
    reason: str | None = None

    @property
    def single_run(self) -> float | None:
        """Half the width of the usual error bar of one run."""
        if self.accuracy is None:
            return None
        p = self.accuracy.value
        return HALF_WIDTH * math.sqrt(max(p * (1 - p), 0.0) / self.num_questions)

    @property
    def naive(self) -> float | None:
        """The same if all answers to all questions were independent."""
        return None if self.accuracy is None else self.single_run / math.sqrt(self.num_answers)

    def card(self) -> Card:
        """Says the answer."""
        known = self.reason is None
        return Card(
            key="answers",
            question="Repeated answers: how sure is the accuracy?",
            answer=self._answer() if known else f"No answer: {self.reason}.",
            number=self.accuracy if known else Estimate(None, reason=self.reason),
            assumption="Questions, or clusters of them, were drawn at random from those that "
            "matter, and so were the seeds or prompts behind the answers."
            if known
            else "",
            baseline=self._baseline() if known else "",
            chart=self._chart() if known and self.num_answers > 1 else None,
            page="docs/decisions/answers.md",
        )

    def summary(self) -> dict[str, object]:
        """All numbers; of the noise also what more questions or answers would make of it."""
        noise = self.noise
        return {
            "num_questions": self.num_questions,
            "num_answers": self.num_answers,
            "num_used": self.num_used,
            "accuracy": self.accuracy,
            "noise": noise
            and {
                "variance": {name: getattr(noise, name) for name in ("data", "answers", "shared")},
                "answer_share": noise.answer_share,
                "error_bar": noise.error_bar(),
                "error_bar_one_answer": noise.error_bar(repeats=1 / noise.repeats),
                "error_bar_any_answers": noise.error_bar(repeats=math.inf),
                "error_bar_twice_questions": noise.error_bar(questions=2.0),
                "enough_answers": noise.enough,
            },
            "error_bar_single_run": self.single_run,
            "error_bar_naive": self.naive,
            "pass_at": {str(k): number for k, number in self.pass_at.items()},
            "majority_of": {str(k): number for k, number in self.majority_of.items()},
            "incoherence": self.incoherence,
        }

    def _answer(self) -> str:
        number = self.num_answers
        answers = "one answer" if number == 1 else f"{number} answers"
        words = [
            f"An answer is right to {_percent(self.accuracy)} of {self.num_questions:,} questions, "
            f"with {answers} to each."
        ]
        if number == 1:
            return f"{words[0]} One answer does not show how much answers differ."
        if self.noise is not None:
            words.append(self._noise())
        k, majority = (max(_with_members(found)) for found in (self.pass_at, self.majority_of))
        last = f"At least one of {k} is right to {_percent(self.pass_at[k])} of the questions"
        if majority > 1:
            last += f", the majority of {majority} to {_percent(self.majority_of[majority])}"
        if self.incoherence.value is not None:
            last += f"; {_percent(self.incoherence)} of the error is variance (incoherence)"
        return " ".join([*words, f"{last}."])

    def _noise(self) -> str:
        noise = self.noise
        bars = {
            "twice as many questions": noise.error_bar(questions=2.0),
            "any number of answers": noise.error_bar(repeats=math.inf),
        }
        said = " and ".join(f"{_points(bar)} with {what}" for what, bar in bars.items())
        enough, worth = noise.enough, ""
        if enough is not None:
            worth = f" ({enough} come{'s' * (enough == 1)} within 5% of that)"
        return (
            f"{noise.answer_share:.0%} of this uncertainty comes from the draw of the answers, the "
            f"rest from the draw of the questions: the error bar of {_points(noise.error_bar())} "
            f"would be {said}{worth}."
        )

    def _baseline(self) -> str:
        run = f"The usual error bar of a single run is {_points(self.single_run)}"
        if self.num_answers == 1 or self.noise is None or not self.naive:
            return f"{run}."
        true = self.noise.error_bar(repeats=1 / self.num_answers)
        run += f", where {_points(true)} is right" if true > NEAR * self.single_run else ""
        ratio = self.noise.error_bar() / self.naive
        short = f", {ratio:.1f} times too short" if ratio > NEAR else ", which is right here"
        return (
            f"Taking all {self.num_questions * self.num_answers:,} answers as independent gives "
            f"{_points(self.naive)}{short}. {run}."
        )

    def _chart(self) -> Chart:
        curves = {"one of k right (pass@k)": self.pass_at, "majority of k right": self.majority_of}
        return Chart(
            tuple(_curve(name, found) for name, found in curves.items()),
            "answers k",
            "fraction of questions",
        )


def _curve(name: str, found: Mapping[int, Estimate]) -> Curve:
    found = _with_members(found)
    values = list(found.values())
    ends = [number.quoted_interval or (number.value, number.value) for number in values]
    return Curve(name, list(found), [number.value for number in values], *zip(*ends, strict=True))


def _with_members(found: Mapping[int, Estimate]) -> Mapping[int, Estimate]:
    """Those with intervals over members, if there are any."""
    full = {k: number for k, number in found.items() if number.interval}
    return full or found


def _percent(number: Estimate) -> str:
    ends = number.quoted_interval
    interval = f" (95% CI {ends[0]:.1%} to {ends[1]:.1%})" if ends else ""
    return f"{number.value:.1%}{interval}"


def _points(bar: float) -> str:
    return f"±{100 * bar:.2g} points"
