"""W&B by default: offline where necessary, one W&B run per ensemble, all files in its directory.

The W&B id is kept in `wandb/id` of the run directory, so that the same command resumes the same W&B
run. A second process that trains members of the same ensemble at the same time gets its own W&B run
in the same group. In a sweep, the W&B run is the one that the agent has made.
"""

import importlib
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from bvalign.predictions.run.claims import one_at_a_time
from bvalign.predictions.run.lease import Lease, acquired

OF_ENVIRONMENT = {
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "name": "WANDB_NAME",
    "tags": "WANDB_TAGS",
}
"""What users may also choose in variables of W&B."""


def in_sweep() -> bool:
    """Tells whether an agent of a sweep of W&B has started this process."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def use_wandb(trainer: Any) -> None:
    """Configures W&B as the logger unless another one is configured.

    Args:
        trainer: the Trainer's configuration; its logger is filled in.
    """
    if trainer.logger in (None, True):
        project = os.environ.get("WANDB_PROJECT", "bvalign")
        trainer.logger = Namespace(
            class_path="lightning.pytorch.loggers.WandbLogger",
            init_args=Namespace(project=project, save_dir="."),
        )


def log_to_run(
    configured: Any, made: Any, root: Path, command: str = "fit", tags: Sequence[str] = ()
) -> tuple[list[Logger], Lease | None]:
    """Points W&B loggers at a run directory, offline without a login or a connection.

    Args:
        configured: the Trainer's configuration of its logger or loggers.
        made: the same instantiated; no W&B run has begun.
        root: the run directory.
        command: any other than `fit` gets its own W&B run in the group each time.
        tags: of the W&B run.

    Returns:
        The loggers, and a lease to hold while this process may log; it keeps other processes from
        the same W&B run.
    """
    loggers, configs = _list(made), _list(configured)
    ours = [place for place, one in enumerate(configs) if _is_wandb(one)]
    if not ours or rank_zero_only.rank:  # other ranks never log
        return loggers, None
    folder = root / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    _keep_files_in(root)
    group = _group(folder)
    suffix, lock = f"-{command}-{secrets.token_hex(4)}", None
    if command == "fit":
        number, lock = _free_number(folder)
        suffix = f"-{number}" if number else ""
    defaults = {
        "id": group + suffix,
        "name": root.name + suffix,
        "group": f"{root.name}-{group}",
        "job_type": command,
        "tags": list(tags),
    }
    reason = None if "WANDB_MODE" in os.environ else _why_offline()
    for place in ours:
        loggers[place] = _wandb_logger(configs[place], defaults, root, offline=bool(reason))
    if reason:
        print(f"W&B: {reason}; logging offline, `wandb sync` uploads it later", file=sys.stderr)
    return loggers, lock


def _list(one_or_several: Any) -> list[Any]:
    if isinstance(one_or_several, list):
        return list(one_or_several)
    return [one_or_several] if one_or_several else []


def _is_wandb(configured: Any) -> bool:
    return getattr(configured, "class_path", "").endswith("WandbLogger")


def _wandb_logger(
    configured: Namespace, defaults: Mapping[str, object], root: Path, *, offline: bool
) -> Logger:
    """Makes a configured logger with the defaults that the user leaves open."""
    arguments = vars(configured.init_args) | dict(configured.get("dict_kwargs") or {})
    if arguments.get("version"):
        arguments["id"] = arguments["version"]
    for key, value in defaults.items():
        if not arguments.get(key) and OF_ENVIRONMENT.get(key, "") not in os.environ:
            arguments[key] = value
    if arguments.get("save_dir") == ".":
        arguments["save_dir"] = str(root)
    module, _, name = configured.class_path.rpartition(".")
    logger = getattr(importlib.import_module(module), name)(
        **arguments | ({"offline": True} if offline else {})
    )
    # W&B warns of what Lightning passes without being asked, and in a sweep of what is the agent's
    for key in ("anonymous", *(("project", "entity", "id") if in_sweep() else ())):
        logger._wandb_init.pop(key, None)
    return logger


def _keep_files_in(root: Path) -> None:
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        path = root if name == "DIR" else root / "wandb"
        os.environ.setdefault(f"WANDB_{name}", str(path.absolute()))
    os.environ.setdefault("WANDB_SILENT", "true")


def _group(folder: Path) -> str:
    """Returns the id of the ensemble, the same in all processes and generated once."""
    path = folder / "id"
    with one_at_a_time(folder) as fence:
        if not path.exists():
            fence.write(path, secrets.token_hex(4).encode())
        return path.read_text().strip()


def _free_number(folder: Path) -> tuple[int, Lease]:
    """Numbers the processes that train this ensemble at the same time: 0 for the first."""
    folder = folder / "processes"
    while True:
        before = len(list(folder.glob("*.lock")))
        *known, new = (Lease(folder / f"{number}.lock") for number in range(before + 1))
        lease = next(acquired(known), None) or new
        if lease is not new or new.attempt():
            return int(lease.path.stem), lease


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
