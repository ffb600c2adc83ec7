"""Reports read back from their files, also those that older versions wrote."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from bvalign.analysis.decompositions import Kind
from bvalign.analysis.intervals import Estimate, Spread, estimate, stored
from bvalign.predictions import file_name
from bvalign.show.report.sample_files import CSV, PARQUET
from bvalign.show.report.samples_csv import read_csv
from bvalign.show.report.summary_json import SCHEMA

OLD_SCHEMA, SCHEMAS = 1, (1, 2, SCHEMA)
ERRORS = "error_rate"
UNBIASED = {"bias_sq": "bias_sq_unbiased", "variance": "variance_unbiased"}
COLUMNS = ("index", "label", "correct", "bias_sq", "variance", "risk", ERRORS, *UNBIASED.values())
INFLUENCES = ("slope_influence", "offset_influence")
OPTIONAL = CLUSTER, NOISE, PREDICTION = "cluster", "noise", "prediction"
MEANS = ("risk", "bias_sq", "variance")
LINES = ("ols", "cross_half")
COUNTS = ("num_members", "num_samples", "num_classes")

OLD = "a report of schema 1, which lacks it; write the report again"
OLD_INTERVAL = "over samples alone: a report of schema 1; write it again for one over members"


class Report(NamedTuple):
    """The content of one report."""

    name: str
    summary: dict[str, object]
    samples: dict[str, Shaped[np.ndarray, " samples"]]  # columns by name
    folder: Path = Path()


def read_reports(folders: Sequence[Path]) -> list[Report]:
    """Reads the reports in run directories or in folders that `bvalign analyze` wrote.

    Raises:
        ValueError: there are fewer than two, or one is no report or has an unknown schema.
    """
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        given = ", ".join(map(str, folders)) or "none"
        raise ValueError(f"compare needs at least two different runs, got {given}")
    names = _names(folders)
    return [_read(folder, name) for folder, name in zip(folders, names, strict=True)]


def main_numbers(summary: dict[str, object]) -> dict[str, Estimate]:
    """The numbers that reports are compared by; a reason in place of what an old one lacks.

    Args:
        summary: the content of a summary.json.
    """
    alignment = summary["alignment"]
    if summary["schema"] == OLD_SCHEMA:
        size, accuracy = summary["num_samples"], summary["accuracy"]
        error = math.sqrt(accuracy * (1 - accuracy) / (size - 1)) if size > 1 else None
        numbers = {
            "accuracy": _old_mean(accuracy, error, size, "proportion"),
            "member_accuracy": Estimate(summary["member_accuracy"]["mean"], reason=OLD_INTERVAL),
        }
        numbers |= dict.fromkeys(("slope", "offset"), Estimate(None, reason=OLD))
    else:
        numbers = {
            "accuracy": stored(summary["accuracy"]),
            "member_accuracy": stored(summary["member_accuracy"]["mean"]),
        }
        numbers |= {name: stored(alignment["logit_slope"][name]) for name in ("slope", "offset")}
    numbers |= {name: _mean(summary, name) for name in MEANS}
    if summary["num_members"] == 1:
        numbers["variance"] = Estimate(None, reason="needs two members")
    return numbers | {name: stored(alignment[name]["slope"]) for name in LINES}


def unbiased_means(summary: dict[str, object]) -> dict[str, Estimate]:
    """Means of bias_sq and variance as they would be with infinitely many members."""
    return {name: _mean(summary, column) for name, column in UNBIASED.items()}


def _mean(summary: dict[str, object], name: str) -> Estimate:
    mean = summary["means"][name]
    if summary["schema"] != OLD_SCHEMA:
        return stored(mean)
    if mean["value"] is None:
        return Estimate(None, reason="needs two members")
    return _old_mean(mean["value"], mean["standard_error"], summary["num_samples"])


def _old_mean(value: float | None, error: float | None, size: int, kind: Kind = "real") -> Estimate:
    """A mean of before, whose error is over samples alone."""
    spread = Spread(math.nan if error is None else error**2, size)
    return estimate(
        math.nan if value is None else value,
        spread,
        kind,
        without_members=OLD_INTERVAL,
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """Names the folders, with as many of their parents as are needed to tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    depth = next(
        depth
        for depth in range(1, max(map(len, parts)) + 1)
        if len({part[-depth:] for part in parts}) == len(set(parts))
    )
    return [file_name("/".join(part[-depth:])) for part in parts]


def _read(folder: Path, name: str) -> Report:
    path = folder / "summary.json"
    samples = next((f for f in (folder / PARQUET, folder / CSV) if f.is_file()), None)
    if samples is None or not path.is_file():
        command = (
            f"bvalign report {folder}"
            if (folder / "run.json").exists()
            else f"bvalign analyze PREDICTIONS --out {folder}"
        )
        raise ValueError(
            f"{folder}: a run to compare must hold summary.json and {PARQUET} or {CSV}; "
            f"`{command}` writes them"
        )
    try:
        summary = json.loads(path.read_text())
        schema = summary["schema"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error}); write the report again") from error
    if schema not in SCHEMAS:
        raise ValueError(
            f"{path}: schema must be one of {SCHEMAS}, got {schema}; write the report again"
        )
    if not summary.get("labels"):
        raise ValueError(
            f"{path}: compare needs bias_sq, but this is a report without labels; add them"
        )
    try:
        if wrong := [name for name in COUNTS if type(summary[name]) is not int]:
            raise ValueError(f"{', '.join(wrong)} must be whole numbers")
        main_numbers(summary), unbiased_means(summary)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: damaged ({error!r}); write the report again") from error
    return Report(name, summary, _read_columns(samples, old=schema == OLD_SCHEMA), folder)


def _read_columns(path: Path, *, old: bool) -> dict[str, Shaped[np.ndarray, " samples"]]:
    """Reads the columns that a comparison needs, all of them as float64 but `correct`."""
    needed = [*COLUMNS, *(() if old else INFLUENCES)]
    try:
        if path.name == PARQUET:
            from bvalign.show.report.samples_parquet import read_parquet  # pyarrow, where needed

            columns = read_parquet(path, [*needed, *OPTIONAL])
        else:
            columns = read_csv(path, [*needed, *OPTIONAL])
        if missing := [name for name in needed if name not in columns]:
            raise ValueError(f"no column {', '.join(missing)}")
    except (ValueError, OSError, StopIteration) as error:
        raise ValueError(f"{path}: damaged ({error}); write the report again") from error
    return columns | {"correct": columns["correct"] == 1}
