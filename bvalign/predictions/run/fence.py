"""The folders of the holders of a lease, and changes of files that only the last one can make.

`packs/003.7` is the folder of the seventh holder of `packs/003`, see `lease.py`.
"""

import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bvalign.atomic import write_atomic


class LeaseLostError(OSError):
    """Another process has taken over what this one was doing."""


class Fence(NamedTuple):
    """Changes files only while a lease is held; a plain one, without a folder, always does."""

    folder: Path | None = None  # of the holder, `packs/003.7`

    def check(self) -> None:
        """Looks whether the lease is still held.

        Raises:
            LeaseLostError: it is not.
        """
        if self.folder is None:
            return
        path, _, number = str(self.folder).rpartition(".")
        if last_holder(Path(path)) != int(number) or not self.folder.exists():
            raise LeaseLostError(
                f"{path}: another process has taken over, as this one gave no sign of life for too "
                "long; all that was saved is kept, run the same command again to continue"
            )

    def write(self, path: Path, content: bytes) -> None:
        """Replaces the content of a file; on failure the old one stays as it was.

        Raises:
            LeaseLostError: the lease is lost.
            OSError: the file cannot be written.
        """
        self.check()
        try:
            write_atomic(path, content, by_way_of=self.folder)
        except OSError:
            self.check()
            raise

    def remove(self, path: Path) -> None:
        """Deletes a file or a folder if it is there.

        Raises:
            LeaseLostError: the lease is lost.
        """
        gone = path
        if self.folder is not None:
            self.check()
            gone = self.folder / f".{path.name}.{secrets.token_hex(4)}.tmp"
            try:
                path.replace(gone)
            except FileNotFoundError:
                self.check()  # the folder is missing, or the file, which is well
                return
        if gone.is_dir():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink(missing_ok=True)


def _numbers(base: Path) -> list[int]:
    """Lists the holders of `packs/003` that have a folder."""
    beginning = f"{base.name}."
    ends = [path.name.removeprefix(beginning) for path in base.parent.glob(f"{beginning}*")]
    return [int(end) for end in ends if end.isdecimal()]


def last_holder(base: Path) -> int:
    """Number of the last holder; 0 if there was none."""
    return max(_numbers(base), default=0)


def holder_folder(base: Path, number: int) -> Path:
    return base.with_name(f"{base.name}.{number}")


def remove_before(base: Path, number: int) -> None:
    """Removes the folders of earlier holders, so that these can write nothing any more."""
    for earlier in _numbers(base):
        if earlier < number:
            # renamed first, for holders on this machine: what they have open may keep the folder
            gone = base.with_name(f".{base.name}.{earlier}.{secrets.token_hex(4)}.tmp")
            with suppress(FileNotFoundError):
                holder_folder(base, earlier).replace(gone)
    for gone in base.parent.glob(f".{base.name}.*.tmp"):
        tries = 9  # a holder elsewhere may add a file meanwhile
        while gone.exists() and (tries := tries - 1):
            shutil.rmtree(gone, ignore_errors=True)


def left_by_holders(folder: Path) -> set[Path]:
    """What was held, as `packs/003`, by processes that died while they wrote or took over."""
    taken_over = {path.name.split(".")[1] for path in folder.glob(".*.tmp")}
    files = [file for file in folder.glob("[!.]*.*/*") if file.name != "sign"]
    return {folder / name for name in taken_over | {file.parent.stem for file in files}}
