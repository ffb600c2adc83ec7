"""Arrays that predictions may bring beside their scores: images, texts, class names, weights."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int


def check_shown(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    order: Int[np.ndarray, " samples"],
    num_classes: int,
) -> dict[str, object]:
    """Checks the arrays for the report and sorts them like the samples.

    Args:
        path: named in messages.
        arrays: any of `SHOWN`; images may lack their channel axis.
        order: rows of the file, sorted by index.
        num_classes: K.

    Returns:
        The fields of `Predictions` that there are.

    Raises:
        ValueError: an array has the wrong shape or type.
    """
    fields: dict[str, object] = {}
    if "images" in arrays:
        images = arrays["images"]
        if images.ndim == 3:
            images = images[:, None]
        fits = images.ndim == 4 and len(images) == len(order) and images.size
        if images.dtype != np.uint8 or not fits:
            raise ValueError(
                f"{path}: 'images' must be uint8 ({len(order)} samples, channels, height, width), "
                f"got {images.dtype} {images.shape}; convert them or leave them out"
            )
        fields["images"] = images[order]
    for name, length in (("texts", len(order)), ("class_names", num_classes)):
        if name not in arrays:
            continue
        strings = arrays[name]
        if strings.dtype.kind != "U" or strings.shape != (length,):
            raise ValueError(
                f"{path}: '{name}' must be {length} strings, got {strings.dtype} {strings.shape}; "
                "convert them or leave them out"
            )
        fields[name] = tuple((strings[order] if name == "texts" else strings).tolist())
    return fields


def check_member_weights(
    path: Path, weights: np.ndarray | None, num_members: int
) -> tuple[float, ...] | None:
    """Checks the member weights and returns them as numbers.

    Args:
        path: named in the message.
        weights: one per member, in their order; None where all count once.
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


def member_weights_note(weights: np.ndarray | None, *, labelled: bool) -> tuple[str, ...]:
    """Notes which results use the member weights."""
    if weights is None:
        return ()
    if not labelled:
        return ("weights: not used without labels, every member counts once",)
    return (
        "weights: the means under 'weighted' in summary.json and the columns weighted_... of "
        "samples.csv count members with their weights; in everything else, including slopes and "
        "figures, every member counts once",
    )
