"""Files that are not what their names say: refused before they are read, or told in one line."""

import io
from collections.abc import Iterator
from pathlib import Path

INFLATES, LARGE = 400, 2**28
"""Archives that unpack to more bytes than the latter, and to so many times their size, are refused:
rows of numbers or text shrink by 50 at most, zeros by 1030."""

AGAIN = "copy it again, or save it anew"
LONGEST = 200
"""Characters of what a library says of a damage."""

LONGEST_LINE = 2**26
"""Characters of a line of text."""

LFS = b"version https://git-lfs"


def damaged(path: Path, what: str, error: Exception) -> ValueError:
    """The error of a file that cannot be read to its end.

    Args:
        path: named in the message.
        what: it should be, such as `.npz of plain arrays`.
        error: of the library that read it.
    """
    said = " ".join(str(error).split()) or type(error).__name__
    said = said if len(said) <= LONGEST else f"{said[:LONGEST]}..."
    return ValueError(f"{path}: not a complete {what} ({said}); {AGAIN}")


def check_inflation(path: Path, unpacked: int, packed: int | None = None) -> None:
    """Refuses what would fill memory or disk, a small archive of nothing.

    Args:
        path: named in the message.
        unpacked: bytes that it becomes, so far or in all.
        packed: bytes of which these are made; by default those of the file.

    Raises:
        ValueError: they are too many.
    """
    if packed is None:
        packed = path.stat().st_size if unpacked > LARGE and path.is_file() else unpacked
    if unpacked > LARGE and unpacked > INFLATES * packed:
        raise ValueError(
            f"{path}: {packed} bytes unpack to over {unpacked // 2**20} MiB, as in an archive that "
            "is made to fill disks; if it is yours, unpack it and give what comes out"
        )


def lines_of(path: Path, file: io.TextIOWrapper) -> Iterator[str]:
    """Yields the lines of a text that may be compressed.

    Args:
        path: of the file, named in messages.
        file: what it holds, from the beginning.

    Raises:
        ValueError: it is inflated, or a line has no end.
    """
    unpacked = 0
    while line := file.readline(LONGEST_LINE):
        unpacked += len(line)
        check_inflation(path, unpacked)
        if len(line) == LONGEST_LINE:
            raise ValueError(f"{path}: a line has over {LONGEST_LINE} characters; {AGAIN}")
        yield line


def check_exists(path: Path) -> None:
    """Refuses a path that leads nowhere.

    Raises:
        FileNotFoundError: there is nothing, or a link to nothing.
        ValueError: no file can have such a name.
    """
    try:
        path.stat()
    except (OSError, ValueError) as error:
        where = getattr(error, "strerror", None) or str(error)
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            where = f"a link to what is not there ({where})"
        raise FileNotFoundError(
            f"{path}: there is no such file: {where}; is the path right?"
        ) from error


def check_file(path: Path) -> None:
    """Refuses what is no file with content of its own.

    Raises:
        FileNotFoundError: as `check_exists`.
        ValueError: it is a folder, a pipe or a device, which may have no end, or the pointer that
            Git LFS leaves in place of the content.
    """
    check_exists(path)
    if path.is_dir():
        raise ValueError(f"{path}: must be a file, got a folder; name a file in it")
    if not path.is_file():
        raise ValueError(
            f"{path}: no file, but a pipe or a device; save what comes from it to a file"
        )
    with path.open("rb") as file:
        if file.read(len(LFS)) == LFS:
            raise ValueError(f"{path}: a Git LFS pointer, not the file; run git lfs pull")
