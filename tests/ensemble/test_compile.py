"""Members that are trained through torch.compile are the same members, and share its code."""

import json

import jaxtyping
import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from bvalign import Ensemble
from bvalign.ensemble.trial import choose_plan
from bvalign.predictions import RunDirectory
from bvalign.predictions.run.claims import settle_plan
from tests.networks import NETWORKS, ensemble, quiet_trainer, trained


@pytest.fixture(autouse=True)
def _shapes_are_not_checked(monkeypatch):
    """torch.compile cannot trace what jaxtyping keeps of each call."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def compile_with(backend, monkeypatch):
    """Lets every torch.compile end in a backend that is quicker than the one that writes C++."""
    torch._dynamo.reset()
    compile = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda run, options, **rest: compile(run, backend=backend, **rest)
    )


@pytest.fixture
def counter(monkeypatch):
    """Counts in `frame_count` what is compiled; graphs of forward and backward run uncompiled."""
    counter = CompileCounterWithBackend("aot_eager")
    compile_with(counter, monkeypatch)
    return counter


def assert_same_members(found, expected):
    assert list(found.state_dict()) == list(expected.state_dict())
    for member in found.members:
        here, there = found.pack.network_weights(member), expected.pack.network_weights(member)
        assert list(here) == list(there)
        assert list(found.pack.slots(member)) == list(expected.pack.slots(member))
        for key in there:
            # 20 steps in float64
            assert torch.allclose(here[key], there[key], rtol=0, atol=1e-8), key


@pytest.mark.parametrize("plan", ["auto", "packed"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet8"])
def test_members_share_one_code_and_end_with_the_weights_they_have_without(name, plan, counter):
    members = range(10)  # more than torch compiles one function for
    found, _ = trained(ensemble(plan, members=members, compile=True, **NETWORKS[name]), 20)
    plan = "sequential" if plan == "auto" else plan
    expected, _ = trained(ensemble(plan, members=members, **NETWORKS[name]), 20)
    assert_same_members(found, expected)
    input = torch.randn(10, 7, 1, 8, 8, dtype=torch.float64)
    logits = [module.eval()(input) for module in (found, expected)]
    assert torch.allclose(*logits, rtol=0, atol=1e-8)
    assert counter.frame_count == 1


def test_compiled_kernels_draw_the_masks_of_dropout_that_others_do():
    torch._dynamo.reset()
    networks = {"arch": "tests.networks.dropping"}
    found, _ = trained(ensemble("sequential", compile=True, **networks), 20)
    expected, _ = trained(ensemble("sequential", **networks), 20)
    assert_same_members(found, expected)


def test_a_compiler_that_is_missing_is_said_in_a_line(monkeypatch):
    def missing(graph, inputs):
        raise RuntimeError("no working g++\nsecond line")

    compile_with(missing, monkeypatch)
    module = ensemble("sequential", compile=True)
    with pytest.raises(
        ValueError, match="failed .RuntimeError: no working g...; --model"
    ) as caught:
        trained(module, 1)
    assert "\n" not in str(caught.value)
    assert "model.compile=true needs a C++ compiler" in str(caught.value)


def test_vmap_is_not_compiled():
    with pytest.raises(ValueError, match="compile=true needs --model.plan=sequential or packed"):
        Ensemble(10, (1, 8, 8), plan="vmap", compile=True)


def test_compiling_is_asked_for_timed_and_recorded(counter, tmp_path):
    module = Ensemble(10, (1, 8, 8), arch="mlp", width=8, members=2, compile=True)
    assert module.identity() == Ensemble(10, (1, 8, 8), arch="mlp", width=8, members=2).identity()
    choice = choose_plan(module, module.members, 8, quiet_trainer())
    assert (choice.plan, choice.compiled, choice.seconds.keys()) == (
        "sequential",
        True,
        {"sequential"},
    )
    assert counter.frame_count == 1
    run = RunDirectory.open(tmp_path, {}, 2, 1, {})
    for compiled in (True, True, False, False, True):
        record = choice._replace(compiled=compiled)._asdict
        settle_plan(run, "sequential", record, device="cpu", compiled=compiled)
    assert [plan["compiled"] for plan in RunDirectory(tmp_path).info["plans"]] == [
        True,
        False,
        True,
    ]


def test_fit_compiles_once_and_says_so(counter, fit, capsys, tmp_path):
    fit("--model.compile=true", "--model.members=3", "--model.pack_size=2")
    assert "plan sequential, compiled (ms per step of 2 members: " in capsys.readouterr().err
    (plan,) = json.loads((tmp_path / "runs/digits-mlp/run.json").read_text())["plans"]
    assert plan["compiled"]
    assert counter.frame_count == 1
