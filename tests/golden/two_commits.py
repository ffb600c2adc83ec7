"""Shows whether two commits compute the same, to the last bit, on the machine that runs it.

    BVALIGN_DATA=DIR python tests/golden/two_commits.py BASE [HEAD]

Both commits are checked out into a temporary folder and run by this Python with one thread. Each
case is run with one and then with the other; a line per file says whether it is the same, and every
number that is not exactly the same follows: old, new and their relative difference.

    fit        an MLP and a CNN on digits, a CNN on Fashion-MNIST where BVALIGN_DATA is set; with a
               named plan and deterministic, as a plan that is timed may be another the next time
    compare    the two runs on digits
    analyze    the stored inputs of this folder, and larger random predictions with labels, without,
               with weights, and votes

Tables (samples.csv, compare.csv, the curves of members) must be byte-identical, and so must the
weights and logits of each member; of summary.json and compare.json every value must be the same but
versions of software and the commit. What is not committed is not compared. Exit code 1 if anything
differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from differences import Difference, differences, listing, read_csv, read_json
from safetensors import safe_open

HERE = Path(__file__).resolve().parent
STORED = json.loads((HERE / "cases.json").read_text())["analyze"]
IGNORED = ("versions.", "provenance.versions.", "provenance.commit.")

BVALIGN = """
import runpy
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
NOTHING = b'<svg width="1pt" height="1pt" viewBox="0 0 1 1"></svg>'
Figure.savefig = lambda figure, file, **_: file.write(NOTHING)
ConstrainedLayoutEngine.execute = lambda engine, figure: None
runpy.run_module("bvalign", run_name="__main__", alter_sys=True)
"""
"""`python -m bvalign` that draws no figures: they hold no number and take most of the time."""

REPEATABLE = (
    "--model.plan=sequential --trainer.deterministic=true --trainer.accelerator=cpu "
    "--trainer.devices=1 --trainer.logger=false --trainer.default_root_dir"
).split()
FITS = {
    "fit-digits-mlp": "--data=Digits --data.batch_size=32 --model.arch=mlp --model.members=12 "
    "--model.pack_size=4 --trainer.max_epochs=4",
    "fit-digits-cnn": "--data=Digits --data.batch_size=32 --model.arch=cnn --model.members=4 "
    "--model.pack_size=2 --trainer.max_epochs=2",
    "fit-fashion-mnist": "--data=FashionMNIST --data.num_train=2000 --data.num_test=1000 "
    "--model.arch=cnn --model.members=4 --model.pack_size=2 --trainer.max_epochs=2",
}
NEEDS_DATA = ("fit-fashion-mnist",)
MEMBERS, SAMPLES, CLASSES = 20, 3000, 10
RANDOM = ("labelled", "unlabelled", "weighted", "votes")


class Side(NamedTuple):
    """One of the two commits."""

    name: str
    checkout: Path
    out: Path  # where its commands run


def main() -> None:
    """Runs all cases with both commits, and says what differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", help="the commit before")
    parser.add_argument("head", nargs="?", default="HEAD", help="the commit after (default: HEAD)")
    parser.add_argument("--only", default="", help="run the cases whose names hold this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        make_inputs(root / "inputs")
        sides = [
            stack.enter_context(checked_out(name, getattr(options, name), root))
            for name in ("base", "head")
        ]
        chosen = ((name, command) for name, command in cases() if options.only in name)
        results = {name: same(name, command, sides) for name, command in chosen}
    differ = [name for name, equal in results.items() if not equal]
    if differ or not results:
        raise SystemExit(f"of {len(results)} cases differ: {', '.join(differ) or 'nothing ran'}")
    print(f"{len(results)} cases are the same")


def cases() -> Iterator[tuple[str, list[str]]]:
    """Names and command lines of the cases; what a command writes lies in a folder of that name."""
    for name, options in FITS.items():
        if name in NEEDS_DATA and not os.environ.get("BVALIGN_DATA"):
            print(f"{name}: skipped, BVALIGN_DATA is not set")
        else:
            yield name, ["fit", *options.split(), *REPEATABLE, name]
    name = "fit-digits-compare"
    yield name, ["compare", "fit-digits-mlp", "fit-digits-cnn", "--out", name]
    for name, (source, *options) in STORED.items():
        name = f"stored-{name}"
        yield name, ["analyze", f"../inputs/{source}", "--out", name, *options]
    for kind in RANDOM:
        name = f"random-{kind}"
        yield name, ["analyze", f"../inputs/{name}.npz", "--out", name]


def make_inputs(folder: Path) -> None:
    """Copies the stored inputs, and writes the larger random ones beside them."""
    shutil.copytree(HERE / "inputs", folder)
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=SAMPLES)
    logits = 2 * rng.standard_normal((MEMBERS, SAMPLES, CLASSES))
    logits[:, np.arange(SAMPLES), labels] += rng.uniform(0, 20, size=SAMPLES)
    logits = logits.astype(np.float32)
    weights = rng.uniform(0.5, 2, size=MEMBERS)
    votes = (3 * logits + 20 * rng.standard_normal(logits.shape)).argmax(axis=-1)
    np.savez(folder / "random-labelled.npz", logits=logits, labels=labels)
    np.savez(folder / "random-unlabelled.npz", logits=logits)
    np.savez(folder / "random-weighted.npz", logits=logits, labels=labels, weights=weights)
    np.savez(folder / "random-votes.npz", votes=votes, labels=labels)


