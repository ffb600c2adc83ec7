"""Human labels of CIFAR-10: CIFAR-10N (training labels) and CIFAR-10H (counts of test labels)."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64

from bvalign.data.cifar import CIFAR10
from bvalign.data.datamodule import Arrays

N_FILES = ("CIFAR-10_human.pt", "cifar-n.npz")
H_FILES = ("cifar10h-counts.npy", "cifar10h.npz")


class CIFAR10N(CIFAR10):
    """CIFAR-10 with human training labels (Wei et al. 2022); the test labels are the official ones.

    Besides the images it needs `CIFAR-10_human.pt` as its authors publish it, or `cifar-n.npz` with
    arrays `cifar10_clean_label`, `cifar10_worst_label` and so on.

    Args:
        labels: `aggregate` is the majority vote of three annotators (9% wrong), `random1` to
            `random3` are single annotators (17 to 18%), `worst` takes a wrong label wherever one
            of the three gave one (40%).
        **kwargs: of `CIFAR10`.
    """

    name = "cifar10n"

    def __init__(
        self,
        labels: Literal["aggregate", "random1", "random2", "random3", "worst"] = "worst",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.labels = labels

    def load(self) -> Arrays:
        arrays = super().load()
        clean, noisy = cifar10n_labels(self.root, self.labels)
        if not np.array_equal(clean, arrays.train_target):
            raise ValueError(
                f"{self.name}: the labels in '{self.root}' are in another order than the images, "
                f"{int((clean != arrays.train_target).sum())} differ; download both again"
            )
        wrong = float((noisy != clean).mean())
        note = f"data: human training labels ({self.labels}), {wrong:.1%} differ from CIFAR-10"
        notes = (*arrays.notes, note)
        return arrays._replace(train_target=noisy, notes=notes, clean_target=clean)


def cifar10n_labels(
    root: Path | str, labels: str
) -> tuple[Int64[np.ndarray, " samples"], Int64[np.ndarray, " samples"]]:
    """Official and human labels, in the order of the 50,000 training images."""
    path = _first(Path(root), N_FILES, "CIFAR-10N labels")
    key = {"aggregate": "aggre_label", "worst": "worse_label"}.get(labels)
    key = key or f"random_label{labels[-1]}"
    if path.suffix == ".npz":
        with np.load(path) as stored:
            keys = ("cifar10_clean_label", "cifar10_" + key.replace("worse", "worst"))
            return tuple(stored[k].astype(np.int64) for k in keys)
    stored = torch.load(path, weights_only=False)  # NumPy arrays, pickled as CIFAR-10 is
    return tuple(np.asarray(stored[k], dtype=np.int64) for k in ("clean_label", key))


def cifar10h_counts(root: Path | str) -> Int64[np.ndarray, "samples classes"]:
    """Human label counts of the 10,000 test images (Peterson et al. 2019).

    Read from `cifar10h-counts.npy` as its authors publish it, or `counts` in `cifar10h.npz`.

    Raises:
        FileNotFoundError: neither is in `root`.
    """
    path = _first(Path(root), H_FILES, "CIFAR-10H counts")
    if path.suffix == ".npy":
        return np.load(path).astype(np.int64)
    with np.load(path) as stored:
        return stored["counts"].astype(np.int64)


def _first(root: Path, names: tuple[str, ...], what: str) -> Path:
    for name in names:
        if (root / name).is_file():
            return root / name
    raise FileNotFoundError(f"{what}: put {' or '.join(names)} into '{root}' (--data.root)")
