"""The ensembles that the measurements need beside those of the data folder."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
ENSEMBLES = {
    "digits-cnn": ["--config", str(ROOT / "configs" / "digits.yaml")],
    "fashion-mnist-mlp": [
        *("--data=FashionMNIST", "--data.num_train=12000", "--model.arch=mlp"),
        *("--model.members=64", "--trainer.max_epochs=8"),
    ],
}
"""Name of the run -> options of `bvalign fit`."""


def train_missing(
    runs: Path, data: Path, ensembles: Mapping[str, Sequence[str]] = ENSEMBLES
) -> None:
    """Trains what is not there, or not finished; a few minutes on two cores.

    Args:
        runs: folder of the runs.
        data: folder of the data sets.
        ensembles: name of the run -> options of `bvalign fit`.
    """
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    given = os.environ | {"BVALIGN_DATA": str(data), "PYTHONPATH": path}
    for name, options in ensembles.items():
        if not (runs / name / "report.html").exists():
            where = f"--trainer.default_root_dir={runs / name}"
            command = [sys.executable, "-m", "bvalign", "fit", *options, where]
            subprocess.run(command, check=True, env=given)
