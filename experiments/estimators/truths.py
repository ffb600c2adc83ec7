"""Computes the true values of all cells and stores them in truths.json.

    python experiments/estimators/truths.py                  # all cells
    python experiments/estimators/truths.py --cells gauss-M8-N10000-K10

Slope, offset and the means that infinitely many members would give come from quadrature
(`population.py`); their error is the change at half the resolution. Expected means of M members are
exact where they follow from those (bias_sq of M members is bias_sq + variance / M), and otherwise
averages over at least 200 times as many samples as a draw has (`expected_means.py`). Where both can
be had they must agree, in every cell, to five standard errors.

A mean of a draw estimates its expectation over samples and members: of M members where it is
plug-in, of infinitely many where it is called unbiased or jackknife.
"""

import argparse
import json
import zlib
from dataclasses import asdict
from pathlib import Path

from cells import CELLS, NOISES, Cell
from expected_means import Expected, expected_means
from population import HALF, population
from rich.progress import track

from bvalign.atomic import write_atomic

FILE = Path(__file__).with_name("truths.json")
SAMPLES_PER_SAMPLE = 200
FEWEST_SAMPLES = 200_000

Truth = dict[str, dict]
"""`cell`, its definition; `slope`, `offset`: [value, error] or None; `means`: name -> the same."""


def read_truth(cell: Cell, file: Path = FILE) -> Truth:
    """Reads the stored truth of a cell.

    Raises:
        ValueError: none is stored, or that of another definition of its noise.
    """
    stored = json.loads(file.read_text()) if file.exists() else {}
    truth = stored.get(cell.name)
    if truth is None or truth["cell"] != described(cell):
        state = "none" if truth is None else "one of another definition of the noise"
        raise ValueError(
            f"{file} must hold the truth of cell {cell.name} as cells.py defines it, got {state}; "
            f"run python experiments/estimators/truths.py --cells {cell.name}"
        )
    return truth


def described(cell: Cell) -> dict[str, object]:
    """Everything that defines a cell, as plain data."""
    return json.loads(json.dumps(cell._asdict() | {"noise": asdict(NOISES[cell.noise])}))


def truth_of(cell: Cell, samples: int | None = None) -> Truth:
    """Computes the truth of a cell.

    Args:
        cell: noise, M, N, K.
        samples: number of simulated samples behind the expected means.

    Raises:
        ValueError: quadrature and simulation contradict each other.
    """
    noise = NOISES[cell.noise]
    samples = samples or max(FEWEST_SAMPLES, SAMPLES_PER_SAMPLE * cell.samples)
    seed = zlib.crc32(cell.name.encode())
    means = expected_means(noise, cell.members, cell.classes, samples, seed)
    line = {"slope": None, "offset": None}
    if noise.seen == "logits":
        fine, half = (population(noise, cell.classes, *r) for r in ((), (HALF,)))
        exact = {
            name: (value, abs(value - half[name]))
            for name, value in fine.items()
            if value is not None
        }
        line |= {name: exact.pop(name) for name in line if name in exact}
        means |= _checked(cell, means, _of_members(exact, cell.members))
        means |= _gap(means, "") | _gap(means, "_unbiased")
    return {"cell": described(cell), **line, "means": means}


def _of_members(exact: Expected, members: int) -> Expected:
    """Means of M members that follow from those of infinitely many."""
    (bias_sq, be), (variance, ve) = exact["bias_sq"], exact["variance"]
    return {
        "bias_sq": (bias_sq + variance / members, be + ve),
        "variance": (variance * (1 - 1 / members), ve),
        "bias_sq_unbiased": exact["bias_sq"],
        "variance_unbiased": exact["variance"],
        "risk": exact["risk"],
        "kl_risk": exact["kl_risk"],
        "kl_bias_jackknife": exact["kl_bias"],
        "kl_variance_jackknife": exact["kl_variance"],
    }


def _checked(cell: Cell, simulated: Expected, exact: Expected) -> Expected:
    for name, (value, error) in exact.items():
        if name in simulated:
            mean, spread = simulated[name]
            if abs(mean - value) > 5 * spread + error:
                raise ValueError(
                    f"{cell.name}: {name} must agree, got {value} by quadrature and {mean} ± "
                    f"{spread} by simulation; one of population.py, ensembles.py is wrong"
                )
    return exact


def _gap(means: Expected, end: str) -> Expected:
    """Terms of bias_sq - variance = uncertainty + calibration_residual."""
    (bias_sq, be), (variance, ve) = (means[name + end] for name in ("bias_sq", "variance"))
    uncertainty, ue = means["uncertainty"]
    gap = bias_sq - variance
    return {
        f"gap{end}": (gap, be + ve),
        f"calibration_residual{end}": (gap - uncertainty, be + ve + ue),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    for name in track(args.cells, "truths"):
        stored = json.loads(args.out.read_text()) if args.out.exists() else {}
        stored[name] = truth_of(CELLS[name])
        in_order = {key: stored[key] for key in CELLS if key in stored}
        write_atomic(args.out, (json.dumps(in_order, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
