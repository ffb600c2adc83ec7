"""`experiments/estimators/run.py` with a quick stand-in for the analysis and two tiny cells.

As a script it is that command, also in the worker processes that it starts, which import it anew.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

ESTIMATORS = Path(__file__).resolve().parents[2] / "experiments" / "estimators"
if str(ESTIMATORS) not in sys.path:
    sys.path.insert(0, str(ESTIMATORS))

import cells  # noqa: E402
import draws  # noqa: E402
from expected_means import sample_values  # noqa: E402
from measure import LINES  # noqa: E402

TINY = {
    cell.name: cell
    for cell in (
        cells.Cell("gauss", 8, 60, 3, "near_gaussian"),
        cells.Cell("votes", 9, 50, 4, "degenerate"),
    )
}


def measure(logits, target):
    """A line through plug-in logs with an interval of ± 0.2; means ± two errors over samples."""
    time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))
    values, _ = sample_values(logits, target)
    x, y = values["bias_sq"], values["variance"]
    right = (values["accuracy"] == 1) & (x > 1e-15) & (y > 1e-15) & np.isfinite(logits).all((0, 2))
    slope = {"value": None, "interval": None, "reason": "no logs"}
    offset = slope
    if right.any():
        x, y = np.log(x[right]), np.log(y[right])
        slope, offset = number(np.polyfit(x, y, 1)[0]), number((y - x).mean())
    few = len(target) ** -0.5
    return {
        "slope": slope,
        "offset": offset,
        "flags": [] if right.any() else ["votes"],
        "quotable": bool(right.any()),
        **dict.fromkeys(LINES, slope),
        "means": {n: number(v.mean(), 2 * v.std() * few) for n, v in values.items()},
    }


def number(value, half=0.2):
    if not np.isfinite(value):
        return {"value": None, "interval": None, "reason": "not finite"}
    return {
        "value": float(value),
        "interval": (float(value - half), float(value + half)),
        "interval_members": (float(value - half / 2), float(value + half / 2)),
        "reason": None,
    }


if __name__ in ("__main__", "__mp_main__"):
    cells.CELLS.clear()
    cells.CELLS.update(TINY)
    draws.measure = measure
    draws.SAVE_SECONDS = 0.2

if __name__ == "__main__":
    import run

    run.main()
