"""Faults of named arrays: shapes, numbers and types, in each format that can hold them."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bad_inputs.formats import ARRAYS, Arrays, analyze, arrays, save_npz
from bad_inputs.kind import ENSEMBLE, Kind, Made

Change = Callable[[Arrays], Arrays]


def logits(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda values: values | {"logits": change(values["logits"])}


def labels(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda values: values | {"labels": change(values["labels"])}


def more(**added: np.ndarray) -> Change:
    return lambda values: values | added


def only(name: str, value: np.ndarray) -> Change:
    return lambda values: {name: value, "labels": values["labels"]}


def at(value: object, row: int = 4) -> Callable[[np.ndarray], np.ndarray]:
    """Puts a value into one place, which may change the type."""

    def change(array: np.ndarray) -> np.ndarray:
        kind = np.result_type(array, np.array(value)) if isinstance(value, float) else array.dtype
        changed = array.astype(kind)
        changed[(0, row, 1) if array.ndim == 3 else row] = value
        return changed

    return change


FAULTS: dict[str, tuple[Change, str]] = {
    "no samples": (lambda v: {"logits": v["logits"][:, :0], "labels": v["labels"][:0]}, "refused"),
    "no members": (logits(lambda z: z[:0]), "refused"),
    "no classes": (logits(lambda z: z[..., :0]), "refused"),
    "one number": (logits(lambda z: np.array(z[0, 0, 0])), "refused"),
    "one axis": (logits(lambda z: z[0, 0]), "refused"),
    "four axes": (logits(lambda z: z[None]), "refused"),
    "samples first": (logits(lambda z: z.transpose(1, 0, 2)), "refused"),
    "nan": (logits(at(float("nan"))), "refused"),
    "inf": (logits(at(float("inf"))), "refused"),
    "-inf in all classes": (logits(lambda z: np.full_like(z, -np.inf)), "refused"),
    "whole numbers": (logits(lambda z: (10 * z).astype(np.int64)), "refused"),
    "booleans": (logits(lambda z: z > 0), "refused"),
    "a label too many": (labels(lambda y: np.append(y, 0)), "refused"),
    "a label too few": (labels(lambda y: y[:-1]), "refused"),
    "a label of -7": (labels(at(-7)), "refused"),
    "a label of 10**15": (labels(at(10**15)), "refused"),
    "a label of 1.5": (labels(at(1.5)), "refused"),
    "a label of nan": (labels(at(float("nan"))), "refused"),
    "labels from 1 on": (labels(lambda y: y + 1), "refused"),
    "labels as floats": (labels(lambda y: y.astype(float)), "right"),
    "labels as a column": (labels(lambda y: y[:, None]), "right"),
    "labels in a row": (labels(lambda y: y[None]), "either"),
    "labels true and false": (labels(lambda y: y > 0), "refused"),
    "two arrays of labels": (more(target=ENSEMBLE.labels, targets=ENSEMBLE.labels), "either"),
    "no scores": (lambda v: {"labels": v["labels"]}, "refused"),
    "probabilities of 1.2": (only("probs", 1.2 * ENSEMBLE.probs), "refused"),
    "negative probabilities": (only("probs", ENSEMBLE.probs - 0.4), "refused"),
    "negative votes": (only("votes", ENSEMBLE.logits.argmax(axis=2) - 1), "refused"),
    "votes of 10**9": (only("votes", ENSEMBLE.logits.argmax(axis=2) * 10**9), "either"),
    "ids twice": (more(index=np.zeros(12, dtype=np.int64)), "refused"),
    "too few ids": (more(index=np.arange(3)), "refused"),
    "members twice": (more(members=np.array([1, 1, 2])), "refused"),
    "negative weights": (more(weights=np.array([1.0, -1, 1])), "refused"),
    "one cluster": (more(clusters=np.zeros(12, dtype=np.int64)), "refused"),
    "weights of nan": (more(weights=np.array([1.0, np.nan, 1])), "refused"),
}
"""Fault -> change of logits (3, 12, 3) and labels (12), and what must come of it."""


def _strings(*values: str) -> np.ndarray:
    return np.array(values * 4)


NPZ: dict[str, tuple[Change, str]] = {
    "complex": (logits(lambda z: z + 0j), "refused"),
    "dates": (labels(lambda y: y.astype("datetime64[D]")), "refused"),
    "named fields": (logits(lambda z: z.view([("a", "f8")])), "refused"),
    "objects": (logits(lambda z: z.astype(object)), "refused"),
    "labels as objects": (labels(lambda y: y.astype(object)), "refused"),
    "bytes as labels": (labels(lambda y: y.astype("S3")), "refused"),
    "strings with NUL": (more(class_names=np.array(["a\0b", "c", "d"])), "right"),
    "lone surrogates": (more(class_names=np.array(["a\udcff", "c", "d"])), "right"),
    "labels of 2**63": (labels(lambda y: y.astype(np.uint64) + 2**63), "refused"),
    "too many class names": (more(class_names=np.array(["a", "b", "c", "d"])), "refused"),
    "names that are no classes": (
        lambda v: (
            {"logits": v["logits"], "labels": _strings("a", "b", "c") + "x"}
            | {"class_names": np.array(["a", "b", "c"])}
        ),
        "refused",
    ),
    "four names for three classes": (labels(lambda y: np.array(list("abcd") * 3)), "refused"),
    "images of floats": (more(images=np.zeros((12, 3, 4, 4))), "refused"),
    "images of no pixels": (more(images=np.zeros((12, 3, 0, 0), dtype=np.uint8)), "either"),
    "images of seven channels": (more(images=np.zeros((12, 7, 4, 4), dtype=np.uint8)), "either"),
    "too few texts": (more(texts=np.array(["a"])), "refused"),
    "two thousand arrays": (
        lambda v: v | {f"a{n}": np.zeros(1) for n in range(2_000)},
        "right",
    ),
    "big endian": (logits(lambda z: z.astype(">f8")), "right"),
    "Fortran order": (logits(np.asfortranarray), "right"),
    "numbers of 128 bits": (logits(lambda z: z.astype(np.longdouble)), "right"),
    "overflow of float16": (
        logits(lambda z: np.full_like(z, np.inf, dtype="f2")),
        "refused",
    ),
    "options beyond the classes": (more(num_options=np.full(12, 9)), "refused"),
    "options without the label": (more(num_options=np.full(12, 1)), "refused"),
    "members that are one": (logits(lambda z: z[[0, 0, 0]]), "either"),
    "a label for each member": (labels(lambda y: np.stack([y, y, y])), "right"),
    "members with other labels": (labels(lambda y: np.stack([y, y, (y + 1) % 3])), "refused"),
}
"""The same where a format has these types."""

JSON = {
    "NaN in the text": '{"logits": [[[NaN, 1.0, 2.0]]], "labels": [0]}',
    "a number of 400 digits": '{"logits": [[[1' + "0" * 400 + ', 1.0]]], "labels": [0]}',
    "an exponent of 999": '{"logits": [[[1e999, 1.0]]], "labels": [0]}',
    "lists of other lengths": '{"logits": [[[1.0, 2.0], [1.0]]], "labels": [0, 1]}',
    "an object in a list": '{"logits": [[[1.0, {"a": 1}]]], "labels": [0]}',
    "null": "null",
    "a number": "7",
    "a string": '"logits"',
    "an empty list": "[]",
    "an empty object": "{}",
    "lists 10,000 deep": "[" * 10_000 + "]" * 10_000,
    "lists 100,000 deep": "[" * 100_000,
    "objects 10,000 deep": '{"logits":' * 10_000 + "1" + "}" * 10_000,
    "lists 40 deep": '{"logits": ' + "[" * 40 + "1.0" + "]" * 40 + "}",
    "a key twice": '{"logits": [[[1.0, 2.0]]], "logits": [[[3.0]], [4.0]], "labels": [0]}',
    "lone surrogates": '{"logits\\udcff": [[[1.0, 2.0]]], "labels": [0]}',
    "a list of null": '{"logits": [null, null], "labels": [0]}',
    "strings as numbers": '{"logits": [[["1.0", "2.0"]]], "labels": [0]}',
    "a report": '{"schema": 3, "labels": true, "num_members": 3, "means": {}}',
}
"""Text of a .json."""


def _headers() -> dict[str, bytes]:
    """Headers of a .npy that say what is not there."""

    def header(said: str) -> bytes:
        text = said.ljust(118 - 1) + "\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin-1")

    def shape(said: str, kind: str = "'<f8'") -> bytes:
        return header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {said}}}") + bytes(64)

    return {
        "a huge shape": shape("(3, 1000000000000, 1000)"),
        "a shape above 2**63": shape("(4294967296, 4294967296, 4294967296)"),
        "a negative shape": shape("(3, -1, 3)"),
        "a shape of -1 alone": shape("(-1,)"),
        "a shape of a name": shape("(x,)"),
        "a shape that calls": shape("(__import__('os').system('touch canary'),)"),
        "sixty-five axes": shape(f"({'1, ' * 65})"),
        "a type of objects": shape("(1, 2, 4)", "'|O'"),
        "a type that is none": shape("(1, 2, 4)", "'<q9'"),
        "a type of zero bytes": shape("(1, 2, 4)", "'<U0'"),
        "a type of a million bytes": shape("(1, 2, 4)", "'|V1000000'"),
        "named fields": shape("(1, 2, 4)", "[('a', '<f8')]"),
        "version 9": b"\x93NUMPY\x09\x00" + bytes(100),
        "a header of 4 GiB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100),
        "no dictionary": header("[1, 2, 3]") + bytes(64),
    }


def kinds() -> Iterator[Kind]:
    """Formats and the faults that each can have."""

    def make(folder: Path, name: str, write: Callable, change: Change) -> Made:
        write(folder / name, change(arrays()))
        return analyze(folder / name)

    for target, (name, write) in ARRAYS.items():
        for fault, (change, expected) in FAULTS.items():
            made = partial(make, name=name, write=write, change=change)
            check = (lambda folder: None) if fault.startswith("votes") else None
            yield Kind(target, fault, made, expected, check=check)
    for fault, (change, expected) in NPZ.items():
        made = partial(make, name="p.npz", write=save_npz, change=change)
        check = (lambda folder: None) if fault == "members that are one" else None
        yield Kind("npz", fault, made, expected, check=check)
    yield from _of_content("json", "p.json", {k: v.encode() for k, v in JSON.items()})
    yield from _of_content("npy", "logits.npy", _headers())
    yield from _of_content("safetensors", "p.safetensors", _safetensors())


def _of_content(target: str, name: str, contents: dict[str, bytes]) -> Iterator[Kind]:
    for fault, content in contents.items():

        def make(folder: Path, content: bytes = content) -> Made:
            (folder / name).write_bytes(content)
            return analyze(folder / name)

        yield Kind(target, fault, make)


def _safetensors() -> dict[str, bytes]:
    """Headers of a .safetensors that say what is not there."""

    def file(header: object) -> bytes:
        text = json.dumps(header).encode() if not isinstance(header, bytes) else header
        return len(text).to_bytes(8, "little") + text + bytes(64)

    def tensor(shape: list[int], end: int = 64, kind: str = "F64") -> dict[str, object]:
        return {"dtype": kind, "shape": shape, "data_offsets": [0, end]}

    return {
        "a huge shape": file({"logits": tensor([10**6, 10**6, 10**6])}),
        "a shape above 2**64": file({"logits": tensor([2**40, 2**40])}),
        "a negative shape": file({"logits": tensor([-1, 8])}),
        "offsets behind the end": file({"logits": tensor([1, 2, 4], 10**12)}),
        "overlapping tensors": file({"logits": tensor([1, 2, 4]), "labels": tensor([8])}),
        "an unknown type": file({"logits": tensor([1, 2, 4], kind="Q99")}),
        "a header of 2**62 bytes": (2**62).to_bytes(8, "little") + bytes(64),
        "no object": file([1, 2]),
        "lists 10,000 deep": file(b"[" * 10_000),
        "no tensors": file({"__metadata__": {"a": "b"}})[:-64],
    }
