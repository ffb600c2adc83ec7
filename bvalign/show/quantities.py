"""Names of quantities for readers: figures, pages and tables call each by its one name here.

Keys are those of samples.csv and summary.json, which docs/summary.md defines.
"""

from typing import NamedTuple


class Quantity(NamedTuple):
    """What a reader calls a quantity."""

    title: str  # starts in lower case, as inside a sentence
    meaning: str  # one sentence for the glossary
    symbol: str = ""


QUANTITIES = {
    "index": Quantity("sample", "The id of the sample."),
    "label": Quantity("label", "The class that the sample is given."),
    "prediction": Quantity("prediction", "The most probable class of the mean of the members."),
    "correct": Quantity("correct", "Whether the mean of the members predicts the label."),
    "accuracy": Quantity(
        "accuracy of the ensemble",
        "The fraction of samples whose label the mean of the members predicts.",
    ),
    "member_accuracy": Quantity(
        "accuracy of a member", "The fraction of samples whose label a random member predicts."
    ),
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
    "noise": Quantity(
        "label noise", "The risk that no model can avoid, as the labels themselves vary."
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
    "ols": Quantity(
        "slope of these members",
        "The least-squares slope of log variance on log squared bias of these members (ols).",
    ),
    "confidence": Quantity("confidence", "The largest probability of the mean of the members."),
    "uncertainty": Quantity(
        "uncertainty", "The mean over members of 1 minus the sum of their squared probabilities."
    ),
    "disagreement": Quantity(
        "disagreement", "The fraction of pairs of members that predict different classes."
    ),
}
"""Key -> name and meaning."""


def title(key: str) -> str:
    """Returns the name of a quantity for readers; its key where it has none.

    >>> title("bias_sq"), title("my_statistic")
    ('squared bias', 'my_statistic')
    """
    return QUANTITIES[key].title if key in QUANTITIES else key
