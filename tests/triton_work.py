"""Triton's kernels in a process of their own: interpreted on the CPU, or compiled for GPUs.

`TRITON_INTERPRET=1 python -m tests.triton_work ...` prints errors of layers and of training steps
against torch in float64 as JSON, and without that variable what the compiler made of the kernels.
"""

import json
import re
import sys

import torch
from torch import nn
from torch.nn import functional

LAYERS = {  # of ResNet-20, by name: side, channels in, channels out, stride
    "stem": (32, 3, 16, 1),
    "16": (32, 16, 16, 1),
    "16 to 32": (32, 16, 32, 2),
    "32": (16, 32, 32, 1),
    "32 to 64": (16, 32, 64, 2),
    "64": (8, 64, 64, 1),
    "odd": (5, 5, 20, 2),  # neither powers of two nor multiples of anything
    "wide": (3, 96, 80, 1),  # several blocks of channels
}

KERNELS = "conv_forward conv_wgrad conv_dgrad batch_norm batch_norm_backward block_sum".split()


def layer_errors(name, dtype, members=2, batch=2):
    """Largest errors of one layer between two batch norms, each over the largest true number.

    u = relu(norm(y0)) → y = conv(u) → z = norm(y), and the gradient of Σ z g. A stem has u = y0.
    """
    from bvalign.ensemble.triton_conv import launches

    side, channels, out, stride = LAYERS[name]
    generator = torch.Generator().manual_seed(0)

    def draw(*size):
        return torch.randn(*size, generator=generator)

    conv = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
    norms = [nn.BatchNorm2d(n) for n in (channels, out)]
    conv.weight = nn.Parameter(draw(members, *conv.weight.shape) / (3 * channels**0.5))
    for norm in norms:
        size = (members, norm.num_features)
        norm.weight, norm.bias = nn.Parameter(1 + 0.2 * draw(*size)), nn.Parameter(draw(*size) / 2)
        norm.running_mean, norm.running_var = torch.zeros(size), torch.ones(size)
    y0 = (2 + draw(members, batch, side, side, channels)).to(dtype)
    found = _layer(launches, y0, conv, norms, draw, name == "stem")
    expected = _layer_alone(y0, conv, norms, found["g"], name == "stem")
    return {
        key: ((found[key].double() - true).abs().max() / true.abs().max()).item()
        for key, true in expected.items()
    }


def _layer(launches, y0, conv, norms, draw, stem):
    before = None
    if not stem:
        identity = _before(launches, y0, norms[0])
        before = launches.Conv(None, None, None, y0, identity)
    passed = launches.conv_forward(y0, before and before.norm, conv, norms[1], "ieee")
    found = {"y": passed.y, "mean": norms[1].running_mean, "var": norms[1].running_var}
    g = draw(*passed.y.shape).to(y0.dtype)
    found["g"] = g
    normalised = passed.y.float() - passed.norm[:, 2, None, None, None]
    normalised *= passed.norm[:, 3, None, None, None]
    sums = torch.stack([g.float().sum((1, 2, 3)), (g * normalised).sum((1, 2, 3))], 1)[:, None]
    gradients = launches.conv_wgrad(passed, g, sums, conv.stride[0], "ieee")
    found |= {"weight": gradients.weight, "gamma": gradients.gamma, "beta": gradients.beta}
    if before:
        dz, sums = launches.conv_dgrad(passed, gradients.y, before, None, conv.stride[0], "ieee")
        found |= {"dz": dz, "dgamma0": sums.sum(1)[:, 1], "dbeta0": sums.sum(1)[:, 0]}
    return found


def _before(launches, y, norm):
    """(members, 4, channels) of a batch norm, by torch."""
    mean, var = y.float().mean((1, 2, 3)), y.float().var((1, 2, 3), correction=0)
    inverse = (var + norm.eps).rsqrt()
    scale = (norm.weight * inverse).detach()
    return torch.stack([scale, norm.bias.detach() - scale * mean, mean, inverse], 1)


