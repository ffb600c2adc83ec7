"""What a reader is shown of the samples, if a file brings it: images, texts, names of classes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

SHOWN = ("images", "texts", "class_names")


def check_shown(
    path: Path, arrays: Mapping[str, np.ndarray], order: np.ndarray, num_classes: int
) -> dict[str, object]:
    """The fields of `Predictions`, sorted as the samples are.

    Args:
        path: named in messages.
        arrays: any of SHOWN; images may lack their channel axis.
        order: rows of the file, sorted by index (samples).
        num_classes: K.

    Raises:
        ValueError: an array has another shape or type.
    """
    fields: dict[str, object] = {}
    if "images" in arrays:
        images = arrays["images"]
        if images.ndim == 3:
            images = images[:, None]
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(order):
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
