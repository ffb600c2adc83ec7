r"""Strings that files or terminals cannot show, see `plain_text.py`.

They are written as what they are, `\udcff`, before anything is computed; two names that differ stay
different.
"""

import os
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from bvalign.plain_text import UNSHOWN, escaped
from bvalign.predictions.scores.scores import Scores

NAMED = ("members", "labels", "clusters", "sample_names")


def with_plain_text(scores: Scores) -> Scores:
    """Writes out in all strings what cannot be shown, with a note for each array."""
    arrays = {name: getattr(scores, name) for name in NAMED} | dict(scores.shown)
    changed, notes = {}, []
    for name, strings in arrays.items():
        if strings is None or strings.dtype.kind != "U":
            continue
        cells = strings.ravel().tolist()
        plain = {at: escaped(cells[at]) for at in np.flatnonzero(_have_unshown(strings)).tolist()}
        wrong = [at for at, cell in plain.items() if cell != cells[at]]
        if not wrong:
            continue
        for at in wrong:
            cells[at] = plain[at]
        changed[name] = np.array(cells).reshape(strings.shape)
        notes.append(
            f"{name}: {len(wrong)} of {strings.size} are no plain text (control characters, or "
            f"lone surrogates, of bytes in another encoding?), which is written out: "
            f"{cells[wrong[0]][:60]}"
        )
    notes = [*map(escaped, scores.notes), *notes]
    if not changed:
        return replace(scores, notes=tuple(notes))
    shown = {name: changed.get(name, strings) for name, strings in scores.shown.items()}
    named = {name: strings for name, strings in changed.items() if name in NAMED}
    return replace(scores, shown=shown, notes=tuple(notes), **named)


def file_name(name: str) -> str:
    """Name of a file as text, also where the language of the process lacks its characters."""
    return escaped(os.fsencode(name).decode("utf-8", "backslashreplace"))


def _have_unshown(strings: np.ndarray) -> Bool[np.ndarray, " strings"]:
    flat = np.ascontiguousarray(strings.ravel(), dtype=strings.dtype.newbyteorder("="))
    if not flat.dtype.itemsize:
        return np.zeros(len(flat), dtype=bool)
    codes = flat.view(np.uint32).reshape(len(flat), -1)
    found = np.zeros(codes.shape, dtype=bool)
    for low, high in UNSHOWN:
        found |= (codes >= max(low, 1)) & (codes <= high)  # zeros pad
    return found.any(axis=1)
