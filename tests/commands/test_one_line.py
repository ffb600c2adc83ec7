"""Whatever is wrong with the settings of `fit` and `test` is told in one line, and bugs are not."""

from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch import Callback

from bvalign import RunDirectory
from bvalign.data import Digits
from tests.ensembles import random_ensemble, save_npz
from tests.processes import TINY, bare_environment, bvalign_process, run_process

VIT = "--model.arch=vit_tiny_patch16_224 --model.width=null"


class BrokenData(Digits):
    """Has a bug in its constructor."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.nothing.at_all()


class ClumsyData(Digits):
    """Takes a number from a text that is none."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        int("none")


class PickyData(Digits):
    """Refuses its settings, as a user's own class may."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        raise ValueError("picky.kind must be one of a, b;\n  got c")


class BrokenCallback(Callback):
    """Has a bug, too."""

    def on_train_start(self, trainer, pl_module):
        int("none")


@pytest.fixture
def told(fit, capsys):
    """What a fit with bad settings says, and its exit code."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            fit(*arguments)
        if isinstance(stopped.value.code, int):
            lines = capsys.readouterr().err.splitlines()
            lines, code = [line for line in lines if "error" in line], stopped.value.code
            assert len(lines) == 1
            return lines[0], code
        return stopped.value.code, 1

    return run


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("data.batch_size and data.eval_batch_size must be at least 1", "--data.batch_size=0"),
        ("data.label_noise is a fraction in 0..1, got 1.5", "--data.label_noise=1.5"),
        ("picky.kind must be one of a, b; got c", "--data=tests.commands.test_one_line.PickyData"),
        ("trainer.accelerator=gpu, but PyTorch finds no GPU", "--trainer.accelerator=gpu"),
        ("not a valid input using cpu", "--trainer.accelerator=cpu --trainer.devices=0"),
        ("should be an int > 0", "--trainer.accelerator=cpu --trainer.devices=many"),
        ("an invalid strategy name: `strategy='nosuch'`", "--trainer.strategy=nosuch"),
        ("trainer.strategy starts its processes by spawn",
         "--trainer.accelerator=cpu --trainer.devices=2 --trainer.strategy=ddp_spawn"),
        ("trainer.strategy starts its processes by fork",
         "--trainer.accelerator=cpu --trainer.devices=2 --trainer.strategy=ddp_notebook"),
        ("trainer.num_nodes=2, but nothing says where the other nodes are; start with torchrun",
         "--trainer.accelerator=cpu --trainer.devices=1 --trainer.num_nodes=2"),
        ("trainer.callbacks: ModelCheckpoint checkpoints packs; leave it out: members are",
         "--trainer.callbacks=ModelCheckpoint"),
        ("trainer.callbacks: EarlyStopping ends all members of a pack at once; leave it out",
         "--trainer.callbacks=EarlyStopping --trainer.callbacks.monitor=val/risk"),
        ("trainer.callbacks: Timer ends members before their epochs",
         "--trainer.callbacks+=Timer --trainer.callbacks.duration=00:00:01:00"),
        ("trainer.callbacks: Timer ends members", "--trainer.callbacks=Timer"),
        ("trainer.precision=16-mixed skips a step of all members", "--trainer.precision=16-mixed"),
        ("model.width must be at least 1, got 8, 8 and -1", "--model.width=-1"),
        ("model.lr, model.momentum and model.weight_decay must be finite", "--model.lr=-1"),
        ("model.label_smoothing must lie in [0, 1), got 1.0", "--model.label_smoothing=1"),
        ("trainer.fast_dev_run=True trains a batch and would", "--trainer.fast_dev_run=true"),
        ("trainer.limit_train_batches=0", "--trainer.limit_train_batches=0"),
        ("limit_train_batches=0.01 of 5 batches is not one", "--trainer.limit_train_batches=0.01"),
        ("limit_test_batches=0.5 would leave out samples", "--trainer.limit_test_batches=0.5"),
        ("use '--model.arch_args={\"img_size\": 8, \"patch_size\": 4}'", VIT),
        ("'tests.networks.normed' has BatchNorm, which needs --data.batch_size and",
         "--model.arch=tests.networks.normed --data.batch_size=1 --model.width=null"),
        ("must give logits (batch, classes) = (2, 10), got (2, 3)",
         "--model.arch=tests.networks.three --model.width=null"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_told_with_the_remedy(told, message, arguments):
    line, code = told(*arguments.split())
    assert message in line
    assert line.startswith("bvalign: error: ")
    assert "\n" not in line
    assert code == 1
    assert not Path("runs/digits-mlp/run.json").exists()


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("data: no class 'NoSuch'; ours are CIFAR10, ", "--data=NoSuch"),
        ("data: Nope: module 'bvalign.data' has no attribute", "--data=bvalign.data.Nope"),
        ("data: Digits: Option 'nosuch' is not accepted", "--data=Digits --data.nosuch=1"),
        ("data: Digits: batch_size: expected int; got abc", "--data.batch_size=abc"),
        ("the following arguments are required: root", "--data=ImageFolder"),
        ("unrecognized arguments: --model.nosuch=1", "--model.nosuch=1"),
        ("model.plan: expected one of 'auto', 'sequential', ", "--model.plan=fast"),
        ("trainer.max_epochs: expected int; got abc", "--trainer.max_epochs=abc"),
        ("trainer.callbacks: no class 'NoSuch'", "--trainer.callbacks=NoSuch"),
        ("config: File does not exist: ", "--config=none.yaml"),
        ("config: utf16.yaml is not UTF-8", "--config=utf16.yaml"),
        ("error: data: Digits: num_train: expected int; see", "--data.num_train=x"),
        ("TQDMProgressBar: refresh_rate: expected int; got x; got [{", "--config=bar.yaml"),
        ("error: seed_everything must be a number from 0 to 4294967295", "--seed_everything=-1"),
        ("error: seed_everything must be a number from 0", "--seed_everything=true"),
    ],
)
def test_what_the_parser_refuses_is_one_line(bvalign, capsys, message, arguments):
    Path("utf16.yaml").write_text("model: {members: 2}", encoding="utf-16")
    bar = "{class_path: TQDMProgressBar, init_args: {refresh_rate: x}}"
    Path("bar.yaml").write_text(f"trainer: {{callbacks: [{bar}]}}")
    with pytest.raises(SystemExit) as stopped:
        bvalign("fit", "--trainer.logger=false", *arguments.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bvalign: error: ")
    assert message in line
    assert "see `bvalign fit --help`" in line or "see `bvalign --help`" in line
    assert stopped.value.code == 2


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_folder_of_images_that_is_not_there_is_one_line(bvalign, command):
    message = r"^bvalign: error: data.root: 'nowhere/train' must hold a folder of images for each"
    with pytest.raises(SystemExit, match=message):
        bvalign(command, "--data=ImageFolder", "--data.root=nowhere", "--trainer.logger=false")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (AttributeError, "--data=tests.commands.test_one_line.BrokenData"),
        (ValueError, "--data=tests.commands.test_one_line.ClumsyData"),
        (ValueError, "--trainer.callbacks=tests.commands.test_one_line.BrokenCallback"),
    ],
)
def test_a_bug_keeps_its_traceback(bvalign, kind, arguments):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (jsonargparse wraps it)
        bvalign("fit", "--trainer.logger=false", "--trainer.max_epochs=1", *arguments.split())
    error = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    assert type(error) is kind
    assert caught.traceback[-1].path.name != "one_line.py"


