"""The command line from end to end, on a part of the digits."""

import csv
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign import BiasVariance, RunDirectory
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.show.callbacks import alignment_scatter as callbacks
from tests.ensembles import aligned_ensemble, random_ensemble, save_npz
from tests.processes import TINY, bvalign_process, run_process
from tests.reference import check_golden

SIX = ("--model.members=6", "--model.pack_size=4")
FILES = {
    "summary.json",
    "samples.csv",
    "samples.parquet",
    "report.html",
    "groups.json",
    "abstain.json",
    "calibrate.json",
}
HEADER = "index,label,correct,bias_sq,variance,risk,bias_sq_unbiased,variance_unbiased"


def summary(out):
    return json.loads((Path(out) / "summary.json").read_text())


def files(out):
    return {str(f.relative_to(out)) for f in Path(out).rglob("*") if f.is_file()}


def samples(out):
    with (Path(out) / "samples.csv").open() as file:
        return list(csv.DictReader(file))


def test_fit_trains_resumes_grows_and_reports(bvalign, capsys, monkeypatch):
    fit = partial(bvalign, "fit", *TINY, "--trainer.logger=false")
    live = []
    log = callbacks.AlignmentScatter._log

    def watched(self, stage, *arguments):
        values = log(self, stage, *arguments)
        if stage == "test":
            live.append(values)
        return values

    monkeypatch.setattr(callbacks.AlignmentScatter, "_log", watched)
    fit(*SIX)
    root = Path("runs/digits-mlp")
    assert files(root) >= FILES
    out = capsys.readouterr().out
    assert "6 members on 57 samples" in out
    assert out.strip().endswith("report: runs/digits-mlp/report.html")

    # the live metric counted both packs and says what the report says
    rows = samples(root)
    assert (root / "samples.csv").read_text().startswith(HEADER)
    assert [int(row["index"]) for row in rows] == list(range(57))
    for name in HEADER.split(",")[3:]:
        reported = np.array([float(row[name]) for row in rows])
        np.testing.assert_allclose(reported, getattr(live[-1], name), rtol=1e-12)

    # again: nothing is trained; two more members: only they are, seen from the start by the metric
    before = {f: f.stat().st_mtime_ns for f in root.glob("members/*/*")}
    count = len(live)
    fit(*SIX)
    assert len(live) == count
    fit("--model.members=8", "--model.pack_size=4")
    assert {f: f.stat().st_mtime_ns for f in before} == before
    assert live[-1].count.tolist() == [8] * 57
    assert summary(root)["num_members"] == 8
    assert len(RunDirectory(root).finished()[0]) == 8


def test_a_member_is_the_same_in_another_pack(fit):
    fit("--model.members=3", "--model.pack_size=3", "--trainer.default_root_dir=a")
    fit("--model.members=3", "--model.pack_size=1", "--trainer.default_root_dir=b")
    for member in range(3):
        pair = [RunDirectory(root).member(member).logits() for root in ("a", "b")]
        assert torch.equal(*pair)
    assert not torch.equal(
        RunDirectory("a").member(0).logits(), RunDirectory("a").member(1).logits()
    )


def test_one_member_gives_means_and_accuracy_only(fit, capsys):
    fit("--model.members=1")
    out = capsys.readouterr().out
    assert "one member has no variance: means and accuracy only" in out
    found = summary("runs/digits-mlp")
    for name, reason in (("logit_slope", "needs three members"), ("ols", "needs two members")):
        slope = found["alignment"][name]["slope"]
        assert slope["value"] is None
        assert reason in slope["reason"]
    assert found["means"]["bias_sq_unbiased"]["value"] is None
    assert 0 < found["accuracy"]["value"] <= 1
    assert found["accuracy"]["interval"] is None


def test_a_truncated_member_is_trained_again_and_the_others_kept(fit, capsys):
    fit("--model.members=3")
    root = Path("runs/digits-mlp")
    expected = (root / "samples.csv").read_bytes()
    path = root / "members" / "0001" / "logits.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    kept = (root / "members" / "0002" / "logits.safetensors").stat().st_mtime_ns
    fit("--model.members=3")
    assert "member 1" in capsys.readouterr().err
    assert (root / "members" / "0002" / "logits.safetensors").stat().st_mtime_ns == kept
    assert (root / "samples.csv").read_bytes() == expected


