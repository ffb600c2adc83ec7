"""The benchmarks run, compute what they say and judge by the stated goals; no test is of a time."""

import json
import math
import runpy
import subprocess
import sys

import pytest
import torch

from bvalign.ensemble.plans import plans_on
from tests import ROOT

FOLDER = ROOT / "benchmarks" / "throughput"
sys.path.append(str(FOLDER))  # last: `run` and the like are those of experiments/lab/

import goals  # noqa: E402
import gpu  # noqa: E402
import layers  # noqa: E402
import tables  # noqa: E402
import training  # noqa: E402
import usual  # noqa: E402
from workloads import QUICK, WORKLOADS  # noqa: E402

pytestmark = [
    pytest.mark.timeout(900),  # half a minute, on a machine that does nothing else
    pytest.mark.xdist_group("throughput"),  # one worker runs the command that several look at
]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The results and the page of the command with tiny sizes."""
    out = tmp_path_factory.mktemp("throughput")
    command = [sys.executable, FOLDER / "run.py", "--quick", "--out", out]
    subprocess.run(command, check=True, capture_output=True, timeout=800)
    return json.loads((out / "results.json").read_text()), (out / "results.md").read_text()


def spreads(value):
    """Every {min, median, max} in nested results."""
    if isinstance(value, dict) and value.keys() == {"min", "median", "max"}:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from spreads(part)


@pytest.mark.slow
def test_the_command_measures_every_part(quick):
    results, _ = quick
    assert results["quick"]
    parts = {"limits", "training", "fits", "statistics", "startup", "commands", "gpu", "recipe"}
    assert parts == results["seconds"].keys()
    assert parts <= results.keys()
    assert {"torch", "bvalign", "lightning"} <= results["made_with"]["versions"].keys()
    assert results["hardware"]["cores"] >= 1
    for found in results["training"].values():
        assert {"Lightning", "plain loop", "sequential", "packed", "vmap"} <= found["rows"].keys()
        assert found["auto"]["plan"] in found["rows"]
        assert found["flops"] > 0
        assert 0 < found["auto_of_best"] <= 1
    for row in results["limits"].values():
        assert all(row[kind]["best"] > 0 for kind in row if "float" in kind)
    assert all(size > 0 for size in results["statistics"]["small"]["peak_bytes"].values())


@pytest.mark.slow
def test_every_measurement_is_a_number_above_zero(quick):
    results, _ = quick
    parts = ("training", "fits", "statistics", "startup", "commands")
    found = [s for part in parts for s in spreads(results[part])]
    assert len(found) >= 30  # three of each way to train
    for one in found:
        assert 0 < one["min"] <= one["median"] <= one["max"] < math.inf


@pytest.mark.slow
def test_what_is_compared_computes_the_same(quick):
    results, _ = quick
    for found in results["training"].values():
        assert found["difference_float64"].keys() == {"packed", "vmap"}
        assert max(found["difference_float64"].values()) < 1e-8
    for found in results["fits"].values():  # float32, one epoch of four steps
        assert found["difference_from_bare"] < 1e-6
    assert results["statistics"]["small"]["difference"] < 1e-9


@pytest.mark.slow
def test_the_page_has_every_goal_and_no_gpu(quick):
    results, page = quick
    rows = goals.goals(results)
    assert len(rows) == 20
    for goal in rows:
        assert f"| {goal.what} | {goal.goal} | {goal.measured} | {goal.verdict} | " in page
    assert "not measured: quick" in page
    assert not {"nan", "inf", "None"} & set(page.replace("|", " ").split())


def even(value):
    return {"min": value, "median": value, "max": value}


GPU = {
    "device": "a GPU",
    "correctness": {"packed": 1e-12},
    "fits": {
        "members": 20,
        "data": "noise",
        "plan": {"plan": "packed", "reason": "ms per step", "graph": "on"},
        "seconds_per_epoch": {"fit": even(3.0), "0 workers": even(90.0), "8 workers": even(30.0)},
        "seconds_besides_epochs": even(9.0),
        "milliseconds": 0.4,
        "over_lightning": {"0 workers": even(30.0), "8 workers": even(10.0)},
    },
    "layers": [
        {"channels": 16, "side": 32, "precision": "bf16", "form": "loop"}
        | {"forward": 0.1, "dx": 0.1, "dw": 0.2}
    ],
    "steps": {
        "rows": {"packed": {"milliseconds": 0.5, "first_seconds": 1.0}},
        "batch_milliseconds": 0.01,
    },
    "curve": [{"members": 1, "milliseconds": 2.0, "peak_bytes": 2**30}],
    "kernels": [{"kernel": "a kernel", "share": 0.7}],
    "floor_milliseconds": 0.1,
}
RECIPE = {"device": "a GPU", "members": 64, "seconds": 360.0, "accuracy": 0.91, "notes": ["a copy"]}


GROWTH = [
    {
        "size": [members, 4000, 100],
        "nanoseconds_per_logit": {"min": 5.0, "median": 6.0, "max": 7.0},
        "peak_bytes": 2**20,
    }
    for members in (20, 80)
]


def test_parts_that_are_measured_later_say_with_what():
    made = {"hardware": {"processor": "a chip"}, "made_with": {"commit": "abc"}}
    stored = {"limits": 1, "gpu": 2, "seconds": {"limits": 3.0, "gpu": 4.0}, "made_with": {}}
    updated = runpy.run_path(str(FOLDER / "run.py"))["updated"]
    new = {"gpu": {"device": "a GPU"}, "recipe": {"not_measured": "no GPU"}}
    results = updated(stored, made | new | {"seconds": {"gpu": 6.0}}, ["gpu", "recipe"])
    assert results == stored | new | {
        "seconds": {"limits": 3.0, "gpu": 6.0},
        "later": {"gpu": made},
    }
    assert tables._later(results["later"]) == " Measured later: gpu on a chip at commit abc."


@pytest.mark.slow
def test_a_whole_run_judges_every_goal(quick):
    """The tiny numbers under the names of the whole run, and made-up ones of a GPU."""
    results, _ = quick
    tiny = results["fits"]["mlp"] | {"plan": "packed"}
    whole = results | {
        "training": dict.fromkeys(WORKLOADS, results["training"]["resnet8"]),
        "fits": dict.fromkeys(WORKLOADS, tiny),
        "statistics": results["statistics"]
        | {"large": results["statistics"]["small"], "growth": GROWTH},
        "gpu": GPU,
        "recipe": RECIPE,
    }
    rows = goals.goals(whole)
    assert {goal.verdict for goal in rows} == {"reached", "missed"}
    page = tables.markdown(whole)
    assert "100 members take 50 minutes for 200 epochs" in page
    assert "6.0 minutes, start-up and report included; their mean accuracy is 91.00%" in page
    assert all(goal.reason in page for goal in rows if goal.verdict == "missed")


def test_a_goal_is_reached_missed_or_not_measured():
    large = {
        "over_softmax": {"min": 1.0, "median": 3.5, "max": 4.0},
        "peak_bytes": {"statistics": 2**30},
        "seconds": {way: {"median": 2.0} for way in ("softmax", "statistics")},
    }
    slow, small = goals._statistics(large)
    assert (slow.verdict, small.verdict) == ("missed", "reached")
    assert slow.measured == "3.50x (1.00 to 4.00)"
    assert {g.verdict for g in goals._statistics(None)} == {"not measured"}
    fits = [goals._on_gpu(GPU), goals._on_gpu(GPU | {"floor_milliseconds": 0.2})]
    judged = [[goal.verdict for goal in rows] for rows in fits]
    assert judged == [["reached", "missed", "missed"], ["reached", "missed", "reached"]]
    assert "25%" in fits[0][2].measured
    assert goals._fast_recipe(RECIPE).verdict == "reached"
    assert goals._fast_recipe(RECIPE | {"seconds": 481}).verdict == "missed"
    assert goals._fast_recipe(RECIPE | {"accuracy": 0.899}).verdict == "missed"
    no_gpu = {"not_measured": "no GPU"}
    for goal in [*goals._on_gpu(no_gpu), goals._fast_recipe(no_gpu)]:
        assert (goal.measured, goal.verdict) == ("not measured: no GPU", "not measured")


def test_quick_results_replace_none(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--quick"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(FOLDER / "run.py"), run_name="__main__")
    assert stopped.value.code == 2
    assert "--quick needs --out" in capsys.readouterr().err


def test_committed_tables_are_those_of_the_json():
    if (FOLDER / "results.json").exists():
        results = json.loads((FOLDER / "results.json").read_text())
        assert not results["quick"]
        assert (FOLDER / "results.md").read_text() == tables.markdown(results)


def test_operations_of_an_mlp_by_hand():
    batch, layers_ = 16, (64 * 128, 128 * 128, 128 * 10)
    # forward, by input, by weight; nobody needs the gradient by the image
    assert training.step_flops(QUICK["mlp"]) == 2 * batch * (3 * sum(layers_) - layers_[0])


def test_bytes_of_a_resnet_by_hand():
    # first convolution 3 to 16 channels at 32 x 32; six more; to 32 at 16 x 16; five; to 64; five
    image = 32 * 32
    outputs = 7 * 16 * image + 6 * 32 * image // 4 + 6 * 64 * image // 16
    inputs = 3 * image + 7 * 16 * image + 6 * 32 * image // 4 + 5 * 64 * image // 16
    assert gpu.floor_bytes(WORKLOADS["resnet20"]) == 2 * 128 * 3 * (inputs + outputs)


def test_the_loaders_of_the_usual_loop_give_what_ours_do():
    workload = QUICK["mlp"]
    data = workload.datamodule()
    train = usual.PerSample(*data.arrays[:2], usual.transforms_of(data))
    image, target = train[3]
    expected = data.normalise(torch.from_numpy(data.arrays.train_images[3]))
    assert torch.allclose(image, expected, atol=1e-6)
    assert target == data.arrays.train_target[3]


def device_parts(device):
    """Everything that `gpu.on_gpu` does but whole fits and the profile, tiny."""
    workload = QUICK["resnet8"]
    differences = training.plan_differences(workload, device)
    assert {"packed", "vmap"} <= differences.keys()
    assert max(differences.values()) < 1e-8
    rows = layers.layers(2, 2, device, 0.0)
    assert len(rows) == 3 * 3 * 4
    assert all(row[name] > 0 for row in rows for name in ("forward", "dx", "dw"))
    steps = gpu.steps(workload, device, 0.0)
    assert {"sequential", "packed whole", "vmap", "packed whole bf16"} <= steps["rows"].keys()
    assert all(row["milliseconds"] > 0 for row in steps["rows"].values())
    curve = gpu.pack_curve(workload, (1, 2), device, 0.0)
    assert [row["members"] for row in curve] == [1, 2]
    return steps["rows"]


@pytest.mark.slow
def test_the_gpu_part_runs_on_a_cpu_too():
    device_parts("cpu")


def whole_fits(device):
    found = gpu.whole_fits(QUICK["resnet8"], device, rounds=1, workers=(0, 2))
    assert found["seconds_per_epoch"].keys() == {
        "fit",
        "Lightning, 0 workers",
        "Lightning, 2 workers",
    }
    assert found["over_lightning"].keys() == {"Lightning, 0 workers", "Lightning, 2 workers"}
    assert len(list(spreads(found))) == 6
    assert all(0 < one["median"] < math.inf for one in spreads(found))
    assert found["plan"]["seconds"].keys() == set(plans_on(torch.device(device)))
    step = found["seconds_per_epoch"]["fit"]["median"] / (2 * 5)  # two members, five steps
    assert found["milliseconds"] == pytest.approx(1000 * step)


@pytest.mark.slow
def test_whole_fits_are_compared_with_whole_epochs_of_the_usual_loop():
    whole_fits("cpu")


@needs_cuda
def test_compiled_steps_kernels_and_fits():
    rows = device_parts("cuda")
    assert "sequential compiled bf16" in rows
    assert gpu.kernels(QUICK["resnet8"])[0]["share"] > 0
    whole_fits("cuda")
