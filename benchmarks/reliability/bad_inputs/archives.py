"""Archives that inflate or lead out of their folder, and pickles in every wrapping."""

import gzip
import io
import os
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bad_inputs.formats import analyze, arrays, inspect_sample, rows, save_eval, save_npz, text
from bad_inputs.harness import CANARY
from bad_inputs.kind import ENSEMBLE, Kind, Made

ZEROS = 2**20


class Canary:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {CANARY}",)


PICKLE = pickle.dumps({"logits": Canary()})
OLD_PICKLE = pickle.dumps({"logits": Canary()}, protocol=0)
TAG = b"!!python/object/apply:os.system ['touch canary']\n"


def npy_header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """The beginning of a .npy, whatever comes after it."""
    file = io.BytesIO()
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def bomb(path: Path, name: str, head: bytes, mebibytes: int) -> None:
    """Writes a zip whose entry has a head and many zeros, deflated by a thousand."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, deflated(head, bytes(ZEROS), mebibytes))
        (info,) = archive.infolist()  # the local header is not compared with this
        info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, len(head) + mebibytes * ZEROS


def deflated(head: bytes, block: bytes, blocks: int) -> bytes:
    """A deflate stream of equal blocks, of which one is compressed and then copied."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + blocks * packed + packer.flush()


def npz_of(head: bytes, mebibytes: int, name: str = "logits.npy") -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        bomb(folder / "p.npz", name, head, mebibytes)
        if name != "logits.npy":  # what is needed is there, too
            with zipfile.ZipFile(folder / "p.npz", "a") as archive:
                for key, values in arrays().items():
                    with archive.open(f"{key}.npy", "w") as entry:
                        np.lib.format.write_array(entry, values)
        return analyze(folder / "p.npz")

    return make


def gzip_of(name: str, head: bytes, block: bytes, blocks: int) -> Callable[[Path], Made]:
    """A gzip of many equal blocks."""

    def make(folder: Path) -> Made:
        begin = gzip.compress(b"")[:10]
        (folder / name).write_bytes(begin + deflated(head, block, blocks) + bytes(8))
        return analyze(folder / name)

    return make


def content(name: str, content: bytes, *more: str) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        (folder / name).write_bytes(content)
        return analyze(folder / name, *more)

    return make


def zipped(name: str, entries: dict[str, bytes]) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        with zipfile.ZipFile(folder / name, "w") as archive:
            for entry, inside in entries.items():
                archive.writestr(entry, inside)
        return analyze(folder / name)

    return make


