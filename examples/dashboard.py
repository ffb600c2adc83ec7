"""Creates a W&B workspace with panels for the keys that bvalign logs; docs/wandb.md lists them.

    pip install 'bvalign[dashboard]'
    python examples/dashboard.py --entity my-team              # needs a W&B login
    python examples/dashboard.py --entity my-team --project bvalign --name "Alignment"

Prints the address of the new workspace. It shows every run of the project: select one to look at
its samples, or several, as those of a sweep, to compare them. `--parameter` is what a sweep varies.
"""

import argparse
from collections.abc import Mapping, Sequence

import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as workspaces

MEANS = ("mean", "low", "high")
OVERVIEW = ("accuracy", "member_accuracy", "risk", "variance_share", "num_members")
ALIGNMENT = ("slope", "offset", "quotable", "ols")
DECISIONS = {
    "decisions/members": "error that more members would take away, fraction of samples",
    "decisions/systematic": "errors that all members share, fraction of errors",
    "decisions/wrong_labels": "labels expected to be wrong",
    "decisions/calibrate": "change of the cross-entropy by calibration, nats",
    "decisions/abstain": "predictions to accept, fraction",
}


def workspace(
    entity: str, project: str, name: str, parameter: str = "model.width"
) -> workspaces.Workspace:
    """Builds the workspace without saving it.

    Args:
        entity: user or team.
        project: W&B project of the runs; bvalign logs to `bvalign`.
        name: name of the workspace.
        parameter: option that differs between the runs.
    """
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            workspaces.Section(name=title, panels=content, is_open=title != "Neural collapse")
            for title, content in sections(parameter).items()
        ],
    )


def sections(parameter: str) -> dict[str, list]:
    """The panels of each section by its title."""
    return {
        "Overview": [
            *scalars({f"result/{key}": key for key in OVERVIEW}),
            panels.ScatterPlot(
                title="squared bias and variance",
                x=summary("result/bias_sq"),
                y=summary("result/variance"),
                log_x=True,
                log_y=True,
            ),
            panels.RunComparer(diff_only="split"),
        ],
        "Alignment": [
            panels.MediaBrowser(
                title="each sample: hover, zoom, click the legend",
                media_keys=["test/alignment_points"],
            ),
            panels.MediaBrowser(title="all members", media_keys=["test/alignment"]),
            panels.MediaBrowser(title="the cloud forms", media_keys=["val/alignment"]),
            *scalars({f"result/{key}": key for key in ALIGNMENT}),
            panels.ScatterPlot(
                title="slope and offset of the population: quote both or neither",
                x=summary("result/slope"),
                y=summary("result/offset"),
            ),
            panels.WeavePanelSummaryTable(table_name="test/samples"),
        ],
        "Decisions": scalars(DECISIONS),
        "Members": [
            *lines(
                {
                    "training loss, mean and 80% band": [
                        f"members/train_loss/{key}" for key in MEANS
                    ],
                    "validation accuracy, mean and 80% band": [
                        f"members/val_accuracy/{key}" for key in MEANS
                    ],
                },
                "members/epoch",
            ),
            *lines(
                {
                    "slope of log variance on log squared bias": ["val/alignment/slope"],
                    "R² of log variance on log squared bias": ["val/alignment/r_squared"],
                    "mean over samples": ["val/bias_sq", "val/variance", "val/risk"],
                    "accuracy of the ensemble": ["val/accuracy"],
                    "training loss, mean over the members in training": ["train/loss"],
                },
                "trainer/global_step",
            ),
        ],
        "Sweep": sweep(parameter),
        "Neural collapse": lines(
            {
                "within-class over between-class variability": ["collapse/nc1"],
                "class means": ["collapse/nc2_norms", "collapse/nc2_cosines"],
                "classifier and class means": ["collapse/nc3", "collapse/nc4"],
            },
            "trainer/global_step",
        ),
    }


def sweep(parameter: str) -> list:
    """How results go with an option: all at once, then each with both ends of its interval."""
    results = ("accuracy", "bias_sq", "variance", "slope", "offset")
    varied = option(parameter)
    columns = [panels.ParallelCoordinatesPlotColumn(varied, display_name=parameter)]
    columns += [
        panels.ParallelCoordinatesPlotColumn(summary(f"result/{key}"), display_name=key)
        for key in results
    ]
    plots = [
        panels.ScatterPlot(
            title=f"{key}{end.replace('_', ', ')} over {parameter}",
            x=varied,
            y=summary(f"result/{key}{end}"),
        )
        for key in results
        for end in ("", "_low", "_high")
    ]
    return [panels.ParallelCoordinatesPlot(title=parameter, columns=columns), *plots]


def option(name: str) -> panels.Config:
    """An option in the configuration of a run.

    Panels from Python take dots as levels, so it is that of the whole, nested configuration.
    """
    return panels.Config(f"cli.{name.replace('data.', 'data.init_args.', 1)}")


def lines(content: Mapping[str, Sequence[str]], x: str) -> list[panels.LinePlot]:
    """A line plot for each title, with its keys."""
    return [panels.LinePlot(title=title, x=x, y=list(keys)) for title, keys in content.items()]


def scalars(titles: Mapping[str, str]) -> list[panels.ScalarChart]:
    """A panel with one number for each key of the summary."""
    return [
        panels.ScalarChart(title=title.replace("_", " "), metric=summary(key))
        for key, title in titles.items()
    ]


def summary(key: str) -> panels.SummaryMetric:
    """A key in the summary of a run."""
    return panels.SummaryMetric(key)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entity", required=True, help="user or team")
    parser.add_argument("--project", default="bvalign", help="W&B project of the runs")
    parser.add_argument("--name", default="Bias-variance alignment", help="of the workspace")
    parser.add_argument("--parameter", default="model.width", help="option that a sweep varies")
    print(workspace(**vars(parser.parse_args())).save().url)
