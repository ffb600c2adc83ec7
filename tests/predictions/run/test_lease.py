"""Who may do what one process may do at a time, whatever becomes of it and however it is shared."""

import json
import subprocess
import sys
import time
from errno import EIO, ENOLCK, ENOSYS, EOPNOTSUPP

import pytest

from bvalign.predictions.run import lease
from bvalign.predictions.run.fence import LeaseLostError
from bvalign.predictions.run.lease import Lease, acquired, tidy
from tests.predictions.run.shared_disk import SharedDisk

SLOW = pytest.mark.slow


@pytest.fixture
def path(tmp_path):
    return tmp_path / "packs" / "003.lock"


class Writers:
    """Processes that take a lease again and again, and write and delete files through it.

    `watch` is the reference: the last that has been given the lease is the only one that may change
    a file.
    """

    def __init__(self, disk, path, seconds=40.0):
        self.disk, self.path, self.seconds = disk, path, seconds
        self.files = [path.parent / name for name in ("result", "checkpoint")]
        path.parent.mkdir(parents=True, exist_ok=True)
        self.holder, self.before, self.outcomes = None, self.content(), []

    def content(self):
        return [file.read_bytes() if file.exists() else b"" for file in self.files]

    def start(self, machine, terms=2):
        process = self.disk.start(machine, lambda: self.work(process, terms))
        return process

    def work(self, process, terms):
        for _ in range(terms):
            held = Lease(self.path)
            while not held.acquire():
                self.disk.sleep(1.0)
            self.holder = process
            with held:
                outcome = "kept"
                try:
                    for _ in range(3):
                        self.disk.sleep(self.disk.random.uniform(0, self.seconds / 3))
                        held.fence.write(self.files[1], b"%d" % self.disk.random.getrandbits(60))
                    held.fence.write(self.files[0], b"%d" % self.disk.random.getrandbits(60))
                    held.fence.remove(self.files[1])
                except LeaseLostError:
                    outcome = "lost"
                self.outcomes.append(outcome)

    def watch(self, process):
        after = self.content()
        assert after == self.before or process is self.holder, (
            "who had lost the lease changed a file"
        )
        self.before = after


def in_order(patch, path, seed, machines=("a", "b", "b"), seconds=40.0, **disk):
    disk = SharedDisk(patch, seed, **disk)
    writers = Writers(disk, path.parent / str(seed) / path.name, seconds)
    processes = [writers.start(machine) for machine in machines]
    return disk, writers, processes


@pytest.mark.parametrize(
    "seeds", [pytest.param((0, 1, 2), id="3"), pytest.param(range(3, 50), id="47", marks=SLOW)]
)
@pytest.mark.parametrize(
    ("locks", "delay"), [("none", 0), ("local", 0), ("none", 1.9), ("none", 6)]
)
def test_in_any_order_only_the_last_holder_changes_files(path, monkeypatch, seeds, locks, delay):
    outcomes = []
    for seed in seeds:
        with monkeypatch.context() as patch:
            disk, writers, _ = in_order(patch, path, seed, locks=locks, delay=delay, stops=0.1)
            disk.run(writers.watch)
        assert len(writers.outcomes) == 6
        outcomes += writers.outcomes
    assert "kept" in outcomes
    assert "lost" in outcomes or len(seeds) < 9


@pytest.mark.parametrize("locks", ["none", "local"])
def test_who_lives_keeps_the_lease_though_others_see_its_signs_late(path, monkeypatch, locks):
    disk, writers, _ = in_order(monkeypatch, path, 0, locks=locks, delay=1.9, stops=0, seconds=90.0)
    disk.run(writers.watch)
    assert writers.outcomes == ["kept"] * 6


@pytest.mark.parametrize(
    ("locks", "machine", "beats"), [("none", "a", 5.5), ("local", "b", 5.5), ("local", "a", 1)]
)
def test_a_dead_process_is_followed_by_another(path, monkeypatch, locks, machine, beats):
    """At once on a machine with locks, else after three beats and what others see too late."""
    disk, writers, (process,) = in_order(
        monkeypatch, path, 0, ("a",), locks=locks, delay=1.9, stops=0
    )
    other, killed = [], []

    def watch(stepped):
        writers.watch(stepped)
        if not killed and disk.now > 5:
            assert writers.holder is process
            disk.kill(process)
            killed.append(disk.now)
            other.append(writers.start(machine, terms=1))
        if len(killed) == 1 and writers.holder in other:
            killed.append(disk.now)

    disk.run(watch)
    assert killed[1] - killed[0] < beats * lease.BEAT


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.1)


