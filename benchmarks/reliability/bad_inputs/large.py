"""Faults of predictions in several files, in Zarr groups, and of top-k logits."""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bad_inputs.any_file import FAULTS, Damage
from bad_inputs.formats import Arrays, analyze, save_npz, save_safetensors
from bad_inputs.kind import ENSEMBLE, Kind, Made
from bad_inputs.runs import VALUES, changed, put, without

CUTS = ((0, 7), (7, 12))
"""Samples of each file."""


def write_shards(folder: Path) -> None:
    """Two files of samples for each member, and their manifest."""
    folder.mkdir()
    names = [f"seed{m}" for m in range(len(ENSEMBLE.logits))]
    files = [_part(folder, member, *cut) for member in range(len(names)) for cut in CUTS]
    np.save(folder / "labels.npy", ENSEMBLE.labels)
    manifest = {"schema": 1, "members": names, "samples": len(ENSEMBLE.labels), "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _part(folder: Path, member: int, start: int, stop: int) -> dict[str, object]:
    path = folder / f"seed{member}-{start}.safetensors"
    save_safetensors(path, {"logits": ENSEMBLE.logits[member, start:stop].copy()})
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": path.name, "members": [f"seed{member}"], "range": [start, stop]} | {
        "sha256": checksum
    }


def of_shards(name: str, damage: Damage) -> Callable[[Path], Made]:
    """Damages a file of the folder."""

    def make(folder: Path) -> Made:
        write_shards(folder / "p")
        damage(folder / "p" / name)
        return analyze(folder / "p")

    return make


def entry(**values: object) -> Damage:
    """Changes the entry of the second file."""

    def damage(path: Path) -> None:
        manifest = json.loads(path.read_text())
        manifest["files"][1] |= values
        path.write_text(json.dumps(manifest))

    return damage


def entries(change: Callable[[list], list]) -> Damage:
    """Changes the list of files."""

    def damage(path: Path) -> None:
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps(manifest | {"files": change(manifest["files"])}))

    return damage


def signed(values: Callable[[], Arrays]) -> Damage:
    """Replaces the second file and its checksum."""

    def damage(manifest: Path) -> None:
        path = manifest.parent / "seed0-7.safetensors"
        save_safetensors(path, values())
        entry(sha256=hashlib.sha256(path.read_bytes()).hexdigest())(manifest)

    return damage


MANIFESTS: dict[str, Damage] = {
    "a hole": entry(range=[8, 12]),
    "an overlap": entry(range=[6, 12]),
    "a range backwards": entry(range=[12, 7]),
    "a range of words": entry(range=["7", "12"]),
    "a range beyond the end": entry(range=[7, 13]),
    "a range of three": entry(range=[7, 9, 12]),
    "a member that is not listed": entry(members=["seed9"]),
    "a member twice": entry(members=["seed0", "seed0"]),
    "no members": entry(members=[]),
    "another checksum": entry(sha256="0" * 64),
    "half a checksum": entry(sha256="abc"),
    "a file that is missing": entry(file="nowhere.safetensors"),
    "a file above the folder": entry(file="../../etc/passwd"),
    "a file from the root": entry(file="/etc/passwd"),
    "a file with NUL": entry(file="a\0b"),
    "a file with an escape": entry(file="\x1b[31m.safetensors"),
    "a file that is a number": entry(file=7),
    "itself as a file": entry(file="manifest.json"),
    "a file twice": entries(lambda files: [*files, files[0]]),
    "no entries": entries(lambda files: []),
    "an entry missing": entries(lambda files: files[1:]),
    "an entry that is a list": entries(lambda files: [*files, []]),
    "ten thousand entries": entries(lambda files: files * 2000),
    "fewer rows than the range": signed(lambda: {"logits": ENSEMBLE.logits[0, 7:9].copy()}),
    "other classes": signed(lambda: {"logits": np.zeros((5, 4))}),
    "whole numbers": signed(lambda: {"logits": np.zeros((5, 3), dtype=np.int64)}),
    "another number type": signed(lambda: {"logits": np.zeros((5, 3), dtype=np.float32)}),
    "no scores": signed(lambda: {"colour": np.zeros((5, 3))}),
    "one axis": signed(lambda: {"logits": np.zeros(5)}),
    "four axes": signed(lambda: {"logits": np.zeros((1, 1, 5, 3))}),
    "deep lists": put("[" * 10_000 + "]" * 10_000),
    "a list": put("[]"),
}


def of_zarr(damage: Callable[[Path], object]) -> Callable[[Path], Made]:
    """Damages a Zarr group."""

    def make(folder: Path) -> Made:
        import zarr

        group = zarr.open_group(folder / "p.zarr", mode="w")
        group.create_array("logits", data=ENSEMBLE.logits, chunks=(1, 6, 3))
        group.create_array("labels", data=ENSEMBLE.labels)
        damage(folder / "p.zarr")
        return analyze(folder / "p.zarr")

    return make


