"""What Lightning's Trainer and its callbacks mean for members, row by row of docs/devices.md."""

import inspect
import re

import pytest
import torch
import yaml
from lightning.pytorch import Callback, Trainer, callbacks
from lightning.pytorch.plugins import AsyncCheckpointIO, MixedPrecision
from lightning.pytorch.plugins.environments import LightningEnvironment

from bvalign import RunDirectory
from bvalign.ensemble import trainer_settings as settings
from bvalign.ensemble.epoch_batches import batches_per_epoch, refuse_no_batches
from tests import ROOT

CATEGORIES = {
    "in the identity": set(settings.IDENTITY),
    "refused": {*settings.REFUSED, *settings.REFUSED_CALLBACKS},
    "allowed": settings.ALLOWED | settings.ALLOWED_CALLBACKS,
}

REFUSED = {
    "fast_dev_run": [True, 1, 3],
    "max_time": ["00:00:01:00", {"hours": 1}],
    "overfit_batches": [1, 0.5, 1.0],
    "limit_val_batches": [1, 0.5],
    "limit_test_batches": [1, 0.5, 0],
    "enable_checkpointing": [True, None],
    "use_distributed_sampler": [True],
    "barebones": [True],
}
"""Values of each refused argument; 1 is a single batch."""

ALLOWED = {
    "accelerator": "cpu",
    "strategy": "auto",
    "devices": 1,
    "num_nodes": 1,
    "plugins": "lightning.pytorch.plugins.environments.LightningEnvironment",
    "logger": {"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}},
    "min_epochs": 1,
    "min_steps": 1,
    "limit_predict_batches": 1,
    "val_check_interval": 2,
    "check_val_every_n_epoch": 1,
    "num_sanity_val_steps": 1,
    "log_every_n_steps": 2,
    "enable_progress_bar": True,
    "enable_model_summary": True,
    "deterministic": True,
    "benchmark": False,
    "inference_mode": False,
    "profiler": "simple",
    "detect_anomaly": True,
    "reload_dataloaders_every_n_epochs": 1,
    "default_root_dir": "run",
    "enable_autolog_hparams": False,
    "model_registry": "none",
    "callbacks": [
        "Callback",
        "LambdaCallback",
        {"class_path": "DeviceStatsMonitor", "init_args": {"cpu_stats": False}},
        "LearningRateMonitor",
        "ModelSummary",
        "RichModelSummary",
        {"class_path": "BasePredictionWriter", "init_args": {"write_interval": "epoch"}},
        {
            "class_path": "ThroughputMonitor",
            "init_args": {"batch_size_fn": "tests.ensemble.test_trainer_settings.batch_size"},
        },
    ],
}
"""A value other than the default for each allowed argument, where one machine has another."""


def batch_size(batch):
    return batch[1].numel()


def rows():
    """First cell -> second cell of the tables."""
    text = (ROOT / "docs" / "devices.md").read_text()
    text = text[text.index("## Settings of the Trainer") : text.index("## Pitfalls")]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, flags=re.M))


def test_the_table_says_what_the_code_does():
    told = rows()
    for category, names in CATEGORIES.items():
        assert {name for name, said in told.items() if said.startswith(category)} == names


def test_every_argument_and_callback_of_the_installed_lightning_is_in_the_table():
    arguments = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    assert arguments | set(callbacks.__all__) <= rows().keys()


@pytest.mark.parametrize("name", settings.REFUSED)
def test_a_refused_argument_is_named_and_its_default_is_not(name):
    settings.refuse_settings({name: settings.REFUSED[name][0][0]})
    for value in REFUSED[name]:
        with pytest.raises(ValueError, match=f"trainer.{name}={re.escape(str(value))} "):
            settings.refuse_settings({name: value})


@pytest.mark.parametrize("name", settings.REFUSED_CALLBACKS)
def test_a_refused_callback_is_named_and_so_is_a_subclass(name):
    kind = getattr(callbacks, name, None)
    if kind is None:
        pytest.skip("not in this version of Lightning")
    mine = type("Mine", (kind,), {})
    for one in (kind, mine):
        with pytest.raises(ValueError, match=f"trainer.callbacks: {one.__name__} .*leave it out"):
            settings.refuse_callbacks([one])


