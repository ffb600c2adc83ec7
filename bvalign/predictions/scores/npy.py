"""Predictions from a single `.npy`."""

from dataclasses import replace
from pathlib import Path

from bvalign.predictions.scores.arrays import scores_of_arrays
from bvalign.predictions.scores.mapped import open_npy
from bvalign.predictions.scores.names import KINDS, Names
from bvalign.predictions.scores.scores import Scores


def open_npy_scores(path: Path, names: Names) -> Scores:
    """Opens the scores of a `.npy`, and `seed0.labels.npy`, `seed0.index.npy` beside a `seed0.npy`.

    The name tells logits, probabilities and votes apart, or else the values.

    Raises:
        ValueError: the file is damaged, or contains no numbers.
    """
    own = {key: path.with_name(f"{path.stem}.{key}.npy") for key in ("labels", "index")}
    beside = {key: open_npy(file) for key, file in own.items() if file.exists()}
    key = path.stem if path.stem.lower() in KINDS else "scores"
    scores = scores_of_arrays(path, {key: open_npy(path), **beside}, names)
    alone = not path.with_name("labels.npy").exists()
    if alone or names.one_member or "labels" in beside:
        return scores
    note = "not used: labels.npy beside it; give the folder, not the file"
    return replace(scores, notes=(*scores.notes, note))
