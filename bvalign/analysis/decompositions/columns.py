"""A per-sample statistic as others see it: its values, its unit, and whether people are shown it.

A field of a NamedTuple is a column of samples.csv if it is annotated with a `Unit`:

    entropy: Annotated[Float[Tensor, " samples"], Unit("nats", shown=True)]
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor


class Unit(NamedTuple):
    """The unit of a per-sample statistic; `shown` ones stand on hover cards and in W&B tables."""

    name: str
    shown: bool = False


class Column(NamedTuple):
    """One value per test sample."""

    values: Tensor  # (samples)
    unit: Unit


def columns_of(table: tuple) -> dict[str, Column]:
    """The fields of a NamedTuple that are annotated with a unit, in their order.

    >>> import torch
    >>> from bvalign.analysis.decompositions.squared_loss import decompose, moments
    >>> target = torch.tensor([0])
    >>> list(columns_of(decompose(moments(torch.zeros(2, 1, 2), target), target)))[:2]
    ['bias_sq', 'variance']
    """
    return {
        name: Column(values, unit)
        for name, values in table._asdict().items()
        for unit in getattr(type(table).__annotations__[name], "__metadata__", ())
    }


class NamedColumns:
    """Per-sample statistics by name: `result["bias_sq"]`, and `dict(result)` for all of them."""

    def columns(self) -> dict[str, Column]:
        """The columns of samples.csv, in their order."""
        raise NotImplementedError

    def keys(self) -> Iterator[str]:
        """The names of the columns."""
        return iter(self.columns())

    def __getitem__(self, name: str) -> np.ndarray:
        """One column as an array (samples).

        Raises:
            KeyError: there is no such column; the message names those there are.
        """
        columns = self.columns()
        if name not in columns:
            raise KeyError(f"there is no column {name!r}; there are {', '.join(columns)}")
        return columns[name].values.numpy()
