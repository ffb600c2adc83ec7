"""Names of quantities for readers: figures, pages and tables call each by its one name here.

Keys are those of samples.csv and summary.json, which docs/summary.md defines.
"""

from typing import NamedTuple


class Quantity(NamedTuple):
    """What a reader calls a quantity."""

    title: str  # starts in lower case, as inside a sentence
    meaning: str  # one sentence for the glossary
    symbol: str = ""


OF_SAMPLES = {
    "index": Quantity("sample", "The id of the sample: its row in the data set."),
    "label": Quantity("label", "The class that the sample is given."),
    "prediction": Quantity("prediction", "The most probable class of the mean of the members."),
    "correct": Quantity("correct", "Whether the mean of the members predicts the label."),
    "confidence": Quantity("confidence", "The largest mean probability.", "max p̄"),
    "cluster": Quantity("cluster", "Samples of one cluster belong together and count as one."),
    "num_options": Quantity("classes of the sample", "How many classes the sample has."),
    "num_unseen": Quantity(
        "members that judge", "Members that were not trained on the sample, the only ones used."
    ),
    "main": Quantity("majority", "The class with the most votes of the members."),
    "suggested_label": Quantity(
        "suggested label", "The most probable class if the label is wrong."
    ),
    "accepted": Quantity("accepted", "Whether the rule of abstain.json accepts the prediction."),
}
"""What a sample is."""

SQUARED = {
    "bias_sq": Quantity(
        "squared bias",
        "The squared distance of the mean prediction from the label: what the members get wrong "
        "together.",
        "‖p̄ − e_y‖²",
    ),
    "variance": Quantity(
        "variance",
        "The mean squared distance of the members from their mean: what they disagree on.",
        "mean ‖p_m − p̄‖²",
    ),
    "risk": Quantity(
        "risk",
        "Squared bias plus variance: the Brier score of a random member.",
        "mean ‖p_m − e_y‖²",
    ),
    "bias_sq_unbiased": Quantity(
        "squared bias, unbiased",
        "The squared bias at infinitely many members: that of these, less variance (unbiased) / M.",
    ),
    "variance_unbiased": Quantity(
        "variance, unbiased",
        "The variance at infinitely many members: that of these × M / (M − 1).",
    ),
    "noise": Quantity(
        "label noise",
        "Of soft labels: the part of the risk that no model avoids, as labels vary.",
        "1 − ‖q‖²",
    ),
    "noise_unbiased": Quantity(
        "label noise, unbiased", "Label noise, corrected for the small number of answers."
    ),
    "answers": Quantity("answers", "How many people labelled the sample."),
    "variance_share": Quantity(
        "chance share of the risk", "Variance (unbiased) / risk: what more members can remove."
    ),
    "log_bias_sq_error": Quantity(
        "error of log squared bias", "Its standard error over members, natural logarithm."
    ),
    "log_variance_error": Quantity(
        "error of log variance", "Its standard error over members, natural logarithm."
    ),
    "error": Quantity("error rate", "The fraction of samples that are predicted wrong."),
    "slope": Quantity(
        "population slope",
        "The slope of log variance on log squared bias over the correct samples, for infinitely "
        "many members and samples (logit_slope).",
    ),
    "offset": Quantity(
        "population offset",
        "The mean of log variance minus log squared bias over the correct samples, for infinitely "
        "many members and samples.",
    ),
}
"""The decomposition of the squared loss."""

OTHER_LOSSES = {
    "kl_risk": Quantity("cross-entropy of a member", "In nats; risk under the logarithmic loss."),
    "kl_bias": Quantity(
        "bias (cross-entropy)", "The cross-entropy of the geometric mean of the members, in nats."
    ),
    "kl_variance": Quantity(
        "variance (cross-entropy)",
        "The mean Kullback-Leibler divergence of the members from their geometric mean, in nats.",
    ),
    "kl_bias_jackknife": Quantity(
        "bias (cross-entropy), corrected",
        "The same for infinitely many members, by leaving members out; meaningful as a mean alone.",
    ),
    "kl_variance_jackknife": Quantity(
        "variance (cross-entropy), corrected",
        "The same for infinitely many members, by leaving members out; meaningful as a mean alone.",
    ),
    "kl_noise": Quantity("label noise (cross-entropy)", "The entropy of a soft label, in nats."),
    "error_rate": Quantity("error rate of a member", "The share of the members that are wrong."),
    "bias_01": Quantity("majority wrong", "Whether the majority of the members is wrong."),
    "variance_01": Quantity("outvoted members", "The share of the members that are outvoted."),
    "net_variance_01": Quantity(
        "net variance (0-1 loss)",
        "Error rate of a member less that of the majority: where members stray from a right "
        "majority, less where they stray from a wrong one.",
    ),
    "disagreement": Quantity(
        "disagreement", "The share of pairs of members that predict different classes."
    ),
    "mutual_information": Quantity(
        "mutual information",
        "Entropy of the mean less mean entropy of the members, in nats: how much they differ.",
    ),
}
"""Other losses, votes and entropies."""

