"""Captions of the figures of a labelled report."""

from bvalign.analysis.summary import Analysis

CAPTIONS = {
    "alignment_log": "One point per sample, darker where they are denser. Both axes span the "
    "same decades, so slope one is the dashed diagonal. Left: the values of these members. Right: "
    "values that are unbiased for infinitely many members; their logarithms are not, so that most "
    "points lie too low. The line of the population (logit_slope; band: the intervals of slope "
    "and offset) allows for both, and need not run through the points; that of these members "
    "(ols) does, on the left. A dotted line is flagged: do not quote it.",
    "alignment_linear": "The same on linear axes: samples that the ensemble gets wrong lie to the "
    "right of squared bias 1/2, below the feasibility bound.",
    "slope_over_members": "Slope and offset of smaller ensembles of these members, no two with a "
    "member in common (with many samples, at most 20,000 of them, drawn), and at the right "
    "end those of all members with their 95% intervals. ols is about ensembles of just so many "
    "members and changes with their number. logit_slope is about infinitely many, and needs six.",
    "ratio": "The ratio of variance to squared bias of these members, sample by sample. No "
    "ensemble of M members can exceed M - 1, whatever its models are. Green: the geometric mean "
    "over the correct samples at infinitely many members, with its 95% interval.",
    "disagreement": "The disagreement of every pair of members over their error rate. On average "
    "the two are equal if vote shares are calibrated; below the line, members make the same "
    "mistakes more often than calibrated votes would.",
    "collapse": "The model of neural collapse writes the logits of a sample as a margin of the "
    "label plus noise. Left: the noise in these logits and the distributions fitted to it. Right: "
    "the prediction of the best-fitting one at the margins of these samples, for this many "
    "members and for infinitely many.",
    "reliability": "Calibration of the mean of the members. If accuracy equals confidence in "
    "every bin, the mean gap between squared bias and variance is uncertainty alone. Below: the "
    "number of samples in each bin.",
}

SOFT_CAPTIONS = {
    "alignment_log": "One point per sample, darker where they are denser. Both axes span the "
    "same decades, so slope one is the dashed diagonal. Labels are soft: squared bias is the "
    "distance from the distribution of the label, and correct is the most probable class. Left: "
    "the values of these members, with their line (ols). Right: values that are unbiased for "
    "infinitely many members; those that are not above zero are not shown.",
    "disagreement": "The disagreement of every pair of members over their error rate, which is "
    "that of the most probable class of soft labels. Below the line, members make the same "
    "mistakes together.",
    "alignment_linear": "The same on linear axes. Labels are soft: squared bias is the distance "
    "from the distribution of the label, and bounds for a single label do not hold.",
    "ratio": "The ratio of variance to squared bias of these members, sample by sample. Labels are "
    "soft, so that members that agree with them on average can exceed M - 1.",
    "reliability": "Calibration of the mean of the members. Labels are soft: the accuracy is the "
    "mean probability that they give to the predicted class. Below: the number of samples in each "
    "bin.",
}


def captions(analysis: Analysis) -> dict[str, str]:
    """Returns what stands below each figure, by its name."""
    return CAPTIONS | (SOFT_CAPTIONS if analysis.soft_labels else {})
