"""The identity of a run: everything that determines a member's weights and predictions."""

import json
from collections.abc import Mapping


def flatten(nested: Mapping[str, object]) -> dict[str, object]:
    """Turns nested mappings into dotted keys, with the values that JSON would give back."""
    flat: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": v for inner, v in flatten(value).items()}
        else:
            flat[key] = json.loads(json.dumps(value))
    return flat


def difference(there: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Lists the keys in which two flat identities differ, with both values; empty if none."""
    return "; ".join(
        f"{key}: {there.get(key)} there, {now.get(key)} now"
        for key in sorted(there.keys() | now.keys())
        if there.get(key) != now.get(key)
    )


def check_types(info: Mapping[str, object]) -> None:
    """Refuses what would name other folders than those of members.

    Raises:
        ValueError: the identity is no object, or packs are no lists of the ids 0, 1, ... in order.
    """
    if missing := {"identity", "packs"} - info.keys():
        raise ValueError(f"without {' and '.join(sorted(missing))}")
    if not isinstance(info["identity"], dict):
        raise ValueError("'identity' is no object")
    packs = info["packs"]
    if not isinstance(packs, list) or not all(isinstance(pack, list) for pack in packs):
        raise ValueError("'packs' are no lists of members")
    ids = [member for pack in packs for member in pack]
    if ids != [*range(len(ids))]:
        raise ValueError("'packs' do not hold the members 0, 1, ... in order")
