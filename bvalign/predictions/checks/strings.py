r"""Strings that are no text: lone surrogates, as Python makes of bytes that are no UTF-8.

No file and no terminal can hold them, so they are written as what they are, `\udcff`, before
anything is computed; two names that differ stay different.
"""

import os
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from bvalign.predictions.scores.scores import Scores

SURROGATES = (0xD800, 0xDFFF)
NAMED = ("members", "labels", "clusters")


def without_surrogates(scores: Scores) -> Scores:
    """Replaces lone surrogates in all strings, with a note for each array."""
    arrays = {name: getattr(scores, name) for name in NAMED} | dict(scores.shown)
    changed, notes = {}, []
    for name, strings in arrays.items():
        if strings is None or strings.dtype.kind != "U":
            continue
        wrong = _have_surrogates(strings)
        if not wrong.any():
            continue
        cells = strings.ravel().tolist()
        for at in np.flatnonzero(wrong):
            cells[at] = escaped(cells[at])
        changed[name] = np.array(cells).reshape(strings.shape)
        first = escaped(str(strings.ravel()[np.argmax(wrong)]))
        notes.append(
            f"{name}: {int(wrong.sum())} of {strings.size} are no Unicode text (lone surrogates, "
            f"of bytes in another encoding?), which is written out: {first[:60]}"
        )
    if not changed:
        return scores
    shown = {name: changed.get(name, strings) for name, strings in scores.shown.items()}
    named = {name: strings for name, strings in changed.items() if name in NAMED}
    return replace(scores, shown=shown, notes=(*scores.notes, *notes), **named)


def escaped(text: str) -> str:
    r"""Writes lone surrogates as escapes.

    >>> escaped("caf\udce9")
    'caf\\udce9'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def file_name(name: str) -> str:
    """Name of a file as text, also where the language of the process lacks its characters."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _have_surrogates(strings: np.ndarray) -> Bool[np.ndarray, " strings"]:
    flat = np.ascontiguousarray(strings.ravel(), dtype=strings.dtype.newbyteorder("="))
    if not flat.dtype.itemsize:
        return np.zeros(len(flat), dtype=bool)
    codes = flat.view(np.uint32).reshape(len(flat), -1)
    return ((codes >= SURROGATES[0]) & (codes <= SURROGATES[1])).any(axis=1)
