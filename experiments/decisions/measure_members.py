"""How many members: predictions from few members against the truth at more of them.

Held back: M members and n samples are drawn from an ensemble, and the numbers of the mean of m
members are predicted. The truth is that of ensembles of m of the *other* members on the *other*
samples, since that is what the interval is about: m members like these, on samples like these. The
truth of a finite pool has an error of its own (over its samples, and over its members: their
standard deviation / sqrt(number)), which is added to the interval in quadrature; it is a third of
the interval or less where the pool is large.

Simulated: the truth is known, from 1,000 ensembles on samples of their own, up to an error that is
added likewise.

Beside the prediction stand two simple ones: that nothing changes beyond M, and a line in log m
through M/2 and M. All are judged by the change from M to m, as the level at M is the same for all.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from decision_goals import Goal
from simulated import WORLDS, draw_members, draw_samples

from bvalign.analysis.decompositions import member_probs
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.analysis.groups import (
    MemberPart,
    Statistics,
    leave_one_out,
    left_out,
    left_out_sums,
    loss_sums,
    member_groups,
    member_sums,
    residuals,
    set_values,
)
from bvalign.analysis.sizes import Drawn, risk_curve, set_losses, size_curves, unions
from bvalign.analysis.sizes.calibration import set_errors
from bvalign.predictions import RunDirectory, open_predictions

NAMES = ("risk", "error", "cross_entropy", "calibration")
POOLS = {
    "fashion-mnist-mlp": (2000, {4: (16, 48), 8: (16, 48)}),
    "digits-cnn": (600, {4: (16, 48), 8: (16, 48)}),
    "mnist-cnn-16-seeds": (4000, {4: (8, 12), 6: (10,)}),
    "mnli-bert-10-seeds": (3000, {4: (6,)}),
}
"""Ensemble -> samples n of a draw, and sizes m that are predicted from M members."""

SIMULATED = {4: (16, 64, 256), 8: (16, 64, 256), 16: (64, 256)}
SAMPLES, MOST_TRUTH = 1000, 6000
COVERED = (0.92, 0.98)


def curves_of(logits: torch.Tensor, target: torch.Tensor) -> dict[str, object]:
    """The curves that an analysis makes, from some members on some samples."""
    groups, members = member_groups(len(logits)), member_probs(logits)
    given, values = residuals(members.probs, target), decompose(moments(logits, target), target)
    sums = member_sums(given, groups)
    without = set_values(leave_one_out(sums), given)
    found = left_out(without, leave_one_out(loss_sums(members, groups)), target)
    part = MemberPart(Statistics._fields, left_out_sums(found), len(target))
    losses = set_losses(sums, given, None, groups, unions(groups))
    drawn = Drawn(torch.arange(len(target)), None)
    risk = risk_curve(values.risk, values.variance_unbiased, part, None)
    return {"risk": risk, **size_curves(losses, groups, values.correct, drawn)._asdict()}


def numbers_of(
    mean: torch.Tensor, target: torch.Tensor
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Numbers of mean probabilities, and the losses of each sample."""
    own = mean.gather(1, target.unsqueeze(1)).squeeze(1)
    largest, predicted = mean.max(dim=1)
    wrong = (predicted != target).double()
    losses = {
        "risk": mean.square().sum(dim=1) - 2 * own + 1,
        "error": wrong,
        "cross_entropy": -own.log(),
    }
    error, influence = set_errors(largest[None], (largest - 1 + wrong)[None])
    values = {name: float(loss.mean()) for name, loss in losses.items()}
    return values | {"calibration": float(error)}, losses | {"calibration": influence[0]}


