"""The data of the samples that the page holds: typed columns, packed into compact JSON."""

import base64
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Shaped

from bvalign.analysis.decompositions import Column, Unit
from bvalign.analysis.intervals import t_quantile
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions import Decisions
from bvalign.show.quantities import title
from bvalign.show.report.explorer.scenarios import scenarios
from bvalign.show.report.explorer.views import kinds, views

EXTREME_POINTS = 1500
MOST_SAMPLES = 60_000
"""With more samples the page holds the extremes and a random subset (seed 0)."""

CLASSES = ("label", "prediction", "suggested_label")
"""Columns of class ids."""

EXACT = ("bias_sq", "variance")
"""Columns that the page has to the last digit; others are rounded to float32."""

HISTOGRAMS = ("bias_sq", "variance", "confidence", "disagreement")
"""Columns with a histogram that filters; the last without labels only."""

MORE = ("bias_sq_unbiased", "variance_unbiased", "error_label_free", "num_options")
"""Columns that readers need not see, but the plot."""

FREEDOM = 100
"""Degrees of freedom up to which the page has quantiles of Student's t."""


def samples_in_page(order: Int[np.ndarray, " samples"]) -> Int[np.ndarray, " shown"]:
    """Selects the samples that the page holds, the extremes first.

    Args:
        order: the result of `extremes_first`.
    """
    if len(order) <= MOST_SAMPLES:
        return order
    rest = np.random.default_rng(0).permutation(order[EXTREME_POINTS:])
    return np.concatenate([order[:EXTREME_POINTS], rest[: MOST_SAMPLES - EXTREME_POINTS]])


class Leading(NamedTuple):
    """Columns of the page: those that a reader sees, in order, and the others."""

    seen: dict[str, Column]
    more: dict[str, Column]


def explorer(
    analysis: Analysis | UnlabelledAnalysis,
    class_names: tuple[str, ...],
    shown: Int[np.ndarray, " shown"],
    decisions: Decisions,
) -> dict[str, object]:
    """Collects values of the samples, scenarios and what the plot shows, ready for JSON.

    Args:
        analysis: the results.
        class_names: one per class.
        shown: the result of `samples_in_page`; arrays keep its order.
        decisions: what the analysis answers; their columns are added.
    """
    labels = isinstance(analysis, Analysis)
    seen = _seen(analysis, decisions)
    columns = analysis.columns()
    kind = kinds(analysis)
    packed = {name: _column(name, column, shown) for name, column in seen.items()}
    packed |= {name: _column(name, columns[name], shown) for name in MORE if name in columns}
    packed["kind"] = _packed(kind[shown], "<u1")
    packed |= _leading(analysis, shown)
    names = ("correct", "wrong") if labels else ("all members agree", "members disagree")
    colours = ("--correct", "--wrong") if labels else ("--soft", "--other-line")
    counts = np.bincount(kind, minlength=2).tolist()
    return {
        "labels": labels,
        "num_samples": analysis.num_samples,
        "num_members": analysis.num_members,
        "classes": list(class_names),
        "clustered": analysis.member_part.clusters is not None,
        "columns": packed,
        "seen": {name: _said(name, column) for name, column in seen.items()},
        "histograms": [name for name in HISTOGRAMS if name in seen and name in packed][:3],
        "kinds": [
            {"name": name, "colour": colour, "count": count}
            for name, colour, count in zip(names, colours, counts, strict=True)
        ],
        "views": views(analysis),
        "scenarios": {
            key: {
                "title": found.title,
                "explanation": found.explanation,
                "count": int(found.mask.sum()),
                "bits": _packed(np.packbits(found.mask[shown], bitorder="little"), "<u1"),
            }
            for key, found in scenarios(analysis, decisions).items()
        },
        "quantiles": [round(t_quantile(n), 4) for n in range(1, FREEDOM)],
    }


def _seen(
    analysis: Analysis | UnlabelledAnalysis, decisions: Mapping[str, object]
) -> dict[str, Column]:
    """Columns that a reader is to see, by name; those without any number are left out."""
    columns = analysis.columns()
    of_decisions: dict[str, Column] = {}
    for decision in decisions.values():
        of_decisions |= decision.columns()
    first = ("index", *CLASSES[:2], "correct", *EXACT)
    found = {name: columns[name] for name in first if name in columns}
    if isinstance(analysis, Analysis):
        unit = Unit("probability", kind="proportion")
        found["confidence"] = Column(1 - analysis.table.doubts.confidence, unit)
        found["error_rate"] = columns["error_rate"]
    found |= {name: column for name, column in columns.items() if column.unit.shown}
    found |= of_decisions
    return {
        name: column
        for name, column in found.items()
        if not column.values.is_floating_point() or column.values.isfinite().any()
    }


def _said(name: str, column: Column) -> dict[str, str]:
    """What a reader sees of a column beside its values."""
    kind = "class" if name in CLASSES else "number"
    if column.values.dtype == torch.bool:
        kind = "flag"
    return {"title": title(name), "unit": column.unit.name, "kind": kind, "is": column.unit.kind}


def _leading(
    analysis: Analysis | UnlabelledAnalysis, shown: Int[np.ndarray, " shown"]
) -> dict[str, dict[str, str]]:
    """The most probable classes of each sample, with their votes; none without labels."""
    if isinstance(analysis, UnlabelledAnalysis):
        return {}
    lead = analysis.table.leading
    return {
        "classes": _packed(lead.classes.numpy()[shown], "<u2"),
        "probs": _packed(lead.probs.numpy()[shown], "<f4"),
        "votes": _packed(lead.votes.numpy()[shown], "<u2"),
    }


def _column(name: str, column: Column, shown: Int[np.ndarray, " shown"]) -> dict[str, str]:
    values = column.values.numpy()[shown]
    kind = "<f8" if name in EXACT else "<f4"
    if not column.values.is_floating_point():
        kind = "<u1" if column.values.dtype == torch.bool else "<i4"
    if name in (*CLASSES, "num_options"):
        kind = "<u2"
    return _packed(values, kind)


def _packed(values: Shaped[np.ndarray, "shown ..."], kind: str) -> dict[str, str]:
    """Encodes a typed array of little-endian numbers."""
    data = base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()
    return {"type": kind[1:], "data": data}
