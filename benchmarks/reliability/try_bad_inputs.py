"""Tries kinds of bad input, each in a fork, and stores what they end in.

    python benchmarks/reliability/try_bad_inputs.py                 # all; writes results.json
    python benchmarks/reliability/try_bad_inputs.py --sample 250    # some of each target
    python benchmarks/reliability/try_bad_inputs.py --only "npz: "  # by their names; stores nothing

A kind is a pair of a target and a fault (`bad_inputs/`). It ends in one clear line that names the
file and a remedy, or in a right result, or it has failed; `bad_inputs/harness.py` says of what.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from types import ModuleType

import results_file
from bad_inputs import (
    any_file,
    archives,
    harness,
    in_arrays,
    in_tables,
    large,
    names,
    runs,
    training,
)
from bad_inputs.harness import Outcome
from bad_inputs.kind import Kind
from rich.progress import Progress

from bvalign.provenance import provenance

PREDICTIONS = (any_file, in_arrays, in_tables, archives, names, large)
GRAMMAR = (*PREDICTIONS, runs, training)


def all_kinds(grammar: Sequence[ModuleType] = GRAMMAR) -> list[Kind]:
    """Every kind of a grammar; their names differ."""
    kinds = list(chain.from_iterable(part.kinds() for part in grammar))
    twice = [name for name, count in Counter(kind.name for kind in kinds).items() if count > 1]
    if twice:
        raise ValueError(f"kinds must have names of their own, but {twice} have not")
    return kinds


def sampled(kinds: Sequence[Kind], number: int, seed: int) -> list[Kind]:
    """Draws kinds, one of each target in turn."""
    targets = defaultdict(list)
    for kind in random.Random(seed).sample(kinds, len(kinds)):
        targets[kind.target].append(kind)
    rounds = chain.from_iterable(zip_longest(*targets.values()))
    return list(filter(None, rounds))[:number]


def attempts(kinds: Sequence[Kind]) -> Iterator[Outcome]:
    """Tries kinds one after another; what one has left is removed."""
    harness.load()
    with Progress(disable=not sys.stderr.isatty()) as bar:
        for kind in bar.track(kinds, description="bad inputs"):
            root = Path(tempfile.mkdtemp(prefix="bvalign-bad-"))
            yield harness.attempt(kind, root)
            shutil.rmtree(root)


def summarised(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """What results.json holds: counts, and a row for each target."""
    rows = defaultdict(Counter)
    for outcome in outcomes:
        rows[outcome.kind.target][outcome.ended] += 1
    total = sum(rows.values(), Counter())
    return {
        "command": "python benchmarks/reliability/try_bad_inputs.py",
        "tried": len(outcomes),
        "failed": total["failed"],
        "kinds": len({outcome.kind.name for outcome in outcomes}),
        "clear_lines": total["line"],
        "right": total["right"],
        "rows": [
            {"target": target, "kinds": sum(row.values()), "clear lines": row["line"]}
            | {"right results": row["right"], "failed": row["failed"]}
            for target, row in sorted(rows.items())
        ],
        "failures": [f"{o.kind.name}: {o.problem}" for o in outcomes if o.problem],
        "made_with": provenance(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sample", type=int, help="try so many, of all targets")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", default="", help="try those whose names contain this")
    parser.add_argument("--predictions", action="store_true", help="leave out runs and training")
    parser.add_argument("--show", action="store_true", help="print the line of each")
    args = parser.parse_args()
    grammar = PREDICTIONS if args.predictions else GRAMMAR
    kinds = [kind for kind in all_kinds(grammar) if args.only in kind.name]
    if args.sample:
        kinds = sampled(kinds, args.sample, args.seed)
    outcomes = []
    for outcome in attempts(kinds):
        outcomes.append(outcome)
        if args.show or outcome.problem:
            said = outcome.problem or outcome.line
            print(f"{outcome.ended:6} {outcome.seconds:5.1f} s {outcome.kind.name} | {said}")
    result = summarised(outcomes)
    print(
        f"{result['kinds']} kinds: {result['clear_lines']} clear lines, {result['right']} right "
        f"results, {result['failed']} failed"
    )
    if not (args.only or args.sample or args.predictions):
        results_file.store("bad_inputs", result)
    raise SystemExit(1 if result["failed"] else 0)


if __name__ == "__main__":
    main()
