"""Creates a W&B workspace with panels for the keys that bvalign logs; the README lists them.

    pip install 'bvalign[dashboard]'
    python examples/dashboard.py --entity my-team              # needs a W&B login
    python examples/dashboard.py --entity my-team --project bvalign --name "Alignment"

Prints the address of the new workspace. It shows every run of the project: select one to step
through its scatter, or several to compare slopes and offsets.
"""

import argparse
from collections.abc import Mapping, Sequence

import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as workspaces

MEANS = ("mean", "low", "high")
RESULTS = ("accuracy", "slope", "offset", "quotable", "ols")


def workspace(entity: str, project: str, name: str) -> workspaces.Workspace:
    """Builds the workspace without saving it.

    Args:
        entity: user or team.
        project: W&B project of the runs; bvalign logs to `bvalign`.
        name: name of the workspace.
    """
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            workspaces.Section(name=title, panels=content, is_open=title != "Neural collapse")
            for title, content in sections().items()
        ],
    )


def sections() -> dict[str, list]:
    """The panels of each section by its title."""
    return {
        "Alignment": [
            panels.MediaBrowser(title="the cloud forms", media_keys=["val/alignment"]),
            panels.MediaBrowser(title="all members", media_keys=["test/alignment"]),
            points(),
        ],
        "Results of all members": [
            *scalars([f"result/{key}" for key in RESULTS]),
            panels.ScatterPlot(
                title="slope and offset of the population: quote both or neither",
                x=summary("result/slope"),
                y=summary("result/offset"),
            ),
            panels.ScatterPlot(
                title="slope of the population and of these members",
                x=summary("result/slope"),
                y=summary("result/ols"),
            ),
            panels.ScatterPlot(
                title="squared bias and variance",
                x=summary("result/bias_sq"),
                y=summary("result/variance"),
                log_x=True,
                log_y=True,
            ),
            panels.WeavePanelSummaryTable(table_name="test/samples"),
        ],
        "While members train": lines(
            {
                "slope of log variance on log squared bias": ["val/alignment/slope"],
                "R² of log variance on log squared bias": ["val/alignment/r_squared"],
                "mean over samples": ["val/bias_sq", "val/variance", "val/risk"],
                "accuracy of the ensemble": ["val/accuracy"],
                "training loss, mean over the members in training": ["train/loss"],
            },
            "trainer/global_step",
        ),
        "Members, mean and 80% band": lines(
            {
                "training loss": [f"members/train_loss/{key}" for key in MEANS],
                "validation accuracy": [f"members/val_accuracy/{key}" for key in MEANS],
            },
            "members/epoch",
        ),
        "Neural collapse": lines(
            {
                "within-class over between-class variability": ["collapse/nc1"],
                "class means": ["collapse/nc2_norms", "collapse/nc2_cosines"],
                "classifier and class means": ["collapse/nc3", "collapse/nc4"],
            },
            "trainer/global_step",
        ),
    }


def points() -> panels.CustomChart:
    """The scatter drawn in the browser, from the table behind it."""
    return panels.CustomChart(
        query={"summaryTable": {"tableKey": "test/alignment_points_table"}},
        chart_name="wandb/scatter/v0",
        chart_fields={"x": "log10 bias_sq", "y": "log10 variance"},
        chart_strings={"title": "variance over squared bias"},
    )


def lines(content: Mapping[str, Sequence[str]], x: str) -> list[panels.LinePlot]:
    """A line plot for each title, with its keys."""
    return [panels.LinePlot(title=title, x=x, y=list(keys)) for title, keys in content.items()]


def scalars(keys: Sequence[str]) -> list[panels.ScalarChart]:
    """A panel with one number for each key of the summary."""
    return [panels.ScalarChart(title=key, metric=summary(key)) for key in keys]


def summary(key: str) -> panels.SummaryMetric:
    """A key in the summary of a run."""
    return panels.SummaryMetric(key)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entity", required=True, help="user or team")
    parser.add_argument("--project", default="bvalign", help="W&B project of the runs")
    parser.add_argument("--name", default="Bias-variance alignment", help="of the workspace")
    print(workspace(**vars(parser.parse_args())).save().url)
