"""The network for short schedules, the weights that it takes from the data, and views of images."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from bvalign import Ensemble
from bvalign.data import Digits
from bvalign.ensemble import networks
from bvalign.ensemble.views import averaged
from bvalign.ensemble.whitened import EPSILON, whitening_filters
from bvalign.predictions import RunDirectory
from tests.networks import quiet_trainer

WIDTHS = {"widths": [4, 6]}


def images(num=40, channels=2, size=(5, 6)):
    """Images whose neighbouring pixels and channels are correlated."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(num, channels, *size, generator=generator)
    return noise + 2 * noise.roll(1, -1) + noise.flip(1) + 0.5


def fitted(plan="sequential", members=(0, 3), **trainer):
    module = Ensemble(10, (1, 8, 8), arch="whitened_cnn", arch_args=WIDTHS, members=4, plan=plan)
    module.assign(members)
    data = Digits(batch_size=20, num_train=100, num_test=20)
    quiet_trainer(limit_val_batches=0, **trainer).fit(module, data)
    return module, data


def test_whitened_patches_are_uncorrelated():
    input = images()
    filters = whitening_filters(input)
    assert filters.shape == (16, 2, 2, 2)
    assert torch.equal(filters[8:], -filters[:8])
    found = functional.conv2d(input.double(), filters[:8])
    moments = torch.zeros(8, 8, dtype=torch.float64)
    for image in found:
        for row in range(4):
            for column in range(5):
                moments += torch.outer(image[:, row, column], image[:, row, column]) / (40 * 20)
    values = 1 / filters[:8].flatten(1).square().sum(dim=1) - EPSILON  # of the patches' moments
    assert torch.allclose(moments, torch.diag(values / (values + EPSILON)), atol=1e-12)
    assert (values.diff() < 0).all()
    for component in filters[:8].flatten(1):
        assert component[component.abs().argmax()] > 0


def test_constant_images_give_finite_filters():
    assert whitening_filters(torch.zeros(3, 1, 4, 4)).isfinite().all()


def test_the_network_begins_by_passing_channels_on():
    network = networks.create("whitened_cnn", 10, (3, 32, 32), widths=(30, 40))
    maps = torch.randn(2, 24, 9, 9)
    assert torch.equal(network.body[1](maps)[:, :24], maps)
    maps = torch.randn(2, 30, 9, 9)
    assert torch.equal(network.body[5](maps), maps)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert "whiten.bias" in trained
    assert "whiten.weight" not in trained
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert f"{name}.bias" in trained
            assert f"{name}.weight" not in trained
    paper = networks.create("whitened_cnn", 10, (3, 32, 32))
    assert sum(p.numel() for p in paper.parameters()) == 1_972_792
    assert paper.forward_features(torch.randn(2, 3, 32, 32)).shape == (2, 256)


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 3, 3), (3, 17, 20), (1, 28, 28)])
def test_small_images_are_pooled_while_there_is_something_to_pool(shape):
    network = networks.create("whitened_cnn", 5, shape, widths=(4, 4, 4))
    assert network(torch.randn(2, *shape)).shape == (2, 5)


@pytest.mark.parametrize("plan", ["sequential", "packed", "vmap"])
def test_members_begin_with_the_filters_of_the_data_and_keep_them(plan):
    module, data = fitted(plan, max_steps=3)
    data.setup()
    expected = whitening_filters(data.normalise(torch.from_numpy(data.arrays.train_images)))
    for member in module.members:
        weights = module.pack.network_weights(member)
        assert torch.equal(weights["whiten.weight"], expected.float())
        assert (weights["body.3.weight"] == 1).all()
        assert not (weights["whiten.bias"] == 0).any()
        assert torch.equal(module.pack.network(member).whiten.weight, expected.float())
    first, second = (module.pack.network_weights(m)["fc.weight"] for m in module.members)
    assert not torch.allclose(first, second)


def test_a_trainer_without_a_data_module_is_told_so():
    module = Ensemble(10, (1, 8, 8), arch="whitened_cnn", arch_args=WIDTHS)
    with pytest.raises(ValueError, match="WhitenedCNN begins with weights of the training inputs"):
        quiet_trainer(max_steps=1, limit_val_batches=0).fit(module, [], [])


def test_a_run_stores_the_mean_logits_of_the_views(fit, tmp_path):
    options = ("--model.arch=whitened_cnn", '--model.arch_args={"widths": [4, 6]}')
    fit("--model.width=null", *options, "--model.members=1", "--model.test_views=6")
    run = RunDirectory(tmp_path / "runs/digits-whitened_cnn")
    network = networks.create("whitened_cnn", 10, (1, 8, 8), **WIDTHS).eval()
    network.load_state_dict(run.member(0).weights())
    data = Digits(num_train=100, num_test=57)
    data.setup()
    input = data.normalise(torch.from_numpy(data.arrays.test_images))
    with torch.no_grad():
        expected = averaged(lambda view: network(view)[None], input, 6)[0]
        assert not torch.allclose(network(input), expected, atol=1e-2)
    assert torch.allclose(run.member(0).logits(), expected, atol=1e-5)


def test_views_are_mirrored_and_shifted_by_one_pixel():
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(3, 2, 4, 5, generator=generator)
    seen = []
    for views, weights in ((1, [1]), (2, [0.5] * 2), (6, [0.25] * 2 + [0.125] * 4)):
        seen.clear()

        def logits(view):
            seen.append(view)
            return view.flatten(1)[None]

        found = averaged(logits, input, views)
        assert len(seen) == views
        expected = sum(w * view for w, view in zip(weights, seen, strict=True))
        assert torch.allclose(found, expected.flatten(1)[None])
        assert torch.equal(seen[0], input)
    down = input[:, :, [1, 0, 1, 2]][..., [1, 0, 1, 2, 3]]  # reflected, then one pixel off
    up = input[:, :, [1, 2, 3, 2]][..., [1, 2, 3, 4, 3]]
    crops = [view for crop in (input, down, up) for view in (crop, crop.flip(-1))]
    assert all(torch.equal(view, crop) for view, crop in zip(seen, crops, strict=True))
    with pytest.raises(ValueError, match="test_views=2 needs images"):
        averaged(logits, torch.zeros(3, 7), 2)
