"""Members that are forked from one network after some epochs."""

import numpy as np
import pytest
import torch

from bvalign import Ensemble, Randomness
from bvalign.data import Digits
from bvalign.data.augmentation import Augmentation
from bvalign.randomness import Streams
from tests.networks import quiet_trainer

FORKED = Randomness(shared_epochs=2)


def trained(members, epochs, arch="mlp", plan="packed", randomness=FORKED):
    """Weights of each member after some epochs of four; the schedule does not know the end."""
    data = Digits(batch_size=20, num_train=100, num_test=20)
    module = Ensemble(
        10, data.image_shape, arch, members=8, plan=plan, randomness=randomness, lr=0.05,
        schedule="constant",
    )  # fmt: skip
    module.assign(members)
    trainer = quiet_trainer(max_epochs=epochs, limit_val_batches=0, precision="64-true")
    trainer.fit(module, data)
    return {
        m: torch.cat([v.flatten() for v in module.pack.network_weights(m).values()])
        for m in members
    }


@pytest.mark.parametrize(
    ("arch", "plan"),
    [("mlp", "packed"), ("cnn", "vmap"), ("tests.networks.dropping", "sequential")],
)
def test_members_are_one_network_until_they_are_forked(arch, plan):
    at_fork = trained([1, 4], 2, arch, plan)
    assert torch.equal(at_fork[1], at_fork[4])
    later = trained([1, 4], 3, arch, plan)
    assert (later[1] - later[4]).abs().max() > 1e-3
    never = trained([1, 4], 1, arch, plan, Randomness())
    assert (never[1] - never[4]).abs().max() > 1e-3


def test_packs_do_not_matter_before_and_after_the_fork():
    together = trained([0, 4, 6], 3, "cnn", "packed")
    for member in (4, 6):
        alone = trained([member], 3, "cnn", "sequential")
        assert torch.allclose(together[member], alone[member], rtol=0, atol=1e-8)


def test_before_the_fork_streams_are_the_shared_ones_and_after_it_the_members_own():
    shared = Streams(3, Randomness("shared", "shared", "shared"))
    own, forked = Streams(3), Streams(3, FORKED)
    for epoch in range(4):
        for source in ("init", "order", "augmentation"):
            expected = shared if epoch < 2 else own
            draw = expected.generator(source, 5, epoch).random()
            assert forked.generator(source, 5, epoch).random() == draw
    # numbered by the training step, and named by no field
    masks = [[forked.torch_seed("dropout", m, 40, during=e) for m in (0, 1)] for e in (1, 2)]
    assert masks[0][0] == masks[0][1]
    assert masks[1] == [own.torch_seed("dropout", m, 40) for m in (0, 1)]


def test_another_attempt_begins_with_the_network_of_all():
    first, again = Streams(0, FORKED), Streams(0, FORKED, attempts={3: 1})
    for epoch, equal in ((0, True), (1, True), (2, False)):
        draws = [streams.generator("order", 3, epoch).random() for streams in (first, again)]
        assert (draws[0] == draws[1]) == equal
    assert first.torch_seed("init", 3) == again.torch_seed("init", 3)


def test_alternating_flips_are_the_members_own_after_the_fork():
    augmentation, rows = Augmentation(flip="alternating"), np.arange(40)

    def flips(streams, epoch):
        return [augmentation.draw(streams, m, epoch, rows)[:, 2].tolist() for m in (0, 1)]

    forked = Streams(0, FORKED)
    for epoch in (0, 1):
        first, second = flips(forked, epoch)
        assert first == second
    assert flips(forked, 0)[0] == [1 - flip for flip in flips(forked, 1)[0]]
    for epoch in (2, 3):
        assert flips(forked, epoch) == flips(Streams(0), epoch)


def test_it_is_part_of_the_identity_where_it_is_used():
    assert FORKED.identity() == Randomness().identity() | {"shared_epochs": 2}
    assert "shared_epochs" not in Randomness().identity()


@pytest.mark.parametrize("bootstrap", ["member", "kfold"])
def test_epochs_are_not_shared_by_members_with_training_sets_of_their_own(bootstrap):
    with pytest.raises(ValueError, match=f"needs .*bootstrap=off or shared, got {bootstrap}:"):
        Randomness(bootstrap=bootstrap, shared_epochs=1)
    with pytest.raises(ValueError, match="shared_epochs must be at least 0, got -1"):
        Randomness(shared_epochs=-1)


def test_epochs_are_not_shared_by_members_with_labels_of_their_own():
    data = Digits(20, num_train=40, num_test=20, label_noise=0.5, label_noise_of="member")
    module = Ensemble(10, data.image_shape, "mlp", members=2, randomness=FORKED)
    with pytest.raises(ValueError, match="shared_epochs needs --data.label_noise_of=data"):
        quiet_trainer(max_epochs=1, limit_val_batches=0).fit(module, data)
