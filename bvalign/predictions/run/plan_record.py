"""The execution plan of a run, in run.json: measured once, then the same for all its members."""

import json
from collections.abc import Callable, Mapping

from bvalign.atomic import write_atomic
from bvalign.predictions.run.claims import one_at_a_time
from bvalign.predictions.run.directory import RunDirectory


def settle_plan(
    run: RunDirectory,
    wanted: str,
    choose: Callable[[], Mapping[str, object]],
    *,
    compiled: bool = False,
) -> dict[str, object]:
    """The plan to train with, and why; one process chooses while the others wait for it.

    `plans` in run.json lists them; the last one holds. It is chosen when a run is new, or when
    somebody names another or starts or stops compiling: a plan is no part of a run's identity, as
    it changes no member beyond rounding, but members are equal bit by bit only under the same one.

    Args:
        run: the run.
        wanted: `auto` takes what the run has.
        choose: gives `plan`, `compiled` and what else is to be recorded.
        compiled: whether members are to be trained through torch.compile.
    """
    with one_at_a_time(run.root):
        run.info = RunDirectory(run.root).info
        plans = run.info.setdefault("plans", [])
        last = plans[-1] if plans else {}
        holds = wanted in ("auto", last.get("plan")) and compiled == last.get("compiled", False)
        if not (plans and holds):
            plans.append(dict(choose()))
            write_atomic(run.root / "run.json", json.dumps(run.info, indent=1).encode())
    return plans[-1]
