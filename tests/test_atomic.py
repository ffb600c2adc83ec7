"""Files that are complete or absent, and what is left where a process died."""

import errno
import os
import subprocess
import sys

import pytest

from bvalign import atomic
from bvalign.atomic import naming, remove_left, write_atomic

DIE = """
import os, sys
from pathlib import Path
from bvalign.atomic import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os._exit(9)
"""
"""Dies while it writes a file."""


def test_files_of_processes_that_died_are_removed_and_no_others(tmp_path):
    path = tmp_path / "file"
    subprocess.run([sys.executable, "-c", DIE, str(path)], check=False)
    (left,) = tmp_path.iterdir()
    ours = left.with_name(left.name.replace(left.name.split(".")[-2], str(os.getpid())))
    elsewhere = left.with_name(left.name.replace(left.name.split(".")[-3], "0123456789ab"))
    others = tmp_path / ".notes.tmp"
    for other in (ours, elsewhere, others):
        other.write_bytes(b"")
    remove_left(tmp_path)
    assert set(tmp_path.iterdir()) == {ours, elsewhere, others}


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "make room on the disk"), (errno.EIO, "check the disk"), (errno.EACCES, "")],
)
def test_a_failure_names_file_and_remedy_and_leaves_nothing(tmp_path, monkeypatch, number, remedy):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic, "_sync_folder", fail)
    with pytest.raises(OSError, match=rf"could not write .*file \(.*\); .*{remedy}.*same command"):
        write_atomic(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_without_a_file_is_given_one(tmp_path):
    told = r"Input/output error: '.*run.lock'"
    with pytest.raises(OSError, match=told), naming(tmp_path / "run.lock"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
