"""Tiny data sets in files of the form in which they are distributed."""

import gzip
import pickle
import struct

import numpy as np

QUESTIONS = {
    "ABBR:exp": "What does NASA stand for ?",
    "DESC:def": "What is caffeine ?",
    "ENTY:animal": "What animal is <b>Bambi</b> ?",
    "HUM:ind": "Who was Galileo ?",
    "LOC:city": "What city is the capital of Nepal ?",
    "NUM:date": "When did Beethoven die é ?",
}


def write_trec(root, repeat=20):
    (root / "trec").mkdir()
    for name, times in (("train_5500.label", repeat), ("TREC_10.label", repeat // 2)):
        lines = [f"{label} {text}" for label, text in QUESTIONS.items()] * times
        (root / "trec" / name).write_text("\n".join(lines) + "\n", encoding="latin-1")


def idx(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(root, folder="MNIST", compress=True):
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, num in (("train", 30), ("t10k", 20)):
        images, labels = rng.integers(256, size=(num, 28, 28)), np.arange(num) % 10
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = raw / f"{part}-{name}-ubyte{'.gz' if compress else ''}"
            path.write_bytes(gzip.compress(idx(array)) if compress else idx(array))
    return raw


def write_cifar(root, name="cifar-10-batches-py", num_classes=10):
    folder = root / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    if num_classes == 10:
        files, key, meta = [f"data_batch_{i}" for i in range(1, 6)], "labels", "batches.meta"
        meta_key, test = "label_names", "test_batch"
    else:
        files, key, meta, meta_key, test = (
            ["train"],
            "fine_labels",
            "meta",
            "fine_label_names",
            "test",
        )
    for file in (*files, test):
        rows = {
            "data": rng.integers(256, size=(num_classes, 3072), dtype=np.uint8),
            key: list(range(num_classes)),
        }
        (folder / file).write_bytes(pickle.dumps(rows))
    (folder / meta).write_bytes(pickle.dumps({meta_key: [str(i) for i in range(num_classes)]}))
    return folder
