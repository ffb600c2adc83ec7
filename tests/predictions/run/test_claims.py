"""Who may train a pack: locks that die with their owner, signs of life, packs in step."""

import json
import socket
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock

from bvalign.atomic import write_atomic
from bvalign.predictions.run import claims
from bvalign.predictions.run.claims import Offer, PackLock, in_step


@pytest.fixture
def lock(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.2)  # a busy machine delays a thread by less
    return PackLock(tmp_path / "packs" / "003.lock")


def owner(lock, **sign):
    """Written as a real owner does: read while it is truncated, a file would name no owner."""
    content = json.dumps({"host": "elsewhere", "pid": 1, "beat": 0} | sign)
    write_atomic(lock.owner, content.encode())


def test_a_lock_is_held_by_one_and_dies_with_its_owner(lock):
    holder = "import sys, time; from bvalign.predictions.run.claims import PackLock; "
    holder += "from pathlib import Path; lock = PackLock(Path(sys.argv[1])); "
    holder += "print(lock.acquire(), flush=True); time.sleep(60)"
    path = lock.owner.with_suffix(".lock")
    command = [sys.executable, "-c", holder, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        assert json.loads(lock.owner.read_text())["pid"] == process.pid
        assert not lock.acquire()
        process.kill()
    assert lock.acquire()
    lock.release()
    assert not lock.owner.exists()


def test_an_owner_on_another_machine_that_signs_is_alive(lock):
    owner(lock)
    stop = threading.Event()

    def sign():
        beat = 0
        while not stop.wait(0.02):
            beat += 1
            owner(lock, beat=beat)

    thread = threading.Thread(target=sign)
    thread.start()
    try:
        assert not lock.acquire()
    finally:
        stop.set()
        thread.join()
    assert lock.acquire()  # it stands still now
    lock.release()


def test_without_locks_of_the_disk_signs_of_life_decide(lock, monkeypatch):
    def refuse(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", refuse)
    other = PackLock(lock.owner.with_suffix(".lock"))
    assert other.acquire()
    assert not lock.acquire()
    other.release()
    owner(lock, host=socket.gethostname())
    start = time.monotonic()
    assert lock.acquire()
    assert time.monotonic() - start >= 3 * claims.BEAT
    lock.release()


def test_a_damaged_sign_is_no_owner(lock):
    lock.owner.write_text("{")
    assert lock.acquire()
    lock.release()


def test_what_can_go_on_together():
    fresh, five = Offer((0,), frozenset({0})), Offer((1,), frozenset({0, 4, 5}))
    four, six = Offer((2,), frozenset({0, 3, 4})), Offer((3,), frozenset({0, 6}))
    assert in_step([]) == ([], 0)
    assert in_step([fresh]) == ([fresh], 0)
    assert in_step([fresh, five]) == ([five], 5)
    assert in_step([four, fresh, five]) == ([five, four], 4)
    assert in_step([five, six, four]) == ([six], 6)
    other = Offer((4,), frozenset({0}))
    assert in_step([fresh, other]) == ([fresh, other], 0)
