"""Attempts side by side, whose results are kept: the same command goes on with the rest."""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress


def results_of(
    tasks: Mapping[str, Any],
    attempt: Callable[[Any, Path], dict[str, object]],
    file: Path,
    folder: Path,
    *,
    jobs: int,
) -> list[dict[str, object]]:
    """Makes the attempts whose results are not in the file yet.

    Args:
        tasks: by key, which `attempt` puts into its result.
        attempt: is given a task and a folder that no other attempt uses at the same time.
        file: of results, a line of JSON each.
        folder: for the folders of the processes.
        jobs: processes; they are forked, so this one must not have threads.

    Returns:
        The results of the tasks, in their order.
    """
    done = stored(file)
    left = [task for key, task in tasks.items() if key not in done]
    workers = [_fork(left[job::jobs], attempt, file, folder / str(job)) for job in range(jobs)]
    with Progress(auto_refresh=False, disable=not left) as bar:  # which would be a thread
        line = bar.add_task(file.stem, total=len(tasks), completed=len(tasks) - len(left))
        while workers:
            time.sleep(1)
            workers = [worker for worker in workers if not _ended(worker)]
            bar.update(line, completed=len(stored(file).keys() & tasks.keys()), refresh=True)
    done = stored(file)
    return [done[key] for key in tasks if key in done]


def stored(file: Path) -> dict[str, dict[str, object]]:
    """Results of a file by key; the last line may be half written."""
    results = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            result = json.loads(line)
        except ValueError:
            continue
        results[result["key"]] = result
    return results


def _fork(tasks: Sequence[Any], attempt: Callable, file: Path, folder: Path) -> int:
    sys.stdout.flush()
    worker = os.fork()
    if worker:
        return worker
    code = 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for task in tasks:
            result = attempt(task, folder)
            with file.open("a") as results:
                results.write(json.dumps(result) + "\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _ended(worker: int) -> bool:
    ended, status = os.waitpid(worker, os.WNOHANG)
    if ended and status:
        raise RuntimeError(f"an attempt failed in itself, exit status {status}")
    return bool(ended)