def test_test_evaluates_the_finished_members_again(fit, bvalign, capsys):
    fit(*SIX)
    accuracy = summary("runs/digits-mlp")["accuracy"]["value"]
    bvalign("test", *TINY, "--trainer.logger=false")
    assert f"{accuracy:.4f}"[:6] in capsys.readouterr().out
    for logits in Path("runs/digits-mlp/members").rglob("logits.safetensors"):
        logits.unlink()
    with pytest.raises(SystemExit, match="runs/digits-mlp: no member is finished yet"):
        bvalign("test", *TINY, "--trainer.logger=false")


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("ours are mlp, cnn", ["--model.arch=nosuchnet"]),
        ("must be at least 1, got 0", ["--model.members=0"]),
        ("trainer.limit_test_batches=0.5 would", ["--trainer.limit_test_batches=0.5"]),
        ("couples them", ["--trainer.gradient_clip_val=1"]),
        ("seed is part of the run's identity", ["--seed_everything=true"]),
        (
            "sync_batchnorm couples the members of different ranks",
            "--trainer.accelerator=cpu --trainer.devices=2 --trainer.sync_batchnorm=true".split(),
        ),
    ],
)
def test_bad_settings_are_one_line(fit, capsys, message, arguments):
    with pytest.raises(SystemExit) as stopped:
        fit(*arguments)
    assert message in f"{stopped.value}{capsys.readouterr().err}"
    assert stopped.value.code != 0
    assert not Path("runs/digits-mlp/run.json").exists()


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("nosuchkey", ["--model.nosuchkey=1"]),
        ("NoSuchData", ["--data=NoSuchData"]),
        ("expected one of 'member', 'shared'; got maybe", ["--model.randomness.init=maybe"]),
    ],
)
def test_unknown_keys_are_one_line(bvalign, capsys, message, arguments):
    with pytest.raises(SystemExit) as stopped:
        bvalign("fit", "--trainer.logger=false", *arguments)
    assert message in capsys.readouterr().err
    assert stopped.value.code == 2


