"""Calibration by three methods on real ensembles, and how often its intervals hold the truth.

Simulated: members are a common prediction with noise, labels are drawn from the mean of the members
with both scales changed, so that two constants are right. The truth of a draw is the change of the
cross-entropy on many more samples with the constants of its halves; that of the constants is their
fit to many samples.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from decision_goals import Goal

import bvalign
from bvalign.analysis.calibration import Scales, fit_scales, in_random_order, scaled_mean
from bvalign.analysis.given import Kept
from bvalign.decisions import calibrate_ensemble
from bvalign.decisions.calibrate.methods import AS_THEY_ARE, FREE, NAMES, calibrated

SETS = (
    "mnli-bert-10-seeds",
    "mnist-mlp-10-seeds-test",
    "mnist-mlp-10-seeds-rotated-15",
    "mnist-mlp-10-seeds-rotated-45",
    "mnist-cnn-16-seeds",
)
RUNS = ("fashion-mnist-mlp", "digits-cnn", "fashion-mnist-cnn")
DRAWS, SAMPLES, MANY = 400, 600, 6000
MEMBERS, CLASSES = 6, 4
CASES = {"temperature 1.5": (1 / 1.5, 1 / 1.5), "agree 0.6, disagree 1.5": (0.6, 1.5)}


def measure(data: Path, runs: Path, *, quick: bool) -> dict:
    """Numbers of real sets, and coverage on simulated ones."""
    sources = {name: data / "ensembles" / f"{name}.npz" for name in SETS}
    sources |= {name: runs / name for name in RUNS if (runs / name / "report.html").exists()}
    return {
        "sets": {name: _real(source) for name, source in sources.items()},
        "simulated": {
            name: _coverage(Scales(*scales), 10 if quick else DRAWS)
            for name, scales in CASES.items()
        },
    }


def _real(source: Path) -> dict:
    analysis = bvalign.analyze(source)
    found = calibrate_ensemble(analysis)
    return {
        "members": found.num_members,
        "samples": found.num_samples,
        "reason": found.reason,
        "best": found.best,
        "before": {name: number.value for name, number in found.before._asdict().items()},
        "best_minus_next": _ends(found.best_minus_next),
        "methods": {
            name: {
                "constants": {key: _ends(number) for key, number in method.constants.items()},
                "change": {key: _ends(number) for key, number in method.change._asdict().items()},
            }
            for name, method in found.methods.items()
        },
    }


def _ends(number: object) -> list[float]:
    return [number.value, *number.quoted_interval]


def _draw(generator: torch.Generator, number: int, scales: Scales) -> tuple:
    common = 2.5 * torch.randn(number, CLASSES, generator=generator).double()
    noise = 1.5 * torch.randn(MEMBERS, number, CLASSES, generator=generator)
    logits = common + noise
    probs = scaled_mean(logits, scales).exp()
    return logits, torch.multinomial(probs, 1, generator=generator).squeeze(1)


def _coverage(scales: Scales, draws: int) -> dict:
    """How often intervals of changes and constants hold the truth."""
    generator = torch.Generator().manual_seed(0)
    many = _draw(generator, MANY, scales)
    rows = torch.arange(MANY)
    plain = -scaled_mean(many[0], AS_THEY_ARE)[rows, many[1]].mean()
    huge = _draw(generator, 10 * MANY, scales)
    held = {name: [] for name in (*NAMES, "agree", "disagree")}
    free = {name: torch.tensor(rows_).double() for name, rows_ in FREE.items()}
    best = fit_scales(*huge, free["two_constants"]).scales
    for _ in range(draws):
        logits, target = _draw(generator, SAMPLES, scales)
        kept = Kept(torch.arange(SAMPLES), logits, target, None)
        found = calibrate_ensemble(SimpleNamespace(kept=kept, soft_labels=False))
        halves = in_random_order(SAMPLES, None).tensor_split(2)
        for name, method in found.methods.items():
            given = scaled_mean(logits, AS_THEY_ARE)[None] if name == "mean" else logits
            fits = [fit_scales(given[:, half], target[half], free[name]).scales for half in halves]
            after = [-calibrated(many[0], name, fit)[rows, many[1]].mean() for fit in fits]
            truth = float(sum(after) / 2 - plain)
            low, high = method.change.cross_entropy.interval_samples
            held[name].append((low <= truth <= high, high - low))
        for name, true in best._asdict().items():
            low, high = found.methods["two_constants"].constants[name].interval_samples
            held[name].append((low <= true <= high, high - low))
    return {"draws": draws} | {
        name: {"held": sum(h for h, _ in of), "width": float(np.mean([w for _, w in of]))}
        for name, of in held.items()
    }


def table(found: dict) -> str:
    """Both tables."""
    lines = [
        "Changes on samples that the constants were not fitted to (95% intervals over samples); "
        "below zero is better. In bold: the method with the least cross-entropy.",
        "",
        "| set | members x samples | method | constants | cross-entropy (nats) | Brier | squared "
        "calibration error |",
        "| --- " * 7 + "|",
    ]
    for name, row in found["sets"].items():
        before = row["before"]
        levels = [before[key] for key in ("cross_entropy", "brier", "squared_calibration_error")]
        said = " | ".join(f"{value:.4f}" for value in levels)
        size = f"{row['members']} x {row['samples']:,}"
        lines.append(f"| {name} | {size} | as they are | | {said} |")
        for method, values in row["methods"].items():
            mark = "**" if method == row["best"] else ""
            constants = ", ".join(
                f"{key} {value:.3g} ({low:.3g} to {high:.3g})"
                for key, (value, low, high) in values["constants"].items()
            )
            changes = " | ".join(
                f"{value:+.4f} ({low:+.4f} to {high:+.4f})"
                for value, low, high in values["change"].values()
            )
            lines.append(f"| | | {mark}{NAMES[method]}{mark} | {constants} | {changes} |")
        value, low, high = row["best_minus_next"]
        lines.append(f"| | | best minus second best | | {value:+.5f} ({low:+.5f} to {high:+.5f}) |")
    lines += [
        "",
        f"Simulated, {MEMBERS} members, {SAMPLES} samples, {CLASSES} classes: 95% intervals that "
        "hold the truth, of 100 (mean width).",
        "",
        "| labels | draws | change: mean | change: members | change: two constants | agree | "
        "disagree |",
        "| --- " * 7 + "|",
    ]
    for name, row in found["simulated"].items():
        cells = [
            f"{100 * row[key]['held'] / row['draws']:.1f} ({row[key]['width']:.3g})"
            for key in (*NAMES, "agree", "disagree")
        ]
        lines.append(f"| {name} | {row['draws']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def goals(found: dict) -> list[Goal]:
    """Coverage, and whether calibration helps at all."""
    rates = {
        f"{NAMES.get(key, key)}, {name}": 100 * row[key]["held"] / row["draws"]
        for name, row in found["simulated"].items()
        for key in (*NAMES, "agree", "disagree")
    }
    low, high = (of(rates, key=rates.get) for of in (min, max))
    helped = [name for name, row in found["sets"].items() if row["best"] is not None]
    two = [name for name, row in found["sets"].items() if row["best"] == "two_constants"]
    clear = [name for name in two if found["sets"][name]["best_minus_next"][2] < 0]
    return [
        Goal(
            "intervals of changes and constants hold the truth 92 to 98 times of 100",
            f"{rates[low]:.1f} ({low}) to {rates[high]:.1f} ({high})",
            rates[low] >= 92 and rates[high] <= 98,
        ),
        Goal(
            "calibration lowers the cross-entropy of samples that it was not fitted to",
            f"{len(helped)} of {len(found['sets'])} sets; two constants are best on {len(two)}, "
            f"with an interval below zero on {len(clear)}",
            len(helped) == len(found["sets"]),
        ),
    ]
