"""The slope and its interval on real ensembles; writes real.json and real.md here.

    bvalign fit --config configs/digits.yaml
    python experiments/estimators/real.py runs/digits-cnn --ensembles $BVALIGN_DATA/ensembles

Digits: 8 of the 64 members, drawn 50 times, against all 64. The test samples are the same, so the
intervals that should hold the value of the 64 are those over members alone; as 8 of 64 are drawn
without replacement, the values scatter by 6% less than those of new members would.

Ensembles: a folder of predictions of networks that other people trained, several runs of one
architecture each. A minute on one core, beside the fit.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from coverage_tables import table
from measure import LINES, Number, measure
from rich.progress import track

import bvalign
from bvalign.atomic import write_atomic
from bvalign.provenance import provenance

SCHEMA = 1
NUMBERS = ("slope", "offset", *LINES)


def some_of_all(
    logits: np.ndarray, target: np.ndarray, *, members: int, draws: int
) -> dict[str, object]:
    """Measures random subsets of the members against all of them.

    Args:
        logits: (members, samples, classes).
        target: labels (samples).
        members: size of the subsets.
        draws: number of subsets.
    """
    whole = measure(logits, target)
    rng = np.random.default_rng(0)
    chosen = [rng.choice(len(logits), members, replace=False) for _ in range(draws)]
    parts = [measure(logits[one], target) for one in track(chosen, "subsets of members")]
    result = {"members": members, "of": len(logits), "samples": len(target), "draws": draws}
    result |= {"flagged": sum(bool(part["flags"]) for part in parts), "flags": whole["flags"]}
    for name in NUMBERS:
        result[name] = _against(whole[name], [part[name] for part in parts])
    return result


def of_ensemble(file: Path) -> dict[str, object]:
    """Measures the predictions in a file; without labels there is nothing to measure."""
    predictions, _ = bvalign.open_predictions(file)
    shape = [len(predictions.members), predictions.num_samples, predictions.num_classes]
    about = {"name": file.stem, "shape": shape}
    if predictions.target is None:
        return about | {"left_out": "no labels"}
    return about | {n: v for n, v in measure(*_arrays(predictions)).items() if n != "means"}


def markdown(results: dict[str, object]) -> str:
    """The results as tables."""
    parts = ["# The slope and its interval on real ensembles"]
    if digits := results["digits"]:
        parts += [
            f"{digits['members']} of {digits['of']} members of digits, {digits['draws']} draws, "
            f"{digits['samples']} test samples; {digits['flagged']} draws flagged. An interval "
            "over members should hold the value of all members 95 times of 100; `interval` "
            "counts the test samples too, which are the same here.",
            _digits_table(digits),
        ]
    parts += [
        "Ensembles that other people trained, several runs of one architecture each:",
        _ensembles_table([one for one in results["ensembles"] if "left_out" not in one]),
    ]
    left_out = [f"{o['name']} ({o['left_out']})" for o in results["ensembles"] if "left_out" in o]
    parts += [f"Left out: {', '.join(left_out)}."] if left_out else []
    return "\n\n".join([*parts, "Made by `python experiments/estimators/real.py`."]) + "\n"


def _against(whole: Number, parts: Sequence[Number]) -> dict[str, object]:
    """Numbers of subsets against that of all members."""
    truth, values = whole["value"], [p["value"] for p in parts if p["value"] is not None]
    result = {"whole": whole, "numbers": len(values)}
    if truth is None or not values:
        return result
    result |= {"bias": float(np.mean(values)) - truth, "spread": float(np.std(values, ddof=1))}
    for kind in ("interval", "interval_members"):
        ends = np.array([part[kind] for part in parts if part[kind] is not None]).reshape(-1, 2)
        if len(ends):
            inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
            result[kind] = {
                "intervals": len(ends),
                "coverage": float(inside.mean()),
                "half_width": float((ends[:, 1] - ends[:, 0]).mean() / 2),
            }
    return result


def _digits_table(digits: dict[str, object]) -> str:
    head = "number|of all|of a subset: bias|spread|interval_members: half-width|coverage|"
    head += "interval: half-width|coverage"
    lines = []
    for name in NUMBERS:
        one = digits[name]
        line = [f"`{name}`", _text(one["whole"])]
        line += [f"{one['bias']:+.4f}", f"{one['spread']:.4f}"] if "bias" in one else ["", ""]
        for kind in ("interval_members", "interval"):
            ends = one.get(kind)
            line += [f"{ends['half_width']:.4f}", f"{ends['coverage']:.2f}"] if ends else ["", ""]
        lines.append(line)
    return table(head.split("|"), lines)


def _ensembles_table(ensembles: Sequence[dict]) -> str:
    head = ["ensemble", "M x N x K", "slope", "offset", "flags", "to quote", *LINES]
    lines = [
        [
            one["name"],
            " x ".join(map(str, one["shape"])),
            _text(one["slope"]),
            _text(one["offset"]),
            ", ".join(one["flags"]) or "none",
            "yes" if one["quotable"] else "no",
            *(_text(one[line]) for line in LINES),
        ]
        for one in ensembles
    ]
    return table(head, lines)


def _text(number: Number) -> str:
    if number["value"] is None:
        return f"none: {number['reason']}"
    ends = number["interval"]
    return f"{number['value']:.3f}" + (" [{:.3f}, {:.3f}]".format(*ends) if ends else "")


def _arrays(predictions: bvalign.Predictions) -> tuple[np.ndarray, np.ndarray]:
    logits = torch.cat([block for block, _ in predictions.ranges()], dim=1)
    return logits.numpy(), predictions.target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("digits", type=Path, help="predictions of many members, such as a run")
    default = Path(os.environ.get("BVALIGN_DATA") or "data") / "ensembles"
    parser.add_argument("--ensembles", type=Path, default=default, help="folder of .npz files")
    parser.add_argument("--members", type=int, default=8, help="size of the subsets")
    parser.add_argument("--draws", type=int, default=50, help="number of subsets")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    many = _arrays(bvalign.open_predictions(args.digits)[0])
    results = {
        "schema": SCHEMA,
        "digits": some_of_all(*many, members=args.members, draws=args.draws),
        "ensembles": [of_ensemble(file) for file in sorted(args.ensembles.glob("*.npz"))],
        "origin": provenance(),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomic(args.out / "real.json", (json.dumps(results, indent=1) + "\n").encode())
    write_atomic(args.out / "real.md", markdown(results).encode())


if __name__ == "__main__":
    main()
