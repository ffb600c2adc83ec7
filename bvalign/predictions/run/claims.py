"""What the processes that train one run agree on: who trains what, and by which plan."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from bvalign.predictions.run.fence import Fence
from bvalign.predictions.run.lease import Lease


@contextmanager
def one_at_a_time(root: Path | str) -> Iterator[Fence]:
    """Leases the run, for what only one process may do at a time; creates the directory.

    Yields:
        What files are written through, so that a process that is not the one any more writes none.

    Raises:
        OSError: the directory cannot be written.
    """
    try:
        lease = Lease(Path(root) / "locks" / "run.lock")
        while not lease.acquire():
            time.sleep(0.05)
    except OSError as error:
        cause = error.__cause__ or error
        raise OSError(
            f"{root} cannot be written ({cause.strerror or cause}); choose another "
            "--trainer.default_root_dir"
        ) from error
    with lease:
        yield lease.fence


class Work(NamedTuple):
    """Members to train now, by one process or by several in step."""

    packs: tuple[tuple[int, ...], ...]  # members of each process; empty if no pack is free
    step: int  # optimizer steps that all of them have completed
    fences: tuple[Fence, ...] = ()  # of the lease of each pack

    def fence(self, member: int) -> Fence:
        """What the files of a member are written through; a plain one if it is no work here."""
        pairs = zip(self.packs, self.fences, strict=True)
        return next((fence for pack, fence in pairs if member in pack), Fence())

    @property
    def members(self) -> tuple[int, ...]:
        return tuple(member for pack in self.packs for member in pack)


class Offer(NamedTuple):
    """Members that can be trained together, and the steps they can resume from."""

    members: tuple[int, ...]
    steps: frozenset[int]


def in_step(offers: Sequence[Offer]) -> tuple[list[Offer], int]:
    """Chooses offers that can resume side by side, and their step; the most advanced go first.

    An offer joins if it shares a step above zero with those chosen, so that no training is lost,
    or if all start from zero. The others wait for their turn.
    """
    chosen: list[Offer] = []
    shared = frozenset({0})
    for offer in sorted(offers, key=lambda offer: -max(offer.steps)):
        common = shared & offer.steps if chosen else offer.steps
        if not chosen or max(common) or not max(shared):
            chosen, shared = [*chosen, offer], common
    return chosen, max(shared)


@runtime_checkable
class RunJson(Protocol):
    """The part of a `RunDirectory` that `settle_plan` uses; directory.py imports this file."""

    root: Path
    info: dict[str, object]

    def reload(self) -> None: ...


def settle_plan(
    run: RunJson,
    wanted: str,
    choose: Callable[[], Mapping[str, object]],
    *,
    device: str,
    compiled: bool = False,
    graph: str | None = None,
    steps: int | float = 0,
) -> dict[str, object]:
    """Settles the plan to train with; one process chooses it while the others wait.

    `plans` in run.json lists all plans; the last one of a kind of device is in force there. A plan
    is chosen for a new run, when the user names another plan or turns torch.compile on or off, when
    training steps can be CUDA graphs now or no longer can, when a run that was too short for a
    trial of plans has grown, and when it continues on a device of another kind. It is not part of a
    run's identity, as it changes no member beyond rounding, but members are bit-identical only
    under the same plan.

    Args:
        run: the run directory.
        wanted: name of the plan; `auto` takes the one in force.
        choose: returns `plan`, `compiled` and whatever else is to be recorded.
        device: type and name of the device of this process; plans without one hold on all.
        compiled: whether members are to be trained through torch.compile.
        graph: whether their steps are to be CUDA graphs, or why not; None leaves that open.
        steps: training steps of the run, compared with `untimed_steps` of the plan in force.

    Returns:
        The plan in force, as `choose` returned it, with its device.
    """
    with one_at_a_time(run.root) as fence:
        run.reload()
        plans = run.info.setdefault("plans", [])
        here = [plan for plan in plans if plan.get("device", device) == device]
        last = here[-1] if here else {}
        holds = wanted in ("auto", last.get("plan")) and compiled == last.get("compiled", False)
        holds = holds and graph in (None, last.get("graph", graph))
        outgrown = wanted == "auto" and 0 < last.get("untimed_steps", 0) < steps
        if here and holds and not outgrown:
            return last
        chosen = {**choose(), "device": device}
        if plans and not here:
            before = plans[-1]["device"]
            chosen["reason"] = f"chosen anew on {device}, before on {before}; {chosen['reason']}"
        plans.append(chosen)
        fence.write(run.root / "run.json", json.dumps(run.info, indent=1).encode())
    return chosen
