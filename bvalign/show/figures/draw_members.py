"""The figures of members of one analysis."""

import math

import numpy as np
from matplotlib.figure import Figure

from bvalign.analysis.summary import Analysis
from bvalign.show.figures.members import OverMembers, disagreement_over_error, gain_from_members


def draw_members(analysis: Analysis) -> dict[str, Figure]:
    """What more members bring, and how pairs of them differ, by file name; two members at least."""
    means = analysis.means()
    accuracy = analysis.member_accuracy.numpy()
    alone = (1 - accuracy.mean(), accuracy.std(ddof=1))
    return {
        "gain_from_members": gain_from_members(
            _over_members(analysis, "bias_sq", (float(means["risk"].value), math.nan)),
            _over_members(analysis, "error", alone),
            bias_sq=float(means["bias_sq_unbiased"].value),
            variance=float(means["variance_unbiased"].value),
            num_samples=analysis.num_samples,
        ),
        "disagreement": disagreement_over_error(
            analysis.pair_disagreement.numpy(), 1 - accuracy, num_samples=analysis.num_samples
        ),
    }


def _over_members(analysis: Analysis, number: str, alone: tuple[float, float]) -> OverMembers:
    """A number of the mean of m members; the plug-in squared bias of m members is its risk."""
    rows = [(1, *alone)] + [
        (row["members"], row["mean"], math.nan if row["spread"] is None else row["spread"])
        for row in analysis.alignment.curve
        if (row["estimator"], row["number"]) == ("mean", number)
    ]
    return OverMembers(*np.array(rows, dtype=float).T)