CHUNK, OF_GROUP, OF_LOGITS = "logits/c/0/0/0", "zarr.json", "logits/zarr.json"


def at(name: str, damage: Damage) -> Damage:
    return lambda root: damage(root / name)


TOP = 2
"""Classes that are kept of three."""


def top_k() -> Arrays:
    """Top-k logits of the ensemble."""
    indices = np.argsort(-ENSEMBLE.logits, axis=-1)
    logits = np.take_along_axis(ENSEMBLE.logits, indices, -1)
    rest = np.log(np.exp(logits[..., TOP:]).sum(axis=-1))
    kept = {"topk_logits": logits[..., :TOP], "topk_indices": indices[..., :TOP]}
    return kept | {"topk_rest": rest, "num_classes": np.array(3), "labels": ENSEMBLE.labels}


def other(name: str, change: Callable[[np.ndarray], object]) -> Callable[[Arrays], Arrays]:
    return lambda values: values | {name: np.asarray(change(values[name]))}


TOPS: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "a class twice": (other("topk_indices", np.zeros_like), "refused"),
    "a class of 99": (other("topk_indices", lambda i: i + 99), "refused"),
    "a class below zero": (other("topk_indices", lambda i: i - 1), "refused"),
    "classes as floats": (other("topk_indices", lambda i: i + 0.5), "refused"),
    "fewer indices": (other("topk_indices", lambda i: i[..., :1]), "refused"),
    "no indices": (lambda v: {k: a for k, a in v.items() if k != "topk_indices"}, "refused"),
    "no rest": (lambda v: {k: a for k, a in v.items() if k != "topk_rest"}, "refused"),
    "a rest of nan": (other("topk_rest", lambda r: r * np.nan), "refused"),
    "a rest of inf": (other("topk_rest", lambda r: r + np.inf), "refused"),
    "a rest for each class": (other("topk_rest", lambda r: r[..., None] + np.zeros(2)), "refused"),
    "a rest above what is kept": (other("topk_rest", lambda r: r + 50), "refused"),
    "logits of nan": (other("topk_logits", lambda z: z * np.nan), "refused"),
    "no classes kept": (
        lambda v: v | {k: v[k][..., :0] for k in ("topk_logits", "topk_indices")},
        "refused",
    ),
    "no number of classes": (
        lambda v: {k: a for k, a in v.items() if k != "num_classes"},
        "refused",
    ),
    "a number of classes of 1": (other("num_classes", lambda _: 1), "refused"),
    "a number of classes of 10**12": (other("num_classes", lambda _: 10**12), "refused"),
    "a number of classes that is negative": (other("num_classes", lambda _: -3), "refused"),
    "a number of classes of 2.5": (other("num_classes", lambda _: 2.5), "refused"),
    "two numbers of classes": (other("num_classes", lambda _: [3, 3]), "refused"),
    "unsorted": (
        lambda v: v | {k: v[k][..., ::-1] for k in ("topk_logits", "topk_indices")},
        "either",
    ),
}


def kinds() -> Iterator[Kind]:
    """Manifests and their files, Zarr groups and their chunks, arrays of top-k logits."""

    def anything(folder: Path) -> None:
        """Whether a fault matters, the reader decides; a chunk that is missing holds zeros."""

    def of_top(folder: Path, change: Callable[[Arrays], Arrays]) -> Made:
        save_npz(folder / "p.npz", change(top_k()))
        return analyze(folder / "p.npz")

    names = ("manifest.json", "p: ", "p/", "seed0")
    for fault, (damage, _) in FAULTS.items():
        for name in ("manifest.json", "seed0-7.safetensors"):
            made = of_shards(name, damage)
            yield Kind(f"shards, {name}", fault, made, "refused", names)
        for name in (OF_GROUP, OF_LOGITS, CHUNK):
            made = of_zarr(at(name, damage))
            yield Kind(f"zarr, {name}", fault, made, "either", ("p.zarr",), anything)
    for fault, damage in MANIFESTS.items():
        yield Kind("manifest", fault, of_shards("manifest.json", damage), "refused", names)
    for key in ("schema", "members", "samples", "files"):
        yield Kind("manifest", f"no '{key}'", of_shards("manifest.json", without(key)), names=names)
        for fault, value in VALUES.items():
            made = of_shards("manifest.json", changed(key, value))
            yield Kind("manifest", f"'{key}' is {fault}", made, "refused", names)
    for key in ("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "codecs"):
        for fault, value in VALUES.items():
            made = of_zarr(at(OF_LOGITS, changed(key, value)))
            name = f"'{key}' is {fault}"
            yield Kind("zarr, logits/zarr.json", name, made, "either", ("p.zarr",), anything)
    for fault, (change, expected) in TOPS.items():
        made = partial(of_top, change=change)
        yield Kind("top-k", fault, made, expected, check=anything)