def test_the_traceback_is_shown_on_request(told, capsys, monkeypatch):
    monkeypatch.setenv("BVALIGN_DEBUG", "1")
    line, _ = told("--data.label_noise=1.5")
    assert line == "bvalign: error: data.label_noise is a fraction in 0..1, got 1.5"
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "resident.py" in shown


@pytest.mark.usefixtures("without_figures")
def test_a_home_is_expanded_wherever_a_path_is_given(bvalign, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (home / "two.yaml").write_text("model: {members: 2}\ntrainer: {default_root_dir: ~/run}\n")
    bvalign("fit", *TINY, "--config=~/two.yaml", "--trainer.logger=CSVLogger",
            "--trainer.logger.save_dir=~/logs")  # fmt: skip
    assert RunDirectory(home / "run").finished()[0] == [0, 1]
    assert list((home / "logs").rglob("*.csv"))
    bvalign("report", "~/run")
    logits, target = random_ensemble(samples=40)
    save_npz(home / "p.npz", logits, target)
    np.save(home / "c.npy", np.arange(40) // 2)
    bvalign("analyze", "~/p.npz", "--clusters=~/c.npy", "--out=~/out")
    bvalign("compare", "~/out", "~/run", "--out=~/both")
    assert (home / "both" / "compare.html").exists()
    with pytest.raises(SystemExit, match=f"data.root: '{home}/x/train' must hold"):
        bvalign("fit", "--data=ImageFolder", "--data.root=~/x", "--trainer.logger=false")
    assert not Path("~").exists()


def test_a_fit_needs_no_home():
    options = ["--model.members=2", "--trainer.logger=false"]
    run_process(bvalign_process("fit", *TINY, *options), env=bare_environment())
    assert RunDirectory("runs/digits-mlp").finished()[0] == [0, 1]
