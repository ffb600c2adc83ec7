"""Other versions than the tested ones, by `nox`; docs/versions.md says what was run when.

    nox -l                            the sessions
    nox -s tests-3.13                 the fast tests on Python 3.13
    nox -s oldest -- tests/analysis   some of them; options of pytest
    RECORD=1 nox -s goldens           the same, and a line for the table of docs/versions.md

Every environment has a torch of its own, 3 to 6 GB each.
"""

import os
from pathlib import Path
from zipfile import ZipFile

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT, max_version="3.14")
REQUIRED = PYPROJECT["project"]["dependencies"]
TOOLS = [
    tool
    for tool in PYPROJECT["project"]["optional-dependencies"]["dev"]
    if not tool.startswith("bvalign[")
]
FAST = ("-n", "logical", "--maxprocesses=4", "--dist=loadgroup", "-m", "not slow")
OTHERS_WARN = ("-W", "default")
"""Only the tested versions are known to give no warning."""

PREDICTIONS = """
import numpy as np
import bvalign
rng = np.random.default_rng(0)
labels = rng.integers(3, size=200)
logits = rng.normal(size=(6, 200, 3)) + 3 * np.eye(3)[labels]
np.savez("small.npz", logits=logits, labels=labels)
print(bvalign.analyze(logits, labels))
"""
FIT = "--data.num_train=300 --model.arch=mlp --model.members=4 --trainer.max_epochs=3"

nox.options.sessions = []


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The fast tests with the tested versions of everything."""
    session.install("-e", ".[dev]", "-c", "constraints.txt")
    _pytest(session, FAST)


@nox.session(python=PYTHONS)
def goldens(session: nox.Session) -> None:
    """The stored numbers, on other vector instructions and threads, too."""
    session.install("-e", ".[zarr]", *TOOLS, "-c", "constraints.txt")
    _pytest(session, ("tests/golden",))


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """The fast tests with all lower bounds, and without zarr, which needs NumPy 2."""
    session.install("-e", ".", *TOOLS, *(line.replace(">=", "==") for line in REQUIRED))
    _pytest(session, (*FAST, *OTHERS_WARN))


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """The fast tests with the newest version of every dependency."""
    session.install("--upgrade", "--upgrade-strategy=eager", "-e", ".[zarr]", *TOOLS)
    _pytest(session, (*FAST, *OTHERS_WARN))


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """Builds sdist and wheel, lists them, and uses the wheel alone in a bare environment."""
    dist = Path(session.create_tmp()) / "dist"
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", str(dist))
    session.run("twine", "check", "--strict", *map(str, dist.iterdir()))
    (built,) = dist.glob("*.whl")
    held = {name for name in ZipFile(built).namelist() if ".dist-info/" not in name}
    files = (path for path in Path("bvalign").rglob("*") if path.is_file())
    if other := held ^ {str(path) for path in files if path.suffix != ".pyc"}:
        session.error(f"in the wheel or in the package alone: {sorted(other)}")
    session.run("python", "-m", "zipfile", "--list", str(built))
    session.run("python", "-m", "venv", "--clear", str(dist / "bare"), external=True)
    bare = str((dist / "bare" / "bin").absolute())
    session.run(f"{bare}/pip", "install", "--quiet", str(built), external=True)
    session.run(f"{bare}/pip", "check", external=True)
    session.chdir(dist)
    session.run(f"{bare}/python", "-c", PREDICTIONS, external=True)
    for command in (
        "--help",
        "analyze small.npz --out analyzed",
        f"fit {FIT} --trainer.logger=false --trainer.default_root_dir=run",
        "compare analyzed run --out both",
    ):
        session.run(f"{bare}/bvalign", *command.split(), external=True)


def _pytest(session: nox.Session, options: tuple[str, ...]) -> None:
    options = (*(session.posargs or options), "-q")
    recorded = ("-m", "docs.versions", session.name) if "RECORD" in os.environ else ("-m", "pytest")
    session.run("python", *recorded, *options)
