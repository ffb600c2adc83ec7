"""Names under which people save what an analysis needs: given by option, or guessed.

A guess needs one reading only: where several names could be meant, the user is asked.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

LOGITS = ("logits", "logit", "log_probs", "logprobs", "log_prob", "logprob")
PROBS = ("probs", "prob", "proba", "probas", "probability", "probabilities", "p", "softmax")
UNNAMED = ("scores", "score", "predictions", "prediction", "preds", "pred", "outputs", "output")
"""Names that do not say whether they are logits or probabilities; the values do."""

VOTES = ("votes", "vote", "predicted", "predicted_label", "y_pred")
KINDS = (
    dict.fromkeys(LOGITS, "logits")
    | dict.fromkeys(PROBS, "probs")
    | dict.fromkeys(UNNAMED, "scores")
    | dict.fromkeys(VOTES, "votes")
)
"""Kind of scores by name."""

LABEL = ("label", "labels", "target", "targets", "true", "y", "y_true", "y_test", "label_ids")
MEMBER = ("member", "seed", "model", "run")
SAMPLE = ("sample", "id", "sample_id", "idx", "index", "doc_id", "image", "filename")
CLUSTER = ("cluster", "clusters")
GROUP = re.compile(r"groups?|group_(.+)", re.IGNORECASE)
"""Columns and arrays of subgroups."""

TEXT = ("text", "texts", "sentence", "question")

OWN = ("member", "sample", "label", "labels", "cluster", "clusters")
"""bvalign's own names, which win over others."""


@dataclass(frozen=True)
class Names:
    """Names that the user gives for columns or arrays; None is guessed.

    Attributes:
        member: column that tells the members apart.
        sample: column of sample ids.
        label: column or array of labels.
        scores: pattern of the columns, one per class, or name of the array, as in `prob_*`.
        votes: pattern of the columns, one per member, or name of the array.
        task: the label to analyse where a sample has several that are each true or false.
        split: of a run directory, test by default, or train.
        one_member: whether arrays of two axes are one member's (samples, classes) in any case, as
            in a file of a folder.
    """

    member: str | None = None
    sample: str | None = None
    label: str | None = None
    scores: str | None = None
    votes: str | None = None
    task: str | None = None
    split: str | None = None
    one_member: bool = False

    def __post_init__(self) -> None:
        """Refuses a choice of two kinds.

        Raises:
            ValueError: both scores and votes are given.
        """
        if self.scores is not None and self.votes is not None:
            raise ValueError(
                f"--scores {self.scores} and --votes {self.votes} choose two kinds; give one"
            )


def refuse_options(path: Path, names: Names, options: Collection[str], what: str) -> None:
    """Raises if names are given that a source has no use for.

    Args:
        path: named in the message.
        names: given by the user.
        options: of `Names`, which must not be given.
        what: the source is, instead of something with such names.
    """
    for option in options:
        if (name := getattr(names, option)) is not None:
            raise ValueError(f"{path}: {what}, so there is nothing for --{option} {name} to choose")


def find_name(
    path: Path, what: str, known: Collection[str], names: Collection[str], given: str | None
) -> str | None:
    """Finds the one name of a thing among those of a file; None if it is not there.

    Args:
        path: named in messages.
        what: the option that gives the name.
        known: names to look for, in lower case; those of `OWN` need no guess.
        names: of the columns or arrays.
        given: the user's choice.

    Raises:
        ValueError: the given name is missing, or several names could be meant.
    """
    if given is not None:
        if given not in names:
            raise ValueError(f"{path}: --{what} {given} is not there, has {shorten(names)}")
        return given
    own = [name for name in names if name in OWN and name in known]
    found = own or [name for name in names if name.lower() in known]
    if len(found) > 1:
        raise ValueError(
            f"{path}: {' and '.join(found)} could each be the {what}; choose one with --{what}"
        )
    return found[0] if found else None


def group_columns(names: Collection[str]) -> dict[str, str]:
    """Finds the columns or arrays of subgroups, each with what it tells.

    >>> group_columns(["logits", "group", "group_age"])
    {'group': 'group', 'group_age': 'age'}
    """
    found = {name: match for name in names if (match := GROUP.fullmatch(name))}
    return {name: match[1] or "group" for name, match in found.items()}


def shorten(names: Collection[object], most: int = 8) -> str:
    """Lists some names, with dots where there are more."""
    listed = [str(name) for name in names]
    return (", ".join(listed[:most]) or "none") + (", ..." if len(listed) > most else "")
