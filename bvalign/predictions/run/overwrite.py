"""Removal of a run from its directory, so that the next one starts from nothing."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from bvalign.predictions.run.claims import one_at_a_time
from bvalign.predictions.run.lease import Lease, acquired
from bvalign.predictions.scores.manifest import MANIFEST

OF_A_RUN = (
    "run.json",
    "config.yaml",
    "samples.npz",
    "samples-train.npz",
    "members",
    "collapse.csv",
    "summary.json",
    "samples.csv",
    "samples.parquet",
    "report.html",
    "wandb/id",
    "wandb/members_logged",
)
"""Files and folders of a run and its report; what W&B wrote stays, as it may still be uploaded."""


def remove_run(root: Path) -> str | None:
    """Removes the run and its report from a directory; other files stay.

    Args:
        root: the directory, with or without a run.

    Returns:
        What was removed, in words; None if there was nothing.

    Raises:
        ValueError: another process trains members there, or writes their report.
        OSError: the disk fails; names what could not be removed.
    """
    if not any((root / name).exists() for name in OF_A_RUN):
        return None
    with one_at_a_time(root), ExitStack() as held:
        paths = [*sorted(root.glob("packs/*.lock")), root / "locks" / "report.lock"]
        leases = list(map(held.enter_context, acquired(map(Lease, paths))))
        for path in paths:
            if path not in [lease.path for lease in leases]:
                raise ValueError(_busy(root, path.stem))
        finished = ("members/*/logits.safetensors", f"members/*/logits/{MANIFEST}")
        trained = sum(len(list(root.glob(pattern))) for pattern in finished)
        begun = len(list(root.glob("members/*"))) - trained
        for name in OF_A_RUN:
            _remove(root / name)
    members = f"{trained} finished member{'s' * (trained != 1)}"
    return f"{members} and {begun} unfinished (weights, logits, checkpoints), and the report"


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:  # of a file in a folder it has the bare name
        raise OSError(
            f"--overwrite: {path} could not be removed ({error.strerror or error}); run the same "
            "command again, or choose another folder"
        ) from error


def _busy(root: Path, name: str) -> str:
    what = "writes the report" if name == "report" else f"trains members of pack {name}"
    return f"--overwrite: another process {what} in {root}; end it first, or choose another folder"
