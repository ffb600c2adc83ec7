"""Options that several commands have; nothing else is imported here, so that `--help` is quick."""

import argparse
import os
from pathlib import Path

NAMES = {
    "member": ("COLUMN", "column that tells the members apart, as in --member seed"),
    "sample": ("COLUMN", "column of sample ids"),
    "label": ("NAME", "column or array of labels, as in --label target"),
    "scores": ("PATTERN", "columns of logits or probabilities, one per class, or array of them, as "
               "in --scores 'prob_*'"),
    "votes": ("PATTERN", "columns of predicted classes, one per member, or array of them, as in "
              "--votes 'model_*'"),
    "task": ("NAME", "the label to analyse where samples have several, each true or false"),
    "split": ("test|train", "samples of a run directory; train judges each of its training samples "
              "by members that were not trained on it (fit --predictions.train=true "
              "--model.randomness.bootstrap=kfold)"),
}  # fmt: skip
"""Options of `analyze` that choose among what a source contains, or name what is guessed."""


def add_names(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("names, where they cannot be guessed")
    for name, (metavar, explained) in NAMES.items():
        group.add_argument(f"--{name}", metavar=metavar, help=explained)


def names_of(options: argparse.Namespace) -> dict[str, str]:
    return {name: value for name in NAMES if (value := getattr(options, name)) is not None}


def add_clusters(*commands: argparse.ArgumentParser) -> None:
    for command in commands:
        command.add_argument(
            "--clusters",
            type=path,
            metavar="FILE",
            help="which samples belong together (a patient, a video, a family of questions), where "
            "the predictions do not say so: a .npy with an integer or string per sample, in their "
            "order, or a .csv with columns index and cluster; intervals then treat clusters, not "
            "samples, as drawn at random",
        )


def add_asked(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("decisions")
    group.add_argument(
        "--max-error",
        type=float,
        metavar="SHARE",
        help="wanted error rate of accepted predictions, as 0.02; half of that of all by default",
    )
    group.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="confidence of guarantees (default: %(default)s)",
    )
    group.add_argument(
        "--target",
        action="append",
        default=[],
        type=lambda text: text.partition("=")[::2],
        metavar="NAME=VALUE",
        help="how many members reach a wanted risk, error, accuracy or cross_entropy, as risk=0.1; "
        "may be given several times",
    )


def add_groups(*commands: argparse.ArgumentParser) -> None:
    for command in commands:
        command.add_argument(
            "--groups",
            type=path,
            metavar="FILE",
            help="subgroups of the samples to compare (hospitals, languages, lengths), beside the "
            "classes and the columns group_NAME of the predictions: a .csv with columns index or "
            "sample and one for each way to group, or a .npy with a number or string per sample",
        )


def path(text: str) -> Path:
    """Expands `~`, which the shell leaves in `--out='~/x'`; without a home it stays."""
    return Path(os.path.expanduser(text))  # noqa: PTH111
