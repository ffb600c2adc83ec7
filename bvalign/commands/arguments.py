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

SAMPLES = ("both", "csv", "parquet", "none")
VENUES, FORMATS = ("iclr", "neurips", "icml", "nature", "poster"), ("pdf", "png", "svg")
LEAST_INCHES, MOST_INCHES = 2, 60


def add_names(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("names, where they cannot be guessed")
    for name, (metavar, explained) in NAMES.items():
        group.add_argument(f"--{name}", metavar=metavar, help=explained)


def names_of(options: argparse.Namespace) -> dict[str, str]:
    return {name: value for name in NAMES if (value := getattr(options, name)) is not None}


def add_samples(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--samples",
        choices=SAMPLES,
        help="files with a row for each sample: samples.csv, half a kilobyte a sample, "
        "samples.parquet, a third of that, or none; those of before that are not written are "
        "removed (default: both up to a million samples, parquet alone above)",
    )


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


def add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--source",
        type=path_or_url,
        nargs="+",
        metavar="LABELLED",
        help="labelled predictions of the same members, such as those of the test set: error rates "
        "and risk of predictions without labels are estimated from them; the first is fitted on, "
        "others tell how far the estimates may be off; see docs/decisions/without_labels.md",
    )


def add_sharing(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("several machines, see docs/clusters.md")
    group = group.add_mutually_exclusive_group()
    group.add_argument(
        "--shard",
        metavar="i/n",
        help="compute one of n parts, i from 0, and no report: `bvalign merge OUT` writes it when "
        "all are there, as of a SLURM array",
    )
    group.add_argument(
        "--ray",
        nargs="?",
        const="auto",
        metavar="ADDRESS",
        help="compute on a Ray cluster that runs already, HOST:PORT; by default that of "
        "RAY_ADDRESS, else the one that this machine is part of",
    )


def add_drawing(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--style", choices=VENUES, default=VENUES[0], help="fonts and sizes (default: %(default)s)"
    )
    command.add_argument(
        "--width",
        type=_width,
        metavar="INCHES",
        help="of each figure; by default that of the text: 5.5 for iclr and neurips, 6.75 for icml "
        "(3.25 is a column), 7.2 for nature (3.5 is a column), 12 for a poster",
    )
    command.add_argument(
        "--only",
        type=_listed,
        default=(),
        metavar="NAME,...",
        help="names of figures, or their beginnings, as alignment,decide (default: all)",
    )
    command.add_argument(
        "--format",
        type=_formats,
        default=("pdf",),
        metavar="FORMAT,...",
        help=f"any of {', '.join(FORMATS)} (default: pdf); points are vectors up to 5,000 of them, "
        "a picture of 300 dots per inch beyond",
    )
    command.add_argument(
        "--out", type=path, help="folder (default: figures/ in a run directory, else here)"
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.replace(" ", "").split(",") if part)


def _formats(text: str) -> tuple[str, ...]:
    for name in (formats := _listed(text)):
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(FORMATS)}")
    return formats


def _width(text: str) -> float:
    if not MOST_INCHES >= (width := float(text)) >= LEAST_INCHES:
        raise argparse.ArgumentTypeError(
            f"{text} inches; a figure is {LEAST_INCHES} to {MOST_INCHES} inches wide"
        )
    return width


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


def path_or_url(text: str) -> Path | str:
    """A path, or the URL of a Zarr group as it is: of a path one of its slashes would be gone."""
    return text if "://" in text else path(text)


def path(text: str) -> Path:
    """Expands `~`, which the shell leaves in `--out='~/x'`; without a home it stays."""
    return Path(os.path.expanduser(text))  # noqa: PTH111
