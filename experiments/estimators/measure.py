"""What bvalign says about one ensemble: the only place where the studies here call it."""

import io
from contextlib import redirect_stderr

import numpy as np
import torch

from bvalign import Predictions, analyze
from bvalign.show.report.summary_json import summarise

Number = dict[str, object]
"""`value` and its 95% intervals `interval`, `interval_samples`, `interval_members`, or None."""

LINES = ("ols", "cross_half")
"""Estimators whose slope is compared with that of `logit_slope`."""

MEANS = {
    "accuracy": ("accuracy",),
    "member_accuracy": ("member_accuracy", "mean"),
    "gap": ("calibration", "gap", "gap"),
    "gap_unbiased": ("calibration", "gap", "gap_unbiased"),
    "uncertainty": ("calibration", "gap", "uncertainty"),
    "calibration_residual": ("calibration", "gap", "calibration_residual"),
    "calibration_residual_unbiased": ("calibration", "gap", "calibration_residual_unbiased"),
    "confidence_error": ("calibration", "errors", "equal_width", "confidence", "absolute"),
    "confidence_error_squared": (
        "calibration",
        "errors",
        "equal_width",
        "confidence",
        "squared_debiased",
    ),
} | {
    name: ("means", name)
    for name in (
        "bias_sq variance risk bias_sq_unbiased variance_unbiased kl_risk kl_bias kl_variance "
        "kl_bias_jackknife kl_variance_jackknife error_rate bias_01 variance_01 net_variance_01 "
        "disagreement"
    ).split()
}
"""Mean, as `truths.py` calls it -> its keys in summary.json."""


def measure(logits: np.ndarray, target: np.ndarray) -> dict[str, object]:
    """Analyses an ensemble.

    Args:
        logits: (members, samples, classes).
        target: labels (samples).

    Returns:
        `slope` and `offset` of logit_slope, the slopes of `LINES` and the means of `MEANS`, each a
        `Number`; `flags` (names) and `quotable`.
    """
    scores = torch.from_numpy(np.asarray(logits))
    predictions = Predictions(
        read=lambda start, stop: scores[:, start:stop],
        target=np.asarray(target, dtype=np.int64),
        index=np.arange(len(target)),
        members=tuple(range(len(logits))),
        num_classes=logits.shape[-1],
    )
    with redirect_stderr(io.StringIO()):  # a bar for each of many thousand draws
        summary = summarise(analyze(predictions), predictions, {"source": "simulated"})
    alignment = summary["alignment"]
    headline = alignment["logit_slope"]
    return {
        "slope": headline["slope"],
        "offset": headline["offset"],
        "flags": headline["flags"],
        "quotable": headline["quotable"],
        **{line: alignment[line]["slope"] for line in LINES},
        "means": {name: _at(summary, path) for name, path in MEANS.items()},
    }


def _at(summary: dict, path: tuple[str, ...]) -> Number:
    for key in path:
        summary = summary[key]
    return summary
