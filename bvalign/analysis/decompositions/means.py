"""Mean over samples with its standard error."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Mean(NamedTuple):
    """Mean over samples and its standard error given these members, in the unit of the values."""

    value: Float[Tensor, ""]
    standard_error: Float[Tensor, ""]  # NaN for a single sample

    def __str__(self) -> str:
        error = "" if self.standard_error.isnan() else f" ± {float(self.standard_error):.2g}"
        return f"{float(self.value):.4g}{error}"


def mean_over_samples(values: Float[Tensor, " samples"]) -> Mean:
    """Mean and standard error: the standard deviation (dividing by N - 1) over sqrt(N).

    >>> import torch
    >>> print(mean_over_samples(torch.tensor([1.0, 2.0, 3.0])))
    2 ± 0.58
    """
    num = len(values)
    centred = values - values.mean()
    return Mean(values.mean(), (centred.square().sum() / (num * (num - 1))).sqrt())