def test_a_lock_is_held_by_one_and_dies_with_its_process(path):
    holder = "import sys, time; from bvalign.predictions.run.lease import Lease; "
    holder += "from pathlib import Path; lease = Lease(Path(sys.argv[1])); "
    holder += "print(lease.acquire(), flush=True); time.sleep(60)"
    command = [sys.executable, "-c", holder, str(path)]
    held = Lease(path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        assert json.loads((path.parent / "003.1" / "sign").read_bytes())["pid"] == process.pid
        assert held.attempt() is False
        process.kill()
    assert held.attempt() is True
    held.release()
    assert Lease(path).attempt() is True


def without_locks(error):
    def refuse(*_):
        raise error

    return refuse


@pytest.mark.parametrize(
    "error", [NotImplementedError(), *map(OSError, (ENOSYS, ENOLCK, EOPNOTSUPP), "abc")]
)
def test_on_a_disk_without_locks_a_sign_that_stands_still_is_of_a_dead_process(
    path, monkeypatch, quick, error
):
    """Whatever the machine, and though a process has that pid: it may be another one by now."""
    monkeypatch.setattr("fcntl.flock", without_locks(error))
    first = Lease(path)
    assert first.attempt()
    assert Lease(path).acquire() is False
    first._released.set()
    start = time.monotonic()
    second = Lease(path)
    assert second.acquire()
    assert time.monotonic() - start >= 3 * lease.BEAT
    with pytest.raises(
        LeaseLostError, match="003: another process has taken over, .* same command"
    ):
        first.fence.write(path.parent / "file", b"")
    second.fence.write(path.parent / "file", b"")
    with pytest.raises(LeaseLostError):
        first.fence.remove(path.parent / "file")
    first.release()  # which does not give back what is another's
    assert Lease(path).acquire() is False
    second.release()
    assert (path.parent / "file").exists()


def test_a_disk_that_fails_otherwise_is_told(path, monkeypatch):
    monkeypatch.setattr("fcntl.flock", without_locks(OSError(EIO, "I/O error")))
    with pytest.raises(OSError, match=r"could not take .*003.lock .I/O error.; .*check the disk"):
        Lease(path).attempt()


@pytest.mark.parametrize("sign", [None, b"", b"{", b"[1]", b"{}"])
def test_a_sign_that_says_nothing_is_of_a_living_process_for_three_beats(path, quick, sign):
    folder = path.parent / "003.4"
    folder.mkdir(parents=True)
    if sign is not None:
        (folder / "sign").write_bytes(sign)
    held = Lease(path)
    assert held.attempt() is None
    assert held.acquire()
    assert held.fence.folder.name == "003.5"
    held.release()
    assert {one.name for one in path.parent.iterdir()} == {"003.lock", "003.5"}


def test_machines_of_one_name_are_two(path, monkeypatch):
    """As containers may be; their disks may have one number as well."""
    here = Lease(path)
    assert here.attempt()
    sign = (here.fence.folder / "sign").read_bytes()
    assert here._is_of_here(sign)
    monkeypatch.setattr(lease, "boot", lambda: "another")
    assert not here._is_of_here(sign)
    here.release()


def test_all_doubtful_holders_are_watched_at_once(path, quick):
    for number in range(20):
        (path.parent / f"{number:03d}.1").mkdir(parents=True)
    free = path.parent / "020.lock"
    leases = [Lease(path.with_name(f"{number:03d}.lock")) for number in range(20)]
    start = time.monotonic()
    taken = list(acquired([*leases, Lease(free)]))
    assert taken[0].path == free
    assert len(taken) == 21
    assert time.monotonic() - start < 20 * 3 * lease.BEAT
    for held in taken:
        held.release()


def test_what_the_dead_have_left_is_removed_and_what_the_living_write_is_not(path):
    living, dead = Lease(path), Lease(path.with_name("004.lock"))
    assert living.attempt()
    assert dead.attempt()
    files = [lease.fence.folder / ".weights.safetensors.0.7.tmp" for lease in (living, dead)]
    for file in files:
        file.touch()
    dead._released.set()
    dead._lock.release()
    (path.parent / ".005.6.0a.tmp").mkdir()
    (path.parent / ".005.6.0a.tmp" / ".weights.safetensors.0.7.tmp").touch()
    tidy(path.parent)
    assert [file.exists() for file in files] == [True, False]
    locks = {"003.lock", "004.lock", "005.lock"}
    assert {one.name for one in path.parent.iterdir()} == locks | {"003.1", "004.2", "005.1"}
    living.release()
