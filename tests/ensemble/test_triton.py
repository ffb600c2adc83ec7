"""Plan `triton`: its kernels against torch in the interpreter, compiled for GPUs, and refusals.

Whatever needs Triton runs in processes of their own (`tests.triton_work`), as the interpreter is
chosen when Triton is imported. The interpreter's products of bfloat16 are wrong, so numbers are
those of float32 and float16; bfloat16 is compiled.
"""

import json
import os
import sys
from importlib.util import find_spec

import pytest
import torch

from bvalign.ensemble.pack import initial_network
from bvalign.ensemble.plans import PLANS, make_pack, plans_on
from bvalign.ensemble.triton_conv import Triton, plan
from tests.processes import run_process
from tests.triton_work import LAYERS

needs_triton = pytest.mark.skipif(
    not find_spec("triton") or not hasattr(torch.backends.cudnn, "conv"),
    reason="needs Triton, and settings of precision that PyTorch has from 2.9 on",
)
LAST = "conv.* 64, 64, 1"
"""Kernels of the last stage."""
SHARED = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory that a program can have, by compute capability."""


def done(*cases, interpret=True):
    environment = os.environ | {"TRITON_INTERPRET": str(int(interpret))}
    out = run_process([sys.executable, "-m", "tests.triton_work", *cases], env=environment)
    return json.loads(out.stdout.splitlines()[-1])


def within(errors, dtype):
    """Rounding of one layer, as parts of the largest number.

    Float16 rounds to 2^-11, once in what is compared and once in each of its factors.
    """
    assert max(errors.values()) < {"float32": 2e-6, "float16": 2e-3}[dtype], errors


@needs_triton
def test_layers_and_a_step_are_those_of_torch():
    found = done("layer:odd:float32", "layer:odd:float16", "step:resnet8_cifar:4:float32:1")
    within(found["layer:odd:float32"], "float32")
    within(found["layer:odd:float16"], "float16")
    step = found["step:resnet8_cifar:4:float32:1"]
    assert step["triton"] < 3 * step["packed"] < 1e-4


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_of_resnet20_is_that_of_torch(name, dtype):
    (errors,) = done(f"layer:{name}:{dtype}").values()
    assert errors.keys() >= {"y", "mean", "var", "weight", "gamma", "beta"}
    assert ("dz" in errors) == (name != "stem")
    within(errors, dtype)


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    ["resnet20_cifar:8:float32:1", "resnet8_cifar:9:float32:3", "resnet20_cifar:8:float16:1"],
)
def test_training_steps_are_those_of_packed(case):
    """No further from float64 than `packed` is in the same precision, but for a factor."""
    (found,) = done(f"step:{case}").values()
    assert found["triton"] < 3 * found["packed"], found
    assert found["packed"] < (1e-3 if "float32" in case else 0.3)


@needs_triton
@pytest.mark.slow
def test_a_batch_of_one_member_leaves_the_others_gradients_alone():
    assert done("others:resnet8_cifar:4") == {"others:resnet8_cifar:4": [True, False, True]}


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize(
    ("dtype", "kernels"), [("bfloat16", LAST), ("bfloat16", "conv"), ("float16", "conv")]
)
def test_kernels_compile_to_products_of_matrices(capability, dtype, kernels):
    (made,) = done(
        f"compile:resnet14_cifar:{dtype}:{capability}:{kernels}", interpret=False
    ).values()
    assert {one["kernel"] for one in made} == {"conv_forward", "conv_wgrad", "conv_dgrad"}
    shapes = {tuple(one["shape"]) for one in made}
    assert len(shapes) == (6 if kernels == "conv" else 1)  # the stem, three stages, two steps down
    for one in made:
        assert one["products"] > 0, one
        assert one["cubin"] > 0, one
        assert one["shared"] <= SHARED[capability], one


def create(arch="resnet8_cifar"):
    return lambda member: initial_network(member, arch, 10, (3, 8, 8), {"width": 4})


@pytest.fixture
def interpreter(monkeypatch):
    """The plan is made as on a GPU; its kernels are not run."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(plan, "find_spec", lambda name: name)


def test_evaluation_and_weights_are_those_of_packed(interpreter):
    pack, packed = (kind((0, 1), create()).eval() for kind in (Triton, PLANS["packed"]))
    images = torch.randn(2, 3, 3, 8, 8)
    assert torch.equal(pack(images), packed(images))
    assert pack.state_dict().keys() == packed.state_dict().keys()


def test_another_network_is_refused(interpreter):
    message = "runs resnet8_cifar ... resnet110_cifar, got CNN; use --model.plan=packed"
    with pytest.raises(ValueError, match=message):
        make_pack("triton", (0, 1), create("cnn"), (3, 8, 8))


def test_another_precision_is_refused(interpreter):
    pack = Triton((0, 1), create()).double()
    message = "trains float32 weights on a GPU .* got torch.float64 on cpu; use --model.plan=packed"
    with pytest.raises(ValueError, match=message):
        pack(torch.randn(2, 3, 3, 8, 8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("package", "gpu", "message"),
    [
        (None, None, "needs the package triton, which torch for CUDA brings; use"),
        ("triton", None, "needs a GPU, but torch finds none; use"),
        ("triton", (7, 5), "needs a GPU of compute capability 8.0 or more, this one has 7.5; use"),
    ],
)
def test_what_the_plan_needs_is_said_in_a_line(monkeypatch, package, gpu, message):
    monkeypatch.setattr(plan, "find_spec", lambda name: package)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: gpu)
    with pytest.raises(ValueError, match=message):
        make_pack("triton", (0, 1), create(), (3, 8, 8))


def test_the_plan_is_tried_on_gpus_alone():
    assert plans_on(torch.device("cuda", 1)) == [*PLANS]
    assert plans_on(torch.device("cpu")) == ["sequential", "packed", "vmap"]
