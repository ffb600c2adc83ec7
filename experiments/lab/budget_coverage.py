"""How often the intervals of the budget hold the parts that were put in; writes a JSON file.

    python experiments/lab/budget_coverage.py            # a quarter of an hour on one core

Ensembles of two classes with log odds L_mi = -mu_i (1 + t_m) + (a + g mu_i) x_mi, where x and t / s
are normal and the margins mu_i = 3 + Gamma(3, 1.5). Each draw has other samples and other members.
The parts that are put in are lines through 20,000 quantiles of the margins, with the variances
known; `finite` is the mean over all draws of what these members show, minus the population's.
Parts that are zero by the draw: shape, classes and own together, `rest`.
"""

import argparse
import io
import json
from contextlib import redirect_stderr
from itertools import product
from pathlib import Path

import budget
import numpy as np
import torch
from jaxtyping import Float
from odds_models import GAUSSIAN, label_logs, line
from rich.progress import track
from study import STUDIES
from torch import Tensor
from verdicts import Numbers

import bvalign
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.atomic import write_atomic
from bvalign.provenance import provenance
from bvalign.show.report.summary_json import plain

OUT = STUDIES / "mechanism" / "coverage.json"
SAMPLES, CONSTANT = 1000, 0.7
MEMBERS, GROWTHS, SCALES = (10, 32), (0.0, 0.1), (0.0, 0.05)
PARTS = ("base", "growth", "temperature", "rest", "finite")


def truths(growth: float, scale: float) -> dict[str, tuple[float, float]]:
    """Slope and offset that each part but `finite` adds for infinitely many samples and members."""
    generator = np.random.default_rng(1)
    mu = torch.from_numpy(np.sort(3 + generator.gamma(3, 1.5, 20_000)))
    own, of_scale = (CONSTANT + growth * mu).square(), (scale * mu).square()
    variances = {
        "base": (own + of_scale).mean().expand_as(mu),
        "growth": own + of_scale.mean(),
        "temperature": own + of_scale,
    }
    before, parts = np.zeros(2), {}
    for part, variance in variances.items():
        now = np.array(line(label_logs(-mu, variance, GAUSSIAN)))
        parts[part] = tuple(now - before)
        before = now
    return parts | {"rest": (0.0, 0.0)}


def drawn(
    seed: int, members: int, growth: float, scale: float
) -> Float[Tensor, "members samples 2"]:
    """Logits of one ensemble, whose label is class 0."""
    rng = np.random.default_rng(seed)
    mu = 3 + rng.gamma(3, 1.5, SAMPLES)
    t = scale * rng.standard_normal((members, 1))
    odds = -mu * (1 + t) + (CONSTANT + growth * mu) * rng.standard_normal((members, SAMPLES))
    return torch.from_numpy(np.stack([np.zeros_like(odds), odds], axis=-1))


def measured(logits: Float[Tensor, "members samples 2"]) -> tuple[Numbers, tuple[float, float]]:
    """The budget of an ensemble, and slope and offset of its members."""
    target = torch.zeros(logits.shape[1], dtype=torch.int64)
    with redirect_stderr(io.StringIO()):  # a progress bar for each draw
        slopes = bvalign.analyze(logits.numpy(), target.numpy()).alignment.logit_slope
    population = {number: plain(getattr(slopes, number)) for number in budget.NUMBERS}
    found = decompose(moments(logits, target), target)
    keep = found.correct
    of_members = line((found.bias_sq[keep].log(), found.variance[keep].log()))
    parts = budget.numbers_of(logits[:, keep], target[keep], population, of_members)
    return parts, of_members


def cell(members: int, growth: float, scale: float, draws: int, first: int) -> dict[str, object]:
    """Coverage and half-width of the intervals of each part, over draws."""
    what = f"{members} members, growth {growth}, scales {scale}"
    seeds = range(first, first + draws)
    found = [measured(drawn(seed, members, growth, scale)) for seed in track(seeds, what)]
    known = truths(growth, scale)
    whole = np.sum([known[part] for part in known], axis=0)
    known["finite"] = tuple(np.mean([lines for _, lines in found], axis=0) - whole)
    result = {"members": members, "growth": growth, "scale": scale, "draws": draws}
    for place, number in enumerate(budget.NUMBERS):
        result[number] = {
            part: _covered(
                known[part][place], [numbers[f"budget.{number}.{part}"] for numbers, _ in found]
            )
            for part in PARTS
        }
    return result


def _covered(truth: float, numbers: list[dict]) -> dict[str, float]:
    ends = np.array([number["interval"] for number in numbers])
    values = np.array([number["value"] for number in numbers])
    inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    return {
        "truth": truth,
        "bias": float(values.mean() - truth),
        "spread": float(values.std(ddof=1)),
        "coverage": float(inside.mean()),
        "half_width": float((ends[:, 1] - ends[:, 0]).mean() / 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--draws", type=int, default=40, help="ensembles of each of the 8 cells")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file")
    args = parser.parse_args()
    cells = [
        cell(*of_cell, args.draws, place * args.draws)
        for place, of_cell in enumerate(product(MEMBERS, GROWTHS, SCALES))
    ]
    content = {"samples": SAMPLES, "cells": cells, **provenance()}
    write_atomic(args.out, (json.dumps(content, indent=1) + "\n").encode())
    for one in cells:
        shares = {part: one["slope"][part]["coverage"] for part in PARTS}
        print(one["members"], one["growth"], one["scale"], shares)


if __name__ == "__main__":
    main()