def _layer_alone(y0, conv, norms, g, stem):
    """The same by torch in float64; activations are rounded to the same dtype."""
    expected = {}
    for member in range(len(y0)):
        y = y0[member].double().permute(0, 3, 1, 2).requires_grad_()
        weights = [
            t[member].detach().double().requires_grad_()
            for t in (conv.weight, *(t for norm in norms for t in (norm.weight, norm.bias)))
        ]
        w, gamma0, beta0, gamma, beta = weights
        z0 = y if stem else functional.batch_norm(y, None, None, gamma0, beta0, True)
        z0.retain_grad()
        u = z0 if stem else functional.relu(z0)
        y1 = functional.conv2d(_rounded(u, y0.dtype), _rounded(w, y0.dtype), None, conv.stride, 1)
        mean, var = torch.zeros(len(w)).double(), torch.ones(len(w)).double()
        z = functional.batch_norm(_rounded(y1, y0.dtype), mean, var, gamma, beta, True)
        (z * g[member].double().permute(0, 3, 1, 2)).sum().backward()
        one = {"y": y1.detach().permute(0, 2, 3, 1), "mean": mean, "var": var}
        one |= {"weight": w.grad, "gamma": gamma.grad, "beta": beta.grad}
        if not stem:
            one["dz"] = z0.grad.permute(0, 2, 3, 1)
            one |= {"dgamma0": gamma0.grad, "dbeta0": beta0.grad}
        for key, value in one.items():
            expected.setdefault(key, []).append(value)
    return {key: torch.stack(values) for key, values in expected.items()}


def _rounded(x, dtype):
    """Rounding that gradients do not see."""
    return x + (x.to(dtype).double() - x).detach()


def step_errors(arch, side, dtype, steps):
    """Largest differences from `packed` in float64 after steps of SGD, of both plans in `dtype`.

    Of weights and buffers of all members. Blocks of pixels are large, as the interpreter is slow.
    """
    from bvalign.ensemble.triton_conv import launches
    from tests.networks import ensemble

    launches.PIXELS |= dict.fromkeys(launches.PIXELS, 512)
    launches.STEPS |= dict.fromkeys(launches.STEPS, 512)
    states = []
    for plan, kind in (("packed", torch.float64), ("packed", dtype), ("triton", dtype)):
        module = ensemble(plan, arch, (4, 1), (3, side, side), width=5)
        _train(module, kind, steps)
        states.append([module.pack.network_weights(member) for member in (4, 1)])
    exact, packed, triton = states
    return {
        "packed": _largest_difference(packed, exact),
        "triton": _largest_difference(triton, exact),
    }


