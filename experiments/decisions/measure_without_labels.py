"""Risk without labels: every method on every target whose error rate is known, and coverage.

Targets: the five shifted NLI sets with the MNLI development set as source, MNIST rotated with the
plain test set, and the corrupted images of `shifted_images.py`. Of each target, the recommended
estimate is made twice: from the source alone, and with the other targets of the same ensemble as
further labelled sets, on which the method is chosen.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from decision_goals import Goal
from shifted_images import shifted_ensembles
from simulated_shift import coverage

from bvalign.analysis.given import Kept
from bvalign.analysis.intervals import Estimate
from bvalign.decisions.without_labels import Check, Source, recommend
from bvalign.decisions.without_labels.learn import learn
from bvalign.decisions.without_labels.spread import on_scale
from bvalign.decisions.without_labels.values import sample_of, truth_of, values_of

NLI = ("mnli-mm", "snli", "stress-length", "stress-negation", "stress-spell")
FARTHEST = "stress-negation"
ROTATED = ("rotated-15", "rotated-45")
METHODS = ("disagreement", "confidence", "source", "scaled", "line", "atc", "temperature",
           "noise_model", "held_shares")  # fmt: skip
RATE = "error_rate"


def measure(data: Path, runs: Path, *, quick: bool) -> dict:
    """Estimates and truths of all targets."""
    folder = data / "ensembles"
    nli = {name: folder / f"nli-unlabelled-{name}-bert-10-seeds.npz" for name in NLI}
    rotated = {name: folder / f"mnist-mlp-10-seeds-{name}.npz" for name in ROTATED}
    found = {
        "nli": _of_files(folder / "mnli-bert-10-seeds.npz", nli),
        "mnist-rotated": _of_files(folder / "mnist-mlp-10-seeds-test.npz", rotated),
    }
    for shifted in shifted_ensembles(data, quick=quick):
        truths = {name: _truth(kept) for name, kept in shifted.targets.items()}
        found[shifted.name] = _of_sets(shifted.source, shifted.targets, truths)
    return {"sets": found, "coverage": coverage(quick=quick)}


def _of_files(source: Path, files: Mapping[str, Path]) -> dict:
    arrays = {name: np.load(path) for name, path in files.items()}
    targets = {name: _kept(found) for name, found in arrays.items()}
    truths = {
        name: _truth(targets[name])
        if "labels" in found
        else {RATE: 1 - float(found["stated_accuracy"].mean())}
        for name, found in arrays.items()
    }
    return _of_sets(_kept(np.load(source)), targets, truths)


def _kept(arrays: Mapping[str, np.ndarray]) -> Kept:
    logits = torch.from_numpy(arrays["logits"])
    labels = torch.from_numpy(arrays["labels"]) if "labels" in arrays else None
    return Kept(torch.arange(logits.shape[1]), logits, labels)


def _truth(kept: Kept) -> dict[str, float]:
    sample = sample_of(kept)
    means = truth_of(values_of(sample), kept.target).mean(dim=1).tolist()
    return dict(zip((RATE, "ensemble_error_rate", "risk", "bias_sq"), means, strict=True))


def _of_sets(source: Kept, targets: Mapping[str, Kept], truths: Mapping[str, dict]) -> dict:
    """Each target alone, then with the others as further labelled sets."""
    found = {name: learn(kept, [Source("source", source)]) for name, kept in targets.items()}
    checks = {
        name: Check(
            name,
            truths[name],
            {
                method: {n: math.nan if e.value is None else e.value for n, e in row.items()}
                for method, row in learnt.rows.items()
            },
            learnt.shift.beyond_chance,
            learnt.warning is not None,
        )
        for name, learnt in found.items()
    }
    sets = {}
    for name, learnt in found.items():
        others = [check for other, check in checks.items() if other != name]
        chosen, _, _, _ = recommend(learnt.rows, learnt.shift, others)
        sets[name] = {
            "truth": truths[name],
            "estimates": {m: {RATE: checks[name].estimates[m][RATE]} for m in METHODS},
            "distance": learnt.shift.beyond_chance,
            "class_distance": learnt.shift.class_distance,
            "warning": learnt.warning is not None,
            "alone": {n: _said(*pair) for n, pair in learnt.recommended.items()},
            "others": {n: _said(*pair) for n, pair in chosen.items()},
        }
    return sets


def _said(number: Estimate, method: str) -> dict:
    return {"value": number.value, "interval": number.quoted_interval, "method": method}


def table(found: dict) -> str:
    """All methods over all targets; errors of the error rate of a member."""
    columns = ("target", "truth", *METHODS, "recommended, source alone", "with the others, too")
    parts = ["A member's error rate, by method; **bold** where the warning stands.", ""]
    parts += [_row(columns), _row(["---"] * len(columns))]
    for group, sets in found["sets"].items():
        for name, one in sets.items():
            shown = f"**{group}: {name}**" if one["warning"] else f"{group}: {name}"
            cells = [f"{one['estimates'][m][RATE]:.3f}" for m in METHODS]
            cells += [_shown(one[kind][RATE]) for kind in ("alone", "others")]
            parts.append(_row([shown, f"{one['truth'][RATE]:.3f}", *cells]))
    caption = "Mean absolute error of the error rate of a member, and how many intervals hold it:"
    parts += ["", caption, "", *_summaries(found), ""]
    scale = "Error / distance, root mean square over image sets without a warning, in log odds"
    parts += [f"{scale}: {_per_distance(found):.2f}.", "", *_coverage(found["coverage"])]
    return "\n".join(parts)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(one: dict) -> str:
    low, high = one["interval"]
    return f"{one['value']:.3f} ({low:.3f} to {high:.3f}), {one['method']}"


def _summaries(found: dict) -> list[str]:
    groups = {name: list(sets.values()) for name, sets in found["sets"].items()}
    nli = found["sets"]["nli"]
    groups[f"nli without {FARTHEST}"] = [one for name, one in nli.items() if name != FARTHEST]
    everything = [one for sets in found["sets"].values() for one in sets.values()]
    groups["all without a warning"] = [one for one in everything if not one["warning"]]
    groups["all"] = everything
    methods = (*METHODS, "alone", "others")
    columns = ("targets", "number", *methods, "held, alone", "held, others")
    rows = [_row(columns), _row(["---"] * len(columns))]
    for name, sets in groups.items():
        cells = [f"{error_of(sets, method):.4f}" for method in methods]
        cells += [
            str(sum(holds(one[kind]) for one in _with_truth(sets, kind)))
            for kind in ("alone", "others")
        ]
        rows.append(_row([name, str(len(sets)), *cells]))
    return rows


def _with_truth(sets: list[dict], kind: str) -> list[dict]:
    return [{kind: one[kind][RATE] | {"truth": one["truth"][RATE]}} for one in sets]


def holds(one: dict) -> bool:
    """Whether the interval holds the truth."""
    low, high = one["interval"]
    return low <= one["truth"] <= high


def error_of(sets: list[dict], column: str) -> float:
    """Mean absolute error of the error rate of a member."""
    return float(np.mean([abs(_value(one, column) - one["truth"][RATE]) for one in sets]))


def _value(one: dict, column: str) -> float:
    return one[column][RATE]["value"] if column in one else one["estimates"][column][RATE]


def _per_distance(found: dict) -> float:
    images = [s for name, s in found["sets"].items() if name not in ("nli", "mnist-rotated")]
    sets = [one for s in images for one in s.values() if not one["warning"]]
    off = [
        on_scale(o["truth"][RATE], RATE) - on_scale(_value(o, "held_shares"), RATE) for o in sets
    ]
    return math.sqrt(sum(r * r for r in off) / sum(one["distance"] ** 2 for one in sets))


def _coverage(found: dict) -> list[str]:
    columns = ("target", "draws", "quantity", "chance alone", "recommended")
    rows = ["Coverage of 95% intervals in simulation, of 100:", ""]
    rows += [_row(columns), _row(["---"] * len(columns))]
    for name, one in found.items():
        for quantity, shares in one["held"].items():
            cells = [f"{100 * share:.1f}" for share in shares]
            rows.append(_row([name, str(one["draws"]), quantity, *cells]))
    return rows


def goals(found: dict) -> list[Goal]:
    """Those of the question."""
    nli = found["sets"]["nli"]
    five, four = list(nli.values()), [one for name, one in nli.items() if name != FARTHEST]
    over_five, over_four = error_of(five, "others"), error_of(four, "others")
    scaled = error_of(five, "scaled")
    kept = [holds(one["others"]) for one in _with_truth(five, "others")]
    warned = {name: one["warning"] for name, one in nli.items()}
    right = all(k or w for k, w in zip(kept, warned.values(), strict=True))
    alone = all(w == (name == FARTHEST) for name, w in warned.items())
    widths = [o["others"][RATE]["interval"][1] - o["others"][RATE]["interval"][0] for o in five]
    return [
        Goal(
            "error of the error rate over five NLI sets below that of scaled disagreement, 0.060, "
            "the method chosen on the other four",
            f"{over_five:.4f}, scaled disagreement {scaled:.4f}",
            over_five < min(scaled, 0.060),
        ),
        Goal(f"at most 0.012 without {FARTHEST}", f"{over_four:.4f}", over_four <= 0.012),
        Goal(
            "each of the five intervals holds the truth or is warned of, and no other is warned of",
            f"{sum(kept)} of 5 hold it; warned of: "
            f"{', '.join(n for n, w in warned.items() if w) or 'none'}; widths "
            + ", ".join(f"{width:.3f}" for width in widths),
            right and alone,
        ),
    ]