WEIGHTED = {
    f"weighted_{key}": Quantity(f"{name}, weighted", f"{meaning} with the weights of the members.")
    for key, name, meaning in (
        ("bias_sq", "squared bias", "Squared bias"),
        ("variance", "variance", "Variance"),
        ("risk", "risk", "Risk"),
        ("correct", "correct", "Whether the prediction is the label,"),
        ("variance_unbiased", "variance, unbiased", "Variance at infinitely many members,"),
        ("bias_sq_unbiased", "squared bias, unbiased", "Squared bias at infinitely many members,"),
        ("bias_sq_pairs", "squared bias of pairs", "Squared bias from pairs of members,"),
    )
}

CALIBRATION = {
    "gap": Quantity("gap", "Squared bias less variance.", "bias² − variance"),
    "uncertainty": Quantity(
        "uncertainty", "How far the members are from sure, on average.", "1 − mean ‖p_m‖²"
    ),
    "calibration_residual": Quantity(
        "calibration residual",
        "The gap less the uncertainty; zero on average if the mean of the members is calibrated.",
        "2⟨p̄, p̄ − e_y⟩",
    ),
    "gap_unbiased": Quantity("gap, unbiased", "The gap at infinitely many members."),
    "calibration_residual_unbiased": Quantity(
        "calibration residual, unbiased", "The same at infinitely many members."
    ),
    "top_label": Quantity("by predicted class", "Confidence against accuracy, class by class."),
    "class_wise": Quantity("class by class", "Each class's probability against its frequency."),
    "class_aggregated": Quantity(
        "all classes together", "Probabilities of all classes together against their frequency."
    ),
    "canonical": Quantity("whole prediction", "All probabilities of a sample at once."),
}

OF_ENSEMBLES = {
    "accuracy": Quantity(
        "accuracy of the ensemble",
        "The share of samples whose label the mean of the members predicts.",
    ),
    "ensemble_accuracy": Quantity(
        "accuracy of the ensemble",
        "The share of samples whose label the mean of the members predicts.",
    ),
    "member_accuracy": Quantity(
        "accuracy of a member", "The share of samples whose label a random member predicts."
    ),
    "ensemble_error_rate": Quantity(
        "error rate of the ensemble",
        "The share of samples that the mean of the members gets wrong.",
    ),
    "logit_slope": Quantity(
        "population slope and offset",
        "Slope of log variance over log squared bias, and mean of their difference, at infinitely "
        "many members and samples, over the samples that the ensemble gets right.",
    ),
    "ols": Quantity(
        "slope of these members",
        "The least-squares line through log variance over log squared bias of these very members, "
        "as in the paper; their number changes it.",
    ),
    "cross_half": Quantity(
        "slope, checked", "A slope from parts of the members that assumes nothing of their noise."
    ),
    "systematic": Quantity(
        "systematic errors", "Samples on which nearly all members vote for the same wrong class."
    ),
    "chance": Quantity("chance errors", "Errors of the ensemble that some members avoid."),
    "consistently_wrong": Quantity(
        "votes for the wrong class", "The share of the members that vote for the main wrong class."
    ),
    "wrong_label": Quantity(
        "probability of a wrong label",
        "The probability that the label is wrong, given what the members predict.",
    ),
    "slope_influence": Quantity(
        "influence on the slope", "How much the sample moves the population slope."
    ),
    "offset_influence": Quantity(
        "influence on the offset", "How much the sample moves the population offset."
    ),
}

LABEL_FREE = {
    "risk_label_free": Quantity(
        "expected risk",
        "The risk if the mean of infinitely many such members is calibrated for each class.",
        "2 variance + uncertainty",
    ),
    "risk_label_free_plug_in": Quantity(
        "expected risk of these members",
        "The risk if the mean of these very members is calibrated.",
    ),
    "error_label_free": Quantity(
        "expected error",
        "The error rate of the ensemble if its confidence is calibrated.",
        "1 − max p̄",
    ),
}
"""What is said without labels."""

QUANTITIES = (
    OF_SAMPLES | SQUARED | OTHER_LOSSES | WEIGHTED | CALIBRATION | OF_ENSEMBLES | LABEL_FREE
)
"""Key -> name and meaning."""


def title(key: str) -> str:
    """Returns the name of a quantity for readers; its key where it has none.

    >>> title("bias_sq"), title("my_statistic")
    ('squared bias', 'my_statistic')
    """
    return QUANTITIES[key].title if key in QUANTITIES else key
