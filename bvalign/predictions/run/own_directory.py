"""The run directory of a configuration for which none is named.

The first identity that is trained gets the plain name, `runs/digits-mlp`, and any other one the
same name with the beginning of its hash, `runs/digits-mlp-1f0c77a2`, so that the runs of a sweep do
not collide. Whoever asks for an identity finds its directory without asking anybody else.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from bvalign.predictions.run.directory import RunDirectory
from bvalign.predictions.run.identity import difference, flatten

DIGITS = 8
"""Hexadecimal digits of the hash."""


def own_directory(plain: Path, identity: Mapping[str, object]) -> Path:
    """Where the run of an identity is, or is to be created; that may fail for another comes first.

    Args:
        plain: the name that the first identity gets.
        identity: of the run.

    Raises:
        ValueError: run.json of the directory with the plain name is damaged.
    """
    flat = flatten(identity)
    own = plain.with_name(f"{plain.name}-{identity_hash(flat)}")
    if (plain / "run.json").exists():
        return own if difference(RunDirectory(plain).identity, flat) else plain
    return own if (own / "run.json").exists() else plain


def identity_hash(identity: Mapping[str, object]) -> str:
    """Begins the SHA-256 of a flat identity, in which keys without a value do not count.

    >>> identity_hash({"model.lr": 0.1, "model.width": None}) == identity_hash({"model.lr": 0.1})
    True
    """
    given = {key: value for key, value in identity.items() if value is not None}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:DIGITS]
