"""Scores of anything people give: a path of any format, or what Python holds."""

from pathlib import Path, PurePosixPath

from bvalign.predictions.damage import check_file
from bvalign.predictions.readers.folder import open_folder
from bvalign.predictions.readers.formats import READ, find_reader
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.scores.zarr_group import open_zarr


def open_scores(path: Path, names: Names) -> tuple[Scores, str]:
    """Opens the scores of a file or folder; gives the name of the format, too.

    Args:
        path: exists.
        names: given by the user.

    Raises:
        ValueError: the format is not read, or the file is not what it must be.
    """
    if not path.is_dir():
        check_file(path)
    reader = find_reader(path)
    if reader is None and path.is_dir():
        return open_folder(path, names), "folder"
    if reader is None:
        raise ValueError(
            f"{path}: '{path.suffix}' is not read; save the predictions as one of {READ}, as "
            "np.savez('predictions.npz', logits=logits, labels=labels) does"
        )
    return reader.open(path, names), reader.name


def open_url(url: str, names: Names) -> tuple[Scores, str]:
    """Opens the scores of an object store; gives the name of the format, too.

    Args:
        url: of a Zarr group, as in `s3://bucket/predictions.zarr`.
        names: given by the user.

    Raises:
        ValueError: there is no such group, or it does not hold what it must.
    """
    return open_zarr(Path(PurePosixPath(url).name), names, url), "zarr"
