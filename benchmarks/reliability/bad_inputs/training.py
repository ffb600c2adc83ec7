"""Faults of what `fit` reads: configurations, options and folders of data."""

import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bad_inputs.any_file import FAULTS
from bad_inputs.archives import PICKLE
from bad_inputs.kind import Kind, Made

BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(10))
"""Aliases of aliases: a billion words, if somebody wrote them out."""

CONFIGS = {
    "an unknown key": "model:\n  colour: red\n",
    "an unknown section": "modle:\n  arch: mlp\n",
    "a word for a number": "model:\n  members: many\n",
    "a list for a number": "model:\n  members: [1, 2]\n",
    "nothing for a number": "model:\n  members:\n",
    "no members": "model:\n  members: 0\n",
    "minus one member": "model:\n  members: -1\n",
    "a huge number of members": "model:\n  members: 1.0e+30\n",
    "an infinite rate": "model:\n  lr: .inf\n",
    "no number as a rate": "model:\n  lr: .nan\n",
    "an unknown network": "model:\n  arch: resnet99\n",
    "a network called after a path": "model:\n  arch: ../../evil\n",
    "a network that is a call": "model:\n  arch: os.system\n",
    "unknown data": "data: Nothing\n",
    "data that are a call": "data:\n  class_path: os.system\n  init_args: {command: touch x}\n",
    "data of a path": "data: ../../evil.py\n",
    "a tag that calls": "model: !!python/object/apply:os.system ['touch canary']\n",
    "a tag of an object": "model: !!python/object:os.PathLike {}\n",
    "a tag of a module": "model: !!python/module:antigravity\n",
    "aliases of aliases": BOMB,
    "an alias of itself": "model: &a [*a]\n",
    "lists 10,000 deep": "[" * 10_000,
    "indents 1,000 deep": "".join(f"{' ' * n}a:\n" for n in range(1000)),
    "closed lists 10,000 deep": "model: " + "[" * 10_000 + "]" * 10_000 + "\n",
    "a list": "- model\n- data\n",
    "a word": "model\n",
    "a number": "7\n",
    "tabs": "model:\n\tarch: mlp\n",
    "an open quote": 'model:\n  arch: "mlp\n',
    "an open list": "model: [\n",
    "two documents": "model:\n  members: 2\n---\nmodel:\n  members: 3\n",
    "an escape": "model:\n  arch: \x1b[31m\n",
    "NUL": "model:\n  arch: a\0b\n",
    "markup": "model:\n  arch: <script>alert(1)</script>\n",
    "the other direction": "model:\n  arch: \u202eplm\n",
    "a seed that is a word": "seed_everything: yes please\n",
    "a negative seed": "seed_everything: -3\n",
    "a device that is none": "trainer:\n  accelerator: quantum\n",
    "a callback that calls": "trainer:\n  callbacks:\n  - class_path: os.system\n",
    "no epochs": "trainer:\n  max_epochs: -5\n",
    "JSON": '{"model": {"members": "two"}}',
    "a folder that is none": "trainer:\n  default_root_dir: /dev/null/runs\n",
}
"""Text of a configuration."""

OPTIONS = {
    "an unknown option": ["--model.colour=red"],
    "no value": ["--model.members"],
    "a bad number": ["--model.members=2x"],
    "an empty value": ["--model.arch="],
    "a configuration that is missing": ["--config=nowhere.yaml"],
    "a configuration that is a folder": ["--config=."],
    "a value with an escape": ["--model.arch=\x1b[2J"],
    "a value of 100,000 letters": ["--model.arch=" + "a" * 100_000],
}

LINES = "\n".join(f"{name}:x what is it ?" for name in "ABBR DESC ENTY HUM LOC NUM".split() * 10)
TEXTS = {
    "an unknown class": LINES + "\nNONE:x what ?\n",
    "no text": LINES + "\nABBR:x\n",
    "no class": "what is it ?\n",
    "nothing": "",
    "blank lines": "\n\n\n",
    "UTF-16": "\ufeff" + "\0".join(LINES),
    "markup": "<script>\n",
    "escapes": "\x1b[31mABBR what\n",
    "a line of a million letters": "a" * 10**6,
}


def of_config(folder: Path, text: str) -> Made:
    (folder / "fit.yaml").write_text(text, encoding="utf-8")
    return ["fit", "--config", folder / "fit.yaml", *SHORT[1:]]


def damaged_config(folder: Path, damage: Callable[[Path], None]) -> Made:
    (folder / "fit.yaml").write_text("model:\n  members: 2\n")
    damage(folder / "fit.yaml")
    return ["fit", "--config", folder / "fit.yaml", "--model.members=none"]


SHORT = ["--trainer.accelerator=cpu", "--trainer.logger=false", "--data.num_train=20"]