class Record:
    """What was predicted, and the truth, over draws."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int, int], list[dict[str, float]]] = defaultdict(list)

    def add(self, curves: dict, members: int, truth: dict[int, dict], error: dict) -> None:
        """Adds one draw.

        Args:
            curves: of the members.
            members: M.
            truth: m -> numbers, with M among them.
            error: standard errors of the truth: `level` and `change`, by m and number.
        """
        for size in truth:
            for name in NAMES if size != members else ():
                curve, true = curves[name], truth[size][name]
                level, change = curve.at(size), curve.change(members, size)
                moved = true - truth[members][name]
                half = curve.change(members, members / 2)  # from M to M/2
                self.rows[name, members, size].append(
                    {
                        "truth": true,
                        "moved": moved,
                        "value": level.value,
                        "width": level.interval[1] - level.interval[0],
                        "change": change.value,
                        "change_width": change.interval[1] - change.interval[0],
                        "level_covered": _covers(level, true, error["level"][size][name]),
                        "change_covered": _covers(change, moved, error["change"][size][name]),
                        "log_linear": -half.value * math.log2(size / members),
                    }
                )

    def table(self) -> list[dict[str, float | str]]:
        """Means over draws."""
        return [_summary(*key, rows) for key, rows in self.rows.items()]


def _covers(estimate: object, true: float, error: float) -> bool:
    low, high = estimate.interval
    below = math.hypot(estimate.value - low, 1.96 * error)
    above = math.hypot(high - estimate.value, 1.96 * error)
    return estimate.value - below <= true <= estimate.value + above


def _summary(name: str, members: int, size: int, rows: list[dict]) -> dict[str, float | str]:
    of = {key: np.array([row[key] for row in rows], dtype=float) for key in rows[0]}

    def off(change: np.ndarray | float) -> float:
        return float(np.sqrt(np.mean((change - of["moved"]) ** 2)))

    return {
        "number": name,
        "from": members,
        "to": size,
        "draws": len(rows),
        "truth": float(of["truth"].mean()),
        "change": float(of["moved"].mean()),
        "level_covered": float(of["level_covered"].mean()),
        "change_covered": float(of["change_covered"].mean()),
        "width": float(of["width"].mean()),
        "change_width": float(of["change_width"].mean()),
        "bias_of_change": float((of["change"] - of["moved"]).mean()),
        "off": off(of["change"]),
        "off_plain": off(0.0),
        "off_log_linear": off(of["log_linear"]),
    }


def held_back(
    logits: torch.Tensor, target: torch.Tensor, plan: tuple[int, dict], draws: int
) -> list[dict]:
    """Predictions from some members against ensembles of the others."""
    number, sizes = plan
    generator, record = torch.Generator().manual_seed(0), Record()
    log_probs = logits.double().log_softmax(dim=-1)
    probs = log_probs.exp()
    alone = [numbers_of(of_member, target)[0] for of_member in probs]
    sd = {name: float(np.std([one[name] for one in alone], ddof=1)) for name in NAMES}
    for members, wanted in sizes.items():
        for _ in range(draws):
            order = torch.randperm(len(probs), generator=generator)
            samples = torch.randperm(len(target), generator=generator)
            few, others = order[:members], order[members:]
            mine, rest = samples[:number], samples[number : number + MOST_TRUTH]
            curves = curves_of(log_probs[few][:, mine], target[mine])
            pool, truth, per_sample = probs[others][:, rest], {}, {}
            for size in {members, *wanted}:
                truth[size], per_sample[size] = _of_subsets(pool, target[rest], size, generator)
            error = {"level": {}, "change": {}}
            for size in truth:
                both = per_sample[size], per_sample[members]
                error["level"][size] = {
                    k: math.hypot(_error(both[0][k]), sd[k] / len(others) ** 0.5) for k in NAMES
                }
                error["change"][size] = {k: _error(both[0][k] - both[1][k]) for k in NAMES}
            record.add(curves, members, truth, error)
    return record.table()


def _error(values: torch.Tensor) -> float:
    return float(values.std()) / len(values) ** 0.5


def _of_subsets(
    pool: torch.Tensor, target: torch.Tensor, size: int, generator: torch.Generator
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Means over ensembles of that size that share no members: one or more of each of two cuts."""
    found = []
    for _ in range(2 if size < len(pool) else 1):
        order = torch.randperm(len(pool), generator=generator)
        cuts = order[: len(order) // size * size].view(-1, size)[:4]
        found += [numbers_of(pool[cut].mean(dim=0), target) for cut in cuts]
    numbers = {name: float(np.mean([one[name] for one, _ in found])) for name in NAMES}
    losses = {name: torch.stack([one[name] for _, one in found]).mean(dim=0) for name in NAMES}
    return numbers, losses


def simulated(draws: int, ensembles: int) -> dict[str, list[dict]]:
    """Predictions on simulated ensembles against their known truth."""
    tables = {}
    for name, world in WORLDS.items():
        sizes = sorted({*SIMULATED, *(size for some in SIMULATED.values() for size in some)})
        truth, error = _known(world, sizes, ensembles)
        record = Record()
        for members, wanted in SIMULATED.items():
            generator = torch.Generator().manual_seed(members)
            for _ in range(draws):
                mean, target = draw_samples(SAMPLES, world, generator)
                curves = curves_of(draw_members(members, mean, world, generator), target)
                some = {size: truth[size] for size in (members, *wanted)}
                record.add(curves, members, some, error[members])
        tables[name] = record.table()
    return tables


def _known(world: object, sizes: list[int], ensembles: int) -> tuple[dict, dict]:
    """Numbers at each size from ensembles on samples of their own, and their standard errors."""
    generator = torch.Generator().manual_seed(99)
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for _ in range(ensembles):
        mean, target = draw_samples(SAMPLES, world, generator)
        total, count = torch.zeros_like(mean), 0
        while count < sizes[-1]:
            step = min(64, next(size for size in sizes if size > count) - count)
            total += draw_members(step, mean, world, generator).softmax(dim=-1).sum(dim=0)
            count += step
            if count in found:
                found[count].append(numbers_of(total / count, target)[0])
    truth = {
        size: {name: float(np.mean([row[name] for row in rows])) for name in NAMES}
        for size, rows in found.items()
    }

    def error(size: int, name: str, from_size: int | None = None) -> float:
        values = np.array([row[name] for row in found[size]])
        if from_size is not None:
            values -= np.array([row[name] for row in found[from_size]])
        return float(values.std(ddof=1)) / ensembles**0.5

    return truth, {
        members: {
            "level": {size: {name: error(size, name) for name in NAMES} for size in sizes},
            "change": {
                size: {name: error(size, name, members) for name in NAMES} for size in sizes
            },
        }
        for members in SIMULATED
    }


def _pools(data: Path, runs: Path) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """The ensembles that are there: those of the runs, and those of the data folder."""
    for name in POOLS:
        stored = data / "ensembles" / f"{name}.npz"
        if (runs / name / "run.json").exists():
            predictions = RunDirectory(runs / name).predictions()
        elif stored.exists():
            predictions, _ = open_predictions(stored)
        else:
            continue
        logits = torch.cat([part[0] for part in predictions.ranges()], dim=1)
        yield name, logits, torch.from_numpy(predictions.target).long()


def measure(data: Path, runs: Path, *, quick: bool) -> dict[str, object]:
    """Measures all of it.

    Args:
        data: has `ensembles/`.
        runs: folder of trained ensembles.
        quick: few draws, to see whether it runs.
    """
    draws = 5 if quick else 400
    with torch.no_grad():
        real = {
            name: held_back(logits, target, POOLS[name], draws)
            for name, logits, target in _pools(Path(data), Path(runs))
        }
        return {"draws": draws, "real": real, "simulated": simulated(draws, 20 if quick else 1000)}


def _rows(found: dict) -> Iterator[tuple[str, dict]]:
    for kind in ("real", "simulated"):
        for name, rows in found[kind].items():
            yield from ((name, row) for row in rows)


def table(found: dict) -> str:
    """Coverage, and how far the change is off, beside the simple predictions."""
    lines = [
        f"{found['draws']} draws each. Covered: level and change, of 100. Off: root mean square of "
        "predicted minus true change, of the curve, of no change, and of a line in log m.",
        "",
        "| ensemble | number | from | to | truth | change | covered | width | off | none | log m |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in _rows(found):
        covered = f"{100 * row['level_covered']:.0f}, {100 * row['change_covered']:.0f}"
        values = (row[k] for k in ("width", "off", "off_plain", "off_log_linear"))
        lines.append(
            f"| {name} | {row['number']} | {row['from']} | {row['to']} | {row['truth']:.4f} | "
            f"{row['change']:.4f} | {covered} | " + " | ".join(f"{v:.4f}" for v in values) + " |"
        )
    return "\n".join(lines)


def goals(found: dict) -> list[Goal]:
    """Coverage of the intervals: reached if every row is within chance of what is wanted."""
    wanted = "95% intervals cover 92 to 98 of 100"
    low, high = (  # 99 of 100 measurements of a coverage at the end of the range are inside
        end + side * 2.58 * math.sqrt(end * (1 - end) / found["draws"])
        for end, side in zip(COVERED, (-1, 1), strict=True)
    )

    def goal(what: str, rows: list[dict], key: str) -> Goal:
        covered = [row[key] for row in rows]
        mean, inside = np.mean(covered), [COVERED[0] <= c <= COVERED[1] for c in covered]
        said = (
            f"{100 * mean:.1f} on average, {100 * min(covered):.0f} to {100 * max(covered):.0f}; "
            f"{sum(inside)} of {len(inside)} inside"
        )
        return Goal(f"{wanted}: {what}", said, bool(low <= min(covered) and max(covered) <= high))

    found_goals = []
    for kind in ("real", "simulated"):
        rows = [row for of_set in found[kind].values() for row in of_set]
        for key, what in (("level_covered", "level"), ("change_covered", "change from M")):
            for name in NAMES:
                of_number = [row for row in rows if row["number"] == name]
                if of_number:
                    found_goals.append(goal(f"{name}, {what}, {kind}", of_number, key))
    return found_goals
