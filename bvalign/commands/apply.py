"""`bvalign apply`: a rule that a report has saved, on new predictions."""

from collections.abc import Mapping
from pathlib import Path

import torch

from bvalign.analysis.decompositions import Column, Unit
from bvalign.atomic import remove_left
from bvalign.decisions.rules import apply_rule, read_rule
from bvalign.predictions import Names, open_predictions
from bvalign.show.report.sample_files import write_samples


def apply_and_write(
    rule: Path,
    source: Path | str,
    out: Path,
    *,
    clusters: Path | None = None,
    names: Mapping[str, str] | None = None,
) -> None:
    """Writes what a rule says of each sample, and prints what it says of all.

    Args:
        rule: a file such as abstain.json.
        source: as for `open_predictions`.
        out: the file, Parquet if it ends in `.parquet`, else CSV.
        clusters: file with the cluster of each sample, as for `open_predictions`.
        names: of columns or arrays, by field of `Names`.

    Raises:
        ValueError: the rule or the predictions cannot be read, or do not fit each other.
    """
    read = read_rule(rule)
    predictions, origin = open_predictions(source, clusters=clusters, names=Names(**names or {}))
    if "read" in origin:
        print(f"{origin['source']}, read as {origin['format']}: {origin['read']}")
    applied = apply_rule(read, predictions)
    for line in applied.said:
        print(line)
    index = Column(torch.from_numpy(predictions.index), Unit("row of the data set"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_left(out.parent)
        write_samples(out, {"index": index} | applied.columns, predictions.sample_names)
    except OSError as error:
        raise ValueError(
            f"{out} cannot be written ({error.strerror}); --out FILE.csv names another"
        ) from error
    print(f"samples: {out}")
