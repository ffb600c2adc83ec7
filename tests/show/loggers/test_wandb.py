"""W&B: what an offline run holds under the documented names, and where it lies."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bvalign.predictions.run.history import training_curves
from bvalign.show.loggers.wandb_numbers import results
from tests import ROOT
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble
from tests.processes import TINY, bvalign_process, run_process
from tests.wandb_records import artifacts, config, history, records, summary

SLOPE = ("slope", "intercept", "r_squared")
SCALARS = ("accuracy", "bias_sq", "variance", "risk", *(f"alignment/{key}" for key in SLOPE))
CURVES = [
    f"members/{k}/{v}" for k in ("train_loss", "val_accuracy") for v in ("mean", "low", "high")
]
pytestmark = pytest.mark.xdist_group("wandb")  # one worker trains what several tests look at
RESULTS = ("accuracy", "member_accuracy", "bias_sq", "variance", "risk", "ols")
ALONE = ("num_members", "quotable", "variance_share")  # numbers without an interval
FILES_OF_SAMPLES = "samples.csv", "samples.parquet"
TABLE = ["index", "label", "prediction", "correct", "bias_sq", "variance", "risk", "disagreement"]


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run of three members in two packs, then one more member: (run directory, outputs)."""
    folder = tmp_path_factory.mktemp("wandb")
    home = folder / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home), "MPLCONFIGDIR": str(folder / "mpl")}
    options = ["--model.pack_size=2", "--wandb.max_rows=50", "--wandb.log_predictions=true"]
    outputs = []
    for members, silent in ((3, "false"), (4, "true")):
        command = bvalign_process("fit", *TINY, f"--model.members={members}", *options)
        environment["WANDB_SILENT"] = silent
        outputs.append(run_process(command, env=environment, cwd=folder).stderr)
    assert [f for f in home.rglob("*") if f.is_file()] == []
    assert {p.name for p in folder.iterdir()} <= {"runs", "home", "mpl"}
    return folder / "runs" / "digits-mlp", outputs


@pytest.fixture
def starts(logged):
    """The records of both starts, in order."""
    return [records(path) for path in sorted(logged[0].glob("wandb/offline-run-*/*.wandb"))]


def test_without_a_login_it_is_offline_and_says_so(logged, starts):
    assert "no login; logging offline" in logged[1][0]
    assert len(starts) == 2


def test_wandb_warns_of_nothing(logged):
    assert "wandb: " in logged[1][0]  # it was not silenced
    assert "WARNING" not in logged[1][0]


def test_scalars_images_and_curves_are_under_their_names(starts):
    rows = history(starts[0])
    keys = {key for row in rows for key in row}
    assert {f"{stage}/{name}" for stage in ("val", "test") for name in SCALARS} <= keys
    assert {"train/loss", "members/epoch", *CURVES} <= keys
    for image in ("val/alignment", "test/alignment", "members/curves"):
        assert [row for row in rows if row.get(f"{image}._type") == "images/separated"], image
    # one image for each of two epochs of two packs, at the step of the epoch's scalars
    steps = {r["trainer/global_step"] for r in rows if "val/alignment._type" in r}
    assert steps == {r["trainer/global_step"] for r in rows if "val/risk" in r} == {4, 9}
    found = summary(starts[0])
    intervals = {f"result/{name}{end}" for name in RESULTS for end in ("", "_low", "_high")}
    assert intervals | {f"result/{name}" for name in ALONE} <= set(found)
    for key in ("members", "systematic", "wrong_labels", "calibrate"):
        low, high = found[f"decisions/{key}_low"], found[f"decisions/{key}_high"]
        assert low <= found[f"decisions/{key}"] <= high
    last = [row for row in rows if "test/bias_sq" in row][-1]
    assert found["result/bias_sq"] == pytest.approx(last["test/bias_sq"])


def test_the_curves_are_those_of_the_files(logged, starts):
    curves = training_curves(sorted(logged[0].glob("members/*")))
    rows = [row for row in history(starts[1]) if "members/train_loss/mean" in row]
    assert [row["members/epoch"] for row in rows] == curves.epoch.tolist() == [1, 2]
    for name in ("train_loss", "val_accuracy"):
        values = curves.values[name]
        assert values.shape == (4, 2)
        means = [row[f"members/{name}/mean"] for row in rows]
        np.testing.assert_allclose(means, values.mean(axis=0))


def test_the_table_has_images_and_a_part_of_the_samples(logged):
    assert "shows 50 of 57 samples, chosen at random with seed 0" in logged[1][0]
    paths = sorted(logged[0].glob("wandb/offline-run-*/files/media/table/test/samples_*.json"))
    table = json.loads(paths[0].read_text())
    assert table["columns"] == ["image", *TABLE]
    assert len(table["data"]) == 50
    assert [row[1] for row in table["data"]] == sorted({row[1] for row in table["data"]})
    assert {row[0] for row in table["data"]} == {"Image"}


