"""How many members? What more or fewer of them would change, and how many reach a wanted value.

The numbers of the mean of m members come from `analysis/sizes`: the risk is known for every m, the
others by taking ensembles of some of the members up to M, and beyond by a parabola in 1/m.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bvalign.analysis.intervals import Estimate
from bvalign.analysis.sizes import RiskCurve, SizeCurve
from bvalign.analysis.summary import Analysis
from bvalign.decisions.card import Card, Chart, Curve, Decision
from bvalign.decisions.needed import Needed, check_targets, members_needed

MORE = 8
"""Members more, of which the card says what they bring."""

FEW = 5
NAMES = ("risk", "error", "cross_entropy", "calibration")
ASSUMPTION = (
    "New members are trained as these were, and drawn independently. Up to {m} members, numbers "
    "come from ensembles of some of them. Beyond, the risk is bias² + variance/m, exactly; the "
    "error follows a line in 1/m, cross-entropy and calibration a parabola."
)


@dataclass(frozen=True)
class HowManyMembers(Decision):
    """Numbers of the mean of m members.

    Attributes:
        num_members: M.
        curves: number -> its curve over m; none with a single member.
        targets: wanted value by name -> members that it takes.
        alone: risk of a member.
        soft_labels: whether the risk has label noise.
    """

    num_members: int
    curves: Mapping[str, RiskCurve | SizeCurve]
    targets: Mapping[str, Needed] = field(default_factory=dict)
    alone: Estimate | None = None
    soft_labels: bool = False

    def at(self, name: str, size: int | float) -> Estimate:
        """A number, such as `error`, of the mean of so many members; `math.inf` for its limit."""
        return self.curves[name].at(size)

    def gain(self, name: str, size: int | float) -> Estimate:
        """What so many members in place of all M take off a number."""
        return _negated(self.curves[name].change(self.num_members, size))

    @property
    def sizes(self) -> list[int]:
        """Numbers of members of the table: powers of two up to beyond four M, and M."""
        powers = {2**k for k in range((4 * self.num_members - 1).bit_length() + 1)}
        return sorted(powers | {self.num_members})

    def card(self) -> Card:
        """Says what eight more members, and all others, bring."""
        if self.num_members == 1:
            return self._of_one()
        now = self.num_members
        said = [self._of_more(), self._of_bias()]
        said += [needed.sentence for needed in self.targets.values()]
        if now < FEW:
            said.append(_of_few(now))
        return Card(
            key="members",
            question="How many members?",
            answer=" ".join(said),
            number=self.gain("error", math.inf),
            assumption=ASSUMPTION.format(m=now),
            baseline=self._baseline(),
            chart=self._chart(),
            page="docs/decisions/members.md",
        )

    def summary(self) -> dict[str, object]:
        """Rows over the number of members, the limits, gains and targets."""
        if self.num_members == 1:
            return {}
        more = self.num_members + MORE
        rows = [
            {"members": size, "extrapolated": size > self.num_members}
            | {
                name: self.at(name, size)
                for name, curve in self.curves.items()
                if _has(curve, size)
            }
            for size in self.sizes
        ]
        return {
            "over_members": rows,
            "limit": {name: self.at(name, math.inf) for name in self.curves},
            "gain_of_more": {
                "members": more,
                **{name: self.gain(name, more) for name in self.curves},
            },
            "gain_of_all": {name: self.gain(name, math.inf) for name in self.curves},
            "bias_share": self.curves["risk"].bias_share(self.num_members),
            "targets": {name: needed._asdict() for name, needed in self.targets.items()},
        }

    def _of_more(self) -> str:
        now, more = self.num_members, self.num_members + MORE
        old, new = self.at("error", now), self.at("error", more)
        gain, limit = (_said(self.gain("error", size), " points", 2) for size in (more, math.inf))
        return (
            f"{MORE} more members than these {now} would take the error of the ensemble from "
            f"{_percent(old.value)} to {_percent(new.value)}, a gain of {gain}; infinitely many "
            f"would gain {limit}."
        )

    def _of_bias(self) -> str:
        share = self.curves["risk"].bias_share(self.num_members)
        if share.value is None:
            return "There is no risk that more members could reduce."
        bias = "label noise and bias" if self.soft_labels else "bias"
        return (
            f"{_said(share, '%')} of the risk of the ensemble, its Brier score, is {bias}, which "
            "more members cannot remove."
        )

    def _baseline(self) -> str:
        now, limit = (self.at("error", size).value for size in (self.num_members, math.inf))
        return (
            f"The simple answer is that nothing changes beyond {self.num_members} members: an "
            f"error of {_percent(now)} for any number, against {_percent(limit)} in the limit. "
            "Where the error changes little it is as good; for risk and cross-entropy it is not."
        )

    def _chart(self) -> Chart:
        sizes = self.sizes
        points = [self.at("error", size) for size in sizes]
        limit = self.at("error", math.inf)
        low, high = zip(*(p.quoted_interval or (p.value, p.value) for p in points), strict=True)
        now = self.num_members
        known = [(x, p.value) for x, p in zip(sizes, points, strict=True) if x <= now]
        curves = (
            Curve("error, with 95% interval", sizes, [p.value for p in points], low, high),
            Curve(f"from these {now} members", *zip(*known, strict=True), style="points"),
            Curve(
                f"limit {limit.value:.3g}",
                [sizes[0], sizes[-1]],
                [limit.value] * 2,
                style="dashed",
            ),
        )
        return Chart(curves, "members", "error (fraction of samples)", log_x=True)

    def _of_one(self) -> Card:
        reason = "one member does not show by how much members differ; train a second one"
        return Card(
            key="members",
            question="How many members?",
            answer=f"A single member cannot say what more would bring: {reason}.",
            number=Estimate(None, reason=reason),
            assumption="",
            baseline=f"Its risk is {self.alone}; that of a mean of several is never higher.",
            chart=None,
            page="docs/decisions/members.md",
        )


def how_many_members(
    analysis: Analysis, targets: Mapping[str, float] | None = None
) -> HowManyMembers:
    """Answers what more members would change.

    Args:
        analysis: with labels.
        targets: wanted values of `risk`, `error`, `accuracy` or `cross_entropy`.

    Raises:
        ValueError: a target with another name, or outside what is possible.
    """
    targets = check_targets(targets or {})
    members = analysis.num_members
    found = {"risk": analysis.risk_curve, **analysis.sizes._asdict()}
    curves = {} if members == 1 else {name: found[name] for name in NAMES}
    needed = {
        name: members_needed(name, wanted, curves.get(name.replace("accuracy", "error")))
        for name, wanted in targets.items()
    }
    about = (analysis.means["risk"], analysis.soft_labels)
    return HowManyMembers(members, curves, needed, *about)


def _has(curve: RiskCurve | SizeCurve, size: int) -> bool:
    """Whether the curve reaches down to that size."""
    return isinstance(curve, RiskCurve) or size * float(curve.inverse[0]) >= 1 - 1e-9


def _negated(number: Estimate) -> Estimate:
    def turned(ends: tuple[float, float] | None) -> tuple[float, float] | None:
        return ends and (-ends[1], -ends[0])

    if number.value is None:
        return number
    return number._replace(
        value=-number.value,
        interval=turned(number.interval),
        interval_samples=turned(number.interval_samples),
        interval_members=turned(number.interval_members),
    )


def _of_few(members: int) -> str:
    if members == 2:
        return (
            "With two members there is no interval over members, and the limit is a straight line "
            "through one and two: take it as a hint, and train three more."
        )
    return f"{members} members say little beyond twice as many: the intervals say how little."


def _percent(value: float) -> str:
    return f"{100 * value:.2f}%"


def _said(number: Estimate, unit: str, digits: int = 1) -> str:
    """A share as so many hundredths, with its interval."""
    said, ends = f"{100 * number.value:.{digits}f}", number.quoted_interval
    if ends is None:
        return f"{said}{unit}"
    alone = "" if number.interval else ", over samples alone"
    low, high = (f"{100 * end:.{digits}f}" for end in ends)
    return f"{said}{unit} (95% CI {low} to {high}{alone})"
