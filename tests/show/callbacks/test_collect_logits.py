"""A module that knows nothing of bvalign: its logits are kept, metric and scatter are logged."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, Subset, TensorDataset

import bvalign
from bvalign import AlignmentScatter, BiasVariance, CollectLogits
from bvalign.data import Digits
from bvalign.show.callbacks.collect_logits import Part, _once
from bvalign.show.callbacks.sample_ids import sample_ids
from tests.processes import run_process

INPUT = torch.randn(21, 5, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(INPUT, INPUT[:, :3].argmax(dim=1))


class Net(LightningModule):
    """Somebody's network; `gives` is what its steps return."""

    def __init__(self, gives=lambda logits, target: None):
        super().__init__()
        self.layer, self.gives = nn.Linear(5, 3), gives

    def forward(self, input):
        return self.layer(input)

    def test_step(self, batch, batch_idx):
        input, target = batch
        logits = self(input)
        self.log("loss", nn.functional.cross_entropy(logits, target.flatten()))
        return self.gives(logits, target)

    validation_step = test_step

    def predict_step(self, batch, _):
        return self(batch[0])

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def scores(module, batch):
    return module(batch[0]), batch[1]


def quick_trainer(*callbacks, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    options = {"logger": False, "enable_checkpointing": False, "max_epochs": 1} | options
    return Trainer(accelerator="cpu", callbacks=list(callbacks), **quiet, **options)


def evaluated(
    collect, seed=0, data=DATA, gives=lambda logits, target: None, loader=None, **options
):
    """The module of one seed after its test."""
    seed_everything(seed, verbose=False)
    module = Net(gives)
    quick_trainer(collect, **options).test(module, loader or DataLoader(data, 8), verbose=False)
    return module


def kept(seed=0, folder="members"):
    return load_file(f"{folder}/{seed}.safetensors")


def test_each_seed_is_a_file_and_all_together_are_the_metric():
    collect = CollectLogits("members", scores)
    modules = [evaluated(collect, seed) for seed in (3, 1, 2)]
    metric = BiasVariance(21, 3)
    for member, module in enumerate(modules):
        logits = module(INPUT).detach()
        metric.update(logits, DATA.tensors[1], torch.arange(21), member)
        found = kept((3, 1, 2)[member])
        torch.testing.assert_close(found["logits"], logits)
        assert found["labels"].equal(DATA.tensors[1])
    for found, value in zip(collect.metric.compute(), metric.compute(), strict=True):
        torch.testing.assert_close(found, value, rtol=1e-6, atol=1e-9)
    result = bvalign.analyze("members")
    torch.testing.assert_close(
        torch.from_numpy(result["bias_sq"]), collect.metric.compute().bias_sq
    )
    assert bvalign.open_predictions("members")[0].members == (1, 2, 3)


def test_means_are_logged_beside_those_of_the_module():
    logger = CSVLogger(".")
    collect = CollectLogits("members", scores)
    for seed in range(2):
        evaluated(collect, seed, logger=logger)
    with Path(logger.log_dir, "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["ensemble/members"]) for row in rows if row["ensemble/members"]] == [1, 2]
    last = [row for row in rows if row["ensemble/members"]][-1]
    for name in ("bias_sq", "variance", "risk"):
        mean = getattr(collect.metric.compute(), name).mean().item()
        assert float(last[f"ensemble/{name}"]) == pytest.approx(mean)
    assert any(row["loss"] for row in rows)


@pytest.mark.parametrize(
    "gives",
    [
        lambda logits, target: {"logits": logits, "target": target},
        lambda logits, target: (logits, target),
        lambda logits, target: {"loss": 0.0, "logits": logits.double(), "target": target.byte()},
        lambda logits, target: [logits.bfloat16().float(), target.unsqueeze(1)],
    ],
)
def test_without_a_function_it_takes_what_the_step_returns(gives):
    module = evaluated(CollectLogits("members"), gives=gives)
    torch.testing.assert_close(kept()["logits"].float(), module(INPUT).detach(), rtol=0.1, atol=0.1)
    assert bvalign.open_predictions("members")[0].target.tolist() == DATA.tensors[1].tolist()


@pytest.mark.parametrize(
    ("message", "gives"),
    [
        ("but test_step gave NoneType, NoneType, .* give it a function", lambda *_: None),
        ("but test_step gave NoneType", lambda *_: {"loss": torch.tensor(0.0)}),
        (r"but test_step gave \(8, 3\), NoneType", lambda logits, _: {"logits": logits}),
        (r"but test_step gave \(2, 8, 3\)", lambda z, y: (z.expand(2, *z.shape), y)),
        (r"but test_step gave \(8, 3\), \(7\,\)", lambda z, y: (z, y[1:])),
        (r"but test_step gave \(8, 3\), \(8\,\), \(1\,\)", lambda z, y: (z, y, y[:1])),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(message, gives):
    with pytest.raises(ValueError, match=message) as error:
        evaluated(CollectLogits("members"), gives=gives)
    assert "\n" not in str(error.value)
    assert not Path("members").exists()


def test_a_function_that_does_not_fit_is_named_as_such():
    with pytest.raises(ValueError, match=r"but the function gave \(8, 5\), \(8, 5\), int"):
        evaluated(CollectLogits("members", lambda module, batch: (batch[0], batch[0], 0)))
    with pytest.raises(ValueError, match="but the function gave NoneType"):
        evaluated(CollectLogits("members", lambda module, batch: "logits"))


def test_a_member_that_is_kept_is_refused_before_it_is_trained():
    collect = CollectLogits("members", scores)
    module = evaluated(collect, 4)
    with pytest.raises(
        ValueError, match=r"members/4\.safetensors is there already; .* or member=:"
    ):
        quick_trainer(collect).fit(
            module, DataLoader(DATA, batch_size=3), DataLoader(DATA, batch_size=8)
        )
    with pytest.raises(ValueError, match="there already"):
        evaluated(CollectLogits("members", scores, member=4), seed=5)
    evaluated(CollectLogits("members", scores, member=5), seed=6)
    assert bvalign.open_predictions("members")[0].members == (4, 5)


def test_without_a_seed_it_asks_for_one(monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    with pytest.raises(ValueError, match="call seed_everything"):
        quick_trainer(CollectLogits("members", scores)).test(Net(), DataLoader(DATA, batch_size=8))


def test_only_the_chosen_stage_is_kept():
    collect = CollectLogits("members", scores, stage="validate")
    seed_everything(0, verbose=False)
    module, loader = Net(), DataLoader(DATA, batch_size=8)
    quick_trainer(collect).fit(module, DataLoader(DATA, batch_size=3), loader)  # also validates
    quick_trainer(collect).test(module, loader, verbose=False)
    assert not Path("members").exists()
    quick_trainer(collect).validate(module, loader, verbose=False)
    torch.testing.assert_close(kept()["logits"], module(INPUT).detach())
    with pytest.raises(ValueError, match="stage must be one of test, validate, predict, got fit"):
        CollectLogits("members", stage="fit")


def test_predictions_need_no_labels():
    for seed in range(2):
        seed_everything(seed, verbose=False)
        collect = CollectLogits("members", stage="predict")
        quick_trainer(collect).predict(Net(), DataLoader(DATA, batch_size=8))
    assert set(kept()) == {"logits", "index"}
    assert collect.metric is None
    assert bvalign.analyze("members")["variance"].shape == (21,)
    collect = CollectLogits("labelled", scores, stage="predict")
    quick_trainer(collect).predict(Net(), DataLoader(DATA, batch_size=8))
    assert collect.metric.compute().count.tolist() == [1] * 21


def test_sample_ids_of_the_user_put_any_order_right():
    orders = torch.arange(21), torch.arange(21).flip(0), torch.randperm(21)
    collect = CollectLogits("members", lambda module, b: (module(b[0]), b[1], b[2]))
    for seed, order in enumerate(orders):
        data = TensorDataset(*(values[order] for values in DATA.tensors), 100 + order)
        seed_everything(seed, verbose=False)
        module = Net()
        module.test_step = lambda batch, batch_idx: None
        quick_trainer(collect).test(module, DataLoader(data, 8), verbose=False)
        assert kept(seed)["index"].tolist() == list(range(100, 121))
        torch.testing.assert_close(kept(seed)["logits"], module(INPUT).detach())
    assert collect.metric.compute().count.tolist() == [3] * 21


def test_ids_that_come_twice_are_refused():
    collect = CollectLogits("members", lambda module, b: (module(b[0]), b[1], b[1]))
    with pytest.raises(ValueError, match="sample 0 came twice, as did 17 others"):
        evaluated(collect)


def test_a_loader_that_shuffles_is_refused():
    for loader, name in (
        (DataLoader(DATA, batch_size=8, shuffle=True), "RandomSampler"),
        (DataLoader(DATA, batch_sampler=[[3, 1], [2, 0]]), "list"),
    ):
        with pytest.raises(ValueError, match=f"a loader with a {name} orders .* shuffle=False"):
            sample_ids(loader, 1)
    with pytest.warns(match="sampler has shuffling enabled"):  # noqa: SIM117
        with pytest.raises(ValueError, match="a RandomSampler orders"):
            evaluated(
                CollectLogits("members", scores),
                loader=DataLoader(DATA, batch_size=8, shuffle=True),
            )


def test_the_rows_of_a_loader_are_known_where_its_sampler_has_an_order():
    assert list(sample_ids(DataLoader(DATA, batch_size=8), 1)) == list(range(21))
    assert list(sample_ids(DataLoader(DATA, batch_size=None), 1)) == list(range(21))
    assert list(sample_ids(DataLoader(Subset(DATA, [4, 2]), 8), 1)) == [0, 1]
    assert list(sample_ids(DataLoader(DATA, batch_size=8, sampler=range(1, 21, 2)), 2)) == [
        *range(1, 21, 2)
    ]
    sampler = DistributedSampler(DATA, num_replicas=2, rank=1, shuffle=False)
    assert list(sample_ids(DataLoader(DATA, batch_size=8, sampler=sampler), 2)) == [
        *range(1, 21, 2),
        0,
    ]
    assert next(iter(sample_ids([DATA.tensors], 1))) == 0
    with pytest.raises(ValueError, match="rows of list are not known on 2 ranks"):
        sample_ids([DATA.tensors], 2)


def test_what_a_distributed_sampler_repeats_is_kept_once():
    part = lambda *rows: Part(torch.tensor(rows), torch.eye(5)[list(rows)], torch.tensor(rows))  # noqa: E731
    found = _once([part(0, 2, 4), part(1, 3, 0)], world_size=2)
    assert found.index.tolist() == found.target.tolist() == [0, 1, 2, 3, 4]
    assert found.logits.equal(torch.eye(5))
    with pytest.raises(ValueError, match="sample 0 came twice, as did 2 others; each rank must"):
        _once([part(0, 1, 2), part(0, 1, 2)], world_size=2)


def test_a_quick_run_and_a_diverged_member_are_not_kept(capsys):
    for name, value in (("fast_dev_run", True), ("limit_test_batches", 2)):
        evaluated(CollectLogits("members", scores), **{name: value})
        assert not Path("members").exists()
        (said,) = [line for line in capsys.readouterr().err.splitlines() if "Collect" in line]
        assert said.startswith(f"CollectLogits: {name}={value} ")
        assert said.endswith("so nothing is kept or drawn")
    collect = CollectLogits(
        "members", lambda m, batch: (m(batch[0]) / (batch[0] > -1.5)[:, :3], batch[1])
    )
    evaluated(collect, 6)
    assert (
        "members/6.safetensors is not written: logits are NaN or inf for" in capsys.readouterr().err
    )
    assert not Path("members").exists()
    evaluated(CollectLogits("members", scores), 7)
    assert bvalign.open_predictions("members")[0].members == (7,)


def test_a_second_loader_is_refused():
    module = Net()
    module.test_step = lambda batch, batch_idx, dataloader_idx: None
    with pytest.raises(ValueError, match="keeps one test set, got a second loader"):
        quick_trainer(CollectLogits("members", scores, member=0)).test(
            module, [DataLoader(DATA, batch_size=8)] * 2
        )


def test_members_of_other_samples_are_refused_by_name():
    collect = CollectLogits("members", scores)
    evaluated(collect, 0)
    with pytest.raises(
        ValueError, match=r"1\.safetensors is \(9, 3\) and 0\.safetensors \(21, 3\)"
    ):
        evaluated(collect, 1, data=Subset(DATA, range(9)))


def test_the_scatter_of_other_modules_points_here():
    with pytest.raises(ValueError, match=r"got NoneType; for a module of your own use .*Collect"):
        quick_trainer(AlignmentScatter()).test(Net(), DataLoader(DATA, batch_size=8))
    module = Net()
    module.test_step = lambda batch, batch_idx: {"logits": batch[0]}
    with pytest.raises(ValueError, match=r"got \['logits'\]; for a module of your own use .*Coll"):
        quick_trainer(AlignmentScatter()).test(module, Digits(num_train=20, num_test=21))


TWO_DEVICES = """
import sys; sys.path.insert(0, {root!r})
from tests.show.callbacks.test_collect_logits import *
collect = CollectLogits("members", scores)
for seed in range(2):
    seed_everything(seed)
    trainer = quick_trainer(collect, devices=2, strategy="ddp")
    trainer.fit(module := Net(), DataLoader(DATA, batch_size=4, shuffle=True))
    trainer.test(module, DataLoader(DATA, batch_size=4))
Path(f"rank{{trainer.global_rank}}").write_text(str(collect.metric.compute().count.tolist()))
"""


@pytest.mark.slow
def test_two_devices_keep_every_sample_once():
    root = str(Path(__file__).parents[3])
    Path("loop.py").write_text(TWO_DEVICES.format(root=root))
    run_process([sys.executable, "loop.py"])
    assert {Path(f"rank{rank}").read_text() for rank in range(2)} == {str([2] * 21)}
    for seed in range(2):
        assert kept(seed)["index"].tolist() == list(range(21))
        assert kept(seed)["labels"].equal(DATA.tensors[1])
