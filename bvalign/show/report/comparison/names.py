"""Short names of runs, from what differs in their configurations."""

from collections import Counter
from collections.abc import Mapping, Sequence

Identity = Mapping[str, object]

MOST_CHARACTERS = 40
UNNAMED = ("data.fingerprint", "data.label_noise_of")
"""Keys that no reader knows a run by."""

FIRST = ("data.name", "model.arch")
"""Keys that come first in a name, as their values alone."""

LAST = ("model.seed",)


def run_names(identities: Sequence[Identity], folders: Sequence[str]) -> list[str]:
    """Names runs by the values that tell them apart.

    All that differ are named or, where that is long, those that most of the runs do not share, or
    as few as are enough.

    Args:
        identities: flat; empty where predictions were made elsewhere.
        folders: a different name for each run, kept by those without a configuration, and by all
            where values do not tell them apart in MOST_CHARACTERS.

    >>> widths = [{"model.arch": "mlp", "model.arch_args.width": width} for width in (16, 64)]
    >>> run_names([*widths, {"model.arch": "cnn"}], ["a", "b", "c"])
    ['mlp, width 16', 'mlp, width 64', 'cnn, default width']
    """
    keys = _differing(identities)
    for chosen in (
        [keys] * len(identities),
        _unusual(identities, keys),
        [_enough(identities, keys)] * len(identities),
    ):
        names = [
            ", ".join(_word(key, identity.get(key)) for key in own) if identity else folder
            for identity, own, folder in zip(identities, chosen, folders, strict=True)
        ]
        if len(set(names)) == len(names) and max(map(len, names)) <= MOST_CHARACTERS:
            return names
    return list(folders)


def _differing(identities: Sequence[Identity]) -> list[str]:
    """Keys with more than one value, those that readers know runs by first."""
    known = list(dict.fromkeys(key for identity in identities for key in identity))
    middle = [key for key in known if key not in (*FIRST, *LAST, *UNNAMED)]
    return [
        key
        for key in (*FIRST, *middle, *LAST)
        if len({repr(identity.get(key)) for identity in identities}) > 1
    ]


def _unusual(identities: Sequence[Identity], keys: Sequence[str]) -> list[list[str]]:
    """For each run the keys whose value most runs do not share; all where it shares every one."""
    usual = set()
    for key in keys:
        value, number = Counter(repr(identity.get(key)) for identity in identities).most_common(1)[
            0
        ]
        if 2 * number > len(identities):
            usual.add((key, value))
    own = [[k for k in keys if (k, repr(identity.get(k))) not in usual] for identity in identities]
    return [some or list(keys) for some in own]


def _enough(identities: Sequence[Identity], keys: Sequence[str]) -> list[str]:
    """Those of FIRST, and the others that tell apart what the ones before them do not."""
    chosen: list[str] = []
    for key in keys:
        if key in FIRST or _groups(identities, [*chosen, key]) > _groups(identities, chosen):
            chosen.append(key)
    return chosen


def _groups(identities: Sequence[Identity], keys: Sequence[str]) -> int:
    return len({repr([identity.get(key) for key in keys]) for identity in identities})


def _word(key: str, value: object) -> str:
    """Writes a setting as a reader would say it."""
    if key in FIRST:
        return f"{value}"
    word = key.rpartition(".")[2].replace("_", " ")
    if value is None:
        return f"default {word}"
    if isinstance(value, bool):
        return word if value else f"no {word}"
    return f"{word} {value:g}" if isinstance(value, float) else f"{word} {value}"
