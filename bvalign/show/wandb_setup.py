"""W&B by default: offline when it has to be, and with all its files in the run directory."""

import os
import sys
from pathlib import Path
from typing import Any

import requests
from jsonargparse import Namespace


def use_wandb(trainer: Any, root: Path) -> None:
    """Logs to W&B unless told otherwise.

    Args:
        trainer: the Trainer's configuration; its logger is filled in, W&B loggers are set offline
            where there is no login or no way to the server.
        root: the run directory.
    """
    if trainer.logger in (None, True):
        trainer.logger = Namespace(
            class_path="lightning.pytorch.loggers.WandbLogger",
            init_args=Namespace(project="bvalign", name=root.name, save_dir=str(root)),
        )
    loggers = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    ours = [x for x in loggers if x and x.class_path.endswith("WandbLogger")]
    if not ours:
        return
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        folder = root / "wandb" if name != "DIR" else root
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault(f"WANDB_{name}", str(folder.absolute()))
    os.environ.setdefault("WANDB_SILENT", "true")
    reason = None if "WANDB_MODE" in os.environ else _why_offline()
    if reason:
        for logger in ours:
            logger.init_args["offline"] = True
        print(f"W&B: {reason}; logging offline, `wandb sync` uploads it later", file=sys.stderr)


def _why_offline() -> str | None:
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    if not os.environ.get("WANDB_API_KEY") and not requests.utils.get_netrc_auth(server):
        return "no login"
    try:
        requests.head(server, timeout=5)
    except requests.RequestException:
        return f"{server} cannot be reached"
    return None
