"""A figure with what stands beside it: caption, alternative text and numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped
from matplotlib.figure import Figure

Columns = Mapping[str, Sequence[object] | Shaped[np.ndarray, " rows"]]
"""Name -> values."""


@dataclass(frozen=True)
class Plot:
    """A figure of a report.

    Attributes:
        draw: draws it in the style of `styled`, in which it must be saved.
        caption: what it shows of how many samples and members, what is left out and why, with the
            numbers and their intervals; as it could stand in a paper.
        alt: what there is to see, for those who do not see it.
        numbers: what is drawn; columns of one length.
    """

    draw: Callable[[], Figure]
    caption: str
    alt: str
    numbers: Columns
