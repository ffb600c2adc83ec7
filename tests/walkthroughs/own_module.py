"""Somebody's script with a LightningModule, before bvalign's lines come in."""

SCRIPT = """
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset
{import}


class Reader(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(10)
        )

    def forward(self, images):
        return self.net(images)

    def step(self, batch, name):
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log(name, loss)
        return loss

    def training_step(self, batch, batch_idx):
        return self.step(batch, "train")

    def test_step(self, batch, batch_idx):
        self.step(batch, "test")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


images, digits = map(torch.from_numpy, load_digits(return_X_y=True))
images = images.float().reshape(-1, 1, 8, 8) / 16
train, test = (TensorDataset(images[s], digits[s]) for s in (slice(0, 500), slice(500, None)))
{collect}
for seed in range(5):
    seed_everything(seed)
    reader = Reader()
    trainer = Trainer(
        max_epochs=5,
        logger=CSVLogger("logs"),
        enable_checkpointing=False,
        enable_progress_bar=False,
{callbacks}
    )
    trainer.fit(reader, DataLoader(train, 50, shuffle=True))
    trainer.test(reader, DataLoader(test, 200), verbose=False)
{rest}
"""
"""Five seeds of a reader of digits; in braces where lines are added."""


def with_lines(lines):
    """The script with the lines that a page adds to its own."""
    (imported,) = [line for line in lines if line.startswith("from bvalign")]
    (collect,) = [line for line in lines if line.startswith("collect = ")]
    (callbacks,) = [line for line in lines if line.strip().startswith("callbacks=")]
    rest = lines[lines.index(callbacks) + 1 :]
    places = {"import": imported, "collect": collect, "callbacks": callbacks}
    script = SCRIPT
    for place, line in (places | {"rest": "\n".join(rest)}).items():
        script = script.replace(f"{{{place}}}", line)
    return script
