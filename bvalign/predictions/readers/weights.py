"""How often each member counts, if a file says so: checks, and what a reader must know of it."""

from pathlib import Path

import numpy as np


def check_weights(
    path: Path, weights: np.ndarray | None, num_members: int
) -> tuple[float, ...] | None:
    """The weights as numbers.

    Args:
        path: named in the message.
        weights: one per member, in their order; None where all count alike.
        num_members: M.

    Raises:
        ValueError: they are not one positive finite number per member.
    """
    if weights is None:
        return None
    numbers = weights.dtype.kind in "iuf" and weights.shape == (num_members,)
    if not numbers or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"{path}: 'weights' must be {num_members} positive finite numbers, one per member, "
            f"got {weights.dtype} {weights.tolist()}; leave out members that do not count"
        )
    return tuple(weights.astype(np.float64).tolist())


def weights_note(weights: np.ndarray | None, *, labelled: bool) -> tuple[str, ...]:
    """What uses the weights and what does not."""
    if weights is None:
        return ()
    if not labelled:
        return ("weights: not used, every member counts once; they need labels",)
    return (
        "weights: the means under 'weighted' in summary.json and the columns weighted_... of "
        "samples.csv count members with their weights; in everything else, slopes and figures "
        "among it, every member counts once",
    )