def test_points_say_what_they_are_and_are_coloured(logged, starts):
    path = next(logged[0].glob("wandb/offline-run-*/files/media/plotly/test/*_points_*.json"))
    drawn = json.loads(path.read_text())
    rows = [row for row in history(starts[0]) if "test/alignment_points._type" in row]
    assert rows[-1]["test/alignment_points._type"] == "plotly-file"
    correct, wrong = drawn["data"]
    assert correct["marker"]["color"] != wrong["marker"]["color"]
    assert correct["name"] == f"correct ({len(correct['x'])})"
    for trace in drawn["data"]:
        assert isinstance(trace["x"], list)  # not packed, which an older Plotly does not know
        assert len(trace["x"]) == len(trace["y"]) == len(trace["customdata"]) > 0
        assert {label == prediction for _, label, prediction in trace["customdata"]} == {
            trace is correct
        }
    assert drawn["layout"]["xaxis"]["type"] == drawn["layout"]["yaxis"]["type"] == "log"


def test_report_and_predictions_are_artifacts(starts):
    found = artifacts(starts[1])
    assert found["report"] == {"report.html", "summary.json", *FILES_OF_SAMPLES}
    members = {f"members/000{member}/logits.safetensors" for member in range(4)}
    assert found["predictions"] == {"run.json", "samples.npz"} | members


def test_the_configuration_is_complete(logged, starts):
    found = config(starts[0])
    assert found["identity"]["model"]["lr"] == 0.1
    assert found["identity"]["data"]["name"] == "digits"
    assert found["provenance"]["versions"]["torch"]
    assert found["cli"]["model"]["members"] == 3
    assert found["cli"]["data"]["init_args"]["num_test"] == 57
    flat = {"data": "Digits", "data.num_test": 57, "model.width": 8, "trainer.max_epochs": 2}
    assert {key: found[key] for key in flat} == flat
    assert next(r.run for r in starts[0] if r.run.run_id).tags == ["digits", "mlp"]
    # another run may start from config.yaml: it must not name this one
    assert "logger: null" in (logged[0] / "config.yaml").read_text()


def test_the_same_directory_continues_the_same_run(logged, starts):
    first, second = (
        next(r.run for r in found if r.WhichOneof("record_type") == "run") for found in starts
    )
    identity = (logged[0] / "wandb" / "id").read_text()
    assert first.run_id == second.run_id == identity
    assert first.run_group == second.run_group == f"digits-mlp-{identity}"
    ends = [[row["_step"] for row in history(found)] for found in starts]
    assert max(ends[0]) < min(ends[1])


@pytest.mark.slow
def test_two_ranks_log_to_one_run():
    ranks = ("--trainer.accelerator=cpu", "--trainer.devices=2")
    run_process(bvalign_process("fit", *TINY, "--model.members=4", *ranks))
    (path,) = Path("runs/digits-mlp/wandb").glob("offline-run-*/*.wandb")
    rows = history(records(path))
    epochs = [row["epoch"] for row in rows if "train/loss" in row]
    assert epochs == [0, 1]  # once, not once for each rank
    curves = training_curves(sorted(Path("runs/digits-mlp").glob("members/*")))
    losses = [row["train/loss"] for row in rows if "train/loss" in row]
    np.testing.assert_allclose(losses, curves.values["train_loss"].mean(axis=0), rtol=1e-5)


def test_every_logged_key_is_documented(starts):
    page = (ROOT / "docs" / "wandb.md").read_text()
    logged_keys = {key for row in history(starts[0]) for key in row} | set(summary(starts[0]))
    for key in logged_keys:
        name = key.split(".")[0].removesuffix("_table")
        name = name.removesuffix("_low").removesuffix("_high").replace("test/", "val/")
        if "/" in name and not name.startswith("trainer/"):
            assert f"`{name}`" in page or f"`{name.replace('val/', 'test/')}`" in page, key


def test_a_table_without_rows_is_refused(fit):
    with pytest.raises(SystemExit, match="max_rows must be at least 1, got 0"):
        fit("--wandb.max_rows=0")


def test_slope_and_offset_are_logged_with_their_intervals():
    analysis = analysed(*aligned_ensemble(members=8, samples=100))
    found, logged = analysis.alignment.logit_slope, results(analysis, {})
    for name, number in (("slope", found.slope), ("offset", found.offset)):
        keys = (f"result/{name}{end}" for end in ("", "_low", "_high"))
        assert [logged[key] for key in keys] == [number.value, *number.interval]
    assert logged["result/quotable"] is found.quotable
    assert logged["result/accuracy"] == analysis.accuracy.value
    two = results(analysed(*aligned_ensemble(members=2, samples=40)), {})
    assert not two["result/quotable"]
    assert "result/slope" not in two
    assert two["result/ols_low"] < two["result/ols"] < two["result/ols_high"]
