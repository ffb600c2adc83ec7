"""Our networks use no operation that PyTorch refuses on a GPU in a deterministic run."""

import os
import re

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bvalign.ensemble import networks
from bvalign.ensemble.plans import plans_on
from tests import ROOT
from tests.networks import batches, ensemble, quiet_trainer

REFUSED = {
    "nn.AvgPool3d": "avg_pool3d_backward",
    "nn.AdaptiveAvgPool2d": "_adaptive_avg_pool2d_backward",
    "nn.AdaptiveAvgPool3d": "_adaptive_avg_pool3d_backward",
    "nn.AdaptiveMaxPool2d": "adaptive_max_pool2d_backward",
    "nn.FractionalMaxPool2d": "fractional_max_pool2d_backward",
    "nn.FractionalMaxPool3d": "fractional_max_pool3d_backward",
    "nn.MaxUnpool1d": "max_unpool2d",
    "nn.MaxUnpool2d": "max_unpool2d",
    "nn.MaxUnpool3d": "max_unpool3d",
    "nn.functional.interpolate": "upsample_linear1d_backward upsample_bilinear2d_backward "
    "upsample_bicubic2d_backward upsample_trilinear3d_backward _upsample_bilinear2d_aa_backward",
    "nn.ReflectionPad1d": "reflection_pad1d_backward",
    "nn.ReflectionPad2d": "reflection_pad2d_backward",
    "nn.ReflectionPad3d": "reflection_pad3d_backward",
    "nn.NLLLoss": "nll_loss2d_forward nll_loss2d_backward",  # that of vectors is deterministic
    "nn.CTCLoss": "_ctc_loss_backward",
    "nn.EmbeddingBag": "_embedding_bag_dense_backward",
    "Tensor.put_": "put_ put",
    "histc": "histc",
    "bincount": "bincount",
    "median": "median",
    "nn.functional.grid_sample": "grid_sampler_2d_backward grid_sampler_3d_backward",
    "Tensor.scatter_reduce": "scatter_reduce scatter_reduce_",
    "kthvalue": "kthvalue",
    "Tensor.resize_": "",  # of quantized tensors
    "Tensor.index_put": "",  # these are refused on Apple's GPUs only
    "Tensor.index_reduce": "index_reduce index_reduce_",
    "nn.Embedding": "",
    "nn.MaxPool2d": "",
}
"""What PyTorch's documentation says is refused -> the operations on a GPU that are."""

PLANS = plans_on(torch.device("cpu"))
RESNETS = re.compile(r"resnet(?!8_)\d+_cifar")  # more blocks of the same
OURS = [name for name in networks.OWN if not RESNETS.fullmatch(name)]
SHAPES = {"transformer": [(50, 1, 7)], "cnn": [(1, 8, 8), (3, 28, 28), (1, 2, 5)]}


class Operations(TorchDispatchMode):
    """The names of all operations, also of those that backward passes and vmap make."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


def operations(module):
    """Names of the operations of a training step and of an evaluation."""
    input, target = next(batches(module, 1, batch=4, dtype=torch.float32))
    optimizer = module.optimizer_of_all()
    module.on_train_epoch_start()
    with Operations() as found:
        module.train().training_step((input, target, target), 0).backward()
        optimizer.step()
        module.eval().test_step((input[0], target[0], target[0]), 0)
    return found.names


def pooled(num_classes, in_chans):
    return nn.Sequential(
        nn.Conv2d(in_chans, 2, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, num_classes)
    )


def unpooled(num_classes, in_chans):
    """Refused on a CPU, too."""

    class Unpool(nn.Module):
        def forward(self, input):
            small, where = nn.functional.max_pool2d(input, 2, return_indices=True)
            return nn.functional.max_unpool2d(small, where, 2)

    return nn.Sequential(Unpool(), nn.Flatten(), nn.Linear(64 * in_chans, num_classes))


def put(num_classes, in_chans):
    """Refused in the backward pass alone."""

    class Put(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            return input.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad.clone().put_(torch.tensor([0]), grad[:1, 0])

    class Through(nn.Module):
        def forward(self, input):
            return Put.apply(input)

    return nn.Sequential(nn.Flatten(), nn.Linear(64 * in_chans, num_classes), Through())


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("arch", "shape"), [(arch, shape) for arch in OURS for shape in SHAPES.get(arch, [(3, 8, 8)])]
)
def test_no_network_of_ours_uses_what_is_refused(arch, shape, plan):
    if (arch, plan) == ("transformer", "packed"):
        pytest.skip("not a plan for it")
    refused = {name for names in REFUSED.values() for name in names.split()}
    for loss in ("cross_entropy", "squared_error"):
        module = ensemble(plan, arch, image_shape=shape, loss=loss, label_smoothing=0.1)
        found = operations(module)
        assert len(found) > 20
        assert not found & refused


def test_the_kernels_of_plan_triton_add_in_a_fixed_order():
    sources = list((ROOT / "bvalign" / "ensemble" / "triton_conv").glob("*.py"))
    assert sources
    assert not [path.name for path in sources if "tl.atomic" in path.read_text()]


def test_what_is_refused_is_seen():
    for plan in PLANS:
        module = ensemble(plan, f"{__name__}.pooled")
        assert "_adaptive_avg_pool2d_backward" in operations(module)


@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="the list is that of PyTorch from 2.9 on"
)
def test_the_list_has_all_that_the_documentation_names():
    text = torch.use_deterministic_algorithms.__doc__.partition("operations will throw a")[2]
    items = text.partition("In addition,")[0].split("* :")[1:]
    named = {name for item in items for name in re.findall(r":`torch\.([\w.]+)`", f":{item}")}
    assert len(named) > 20
    known = {*REFUSED, "nn.MaxPool3d"}  # AvgPool3d stands beside it, for Apple's GPUs
    assert named <= known
    assert all(hasattr(torch.ops.aten, n) for names in REFUSED.values() for n in names.split())


def test_cnn_averages_the_regions_of_adaptive_pooling():
    for height in (1, 2, 3, 4, 7, 8, 14, 17):
        for width in (1, 4, 7, 16):
            input = torch.randn(2, 3, height, width, requires_grad=True)
            found, expected = networks.Halves()(input), nn.AdaptiveAvgPool2d(2)(input)
            assert torch.allclose(found, expected, rtol=0, atol=1e-7)
            grad = torch.randn_like(found)
            here, there = (torch.autograd.grad(o, input, grad)[0] for o in (found, expected))
            assert torch.allclose(here, there, rtol=0, atol=1e-6)
            if height in (4, 7, 8) and width in (4, 7):  # of 8 x 8, 28 x 28 and 32 x 32 images
                assert torch.equal(found, expected)
                assert torch.equal(here, there)
    names = list(networks.create("cnn", 10, (1, 8, 8)).state_dict())
    assert names[-3:] == ["body.7.num_batches_tracked", "fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("arch", "operation"), [("unpooled", "max_unpooling2d_forward_out"), ("put", "put_")]
)
def test_a_refused_operation_is_named_in_one_line(fit, arch, operation):
    arguments = f"--model.arch={__name__}.{arch} --trainer.deterministic=true --model.width=null"
    with pytest.raises(SystemExit) as stopped:
        fit(*arguments.split())
    assert stopped.value.code == (
        f"bvalign: error: trainer.deterministic=true: PyTorch has no deterministic {operation}; "
        "use another --model.arch, or --trainer.deterministic=warn, with which a run is not "
        "repeated to the bit"
    )


def test_lightning_lets_cublas_be_deterministic():
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    quiet_trainer(deterministic=True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.backends.cudnn.benchmark