@contextmanager
def checked_out(name: str, commit: str, root: Path) -> Iterator[Side]:
    """A commit in a folder of its own while the context lasts.

    Raises:
        SystemExit: there is no such commit, or Python would import another bvalign.
    """
    side = Side(name, root / name, root / f"{name}-out")
    side.out.mkdir()
    git("worktree", "add", "--detach", side.checkout, commit)
    try:
        code = "import bvalign; print(bvalign.__file__)"
        found = Path(run(side, "-c", code).strip())
        if not found.is_relative_to(side.checkout.resolve()):
            raise SystemExit(f"{name}: Python imports {found} instead of {side.checkout}")
        print(f"{name}: {git('-C', side.checkout, 'log', '-1', '--format=%h %s').strip()}")
        yield side
    finally:
        git("worktree", "remove", "--force", side.checkout)


def same(name: str, command: Sequence[str], sides: Sequence[Side]) -> bool:
    """Runs a case with both commits, tells what differs, and gives whether nothing does."""
    print(f"{name}: ", end="", flush=True)
    for side in sides:
        start = time.monotonic()
        run(side, "-c", BVALIGN, *command)
        print(f"{side.name} {time.monotonic() - start:.0f} s ", end="", flush=True)
    print()
    old, new = (side.out / name for side in sides)
    results = [same_files(old, new)]
    for path in sorted(old.glob("*.csv")):
        equal = path.read_bytes() == (new / path.name).read_bytes()
        print(f"  {path.name}: {'byte-identical' if equal else 'DIFFERS'}")
        if not equal:
            tell(differences(read_csv(path), read_csv(new / path.name)), most=20)
        results.append(equal)
    for file in ("summary.json", "compare.json"):
        if (old / file).exists():
            values = [read_json(folder / file, IGNORED) for folder in (old, new)]
            found = differences(*values)
            told = f"{len(found)} DIFFER" if found else "identical"
            print(f"  {file}: {len(values[0])} values, {told}")
            tell(found)
            results.append(not found)
    return all(results)


def tell(found: Sequence[Difference], most: int = 200) -> None:
    """Prints differences, indented; nothing where there are none."""
    print("".join(f"    {line}\n" for line in listing(found, most).splitlines()), end="")


def same_files(old: Path, new: Path) -> bool:
    """Whether there are the same files on both sides, and those of members hold the same bytes."""
    names = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        for folder in (old, new)
    ]
    if names[0] != names[1]:
        print(f"  files on one side only: {', '.join(sorted(set(names[0]) ^ set(names[1])))}")
        return False
    members = [name for name in names[0] if name.startswith("members")]
    differ = [name for name in members if content(old / name) != content(new / name)]
    if members:
        told = f"{len(differ)} DIFFER" if differ else "identical"
        print(f"  members: {len(members)} files, {told}")
    print("".join(f"    {name}\n" for name in differ), end="")
    return not differ


def content(path: Path) -> object:
    """The bytes of a file; of safetensors those of tensors, as its header has no fixed order."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    with safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return file.metadata(), {k: (t.dtype, t.shape, t.tobytes()) for k, t in tensors.items()}


def run(side: Side, *arguments: object) -> str:
    """Standard output of Python on one side's code.

    Raises:
        SystemExit: it failed; its error output is shown.
    """
    environment = os.environ | {"PYTHONPATH": str(side.checkout), "OMP_NUM_THREADS": "1"}
    if data := os.environ.get("BVALIGN_DATA"):
        environment["BVALIGN_DATA"] = str(Path(data).resolve())
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=side.out, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{side.name}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def git(*arguments: object) -> str:
    """Standard output of git in this repository."""
    command = ["git", "-C", str(HERE), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return done.stdout


if __name__ == "__main__":
    main()
