"""W&B by default: offline where necessary, one W&B run per ensemble, all files in its directory.

The W&B id is kept in `wandb/id` of the run directory, so that the same command resumes the same W&B
run. A second process that trains members of the same ensemble at the same time gets its own W&B run
in the same group.
"""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_only

from bvalign.atomic import write_atomic


def use_wandb(trainer: Any, root: Path, command: str = "fit") -> FileLock | None:
    """Configures W&B as the logger unless another one is configured.

    Args:
        trainer: the Trainer's configuration; its logger is filled in, and W&B loggers are set
            offline without a login or a connection to the server.
        root: the run directory.
        command: any other than `fit` gets its own W&B run in the group each time.

    Returns:
        A lock to hold while this process may log; it keeps other processes from the same W&B run.
    """
    if trainer.logger in (None, True):
        trainer.logger = Namespace(
            class_path="lightning.pytorch.loggers.WandbLogger",
            init_args=Namespace(project="bvalign", save_dir="."),
        )
    loggers = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    ours = [x for x in loggers if x and x.class_path.endswith("WandbLogger")]
    if not ours or rank_zero_only.rank:  # other ranks never log
        return None
    folder = root / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    _keep_files_in(root)
    group = _group(folder)
    suffix, lock = f"-{command}-{secrets.token_hex(4)}", None
    if command == "fit":
        number, lock = _free_number(folder)
        suffix = f"-{number}" if number else ""
    for logger in ours:
        _fill(logger.init_args, "id", group + suffix, unless=("id", "version"))
        _fill(logger.init_args, "name", root.name + suffix, unless=("name",))
        if logger.init_args.get("save_dir") == ".":
            logger.init_args["save_dir"] = str(root)
        more = dict(logger.get("dict_kwargs") or {})
        logger["dict_kwargs"] = {"group": f"{root.name}-{group}", "job_type": command, **more}
    reason = None if "WANDB_MODE" in os.environ else _why_offline()
    if reason:
        for logger in ours:
            logger.init_args["offline"] = True
        print(f"W&B: {reason}; logging offline, `wandb sync` uploads it later", file=sys.stderr)
    return lock


def _keep_files_in(root: Path) -> None:
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        path = root if name == "DIR" else root / "wandb"
        os.environ.setdefault(f"WANDB_{name}", str(path.absolute()))
    os.environ.setdefault("WANDB_SILENT", "true")


def _fill(arguments: Any, key: str, value: str, *, unless: tuple[str, ...]) -> None:
    if not any(arguments.get(name) for name in unless):
        arguments[key] = value


def _group(folder: Path) -> str:
    """Returns the id of the ensemble, the same in all processes and generated once."""
    path = folder / "id"
    with FileLock(folder / "id.lock"):
        if not path.exists():
            write_atomic(path, secrets.token_hex(4).encode())
        return path.read_text().strip()


def _free_number(folder: Path) -> tuple[int, FileLock]:
    """Numbers the processes that train this ensemble at the same time: 0 for the first."""
    number = 0
    while True:
        lock = FileLock(folder / f"{number}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            number += 1
        else:
            return number, lock


def _why_offline() -> str | None:
    import requests  # only where W&B is used: other runs start without it

    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    if not os.environ.get("WANDB_API_KEY") and not requests.utils.get_netrc_auth(server):
        return "no login"
    try:
        requests.head(server, timeout=5)
    except requests.RequestException:
        return f"{server} cannot be reached"
    return None