def test_no_data_and_no_network_is_one_line(bvalign, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("bvalign.data.CIFAR10.download", offline)
    with pytest.raises(SystemExit, match="put cifar-10-batches-py/"):
        bvalign("fit", "--data=CIFAR10", "--trainer.logger=false")


def test_ctrl_c_in_a_member_keeps_the_finished_ones():
    options = ["--model.members=60", "--model.pack_size=1", "--trainer.max_epochs=100"]
    options += ["--trainer.check_val_every_n_epoch=100", "--trainer.logger=false"]
    process = subprocess.Popen(
        bvalign_process("fit", *TINY, *options),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # shells start background jobs with Ctrl-C ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    first = Path("runs/digits-mlp/members/0000/logits.safetensors")
    for _ in range(2000):  # a busy machine takes a minute and more
        if first.exists():
            break
        time.sleep(0.1)
    assert first.exists()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "members are finished and kept; the same command continues" in err
    assert "Traceback" not in err
    assert 0 in RunDirectory("runs/digits-mlp").finished()[0]


def test_a_full_disk_is_one_line_and_keeps_what_was_there(fit, monkeypatch):
    fit("--model.members=1")
    kept = Path("runs/digits-mlp/members/0000/logits.safetensors").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemExit, match="could not write .*No space left on device"):
        fit("--model.members=2")
    assert Path("runs/digits-mlp/members/0000/logits.safetensors").read_bytes() == kept


def test_what_a_killed_fit_left_is_removed_and_the_report_says_nothing_of_it(fit):
    fit("--model.members=1")
    left = Path("runs/digits-mlp/members/0000/checkpoint-000004.safetensors")
    reports = Path("runs/digits-mlp/summary.json"), Path("runs/digits-mlp/report.html")
    before = [path.read_bytes() for path in reports]
    left.write_bytes(b"")
    fit("--model.members=1")
    assert not left.exists()
    assert [path.read_bytes() for path in reports] == before


def test_a_disk_that_fails_without_a_file_is_one_line(fit, monkeypatch):
    def failing(*_):
        raise OSError(5, "Input/output error")

    fit("--model.members=1")
    monkeypatch.setattr("fcntl.flock", failing)
    told = r"error: .*digits-mlp.*Input/output error\)"
    with pytest.raises(SystemExit, match=told):
        fit("--model.members=1")


def test_analyze_writes_a_report_for_anybodys_predictions(bvalign, capsys):
    logits, target = aligned_ensemble(samples=200)
    save_npz(Path("p.npz"), logits.float(), target)
    bvalign("analyze", "p.npz", "--out", "out")
    assert files("out") == FILES
    found = summary("out")
    assert found["alignment"]["logit_slope"]["slope"]["interval"]
    assert found["alignment"]["logit_slope"]["offset"]["interval"]
    assert found["num_members"] == 12
    assert "report: out/report.html" in capsys.readouterr().out


def test_analyze_and_report_write_of_a_run_what_fit_does(bvalign, fit):
    fit("--model.members=2")
    root = Path("runs/digits-mlp")
    bvalign("analyze", root, "--out", "again")
    assert Path("again/samples.csv").read_bytes() == (root / "samples.csv").read_bytes()
    (root / "samples.csv").unlink()
    bvalign("report", root)
    assert Path("again/samples.csv").read_bytes() == (root / "samples.csv").read_bytes()


@pytest.mark.usefixtures("without_figures")
def test_analyze_gives_errors_of_logs(bvalign):
    logits, target = random_ensemble(members=6, samples=60, classes=3, scale=2.0)
    save_npz("p.npz", logits.numpy(), target.numpy())
    bvalign("analyze", "p.npz", "--out", "out")
    row, left = samples("out")[0], [[j for j in range(6) if j != i] for i in range(6)]
    parts = [decompose(moments(logits[kept], target), target) for kept in left]
    for name in ("bias_sq", "variance"):
        logs = np.log([float(getattr(part, name)[0]) for part in parts])
        error = np.sqrt(5 / 6 * ((logs - logs.mean()) ** 2).sum())
        assert float(row[f"log_{name}_error"]) == pytest.approx(error)


def test_golden_ensembles_through_analyze(bvalign, golden, monkeypatch):
    monkeypatch.setattr("bvalign.show.report.labelled.plot", lambda _: {})
    groups = {}
    for case in golden["ensembles"]:
        if case["M"] >= 2:
            groups.setdefault((case["K"], case["M"]), []).append(case)
    for cases in groups.values():
        logits = np.stack([np.float32(case["logits"]) for case in cases], axis=1)
        save_npz(Path("g.npz"), logits, [case["y"] for case in cases])
        bvalign("analyze", "g.npz", "--out", "out")
        for row, case in zip(samples("out"), cases, strict=True):
            values = {k: float(v) for k, v in row.items()}
            check_golden(_Row(values), case["expect"], case["id"])


class _Row:
    def __init__(self, values):
        self.__dict__.update(values)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [("no such file", ["analyze", "none.npz"]), ("no run.json", ["analyze", "."])],
)
def test_bad_predictions_are_one_line(bvalign, message, arguments):
    with pytest.raises(SystemExit, match=message):
        bvalign(*arguments, "--out", "out")
    assert not Path("out").exists()


