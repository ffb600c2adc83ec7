"""The processes of one training: starting them, agreeing, leaving together."""

from collections.abc import Callable
from typing import TypeVar

import torch
from lightning.pytorch.strategies import Strategy

T = TypeVar("T")


def start_ranks(strategy: Strategy) -> None:
    """Starts the other processes, where Lightning is to do so, and joins their group.

    Trainers that come later find the group there, so that one set of processes goes through all
    packs of a run.
    """
    if strategy.launcher is None:
        return
    if not strategy.launcher.is_interactive_compatible:
        strategy.launcher.launch(strategy.setup_environment)
        return
    raise ValueError(
        f"trainer.strategy={strategy.strategy_name} starts its processes by fork or spawn, which "
        "cannot go through several packs; use member_parallel or ddp"
    )


def on_rank_zero(strategy: Strategy, function: Callable[[], T]) -> T:
    """What a function returns on rank zero, on every rank; if it fails, all end there.

    Raises:
        ValueError, OSError: as the function does, on rank zero.
        SystemExit: on the others.
    """
    found, failure = None, None
    if strategy.is_global_zero:
        try:
            found = function()
        except (ValueError, OSError) as error:
            failure = error
    failed = strategy.broadcast(failure is not None)
    if failure is not None:
        raise failure
    if failed:
        raise SystemExit(1)
    return strategy.broadcast(found)


def leave_together(strategy: Strategy) -> None:
    """Ends the group of processes; one that ends before the others can bring them down."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        strategy.barrier()
        torch.distributed.destroy_process_group()