def of_texts(folder: Path, text: str) -> Made:
    (folder / "data" / "trec").mkdir(parents=True)
    for name in ("train_5500.label", "TREC_10.label"):
        (folder / "data" / "trec" / name).write_text(text, encoding="latin-1", errors="replace")
    return ["fit", "--data=TREC", "--data.root=data", "--data.verify=false", *SHORT[:2]]


def of_cifar(folder: Path, content: Callable[[], bytes]) -> Made:
    inside = folder / "data" / "cifar-10-batches-py"
    inside.mkdir(parents=True)
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        (inside / name).write_bytes(content())
    return ["fit", "--data=CIFAR10", "--data.root=data", "--data.verify=false", *SHORT[:2]]


def _batch(**changed: object) -> Callable[[], bytes]:
    rows = {"data": np.zeros((10, 3072), dtype=np.uint8), "labels": list(range(10))}
    return lambda: pickle.dumps({k: v for k, v in (rows | changed).items() if v is not None})


CIFAR = {
    "a pickle that calls": lambda: PICKLE,
    "no pickle": lambda: b"not a pickle",
    "half a pickle": lambda: _batch()()[:1000],
    "a list": lambda: pickle.dumps([1, 2]),
    "no labels": _batch(labels=None),
    "no images": _batch(data=None),
    "labels of 99": _batch(labels=[99] * 10),
    "labels that are words": _batch(labels=["a"] * 10),
    "fewer labels": _batch(labels=[1]),
    "images of floats": _batch(data=np.zeros((10, 3072))),
    "images of another size": _batch(data=np.zeros((10, 100), dtype=np.uint8)),
    "objects for images": _batch(data=np.array([None], dtype=object)),
}


def of_images(folder: Path, damage: Callable[[Path], object]) -> Made:
    from PIL import Image

    for split in ("train", "val"):
        for name in ("cat", "dog"):
            inside = folder / "data" / split / name
            inside.mkdir(parents=True)
            for number in range(3):
                pixels = np.full((16, 16, 3), 40 * number, dtype=np.uint8)
                Image.fromarray(pixels).save(inside / f"{number}.png")
    damage(folder / "data")
    size = ["--data.size=16", "--data.batch_size=2", "--data.workers=0"]
    options = [*size, "--model.arch=mlp", "--model.members=1", "--trainer.max_epochs=1"]
    return ["fit", "--data=ImageFolder", "--data.root=data", *options, *SHORT[:2]]


def _empty(root: Path) -> None:
    for image in (root / "val" / "dog").iterdir():
        image.unlink()


def _huge(root: Path) -> None:
    """A PNG that says it has 30,000 by 30,000 pixels."""
    path = root / "val" / "cat" / "1.png"
    content = bytearray(path.read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    path.write_bytes(content)


IMAGES = {
    "no classes": lambda root: [(root / "train" / n).rename(root / n) for n in ("cat", "dog")],
    "one class": lambda root: (root / "train" / "cat").rename(root / "cat"),
    "no images of a class": _empty,
    "no test folder": lambda root: (root / "val").rename(root / "test"),
    "no folder": lambda root: root.rename(root.with_name("other")),
    "a huge image": _huge,
}


def kinds() -> Iterator[Kind]:
    """Configurations, options and data with their faults; no fault may let a fit begin."""
    named = (
        "fit.yaml",
        "config",
        "model",
        "modle",
        "data",
        "trainer",
        "max_epochs",
        "accelerator",
        "runs/",
        "seed",
        "callbacks",
        "/dev/null",
    )
    for fault, text in CONFIGS.items():
        yield Kind("config", fault, partial(of_config, text=text), "refused", named)
    for fault, (damage, _) in FAULTS.items():
        made = partial(damaged_config, damage=damage)
        yield Kind("config", fault, made, "refused", named)
    for fault, options in OPTIONS.items():
        yield Kind("options", fault, lambda folder, o=options: ["fit", *o], "refused", named)
    for fault, text in TEXTS.items():
        made = partial(of_texts, text=text)
        yield Kind("texts", fault, made, "refused", ("trec", "TREC"))
    for fault, content in CIFAR.items():
        made = partial(of_cifar, content=content)
        yield Kind("cifar", fault, made, "refused", ("cifar",))
    for fault, damage in IMAGES.items():
        yield Kind("images", fault, partial(of_images, damage=damage), "refused", ("data",))
    for fault in ("one byte", "cut in half", "a picture", "zeros alone", "a page of a server"):
        damage = FAULTS[fault][0]

        def image(root: Path, damage: Callable = damage) -> None:
            damage(root / "val" / "cat" / "1.png")

        made = partial(of_images, damage=image)
        yield Kind("images", fault, made, "refused", ("1.png",))
