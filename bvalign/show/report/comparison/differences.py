"""Paired differences of two reports, with what would tell them apart in a sentence."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bvalign.analysis.intervals import Difference, Estimate, Side, paired
from bvalign.show.report.comparison.more_needed import Sizes, in_a_sentence, more_needed
from bvalign.show.report.comparison.stored_reports import (
    CLUSTER,
    ERRORS,
    Report,
    main_numbers,
    unbiased_means,
)

COLUMNS = {
    "accuracy": "correct",
    "member_accuracy": ERRORS,
    "risk": "risk",
    "bias_sq": "bias_sq_unbiased",
    "variance": "variance_unbiased",
    "slope": "slope_influence",
    "offset": "offset_influence",
}
"""Numbers that are compared, and columns of samples.csv behind them: plug-in values would also
differ by the number of members."""

PROPORTIONS = ("accuracy", "member_accuracy")
SLOPES = ("slope", "offset")
SHARED = "over samples alone: the two have members in common"
ONE_UNIT = "one independent sample has no variance"
OF_LABELS = ("risk", "bias_sq")
OTHER_LABELS = "labels are class ids, soft or counts of answers: not the same kind in both runs"


def differences(a: Report, b: Report) -> dict[str, object]:
    """Computes every difference A - B over the same samples, ready for JSON.

    Args:
        a: report whose samples are those of `b`, in the same order.
        b: the other report.
    """
    clusters, other = _joined_clusters(a, b), labels_differ(a, b)
    numbers = [main_numbers(report.summary) | unbiased_means(report.summary) for report in (a, b)]
    shared = _shared_members(a, b)
    return {
        "clusters": None if clusters is None else int(clusters.max()) + 1,
        "notes": list(_notes(a, b, clusters, shared)),
        "differences": {
            name: _undefined(None, OTHER_LABELS)
            if other and name in OF_LABELS
            else _difference((a, b), name, (numbers[0][name], numbers[1][name]), clusters, shared)
            for name in COLUMNS
        },
    }


def labels_differ(a: Report, b: Report) -> bool:
    """Tells whether two reports have labels of different kinds: ids, soft, or counts of answers."""
    kinds = [
        (bool(report.summary.get("soft_labels")), "noise_unbiased" in report.summary["means"])
        for report in (a, b)
    ]
    return kinds[0] != kinds[1]


def _joined_clusters(a: Report, b: Report) -> Int[Tensor, " samples"] | None:
    """Puts samples together that either report has in one cluster; None if none has clusters."""
    first, second = _clusters(a), _clusters(b)
    if first is None or second is None:
        return second if first is None else first
    from scipy.sparse import block_array, coo_array
    from scipy.sparse.csgraph import connected_components

    links = (np.ones(len(first)), (first.numpy(), second.numpy()))
    shape = int(first.max()) + 1, int(second.max()) + 1
    graph = block_array([[None, coo_array(links, shape)], [coo_array(links, shape).T, None]])
    _, labels = connected_components(graph, directed=False)
    return torch.from_numpy(np.unique(labels[first.numpy()], return_inverse=True)[1])


def _clusters(report: Report) -> Int[Tensor, " samples"] | None:
    if CLUSTER not in report.samples:
        return None
    return torch.from_numpy(np.unique(report.samples[CLUSTER], return_inverse=True)[1])


def _shared_members(a: Report, b: Report) -> bool:
    """Tells whether two runs are known to contain the same members."""
    same = a.summary["identity"] == b.summary["identity"] != {}
    return same and bool(set(a.summary["members"]) & set(b.summary["members"]))


def _notes(
    a: Report, b: Report, clusters: Int[Tensor, " samples"] | None, shared: bool
) -> Iterator[str]:
    if clusters is not None:
        number = int(clusters.max()) + 1
        yield f"{len(clusters):,} samples in {number:,} clusters, which count as drawn at random"
    if labels_differ(a, b):
        yield "labels are not of the same kind, so squared bias and risk are not compared"
    if shared:
        yield "the two have members in common, so intervals are over samples alone"
    counts = [report.summary["num_members"] for report in (a, b)]
    if counts[0] != counts[1]:
        yield (
            f"accuracy is that of the mean of {counts[0]} and of {counts[1]} members, and more of "
            "them are more accurate; the other numbers depend on M by chance alone"
        )


def _difference(
    reports: tuple[Report, Report],
    name: str,
    numbers: tuple[Estimate, Estimate],
    clusters: Int[Tensor, " samples"] | None,
    shared: bool,
) -> dict[str, object]:
    if missing := _reasons(reports, numbers, [number.value is None for number in numbers]):
        return _undefined(None, missing)
    proportion = name in PROPORTIONS
    sides = [_side(*pair, name) for pair in zip(reports, numbers, strict=True)]
    found = paired(*sides, clusters, proportion=proportion, same_members=shared)
    if found.units < 2:
        return _undefined(found.value, ONE_UNIT)
    alone = _reasons(reports, numbers, [number.interval is None for number in numbers])
    flags = [
        f"{report.name}: {flag}"
        for report in reports
        if name in SLOPES
        for flag in report.summary["alignment"]["logit_slope"]["flags"]
    ]
    a, b = (report.summary["num_members"] for report in reports)
    sizes = Sizes(reports[0].summary["num_samples"], (a, b))
    return _plain(found, sizes, SHARED if shared else alone, flags)


def _reasons(
    reports: tuple[Report, Report], numbers: tuple[Estimate, Estimate], lacking: Sequence[bool]
) -> str | None:
    """Joins the reasons of the runs that lack something; None if neither does."""
    each = zip(reports, numbers, lacking, strict=True)
    found = [(report.name, number.reason) for report, number, lacks in each if lacks]
    if len(found) == 2 and found[0][1] == found[1][1]:
        return f"both runs: {found[0][1]}"
    return "; ".join(f"{name}: {reason}" for name, reason in found) or None


def _side(report: Report, number: Estimate, name: str) -> Side:
    """A number of a report with the influence of each sample on it."""
    influence = report.samples[COLUMNS[name]] * (-1.0 if COLUMNS[name] == ERRORS else 1.0)
    if name in SLOPES:
        fitted = report.summary["alignment"]["logit_slope"]["samples"]
        influence *= report.summary["num_samples"] / fitted
    return Side(number, torch.from_numpy(influence), _clusters(report))


def _undefined(value: float | None, reason: str) -> dict[str, object]:
    keys = ("interval", "interval_samples", "variance", "apart", "needed")
    return {
        "value": value,
        **dict.fromkeys(keys),
        "flags": [],
        "reason": reason,
        "sentence": f"Undefined: {reason}." if value is None else f"No interval: {reason}.",
    }


def _plain(
    found: Difference, sizes: Sizes, reason: str | None, flags: list[str]
) -> dict[str, object]:
    members, needed = found.members, more_needed(found, sizes)
    return {
        "value": found.value,
        "interval": found.interval,
        "interval_samples": found.interval_samples,
        "variance": {
            "samples": found.samples,
            "members": members and [part.added for part in members],
        },
        "apart": found.apart,
        "needed": needed,
        "flags": flags,
        "reason": reason,
        "sentence": in_a_sentence(found, sizes, needed, flags),
    }
