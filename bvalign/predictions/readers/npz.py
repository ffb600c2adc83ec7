"""Predictions from a `.npz`, read in blocks of samples.

Uncompressed arrays are mapped in place. A compressed one is unpacked once into an anonymous file in
TMPDIR and mapped there: a block of samples needs a slice of every member, but a deflate stream can
only be read from its start. One stream per member would decompress everything before its slice,
M / 2 times the array in total, and could not follow an unsorted index.
"""

import struct
import zipfile
import zlib
from pathlib import Path

from bvalign.predictions.readers.labels import label_name, reading_notes
from bvalign.predictions.readers.mapped import MappedArray, Scratch, npy_header, write_scratch
from bvalign.predictions.readers.scores import KEYS, Scores
from bvalign.predictions.readers.side_arrays import SHOWN

CHUNK_BYTES = 2**20


def open_npz(path: Path) -> Scores:
    """Opens the scores of a `.npz`.

    Args:
        path: contains `logits` or `probs` (members, samples, classes), or `votes` (members,
            samples), optionally `labels` (samples), also under another of `LABEL_NAMES`, `index`
            (samples), `members` (members), `weights` (members), `clusters` (samples) and
            `num_options` (samples), how many classes a sample has. `labels` and `index` may be
            (members, samples); then they are compared between members. For the report: `images`
            uint8 (samples, channels, height, width), `texts` (samples), `class_names` (classes).

    Raises:
        ValueError: an array is missing, or the file is damaged.
    """
    try:
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise ValueError("it is a single array")
        with zipfile.ZipFile(path) as archive:
            entries = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
            key = next((key for key in (*KEYS, "predictions") if key in entries), None)
            labels = label_name(entries)
            names = (key, labels, "index", "members", "weights", "clusters", "num_options", *SHOWN)
            arrays = {n: _open_array(path, archive, entries[n]) for n in names if n in entries}
    except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: not a complete .npz of plain arrays ({error})") from error
    if key is None:
        raise ValueError(
            f"{path}: needs an array 'logits' or 'probs' (members, samples, classes) or 'votes' "
            f"(members, samples), has {', '.join(entries) or 'none'}"
        )
    notes = reading_notes(entries, names, labels)
    if labels in arrays:
        arrays["labels"] = arrays.pop(labels)
    scores = arrays.pop(key)
    if key == "predictions":
        if scores.dtype.kind not in "iu" or len(scores.shape) != 2:
            raise ValueError(
                f"{path}: 'predictions' must be integer votes (members, samples), got "
                f"{scores.dtype} {scores.shape}; call scores 'logits' or 'probs'"
            )
        key = "votes"
    return Scores(
        path=path,
        key=key,
        shape=scores.shape,
        dtypes=(scores.dtype_name,),
        take=lambda rows: scores.take(rows, axis=1),
        notes=notes,
        shown={name: arrays.pop(name).load() for name in SHOWN if name in arrays},
        **{name: array.load() for name, array in arrays.items()},
    )


def _open_array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> MappedArray:
    """Reads the array once, which checks its CRC, and unpacks it if it is compressed."""
    stored = info.compress_type == zipfile.ZIP_STORED
    file = path if stored else Scratch()
    with archive.open(info) as stream:
        shape, fortran, dtype = npy_header(stream)
        start = count = stream.tell()
        while chunk := stream.read(CHUNK_BYTES):
            count += len(chunk)
            if not stored:
                write_scratch(file, chunk, path)
    array = MappedArray(path, file, 0, dtype, shape, fortran)
    if count - start != array.num_bytes:
        raise ValueError(f"{info.filename} has {count - start} bytes, not {array.num_bytes}")
    return array._replace(offset=_data_offset(path, info) + start) if stored else array


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Finds where an entry's bytes begin, by the lengths in its local header."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = struct.unpack("<26xHH", file.read(30))
    return info.header_offset + 30 + name_length + extra_length