def test_other_callbacks_are_not_refused():
    mine = type("EarlyStopping", (Callback,), {})  # of the user's own, whatever its name
    settings.refuse_callbacks([mine, callbacks.LambdaCallback, callbacks.ModelSummary])


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("max_epochs", 2, 3),
        ("max_steps", -1, 3),
        ("limit_train_batches", None, 1),
        ("limit_train_batches", 1.0, 1),
        ("limit_train_batches", 0.5, 1.0),
        ("precision", None, "bf16-mixed"),
        ("accumulate_grad_batches", 1, 2),
        ("gradient_clip_val", None, 0.5),
        ("gradient_clip_algorithm", None, "value"),
        ("sync_batchnorm", False, True),
    ],
)
def test_a_decisive_argument_is_in_the_identity(tmp_path, name, one, other):
    identities = [{"trainer": settings.trainer_identity({name: v})} for v in (one, other)]
    RunDirectory.open(tmp_path, identities[0], 1, 1, {})
    with pytest.raises(ValueError, match=rf"another identity \(trainer.{name}: "):
        RunDirectory.open(tmp_path, identities[1], 1, 1, {})


def test_a_run_of_before_has_the_identity_of_the_defaults(tmp_path):
    before = dict.fromkeys(settings.IDENTITY) | {"max_epochs": 20, "max_steps": -1}
    del before["sync_batchnorm"]
    RunDirectory.open(tmp_path, {"trainer": before}, 1, 1, {})
    now = settings.trainer_identity(before | {"sync_batchnorm": False, "limit_train_batches": 1.0})
    RunDirectory.open(tmp_path, {"trainer": now}, 1, 1, {})


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Lightning, about what is watched
def test_allowed_arguments_and_callbacks_change_no_member(bvalign, fit, tmp_path):
    assert ALLOWED.keys() == settings.ALLOWED
    known = inspect.signature(Trainer).parameters  # an older one has no enable_autolog_hparams
    given = {name: value for name, value in ALLOWED.items() if name in known}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump({"trainer": given}))
    fit("--model.members=2", "--trainer.default_root_dir=plain")
    fit("--config=all.yaml", "--model.members=2", "--trainer.logger=CSVLogger")
    assert same_members("plain", "run")


@pytest.mark.parametrize(
    "bar", ["RichProgressBar", "TQDMProgressBar", "--trainer.enable_progress_bar"]
)
def test_a_bar_of_the_users_or_none_is_in_place_of_ours(fit, capsys, bar):
    fit("--model.members=2", "--model.pack_size=1", "--trainer.default_root_dir=plain")
    assert "members · epoch" in capsys.readouterr().err
    fit(
        "--model.members=2",
        "--model.pack_size=1",
        f"{bar}=false" if bar.startswith("--") else f"--trainer.callbacks={bar}",
        "--trainer.default_root_dir=run",
    )
    assert "members · epoch" not in capsys.readouterr().err
    assert same_members("plain", "run")


def same_members(*roots):
    runs = [RunDirectory(root) for root in roots]
    pairs = [[run.member(member).logits() for run in runs] for member in range(2)]
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("message", "config"),
    [
        ("limit_train_batches=0 trains nothing", {"limit_train_batches": 0}),
        ("limit_train_batches=0.0 trains nothing", {"limit_train_batches": 0.0}),
        ("max_steps=0 trains nothing", {"max_steps": 0}),
        ("max_epochs=0 trains nothing", {"max_epochs": 0}),
        ("accumulate_grad_batches must be at least 1, got 0", {"accumulate_grad_batches": 0}),
        ("check_val_every_n_epoch must be at least 1, got 0", {"check_val_every_n_epoch": 0}),
        ("precision=16-mixed skips a step", {"precision": "16-mixed"}),
        ("precision=16 skips a step", {"precision": 16}),
        ("max_epochs=-1 never finishes a member", {"max_epochs": -1}),
    ],
)
def test_values_that_train_nothing_or_for_ever_are_refused(message, config):
    with pytest.raises(ValueError, match=message):
        settings.refuse_settings(config)
    settings.refuse_settings({"max_epochs": -1, "max_steps": 5})


def test_a_part_of_the_batches_is_at_least_one():
    for limit, used in ((1, 1), (3, 3), (9, 5), (0.2, 1), (1.0, 5)):
        refuse_no_batches(limit, 5)
        assert batches_per_epoch(limit, 5) == used
    with pytest.raises(ValueError, match="limit_train_batches=0.1 of 5 batches is not one; .* 0.2"):
        refuse_no_batches(0.1, 5)


def test_plugins_of_precision_and_checkpoints_are_refused():
    settings.refuse_plugins([LightningEnvironment()])
    for plugin in (MixedPrecision("bf16-mixed", "cpu"), AsyncCheckpointIO()):
        with pytest.raises(ValueError, match=f"trainer.plugins: {type(plugin).__name__} is not"):
            settings.refuse_plugins([plugin])
