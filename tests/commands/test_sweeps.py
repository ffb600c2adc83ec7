"""Trials of a sweep at once, and what else must not leave a run directory in the wrong state."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from bvalign import RunDirectory
from tests import ROOT
from tests.processes import PATIENCE, QUICK, TINY, bvalign_process
from tests.wandb_records import config, records, summary

SWEEP = yaml.safe_load((ROOT / "configs" / "sweeps" / "width.yaml").read_text())
SMALL = (*(option for option in TINY if "width" not in option), "--model.members=2")


def agents_command(width):
    """The command of one trial, made as `wandb agent` makes it."""
    made = create_sweep_command_args({"args": {"model.width": {"value": width}}})
    filled = {"env": ["/usr/bin/env"], "program": [SWEEP["program"]], "args": made["args"]}
    command = []
    for part in create_sweep_command(list(SWEEP["command"])):
        macro = part.startswith("${")
        command += filled[part[2:-1]] if macro else [part]
    return [*command, *SMALL]


def at_once(commands, environments):
    """Output of processes that are started together; all must succeed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [
        subprocess.Popen(command, env=environment, **pipes)
        for command, environment in zip(commands, environments, strict=True)
    ]
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(started), "\n".join(outputs)
    return outputs


@pytest.fixture
def environment():
    """As an agent's, with a `bvalign` on the path that draws no figures, and the sweep's files."""
    Path("bin").mkdir()
    Path("bin/bvalign").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{QUICK}" "$@"\n')
    Path("bin/bvalign").chmod(0o755)
    Path("configs").symlink_to(ROOT / "configs")
    path = f"{Path('bin').absolute()}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "WANDB_MODE": "offline", "WANDB_SILENT": "false"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trials_of_a_sweep_at_once(environment):
    widths, environments = [4, 8], []
    for width in widths:
        parameters = Path(f"config-{width}.yaml")
        parameters.write_text(yaml.safe_dump({"model.width": {"value": width}}))
        environments.append(
            environment
            | {
                "WANDB_SWEEP_ID": "sweep",
                "WANDB_RUN_ID": f"trial{width}",
                "WANDB_SWEEP_PARAM_PATH": str(parameters),
            }
        )
    commands = list(map(agents_command, widths))
    assert commands[0][:4] == ["/usr/bin/env", "bvalign", "fit", "--config"]
    outputs = at_once(commands, environments)
    assert not any("WARNING" in output or "gnoring" in output for output in outputs)
    roots = sorted(Path("runs").iterdir())
    assert roots[0].name == "digits-mlp"
    assert len(roots) == 2
    found = {RunDirectory(root).identity["model.arch_args.width"]: root for root in roots}
    assert set(found) == set(widths)
    said = [line for output in outputs for line in output.splitlines() if "another conf" in line]
    assert len(said) == 1
    assert "has another configuration (model.arch_args.width: " in said[0]
    for width, root in found.items():
        (path,) = root.glob("wandb/offline-run-*/*.wandb")
        assert path.name == f"run-trial{width}.wandb"  # that of the agent
        assert config(records(path))["model.width"] == width
        assert "result/accuracy" in summary(records(path))
    again = at_once(commands[1:2], [environments[1] | {"WANDB_RUN_ID": "again"}])[0]
    assert f"{found[8]}: 2 of 2 members finished" in again
    (path,) = found[8].glob("wandb/offline-run-*/run-again.wandb")
    assert "result/accuracy" in summary(records(path))  # nothing is trained, all is logged


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_workers_and_ranks_of_two_configurations_find_their_directories():
    options = ("fit", *SMALL, "--model.pack_size=1", "--trainer.logger=false")
    ranks = ("--trainer.accelerator=cpu", "--trainer.devices=2")
    commands = [
        bvalign_process(*options, "--model.width=4"),
        bvalign_process(*options, "--model.width=4"),
        bvalign_process(*options, "--model.width=8", *ranks),
    ]
    at_once(commands, [os.environ] * 3)
    roots = sorted(Path("runs").iterdir())
    assert {RunDirectory(r).identity["model.arch_args.width"] for r in roots} == {4, 8}
    assert [len(RunDirectory(root).finished()[0]) for root in roots] == [2, 2]
    configs = [yaml.safe_load((root / "config.yaml").read_text()) for root in roots]
    assert [c["trainer"]["default_root_dir"] for c in configs] == list(map(str, roots))
    assert not any("overwrite" in c for c in configs)


def test_fit_and_test_of_a_configuration_find_the_same_directory(fit, bvalign, capsys):
    fit("--model.members=1")
    fit("--model.members=1", "--model.lr=0.3")
    other = f"{next(Path('runs').glob('digits-mlp-*'))}"
    err = capsys.readouterr().err
    assert f"{other}: runs/digits-mlp has another configuration (model.lr: 0.1 there, 0.3 now)" in (
        err
    )
    told = json.loads(Path(other, "run.json").read_text())["identity"]["model.lr"]
    assert told == 0.3
    for logits in Path(other).rglob("logits.safetensors"):
        logits.unlink()
    with pytest.raises(SystemExit, match=f"{other}: no member is finished"):
        bvalign("test", *TINY, "--trainer.logger=false", "--model.lr=0.3")
    with pytest.raises(SystemExit, match=r"no run of this configuration: .*0.1 there, 0.5 now"):
        bvalign("test", *TINY, "--trainer.logger=false", "--model.lr=0.5")
    with pytest.raises(SystemExit, match=r"another identity \(model.lr: 0.1 there, 0.3 now\)"):
        fit("--model.members=1", "--model.lr=0.3", "--trainer.default_root_dir=runs/digits-mlp")
    with pytest.raises(SystemExit, match="model.seed: 0 there, 5 now"):
        fit("--seed_everything=5", "--trainer.default_root_dir=runs/digits-mlp")


@pytest.mark.parametrize(
    "typo",
    [
        "--model.arch=mpl",
        '--model.arch_args={"widht": 8}',
        "--model.optimizer=adam",
        "--model.lookahead=-1",
    ],
)
def test_a_typo_leaves_no_run_behind(fit, typo):
    root = Path("given")
    with pytest.raises(SystemExit):
        fit("--model.members=1", f"--trainer.default_root_dir={root}", typo)
    assert not (root / "run.json").exists()


def test_overwrite_trains_anew_and_says_what_is_gone(fit, bvalign, capsys):
    fit("--model.members=2")
    root = Path("runs/digits-mlp")
    before = (root / "members/0000/logits.safetensors").stat().st_mtime_ns
    fit("--model.members=1", "--model.lr=0.3", "--overwrite")  # its own directory, not the first's
    assert "has removed" not in capsys.readouterr().err
    given = ("--model.members=1", "--model.lr=0.3", f"--trainer.default_root_dir={root}")
    fit(*given, "--overwrite")
    removed = f"{root}: --overwrite has removed 2 finished members and 0 unfinished"
    assert removed in capsys.readouterr().err
    assert (root / "members/0000/logits.safetensors").stat().st_mtime_ns > before
    assert RunDirectory(root).identity["model.lr"] == 0.3
    bvalign(
        "fit", "--config", root / "config.yaml", "--trainer.logger=false"
    )  # does not remove it again
    err = capsys.readouterr().err
    assert "has removed" not in err
    assert "1 of 1 members finished" in err
    with pytest.raises(SystemExit):
        bvalign("test", *TINY, "--overwrite")
