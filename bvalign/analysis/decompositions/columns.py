"""Per-sample statistics as columns: values, unit, and whether readers of a report see them.

A field of a NamedTuple is a column of samples.csv if it is annotated with a `Unit`:

    entropy: Annotated[Float[Tensor, " samples"], Unit("nats", shown=True)]
"""

from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

Kind = Literal["real", "positive", "proportion", "difference"]
"""Any number; never below zero; from 0 to 1; a difference of proportions, from -1 to 1."""


class Unit(NamedTuple):
    """Unit of a per-sample statistic."""

    name: str
    shown: bool = False  # on hover cards and in W&B tables
    kind: Kind = "real"  # what its mean, and so the interval of that, can be


class Column(NamedTuple):
    """One value per test sample, with its unit."""

    values: Tensor  # (samples)
    unit: Unit


def columns_of(statistics: tuple) -> dict[str, Column]:
    """Fields of a NamedTuple that are annotated with a unit, in order.

    >>> import torch
    >>> from bvalign.analysis.decompositions.squared_loss import decompose, moments
    >>> target = torch.tensor([0])
    >>> list(columns_of(decompose(moments(torch.zeros(2, 1, 2), target), target)))[:2]
    ['bias_sq', 'variance']
    """
    return {
        name: Column(values, unit)
        for name, values in statistics._asdict().items()
        for unit in getattr(type(statistics).__annotations__[name], "__metadata__", ())
    }


class NamedColumns:
    """Per-sample statistics by name: `result["bias_sq"]`, and `result.samples` for all of them."""

    num_members: int
    num_samples: int

    @property
    def size(self) -> str:
        """Numbers of members and samples in words."""
        members, samples = (
            f"{number} {noun}" + "s" * (number != 1)
            for number, noun in ((self.num_members, "member"), (self.num_samples, "sample"))
        )
        return f"{members} on {samples}"

    def columns(self) -> dict[str, Column]:
        """Columns of samples.csv by name, in order."""
        raise NotImplementedError

    @property
    def samples(self) -> dict[str, np.ndarray]:
        """All columns as arrays (samples); `pandas.DataFrame` and that of polars take the dict."""
        return {name: column.values.numpy() for name, column in self.columns().items()}

    def __getitem__(self, name: str) -> np.ndarray:
        """One column as an array (samples).

        Raises:
            KeyError: there is no such column; the message lists those that exist.
        """
        columns = self.columns()
        if name not in columns:
            raise KeyError(f"there is no column {name!r}; there are {', '.join(columns)}")
        return columns[name].values.numpy()
