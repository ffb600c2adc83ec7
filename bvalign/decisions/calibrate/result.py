"""What calibration brings to an ensemble, as numbers, a card and a rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bvalign.analysis.intervals import Estimate
from bvalign.decisions.calibrate.methods import NAMES
from bvalign.decisions.card import Card, Chart, Curve, Decision

BEFORE = "as they are"
FILE = "calibrate.json"
ASSUMPTION = (
    "New samples come from where these do: after a shift, probabilities are wrong in another way. "
    "The constants are for these very members, so intervals are over samples alone."
)


class Losses(NamedTuple):
    """Of the mean prediction, means over samples."""

    cross_entropy: Estimate  # nats
    brier: Estimate  # ‖p̄ - e_y‖², the squared bias of the mean
    squared_calibration_error: Estimate  # of confidence in 15 bins, without the bias by noise


class Method(NamedTuple):
    """One way to calibrate."""

    constants: dict[str, Estimate]  # temperature, or agree and disagree
    after: Losses
    change: Losses  # after - before, paired


@dataclass(frozen=True)
class Calibrate(Decision):
    """What calibration brings on samples that it was not fitted to.

    Attributes:
        num_members: M.
        num_classes: K.
        num_samples: that were used.
        before: losses of the probabilities as they are.
        methods: by name.
        best_minus_next: cross-entropy of the best of all minus that of the second best, paired.
        reason: why there is no answer.
    """

    num_members: int
    num_classes: int
    num_samples: int
    before: Losses | None = None
    methods: Mapping[str, Method] = field(default_factory=dict)
    best_minus_next: Estimate | None = None
    reason: str | None = None

    @property
    def best(self) -> str | None:
        """The method to use; None if there is none, or none is better than to do nothing."""
        first = self._ranked()[0] if self.methods else BEFORE
        return None if first == BEFORE else first

    def card(self) -> Card:
        """Says the answer."""
        known = self.reason is None
        return Card(
            key="calibrate",
            question="Calibrate the ensemble?",
            answer=self._answer() if known else f"No answer: {self.reason}.",
            number=self._change() if known else Estimate(None, reason=self.reason),
            assumption=ASSUMPTION if known else "",
            baseline=self._baseline() if known else "",
            chart=self._chart() if known else None,
            page="docs/decisions/calibrate.md",
            beside=FILE if self.best else "",
        )

    def summary(self) -> dict[str, object]:
        """Constants and losses of each method."""
        return {
            "best": self.best,
            "num_samples": self.num_samples,
            "before": self.before,
            "methods": dict(self.methods),
            "best_minus_next": self.best_minus_next,
        }

    def files(self) -> dict[str, dict[str, object]]:
        """The rule that `bvalign apply` applies to new predictions."""
        if self.best is None:
            return {}
        method = self.methods[self.best]
        return {
            FILE: {
                "kind": "calibrate",
                "method": self.best,
                **{name: number.value for name, number in method.constants.items()},
                "num_members": self.num_members,
                "num_classes": self.num_classes,
                "num_samples": self.num_samples,
                "cross_entropy_before": self.before.cross_entropy.value,
                "cross_entropy_after": method.after.cross_entropy.value,
            }
        }

    def _ranked(self) -> list[str]:
        """The methods, and BEFORE, from the least cross-entropy on."""
        reached = {name: method.after.cross_entropy.value for name, method in self.methods.items()}
        reached[BEFORE] = self.before.cross_entropy.value
        return sorted(reached, key=reached.get)

    def _change(self) -> Estimate:
        """Of the best method, even where it is worse than none."""
        best = next(name for name in self._ranked() if name != BEFORE)
        return self.methods[best].change.cross_entropy

    def _answer(self) -> str:
        entropy, error = self.before.cross_entropy, self.before.squared_calibration_error
        if self.best is None:
            return (
                f"Leave the probabilities as they are: no method lowers the cross-entropy of "
                f"{entropy.value:.4f} nats on samples that it was not fitted to; the best changes "
                f"it by {said(self._change())}."
            )
        method = self.methods[self.best]
        return (
            f"{_in_words(self.best, method.constants)} takes the cross-entropy from "
            f"{entropy.value:.4f} to {method.after.cross_entropy.value:.4f} nats on samples that "
            f"it was not fitted to, a change of {said(method.change.cross_entropy)}, and the "
            f"squared calibration error from {_error(error)} to "
            f"{_error(method.after.squared_calibration_error)}."
        )

    def _baseline(self) -> str:
        first, second = self._ranked()[:2]
        names = {BEFORE: "the probabilities as they are"} | NAMES
        words = f"Second best: {names[second]}"
        if second != BEFORE:
            change = said(self.methods[second].change.cross_entropy)
            words += f", which changes the cross-entropy by {change}"
        ends = self.best_minus_next.quoted_interval
        clear = "" if ends and ends[1] < 0 else "not shown to be "
        return (
            f"{words}. {names[first].capitalize()}: {clear}better, by {said(self.best_minus_next)}."
        )

    def _chart(self) -> Chart:
        changes = [method.change.cross_entropy for method in self.methods.values()]
        ends = [change.quoted_interval or (change.value,) * 2 for change in changes]
        y = list(range(len(changes)))
        points = Curve("", [c.value for c in changes], y, *zip(*ends, strict=True), style="points")
        nothing = Curve("", [0.0, 0.0], [-0.5, len(y) - 0.5], style="dashed")
        label = "Δ cross-entropy (nats)"
        return Chart(
            (points, nothing), label, "", ticks=tuple(NAMES[name] for name in self.methods)
        )


def said(number: Estimate, digits: str = ".2g") -> str:
    """A number with the ends of its interval."""
    ends = number.quoted_interval
    interval = f" (95% CI {ends[0]:{digits}} to {ends[1]:{digits}})" if ends else ""
    return f"{number.value:{digits}}{interval}"


def _error(number: Estimate) -> str:
    """An unbiased estimate is below zero about every second time where there is no error."""
    return f"{number.value:.2g}" if number.value > 0 else "one that cannot be told from zero"


def _in_words(name: str, constants: Mapping[str, Estimate]) -> str:
    if name == "two_constants":
        agree, disagree = (said(constants[key], ".3g") for key in ("agree", "disagree"))
        return (
            f"Multiplying what the members agree on by {agree} and what they disagree on by "
            f"{disagree}"
        )
    whose = "the mean" if name == "mean" else "every member"
    return f"A temperature of {said(constants['temperature'], '.3g')} for {whose}"
