"""The question "Risk without labels", and its answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions.card import Card, Chart, Curve, Decision
from bvalign.decisions.without_labels import words
from bvalign.decisions.without_labels.by_group import GroupRisk
from bvalign.decisions.without_labels.learn import NONE, Found, Rows, Source, learn
from bvalign.decisions.without_labels.values import QUANTITIES, complement
from bvalign.predictions import Groups

NEEDS_TWO = "needs two members"
ACCURACIES = {"accuracy": "error_rate", "ensemble_accuracy": "ensemble_error_rate"}


@dataclass(frozen=True)
class RiskWithoutLabels(Decision):
    """Estimates of all methods.

    Attributes:
        rows: method -> quantity -> estimate; without a source, three methods alone.
        found: what the sources add; None without any.
        sources: names of the labelled predictions, the first of which the methods are fitted on.
        truth: of the target where it has labels, to compare with; else empty.
        notes: for the reader.
    """

    rows: Rows
    found: Found | None
    sources: tuple[str, ...]
    truth: Mapping[str, Estimate]
    notes: tuple[str, ...]

    def numbers(self) -> dict[str, object]:
        """The entry `without_labels` of summary.json."""
        numbers = {name: self._quantity(name) for name in QUANTITIES}
        numbers |= {name: self._quantity(of, accuracy=True) for name, of in ACCURACIES.items()}
        found = self.found
        return numbers | {
            "warning": found and found.warning,
            "shift": found and found.shift._asdict(),
            "sources": list(self.sources),
            "checks": [check._asdict() for check in found.checks] if found else [],
            "truth": dict(self.truth) or None,
            "groups": [_row(group) for group in found.groups] if found else [],
            "notes": list(self.notes),
        }

    def _quantity(self, name: str, *, accuracy: bool = False) -> dict[str, object]:
        turned = complement if accuracy else (lambda number: number)
        methods = {}
        for method, row in self.rows.items():
            if name in row:
                effect = words.OVER_CONFIDENT.get(method, "")
                effect = effect.replace("too low", "too high") if accuracy else effect
                about = {"assumes": words.ASSUMES[method], "over_confident": effect}
                methods[method] = turned(row[name])._asdict() | about
        if self.found is None or not self.found.recommended:
            reason = words.NO_SOURCE if self.found is None else self.found.reason
            return {"recommended": None, "reason": reason, "methods": methods}
        number, method = self.found.recommended[name]
        return {"recommended": turned(number)._asdict() | {"method": method}, "methods": methods}

    def card(self) -> Card:
        """Says the answer."""
        assumes = words.ASSUMES["disagreement"]
        if self.found is None:
            number, simple = Estimate(None, reason=words.NO_SOURCE), ""
            answer = words.without_source(self.rows)
        elif not self.found.recommended:
            number, simple = Estimate(None, reason=self.found.reason), ""
            answer = f"No estimate: {self.found.reason}."
        else:
            number, method = self.found.recommended["error_rate"]
            answer, simple = self._answer(), words.baseline(self.rows, method, self._misses())
            assumes = f"{words.ASSUMES[method]} ({method}). {words.ALLOWED}"
        return Card(
            key="without_labels",
            question="Risk without labels?",
            answer=answer,
            number=number,
            assumption=f"Assumes that {assumes}.",
            baseline=simple,
            chart=self._chart(),
            page="docs/decisions/without_labels.md",
        )

    def _answer(self) -> str:
        found = self.found
        said = {name: number for name, (number, _) in found.recommended.items()}
        truth = self.truth.get("error_rate")
        parts = [
            found.warning or "",
            words.rates(said["error_rate"], said["ensemble_error_rate"]),
            f"The risk of a member should be {words.plain_number(said['risk'])} and the squared "
            f"bias {words.plain_number(said['bias_sq'])}, as judged by {self.sources[0]}.",
            f"With the labels that are here, a member is wrong on {truth.value:.1%}."
            if truth
            else "",
            *(f"{note}." for note in self.notes),
        ]
        return " ".join(part for part in parts if part)

    def _misses(self) -> dict[str, float]:
        """Mean absolute error in the error rate of a member, by method."""
        name, checks = "error_rate", self.found.checks
        if not checks:
            return {}
        off = {
            method: [abs(c.truth[name] - c.estimates[method].get(name, math.nan)) for c in checks]
            for method in self.rows
        }
        return {m: float(np.mean(found)) for m, found in off.items() if np.isfinite(found).all()}

    def _chart(self) -> Chart | None:
        """The error rate of a member by each method."""
        if self.found is None or not self.found.recommended:
            return None
        rows = {m: row["error_rate"] for m, row in self.rows.items() if "error_rate" in row}
        rows = {m: number for m, number in rows.items() if number.value is not None}
        number, method = self.found.recommended["error_rate"]
        ticks = (*rows, f"recommended: {method}")
        curves = [_points(list(rows.values()), list(range(len(rows))))]
        curves.append(_points([number], [len(rows)]))
        if truth := self.truth.get("error_rate"):
            at, ends = [truth.value] * 2, [-0.5, len(ticks) - 0.5]
            curves.append(Curve("truth", at, ends, style="dashed"))
        return Chart(tuple(curves), "error rate of a member", "", ticks=ticks)


def risk_without_labels(
    target: Analysis | UnlabelledAnalysis,
    sources: Sequence[Source] = (),
    groups: Mapping[str, Groups] = NONE,
) -> RiskWithoutLabels:
    """Estimates error rates, risk and bias_sq of a target as if it had no labels.

    Args:
        target: where it has labels, they are for comparison alone.
        sources: labelled predictions of the same members; the methods are fitted on the first, and
            the others tell which of them to recommend, and how far it may be off.
        groups: of the samples of the target, by column.

    Raises:
        ValueError: there is neither a source nor a target without labels.
    """
    if not sources and isinstance(target, Analysis):
        raise ValueError(
            "risk_without_labels needs sources, or a target without labels; of one with labels, "
            "the analysis itself has the numbers"
        )
    if not sources:
        return RiskWithoutLabels(_label_free(target.means), None, (), {}, ())
    truth, notes = {}, dict.fromkeys(note for source in sources for note in source.notes)
    if isinstance(target, Analysis):
        means = {name: target.means[name] for name in ("error_rate", "risk", "bias_sq")}
        truth = means | {"ensemble_error_rate": complement(target.accuracy)}
    kept, total = len(target.kept.positions), target.num_samples
    if kept < total:
        notes |= {f"all of it from {kept} of {total} samples, drawn at random": None}
    rows = target.kept.positions.numpy()
    of_kept = {c: Groups(names, numbers[rows]) for c, (names, numbers) in groups.items()}
    found = learn(target.kept, sources, of_kept)
    names = tuple(source.name for source in sources)
    return RiskWithoutLabels(found.rows, found, names, truth, tuple(notes))


def _label_free(means: Mapping[str, Estimate]) -> Rows:
    """What the analysis says without any source."""
    places = {
        "disagreement": ("error_rate", "disagreement"),
        "confidence": ("ensemble_error_rate", "error_label_free"),
        "calibrated": ("risk", "risk_label_free"),
        "calibrated_plug_in": ("risk", "risk_label_free_plug_in"),
    }
    alone = {name for name, mean in means.items() if mean.value is None}
    return {
        method: {name: means[mean]._replace(reason=NEEDS_TWO) if mean in alone else means[mean]}
        for method, (name, mean) in places.items()
    }


def _row(group: GroupRisk) -> dict[str, object]:
    """A group as in summary.json."""
    about = {name: getattr(group, name) for name in ("column", "group", "samples")}
    return about | group.numbers


def _points(numbers: list[Estimate], at: list[int]) -> Curve:
    """Estimates at named positions; one without an interval has its value for both ends."""
    ends = [n.quoted_interval or (n.value, n.value) for n in numbers]
    low, high = ([pair[side] for pair in ends] for side in (0, 1))
    return Curve("", [n.value for n in numbers], at, low, high, style="points")
