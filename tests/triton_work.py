"""Triton's kernels in a process of their own: interpreted on the CPU, or compiled for GPUs.

`TRITON_INTERPRET=1 python -m tests.triton_work ...` prints errors of layers and of training steps
against torch in float64 as JSON, and without that variable what the compiler made of the kernels.
"""

import json
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
        dz, sums = launches.conv_dgrad(
            passed, gradients.y, before, None, conv.stride[0], "ieee"
        )
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


def step_errors(arch, side, dtype, steps=1, **arguments):
    """Differences of plan `triton` from `packed` in float64 after SGD, over those of float32.

    Float16 is compared in the same way, with `packed` under autocast.
    """
    from tests.networks import batches, ensemble

    arguments = {"arch": arch, "image_shape": (3, side, side), "members": 8} | arguments
    results = {}
    for plan, kind in (("packed", torch.float64), ("packed", dtype), ("triton", dtype)):
        module = ensemble(plan, members=(4, 1), **arguments)
    return results


def main(words):
    kind, *cases = words
    torch.backends.cudnn.allow_tf32 = False
    results = {}
    for case in cases:
        if kind == "layers":
            name, dtype = case.split(":")
            results[case] = layer_errors(name, getattr(torch, dtype))
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