@pytest.mark.usefixtures("without_figures")
def test_a_place_that_cannot_be_written_is_one_line(bvalign, fit, monkeypatch):
    """Tests may run as root, who can write everywhere: the refusal is pretended."""
    logits, target = random_ensemble(samples=40)
    save_npz(Path("p.npz"), logits, target)
    with pytest.raises(SystemExit, match=r"p.npz cannot be a folder .*\(File exists\); "):
        bvalign("analyze", "p.npz", "--out", "p.npz")

    def refused(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(SystemExit, match=r"error: out cannot be a folder .*\(Permission denied\)"):
        bvalign("analyze", "p.npz", "--out", "out")
    told = r"runs/digits-mlp cannot be written \(Permission denied\); choose another --trainer"
    with pytest.raises(SystemExit, match=told):
        fit()


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("buffering", [1, -1])
def test_a_reader_that_has_read_enough_ends_the_command_quietly(
    bvalign, capsys, monkeypatch, buffering
):
    """As in `bvalign analyze p.npz --out out | head -1`; written line by line, or at the end."""
    save_npz(Path("p.npz"), *random_ensemble(samples=40))
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "w", buffering) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as stopped:
            bvalign("analyze", "p.npz", "--out", "out")
    assert stopped.value.code == 1
    assert "Broken pipe" not in capsys.readouterr().err


def test_a_bug_is_not_hidden_behind_one_line(bvalign, monkeypatch):
    def broken(*_, **__):
        return int("not a number")

    monkeypatch.setattr("bvalign.commands.report.analyze_and_report", broken)
    with pytest.raises(ValueError, match="invalid literal"):
        bvalign("report", ".")


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("logger", ["CSVLogger", "TensorBoardLogger"])
def test_other_loggers_work(bvalign, logger):
    bvalign("fit", *TINY, "--model.members=2", f"--trainer.logger={logger}",
            "--trainer.logger.save_dir=logs")  # fmt: skip
    keys = ["train/loss", "val/alignment/slope", "val/risk", "test/accuracy"]
    if logger == "CSVLogger":
        written = "".join(path.read_text() for path in Path("logs").rglob("*.csv"))
        assert all(key in written for key in keys)
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = defaultdict(set)
    for path in Path("logs").rglob("events*"):
        events = EventAccumulator(str(path)).Reload()
        for kind, tags in events.Tags().items():
            found[kind] |= set(tags if isinstance(tags, list) else [])
    assert found["scalars"] >= set(keys)
    assert found["images"] >= {"val/alignment", "test/alignment"}
    assert not list(Path().rglob("*wandb*"))


def test_the_live_metric_is_what_users_import():
    logits, target = random_ensemble()
    metric = BiasVariance(5, 4)
    metric.update(logits, target, torch.arange(5))
    assert metric.compute().risk.shape == (5,)


@pytest.mark.usefixtures("without_figures")
def test_files_of_samples_are_those_that_are_asked_for(bvalign, fit):
    fit("--model.members=2")
    root = Path("runs/digits-mlp")
    bvalign("analyze", root, "--out", "out", "--samples", "none")
    assert files("out") >= {"summary.json", "report.html"}
    assert not list(Path("out").glob("samples.*"))
    assert (root / "samples.csv").exists()
    bvalign("report", root, "--samples", "parquet")  # an old one would not belong to this summary
    assert [path.name for path in root.glob("samples.*[tv]")] == ["samples.parquet"]


@pytest.mark.usefixtures("without_figures")
def test_two_processes_share_the_samples_of_an_analysis(bvalign):
    logits, target = aligned_ensemble(samples=9000)  # three ranges
    save_npz(Path("p.npz"), logits.float(), target)
    np.save("families.npy", np.arange(9000) // 3)
    analyze = ("analyze", "p.npz", "--clusters", "families.npy", "--out")
    bvalign(*analyze, "one")
    run_process(bvalign_process(*analyze, "two", ranks=2))
    assert "clusters: 9,000 samples in 3,000 clusters" in summary("two")["notes"][-1]
    for file in ("samples.csv", "summary.json"):  # to the last digit
        assert Path("two", file).read_text() == Path("one", file).read_text(), file


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_training_keeps_the_memory_of_a_step_for_the_next():
    code = """
import resource
import torch
from bvalign.memory import keep_freed_memory

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step = [torch.ones(7 * 2**20) for _ in range(4)]
        del step
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
print(page_faults(), page_faults())
"""
    done = run_process([sys.executable, "-c", code])
    first, later = map(int, done.stdout.split())  # without it 280,000 both times
    assert later < first / 10
