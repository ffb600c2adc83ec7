"""`bvalign analyze --ray`: the pieces of an analysis as tasks on a Ray cluster.

The driver reads the drawn samples, asks for the pieces that are not there and joins them. A task
writes one piece into the folder that all processes of an analysis share; it has one core and one
thread. Ray repeats a task whose worker or node has died.
"""

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from textwrap import shorten

from bvalign import __version__
from bvalign.analysis.passes import Pass
from bvalign.commands.passes import begin, of_predictions
from bvalign.commands.sharing import FOLDER, Work, plain
from bvalign.predictions import Names, open_predictions

IN_FLIGHT = 2
"""Tasks that wait or run for each core: none is idle, and of very many few are in memory."""

RETRIES = 5
"""How often Ray repeats a task whose worker or node has died."""

PATIENCE = 5
"""Seconds in which a cluster must answer; Ray itself would try for minutes."""

SAID = 400
"""Characters of what Ray says that a message repeats."""

START = (
    "`ray start --head` starts one, `ray start --address HOST:6379` adds a node; it must have this "
    "Python and this Ray"
)


def by_ray(work: Work, address: str, opened: Mapping[str, object]) -> None:
    """Computes the pieces that are not there, with a bar.

    Args:
        work: what is to be computed.
        address: of the cluster, HOST:PORT; "auto" for that of RAY_ADDRESS, or else the one that
            this machine is part of.
        opened: arguments of `Work` and `open_predictions`.

    Raises:
        ValueError: there is no Ray or no cluster; a node sees other files or has another version;
            the predictions cannot be read; workers died again and again.
    """
    with _connected(address):
        work.folder.mkdir(exist_ok=True)
        for place, (predictions, pieces) in enumerate(work.parts):
            asked = json.dumps(plain(opened | {"place": place, "identity": pieces.identity}))
            with begin(predictions, pieces) as run:
                run.prepare()
                missing = run.missing()
                found = set(range(run.cut.num_pieces)).difference(missing)
                for number in chain(found, _computed(asked, missing)):
                    run.cut.done(len(run.cut.ranges(number)))


@lru_cache(maxsize=1)
def pass_of(asked: str) -> Pass:
    """Opens predictions in a worker, once for all of its tasks.

    Args:
        asked: JSON of arguments of `Work` and `open_predictions`, with `place` among the parts of
            the work and `identity` of the pieces.

    Raises:
        ValueError: this node does not see the files of the driver.
    """
    opened = json.loads(asked)
    out, place, identity = (opened.pop(name) for name in ("out", "place", "identity"))
    source, folder = opened["source"], Path(out) / FOLDER
    for path in (folder,) if "://" in source else (source, folder):
        if not Path(path).exists():
            raise ValueError(f"{path} is not there; it must lie on a disk that all nodes see")
    predictions, _ = open_predictions(**opened | {"names": Names(**opened["names"])})
    part, pieces = Work(predictions, source, Path(out), shared=True).parts[place]
    if pieces.identity != identity:
        raise ValueError(f"{source} is not what the driver sees; it must lie on a shared disk")
    return of_predictions(part, pieces)


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connects to a cluster; what Ray has to say goes to stderr.

    Raises:
        ValueError: there is no Ray or no cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError("--ray needs Ray: pip install 'bvalign[ray]'") from error
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or "auto"
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if found := re.fullmatch(r"(.+):(\d+)", address):
            socket.create_connection((found[1], int(found[2])), PATIENCE).close()
        ray.init(address, log_to_driver=False, logging_level="error")
    except (OSError, RuntimeError, ValueError) as error:
        said = shorten(str(error), SAID)
        raise ValueError(f"--ray: no cluster at {address} ({said}); {START}") from error
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own prints a stack and aborts
    with redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            ray.shutdown()


def _computed(asked: str, numbers: Sequence[int]) -> Iterator[int]:
    """Yields the number of each piece when a worker has written it.

    Args:
        asked: as for `pass_of`.
        numbers: of the pieces.

    Raises:
        ValueError: as for `by_ray`.
    """
    import ray

    task = ray.remote(num_cpus=1, max_retries=RETRIES)(_task(asked))
    waiting, running = iter(numbers), {}
    while True:
        most = IN_FLIGHT * max(1, int(ray.cluster_resources().get("CPU", 1)))
        free = max(0, most - len(running))  # fewer than none where a node has died
        running |= {task.remote(number): number for number in islice(waiting, free)}
        if not running:
            return
        (done,), _ = ray.wait(list(running))
        try:
            ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise _of_user(error) from error
        except ray.exceptions.RayError as error:
            raise ValueError(
                f"--ray: piece {running[done]} failed in {RETRIES + 1} tries; finished pieces are "
                f"kept, the same command goes on from there ({shorten(str(error), SAID)})"
            ) from error
        yield running.pop(done)


def _task(asked: str) -> Callable[[int], None]:
    """The function of a task. Ray sends its code, so it runs beside any version of bvalign."""

    def compute(number: int) -> None:
        try:
            from bvalign import __version__ as found
        except ImportError:
            found = "none"
        if found != __version__:
            raise ValueError(f"bvalign must be {__version__} as of the driver, got {found}")
        from bvalign.commands.on_ray import pass_of

        pass_of(asked).piece(number)

    return compute


def _of_user(error: Exception) -> Exception:
    """What bvalign itself raised in a worker, with the node; any other error stays as it is."""
    text = str(error)
    files, node = re.findall(r'File "(.+?)"', text), re.search(r"ip=([^),]+)", text)
    ours = bool(files) and "bvalign" in Path(files[-1]).parts
    if not (ours and isinstance(error.cause, ValueError | OSError)):
        return error
    return ValueError(f"[node {node[1]}] {error.cause}" if node else str(error.cause))