def _train(module, dtype, steps):
    from tests.networks import batches

    drawn = list(batches(module, steps, 4, dtype if dtype == torch.float64 else torch.float32))
    module.to(drawn[0][0].dtype).train()
    module.on_train_epoch_start()
    optimizer = module.optimizer_of_all()
    for input, target in drawn:
        with torch.autocast("cpu", dtype=torch.float16, enabled=dtype == torch.float16):
            loss = module.training_step((input, target, target), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _largest_difference(states, exact):
    return max(
        (here[name].double() - true).abs().max().item()
        for here, there in zip(states, exact, strict=True)
        for name, true in there.items()
    )


def gradients_of_others(arch, side):
    """Whether the gradients of members 0, 1, 2 are the same after another batch for member 1."""
    from bvalign.ensemble.triton_conv import launches
    from tests.networks import batches, ensemble

    launches.PIXELS |= dict.fromkeys(launches.PIXELS, 512)
    launches.STEPS |= dict.fromkeys(launches.STEPS, 512)
    module = ensemble("triton", arch, (4, 1, 7), (3, side, side), width=4).train()
    (input, target), found = next(batches(module, 1, 4, torch.float32)), []
    for batch in (input, torch.cat([input[:1], input[1:2].flip(1), input[2:]])):
        module.zero_grad()
        module.on_train_epoch_start()
        module.training_step((batch, target, target), 0).backward()
        found.append([parameter.grad.clone() for parameter in module.parameters()])
    pairs = list(zip(*found, strict=True))
    return [all(torch.equal(a[row], b[row]) for a, b in pairs) for row in range(3)]


class Recorder:
    """Stands in for a kernel and notes how it is launched."""

    def __init__(self, kernel, launched):
        self.kernel, self.launched = kernel, launched

    def __getitem__(self, grid):
        def launch(*arguments, num_warps, num_stages=3, enable_fp_fusion, **constants):
            options = {"num_warps": num_warps, "num_stages": num_stages}
            options["enable_fp_fusion"] = enable_fp_fusion
            signature, attributes = {}, {}
            for at, (name, value) in enumerate(zip(self.kernel.arg_names, arguments, strict=False)):
                if value is None:
                    constants[name] = None
                elif isinstance(value, torch.Tensor):
                    signature[name] = {torch.float32: "*fp32"}.get(value.dtype) or (
                        "*bf16" if value.dtype == torch.bfloat16 else "*fp16"
                    )
                    attributes[(at,)] = [["tt.divisibility", 16]]
                else:
                    signature[name] = "fp32" if isinstance(value, float) else "i32"
            signature |= dict.fromkeys(constants, "constexpr")
            key = repr((self.kernel.__name__, signature, constants, options))
            self.launched[key] = (self.kernel, signature, constants, attributes, options)

        return launch


def compiled(arch, dtype, capability, only="conv"):
    """What the compiler makes of each kernel that a training step of 32 x 32 images launches."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from bvalign.ensemble.networks import create
    from bvalign.ensemble.stacked import stack
    from bvalign.ensemble.triton_conv import convolution, gradients, norms
    from bvalign.ensemble.triton_conv.resnet import Arithmetic, features

    launched = {}
    for module in (convolution, gradients, norms):
        for name, kernel in vars(module).copy().items():
            if name in KERNELS:
                setattr(module, name, Recorder(kernel, launched))
    network = stack([create(arch, 10, (3, 32, 32))])
    features(network, torch.zeros(1, 16, 3, 32, 32), Arithmetic(dtype, "ieee")).sum().backward()
    found = []
    for kernel, signature, constants, attributes, options in launched.values():
        if not re.search(only, f"{kernel.__name__} {constants.get('SHAPE')}"):
            continue
        source = ASTSource(kernel, signature, constants, attributes)
        made = triton.compile(source, GPUTarget("cuda", capability, 32), options)
        counts = {word: made.asm["ptx"].count(word) for word in ("mma.sync", "wgmma.mma_async")}
        found.append(
            {
                "kernel": kernel.__name__,
                "shape": constants.get("SHAPE"),
                "shared": made.metadata.shared,
                "cubin": len(made.asm["cubin"]),
                "products": sum(counts.values()),
            }
        )
    return found


def main(words):
    """Prints the result of each case, `WHAT:ARGUMENT:...`, by its name."""
    torch.backends.cudnn.conv.fp32_precision = torch.backends.cudnn.rnn.fp32_precision = "ieee"
    what = {
        "layer": lambda name, dtype: layer_errors(name, getattr(torch, dtype)),
        "step": lambda arch, side, dtype, steps: step_errors(
            arch, int(side), getattr(torch, dtype), int(steps)
        ),
        "others": lambda arch, side: gradients_of_others(arch, int(side)),
        "compile": lambda arch, dtype, capability, *only: compiled(
            arch, getattr(torch, dtype), int(capability), *only
        ),
    }
    results = {}
    for case in words:
        kind, *arguments = case.split(":")
        results[case] = what[kind](*arguments)
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
