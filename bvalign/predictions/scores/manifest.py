"""The manifest of predictions in several files: which members and samples each file holds.

    {"schema": 1, "members": ["seed0", "seed1"], "samples": 1000, "files": [
      {"file": "seed0-0.safetensors", "members": ["seed0"], "range": [0, 600], "sha256": "..."},
      ...]}

Each member has each sample in exactly one file. Files lie in the manifest's folder or below it.
"""

import json
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bvalign.predictions.damage import check_file, damaged
from bvalign.predictions.scores.names import shorten

MANIFEST = "manifest.json"
SCHEMA = 1
SHA256 = re.compile(r"[0-9a-f]{64}")


class Part(NamedTuple):
    """One file of a manifest."""

    file: str
    members: tuple[int | str, ...]
    range: tuple[int, int]  # its samples: from, and up to but not including
    sha256: str


class Manifest(NamedTuple):
    """What `manifest.json` of a folder says."""

    path: Path
    members: tuple[int | str, ...]
    samples: int
    files: tuple[Part, ...]

    def content(self) -> bytes:
        """Of the file, to be written last of all, as it says that the others are complete."""
        content = {"schema": SCHEMA, "members": self.members, "samples": self.samples}
        content["files"] = [part._asdict() for part in self.files]
        return (json.dumps(content, indent=1) + "\n").encode()


def read_manifest(path: Path) -> Manifest:
    """Reads and checks a manifest; the files that it names are not looked at.

    Raises:
        ValueError: it is no such manifest, leaves samples out or has them twice, or names files
            outside its folder.
    """
    check_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, ".json in UTF-8", error) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if type(schema) is not int or schema != SCHEMA:
        raise ValueError(
            f"{path}: schema {str(schema)[:40]}, this version reads {SCHEMA}; rename the file if "
            "it is no manifest of predictions"
        )
    members, samples, files = (content.get(key) for key in ("members", "samples", "files"))
    if not _are_names(members):
        raise ValueError(f"{path}: 'members' must list different names, or different integers")
    if type(samples) is not int or samples < 1:
        raise ValueError(f"{path}: 'samples' must be their number, got {str(samples)[:40]}")
    if not isinstance(files, list) or not files:
        raise ValueError(f"{path}: 'files' must list the files")
    manifest = Manifest(
        path, tuple(members), samples, tuple(_part(path, entry, samples) for entry in files)
    )
    _check_members(manifest)
    return manifest


def _are_names(members: object) -> bool:
    """Tells different strings, or different integers of 64 bits."""
    if not isinstance(members, list) or {type(m) for m in members} not in ({str}, {int}):
        return False
    small = all(isinstance(m, str) or abs(m) < 2**63 for m in members)
    return small and len({*members}) == len(members)


def _part(path: Path, entry: object, samples: int) -> Part:
    """Reads the entry of one file."""
    keys = ("file", "members", "range", "sha256")
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise ValueError(f"{path}: each of 'files' needs {', '.join(keys)}")
    name, members, bounds, checksum = (entry.get(key) for key in keys)
    where = PurePosixPath(name)
    if where.is_absolute() or ".." in where.parts or not where.name or "\0" in name:
        raise ValueError(f"{path}: {name[:80]!r} is no file in this folder; move it here")
    if not _are_names(members):
        raise ValueError(f"{path}: 'members' of {name} must be different members of the list")
    whole = isinstance(bounds, list) and len(bounds) == 2 and {*map(type, bounds)} == {int}
    if not whole or not 0 <= bounds[0] < bounds[1] <= samples:
        raise ValueError(
            f"{path}: 'range' of {name} must be [start, stop] with 0 <= start < stop <= {samples}, "
            f"got {str(bounds)[:40]}"
        )
    if not isinstance(checksum, str) or not SHA256.fullmatch(checksum):
        raise ValueError(f"{path}: 'sha256' of {name} must be 64 hexadecimal digits in lower case")
    return Part(str(where), tuple(members), (bounds[0], bounds[1]), checksum)


def _check_members(manifest: Manifest) -> None:
    """Checks that each member has each sample in one file, and that no file is named twice."""
    path = manifest.path
    if twice := [n for n, count in Counter(p.file for p in manifest.files).items() if count > 1]:
        raise ValueError(f"{path}: {shorten(twice)} is named twice; one entry for each file")
    parts: dict[int | str, list[Part]] = {member: [] for member in manifest.members}
    for part in manifest.files:
        for member in part.members:
            if member not in parts:
                raise ValueError(f"{path}: member {member} of {part.file} must be one of 'members'")
            parts[member].append(part)
    for member, found in parts.items():
        end, last = 0, ""
        for part in sorted(found, key=lambda part: part.range):
            start, stop = part.range
            if start < end:
                raise ValueError(
                    f"{path}: {last} and {part.file} both hold samples {start} to "
                    f"{min(end, stop)} of member {member}; each sample is in one file"
                )
            _check_hole(path, member, end, start)
            end, last = stop, part.file
        _check_hole(path, member, end, manifest.samples)


def _check_hole(path: Path, member: int | str, end: int, start: int) -> None:
    if end < start:
        raise ValueError(
            f"{path}: samples {end} to {start} of member {member} are in no file; write them, and "
            "name their file"
        )
