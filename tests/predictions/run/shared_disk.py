"""Processes of several machines on one disk, whose every access and wait is put in order by chance.

Each thread stops before it touches the disk, and goes on when the order, drawn from a seed, says
so. Time is simulated, by clocks that differ from machine to machine. A process may be stopped
between any two accesses, for long, or killed.
"""

import random
import sys
import threading
from collections import defaultdict
from types import SimpleNamespace

from filelock import Timeout

from bvalign.predictions.run import fence, lease

ACCESSES = {"open", "os.mkdir", "os.scandir", "os.listdir", "os.rename", "os.remove", "os.rmdir"}
"""Audit events before which a thread stops."""


class Killed(BaseException):
    """Ends the threads of a process that is killed."""


class Thread:
    """A thread of a simulated process: a real one that runs only while it has the turn."""

    def __init__(self, process, target):
        self.process, self.ready, self.done, self.error = process, 0.0, False, None
        self.turn, self.over = threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, args=(target,), daemon=True)
        self.thread.simulated = self

    def step(self):
        """Runs it to its next access or wait."""
        self.turn.release()
        self.over.acquire()

    def stop(self):
        """Gives the turn away; called by the thread itself."""
        self.over.release()
        self.turn.acquire()
        if self.process.killed:
            raise Killed

    def _run(self, target):
        self.turn.acquire()
        try:
            if not self.process.killed:
                target()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.done = True
            self.over.release()


def _here():
    return getattr(threading.current_thread(), "simulated", None)


def _before_access(event, _):
    if event in ACCESSES and (thread := _here()):
        thread.stop()
        if event in ("os.mkdir", "os.rename"):
            thread.process.lists.clear()  # a machine knows what it has changed itself


sys.addaudithook(_before_access)  # for ever, but it only looks where threads are simulated


class SharedDisk:
    """Runs processes in an order by chance.

    Args:
        seed: of the order.
        locks: "none", or "local" to each machine.
        delay: beats after which others see what a machine has changed, at most.
        stops: chance that a process is stopped at a step, for up to eight beats.
    """

    def __init__(self, monkeypatch, seed, *, locks="none", delay=0.0, stops=0.02):
        self.random, self.now, self.stops = random.Random(seed), 0.0, stops
        self.delay, self.threads, self.held, self.lists = delay * lease.BEAT, [], {}, {}
        self.skew = defaultdict(lambda: self.random.uniform(-900, 900))
        disk = self

        class Lock:
            def __init__(self, path):
                self.key, self.is_locked = (_here().process.machine, str(path)), False

            def acquire(self, *, blocking):
                if locks == "none":
                    raise NotImplementedError
                if disk.held.get(self.key):
                    raise Timeout(self.key[1])
                disk.held[self.key], self.is_locked = _here().process, True

            def release(self):
                if self.is_locked:
                    self.is_locked = False
                    if disk.held[self.key] is _here().process:
                        disk.held[self.key] = None

        clock = SimpleNamespace(monotonic=self.monotonic, sleep=self.sleep)
        threads = SimpleNamespace(Thread=self.heartbeat, Event=lambda: Event(self))
        monkeypatch.setattr(lease, "_Lock", Lock)
        monkeypatch.setattr(lease, "_machine", lambda _: _here().process.machine)
        monkeypatch.setattr(lease, "time", clock)
        monkeypatch.setattr(lease, "threading", threads)
        monkeypatch.setattr(lease, "_read", self.seen_late(lease._read))
        monkeypatch.setattr(fence, "_numbers", self.seen_late(fence._numbers))

    def start(self, machine, program):
        """Starts a process."""
        lists = self.lists.setdefault(machine, {})
        process = SimpleNamespace(machine=machine, killed=False, until=0.0, lists=lists)
        self.threads.append(Thread(process, program))
        self.threads[-1].thread.start()
        return process

    def kill(self, process):
        """Kills a process, whose locks its machine then gives back."""
        process.killed, process.until = True, 0.0
        for key, holder in self.held.items():
            if holder is process:
                self.held[key] = None

    def run(self, watch):
        """Runs all to their ends; `watch(process)` is called after each step of one."""
        while waiting := [t for t in self.threads if not t.done]:
            able = [t for t in waiting if max(t.ready, t.process.until) <= self.now]
            if not able:
                self.now = min(max(t.ready, t.process.until) for t in waiting)
                continue
            thread = self.random.choice(able)
            if self.random.random() < self.stops:
                thread.process.until = self.now + self.random.uniform(0, 8 * lease.BEAT)
                continue
            thread.step()
            self.now += self.random.uniform(0, 0.002) * lease.BEAT
            if thread.error:
                raise thread.error
            watch(thread.process)

    def monotonic(self):
        return self.now + self.skew[_here().process.machine]

    def sleep(self, seconds):
        thread = _here()
        thread.ready = self.now + seconds
        thread.stop()

    def heartbeat(self, target, daemon):
        thread = Thread(_here().process, target)

        def start():
            self.threads.append(thread)
            thread.thread.start()

        def join():
            while not thread.done:
                self.sleep(0.01)

        return SimpleNamespace(start=start, join=join)

    def seen_late(self, read):
        """What was there a moment ago, but for what this machine has changed itself."""

        def late(*place):
            history = _here().process.lists.setdefault((read.__name__, place), [])
            found = read(*place)  # which may take its time
            history.append((self.now, found))
            seen = [what for when, what in history if when >= self.now - self.delay]
            return self.random.choice(seen)

        return late


class Event:
    """`threading.Event` in simulated time."""

    def __init__(self, disk):
        self.disk, self.happened = disk, False

    def set(self):
        self.happened = True

    def wait(self, seconds):
        until = self.disk.now + seconds
        while not self.happened and self.disk.now < until:
            self.disk.sleep(min(seconds / 4, until - self.disk.now))
        return self.happened