def tarred(inside: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("../../canary")
        info.size = len(inside)
        archive.addfile(info, io.BytesIO(inside))
    return file.getvalue()


def zip_of(inside: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", inside)
    return file.getvalue()


def torch_of(value: Callable[[], object], **options: object) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        import torch

        torch.save(value(), folder / "p.pt", **options)
        return analyze(folder / "p.pt")

    return make


def expanded() -> object:
    """One number that says it is a million samples of a million classes."""
    import torch

    return {"logits": torch.zeros(1).expand(3, 10**6, 10**6)}


def overlapping(folder: Path) -> Made:
    """A hundred entries that are one, as in the densest bombs."""
    path = folder / "p.npz"
    head = npy_header((131072 * 64,))
    bomb(path, "logits.npy", head, 64)
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    start = data.index(b"PK\x01\x02")
    entries = b"".join(
        data[start:end].replace(b"logits.npy", b"logi%02d.npy" % n) for n in range(99)
    )
    tail = bytearray(data[end:])
    tail[8:12] = (99).to_bytes(2, "little") * 2
    tail[12:16] = len(entries).to_bytes(4, "little")
    path.write_bytes(data[:start] + entries + tail)
    return analyze(path)


def run_name(folder: Path) -> Made:
    """An Inspect log whose sample is called after a path."""
    save_eval(folder / "p.eval")
    with zipfile.ZipFile(folder / "p.eval", "a") as archive:
        name = "samples/../../../canary_epoch_1.json"
        archive.writestr(name, str(inspect_sample(0, 1, 0)))
    return analyze(folder / "p.eval")


def _object_arrays() -> Iterator[tuple[str, str, Callable[[Path], Made]]]:
    objects = np.array([Canary()], dtype=object)

    def npy(folder: Path) -> Made:
        np.save(folder / "logits.npy", objects, allow_pickle=True)
        return analyze(folder / "logits.npy")

    def npz(folder: Path) -> Made:
        save_npz(folder / "p.npz", {"logits": objects, "labels": ENSEMBLE.labels})
        return analyze(folder / "p.npz")

    def beside(folder: Path) -> Made:
        save_npz(folder / "p.npz", arrays() | {"texts": objects})
        return analyze(folder / "p.npz")

    yield "npy", "a pickle", npy
    yield "npz", "a pickle", npz
    yield "npz", "a pickle beside the scores", beside


def _pickles() -> Iterator[tuple[str, str, Callable[[Path], Made]]]:
    yield from _object_arrays()
    yield "pt", "a pickle that calls", torch_of(lambda: {"logits": Canary()})
    yield (
        "pt",
        "the same in the old format",
        torch_of(lambda: {"logits": Canary()}, _use_new_zipfile_serialization=False),
    )
    yield "pt", "a bare pickle", content("p.pt", PICKLE)
    yield "pt", "a bare pickle of protocol 0", content("p.pt", OLD_PICKLE)
    yield "pt", "a pickle in a zip", content("p.pt", zip_of(PICKLE))
    yield "pt", "a pickle in a zip in a tar", content("p.pt", tarred(zip_of(PICKLE)))
    yield "pt", "a pickle in gzip", content("p.pt", gzip.compress(PICKLE))
    yield "pt", "a network", torch_of(_network)
    for ending in ("pkl", "pickle", "joblib", "pt.gz", "npz.gz", "tar", "zip", "7z", "xlsx", "h5"):
        yield ending, "a pickle", content(f"p.{ending}", PICKLE)
    yield "csv", "a pickle", content("p.csv", PICKLE)
    yield "json", "a pickle", content("p.json", OLD_PICKLE)
    yield "parquet", "a pickle", content("p.parquet", PICKLE)
    yield "safetensors", "a pickle", content("p.safetensors", PICKLE)
    yield "npz", "a pickle alone", content("p.npz", PICKLE)
    yield "eval", "a pickle", zipped("p.eval", {"header.json": PICKLE})
    yield "npz", "a pickle as an entry", zipped("p.npz", {"data.pkl": PICKLE})
    yield "json", "a tag of YAML", content("p.json", TAG)


def _network() -> object:
    import torch

    return torch.nn.Linear(2, 2)


def _bombs() -> Iterator[tuple[str, str, Callable[[Path], Made]]]:
    rows_of_zeros = b"m,0,0,0,0,0\n" * 50_000
    head = b"member,sample,label,logit0,logit1,logit2\n"
    yield "npz", "4 GiB of zeros", npz_of(npy_header((1, 2**27, 4)), 4096)
    yield "npz", "more than its header says", npz_of(npy_header((1, 2, 4)), 2048)
    yield "npz", "4 GiB of images", npz_of(npy_header((2**32,), "|u1"), 4096, "images.npy")
    yield "npz", "4 GiB of texts", npz_of(npy_header((12,), f"<U{2**30 // 12}"), 4096, "texts.npy")
    yield "npz", "entries that overlap", overlapping
    yield "csv.gz", "rows without end", gzip_of("p.csv.gz", head, rows_of_zeros, 700)
    yield "csv.gz", "a line without end", gzip_of("p.csv.gz", b"", b"a" * ZEROS, 2048)
    yield "csv.gz", "columns without end", gzip_of("p.csv.gz", b"", b"," * ZEROS, 2048)
    yield "jsonl.gz", "a line without end", gzip_of("p.jsonl.gz", b'{"a": "', b"a" * ZEROS, 2048)
    yield "jsonl.gz", "blank lines without end", gzip_of("p.jsonl.gz", b"", b"\n" * ZEROS, 2048)
    yield "pt", "a tensor larger than its file", torch_of(expanded)
    for name in ("header.json", "samples/1_epoch_1.json"):

        def log(folder: Path, name: str = name) -> Made:
            bomb(folder / "p.eval", name, b'{"a": "', 2048)
            return analyze(folder / "p.eval")

        yield "eval", f"2 GiB of {name}", log


def kinds() -> Iterator[Kind]:
    """Bombs, pickles, and names of entries that lead elsewhere."""
    for target, fault, make in (*_bombs(), *_pickles()):
        expected = "either" if fault == "a pickle beside the scores" else "refused"
        yield Kind(target, fault, make, expected)
    outside = {f"../{CANARY}": b"x", f"/tmp/{CANARY}": b"x", "..\\..\\canary": b"x"}
    yield Kind("npz", "entries outside", zipped("p.npz", outside))
    yield Kind("eval", "entries outside", zipped("p.eval", outside))
    yield Kind("eval", "a sample called after a path", run_name)
    table = text(rows()).encode()
    twice = gzip.compress(gzip.compress(table))
    yield Kind("csv.gz", "compressed twice", content("p.csv.gz", twice))
    halves = gzip.compress(table[:100]) + gzip.compress(table[100:])
    yield Kind("csv.gz", "two parts", content("p.csv.gz", halves), "right")
