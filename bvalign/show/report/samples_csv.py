"""The per-sample statistics of an analysis as text of samples.csv."""

from collections.abc import Mapping

import torch

from bvalign.analysis.decompositions import Column


def samples_csv(columns: Mapping[str, Column]) -> str:
    """Writes a row per test sample, sorted by index, with the 17 digits that restore float64.

    Args:
        columns: by name, as in `Analysis.columns`.
    """
    cells = (
        (values.int() if values.dtype == torch.bool else values).tolist()
        for values, _ in columns.values()
    )
    lines = [
        ",".join(f"{cell:.17g}" if isinstance(cell, float) else str(cell) for cell in row)
        for row in zip(*cells, strict=True)
    ]
    return "\n".join([",".join(columns), *lines]) + "\n"
