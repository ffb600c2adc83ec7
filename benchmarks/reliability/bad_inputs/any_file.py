"""Faults of any file, whatever is in it: cut, overwritten, or something else in its place."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from bad_inputs.formats import FILES, analyze
from bad_inputs.kind import Kind, Made

Damage = Callable[[Path], None]
HEAD = 64  # bytes in which bits are flipped

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
PAGE = b"<!DOCTYPE html><html><head><title>404</title></head><body>Not found</body></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def cut(share: float, *, less: int = 0) -> Damage:
    """Keeps the first part of a file."""

    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: max(0, int(share * len(content)) - less)])

    return damage


def put(content: bytes) -> Damage:
    """Puts something else into a file."""
    return lambda path: path.write_bytes(content) and None


def flip(seed: int) -> Damage:
    """Flips three bits at the beginning."""

    def damage(path: Path) -> None:
        content, generator = bytearray(path.read_bytes()), random.Random(seed)
        for _ in range(3):
            content[generator.randrange(min(HEAD, len(content)))] ^= 1 << generator.randrange(8)
        path.write_bytes(content)

    return damage


def instead(make: Callable[[Path], object]) -> Damage:
    """Removes the file and makes something else of its name."""

    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def no_magic(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes(8) + content[8:])


def garbage_behind(path: Path) -> None:
    path.write_bytes(path.read_bytes() + os.urandom(64))


FAULTS: dict[str, tuple[Damage, str]] = {
    "empty": (put(b""), "refused"),
    "one byte": (cut(0, less=-1), "refused"),
    "a tenth": (cut(0.1), "either"),
    "cut in half": (cut(0.5), "either"),
    "without its last byte": (cut(1, less=1), "either"),
    "zeros first": (no_magic, "refused"),
    "zeros alone": (put(bytes(4096)), "refused"),
    "flipped bits": (flip(1), "either"),
    "other flipped bits": (flip(2), "either"),
    "more flipped bits": (flip(3), "either"),
    "garbage behind": (garbage_behind, "either"),
    "a picture": (put(PNG), "refused"),
    "a page of a server": (put(PAGE), "refused"),
    "a pointer of Git LFS": (put(POINTER), "refused"),
    "a folder": (instead(Path.mkdir), "refused"),
    "a dangling link": (instead(lambda path: path.symlink_to("nowhere")), "refused"),
    "a link to itself": (instead(lambda path: path.symlink_to(path.name)), "refused"),
    "a pipe": (instead(os.mkfifo), "refused"),
    "a device without end": (instead(lambda path: path.symlink_to("/dev/zero")), "refused"),
}
"""Name of a fault -> what damages the file, and what must come of it."""

NO_LENGTH = {"csv", "tsv", "jsonl", "lm_eval"}
"""Formats of which a part may be a file of fewer rows, which nothing can tell."""


def kinds() -> Iterator[Kind]:
    """Every format with every fault."""
    for target, (name, write) in FILES.items():
        for fault, (damage, expected) in FAULTS.items():

            def make(folder: Path, name=name, write=write, damage=damage) -> Made:
                path = folder / name
                write(path)
                damage(path)
                return analyze(path)

            yield Kind(target, fault, make, expected, (name,), _any_numbers(target, fault))


def _any_numbers(target: str, fault: str) -> Callable[[Path], str | None] | None:
    """Flipped bits may lie in a number, and two formats hold votes or one member."""
    free = target in NO_LENGTH or target == "eval" or "bits" in fault
    return (lambda folder: None) if free else None
