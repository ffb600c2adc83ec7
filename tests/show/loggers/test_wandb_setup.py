"""Which W&B run a process logs to, and what the user has chosen of it."""

from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from bvalign.show.loggers.wandb_setup import log_to_run, use_wandb


def logger_config(*, save_dir="."):
    init_args = Namespace(project="bvalign", save_dir=save_dir, id=None, name=None, version=None)
    return Namespace(class_path="lightning.pytorch.loggers.WandbLogger", init_args=init_args)


def logger_of(trainer, command="fit"):
    (logger,), lock = log_to_run(trainer.logger, WandbLogger(), Path("run"), command, ("a", "b"))
    return logger._wandb_init, lock


def test_a_process_beside_another_logs_to_its_own_run_of_the_group(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    trainer = Namespace(logger=None)
    use_wandb(trainer)
    (first, held), (second, also_held) = logger_of(trainer), logger_of(trainer)
    assert second["id"] == f"{first['id']}-1"
    assert {one["group"] for one in (first, second)} == {f"run-{first['id']}"}
    assert first["project"] == "bvalign"
    assert first["tags"] == ["a", "b"]
    held.release()
    assert logger_of(trainer)[0]["id"] == first["id"]
    also_held.release()


def test_testing_again_has_a_run_of_its_own_each_time(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    trainer = Namespace(logger=logger_config())
    fit, held = logger_of(trainer)
    assert held
    tests = [logger_of(trainer, "test") for _ in range(2)]
    for test, lock in tests:
        assert lock is None
        assert test["group"] == f"run-{fit['id']}"
        assert test["job_type"] == "test"
        assert test["id"].startswith(f"{fit['id']}-test-")
    assert tests[0][0]["id"] != tests[1][0]["id"]


def test_what_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_NAME", "mine")
    trainer = Namespace(logger=logger_config(save_dir="mine"))
    trainer.logger.init_args.id = "abc"
    trainer.logger.dict_kwargs = {"group": "ours", "tags": ["c"]}
    made, _ = logger_of(trainer)
    kept = {"id": "abc", "dir": "mine", "group": "ours", "tags": ["c"], "job_type": "fit"}
    assert {key: made[key] for key in kept} == kept
    assert made["name"] is None  # so W&B reads it from the environment


def test_in_a_sweep_the_run_is_that_of_the_agent(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    made, _ = logger_of(Namespace(logger=logger_config()))
    assert not {"id", "project", "entity"} & set(made)  # of which W&B would warn


def test_other_loggers_stay_beside_wandb(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    other = CSVLogger(".")
    configured = [Namespace(class_path="mine.Logger", init_args=Namespace()), logger_config()]
    loggers, _ = log_to_run(configured, [other, WandbLogger()], Path("run"))
    assert loggers[0] is other
    assert loggers[1]._wandb_init["dir"] == "run"
    assert log_to_run(False, False, Path("none")) == ([], None)


def test_rank_one_has_no_wandb_run(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    made = WandbLogger()
    assert log_to_run(logger_config(), made, Path("run")) == ([made], None)
    assert not Path("run").exists()


def test_an_unreachable_wandb_is_told_and_trains_offline(monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    (logger,), _ = log_to_run(logger_config(), WandbLogger(), Path("run"))
    assert logger._offline
    assert "http://127.0.0.1:9 cannot be reached; logging offline" in capsys.readouterr().err
