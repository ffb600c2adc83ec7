"""What top-k logits leave open of the results: of each sample, and of the means over samples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from bvalign.analysis.decompositions import Column, Unit
from bvalign.analysis.top_k.bounds import LABELLED, UNLABELLED, WEIGHTED, Bounds
from bvalign.analysis.top_k.squared import Bound

EXACT = 1e-9
"""Relative width of bounds up to which a value counts as exact."""

QUOTED = ("bias_sq", "variance", "kl_variance")
"""Statistics whose bounds are in the note."""


@dataclass(frozen=True)
class LeftOpen:
    """Bounds of all samples, and of the means; those of exact statistics are left out.

    Attributes:
        num_kept: k, classes that each member keeps of each sample.
        num_classes: K.
        ends: of each sample, by name of the statistic.
        units: of the same.
        undecided: samples whose prediction depends on what is not kept.
        label_outside: samples whose label some member does not keep.
        exact: names of the statistics that need no bounds.
    """

    num_kept: int
    num_classes: int
    ends: Mapping[str, Bound]
    units: Mapping[str, Unit]
    undecided: int
    label_outside: int
    exact: tuple[str, ...]

    def columns(self) -> dict[str, Column]:
        """Columns of samples.csv: the ends of each statistic, beside its value."""
        return {
            f"{name}_{end}": Column(values, Unit(self.units[name].name, kind=self.units[name].kind))
            for name, bound in self.ends.items()
            for end, values in bound._asdict().items()
        }

    def means(self) -> dict[str, tuple[float, float]]:
        """Bounds of the means over samples."""
        return {
            name: (float(bound.low.mean()), float(bound.high.mean()))
            for name, bound in self.ends.items()
        }

    def notes(self, values: Mapping[str, Column]) -> tuple[str, ...]:
        """What a reader has to know, in one line.

        Args:
            values: columns of samples.csv.
        """
        known = [
            f"{name} to {_percent(values[name], self.ends[name])}"
            for name in QUOTED
            if name in self.ends
        ]
        exact = ["votes", *("cross-entropies of members" for n in self.exact if n == "kl_risk")]
        counts = {
            f"{self.undecided} predictions depend on the others": self.undecided,
            f"{self.label_outside} labels are not kept by all members": self.label_outside,
        }
        parts = (
            f"logits of {self.num_kept} of {self.num_classes} classes are kept: "
            f"{' and '.join(exact)} are exact, and of the means {', '.join(known)}",
            *(told for told, number in counts.items() if number),
            "intervals of means include that, and NAME_low and NAME_high of samples.csv bound each "
            "sample; slopes, curves and decisions are those of the rest spread evenly",
        )
        return ("; ".join(parts),)

    def numbers(self) -> dict[str, object]:
        """The part of summary.json."""
        return {
            "k": self.num_kept,
            "num_classes": self.num_classes,
            "undecided": self.undecided,
            "label_outside": self.label_outside,
            "exact": list(self.exact),
            "bounds": {name: list(ends) for name, ends in self.means().items()},
        }


def _percent(column: Column, bound: Bound) -> str:
    """Largest distance of the mean from its bounds, relative to it."""
    mean = float(column.values.double().mean())
    away = max(mean - float(bound.low.mean()), float(bound.high.mean()) - mean)
    return f"{100 * away / abs(mean):.2g}%" if mean and math.isfinite(away) else "no bound"


def left_open(bounds: Bounds, columns: Mapping[str, Column], kept: tuple[int, int]) -> LeftOpen:
    """Bounds of all samples by name.

    Args:
        bounds: of all samples.
        columns: the values of all samples, by name.
        kept: k and K.
    """
    names = LABELLED + WEIGHTED if "risk" in columns else UNLABELLED
    ends, exact = {}, []
    for name, low, high in zip(names, bounds.low, bounds.high, strict=False):
        values = columns[name].values.double()  # NaN where it is undefined, and so are its ends
        torch.minimum(low, values, out=low)  # in place: of many samples they lie on disk
        torch.maximum(high, values, out=high)
        size = torch.maximum(low.abs(), high.abs())
        if ((high - low > EXACT * size) | high.isinf()).any():
            ends[name] = Bound(low, high)
        else:
            exact.append(name)
    units = {name: columns[name].unit for name in ends}
    counts = (int(bounds.undecided), int(bounds.label_outside))
    return LeftOpen(*kept, ends, units, *counts, tuple(exact))
