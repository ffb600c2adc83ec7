"""What `bvalign.analyze` returns: an analysis that writes its report and plots itself.

The package `analysis` knows nothing of figures and files. These classes are its results with what a
report needs beside the numbers; matplotlib is imported when there is something to draw.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bvalign.analysis.decompositions import Column
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions import Decisions, Options, decide
from bvalign.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False, kw_only=True)
class Reported:
    """A result with what it was computed from.

    Attributes:
        predictions: names, images and texts of the samples; the logits are not kept.
        origin: where the predictions come from, for summary.json.
        decisions: what answers each question, by its key.
    """

    predictions: Predictions
    origin: dict[str, object]
    decisions: Decisions

    def columns(self) -> dict[str, Column]:
        """Columns of samples.csv by name, in order."""
        columns = super().columns()
        for decision in self.decisions.values():
            columns |= decision.columns()
        return columns

    def report(self, out: Path | str, *, samples: str | None = None) -> Path:
        """Writes report.html, summary.json and the samples, as `bvalign analyze` does.

        Args:
            out: a folder, created if missing.
            samples: `both` samples.csv and samples.parquet, the default up to a million samples,
                `csv`, `parquet`, the default above, or `none`; those of before that are not
                written are removed.

        Returns:
            The path of report.html.

        Raises:
            ValueError: `samples` is none of these.
        """
        from bvalign.show.report import write_report

        out = Path(out).expanduser()
        given = {"decisions": self.decisions, "samples": samples}
        write_report(self, self.predictions, self.origin, out, **given)
        return out / "report.html"


@dataclass(frozen=True, repr=False)
class Result(Reported, Analysis):
    """Numbers of one ensemble on labelled samples; prints as the main ones."""

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Plots the alignment scatter of the report: variance over squared bias of each sample.

        Args:
            ax: axes to plot on, without the panel of unbiased values; by default a new figure.
        """
        from bvalign.show.figures.plots import alignment_figure

        return alignment_figure(self, ax)

    def _repr_html_(self) -> str:
        """The table that commands print, for notebooks."""
        from bvalign.show.report import print_main_numbers

        console = Console(
            file=io.StringIO(), record=True, force_terminal=True, force_jupyter=False, width=100
        )
        print_main_numbers(self, console)
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


@dataclass(frozen=True, repr=False)
class UnlabelledResult(Reported, UnlabelledAnalysis):
    """Numbers of one ensemble on samples without labels; prints as the main ones."""

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Plots variance over confidence of each sample.

        Args:
            ax: axes to plot on; by default those of a new figure.

        Raises:
            ValueError: there is one member.
        """
        from bvalign.show.figures.plots import variance_figure

        return variance_figure(self, ax)


def result_of(
    analysis: Analysis | UnlabelledAnalysis,
    predictions: Predictions,
    origin: dict[str, object],
    options: Options,
) -> Result | UnlabelledResult:
    """Joins an analysis, what it answers, and what it was computed from."""
    kind = UnlabelledResult if isinstance(analysis, UnlabelledAnalysis) else Result
    shown = replace(predictions, read=_not_kept)
    about = {
        "predictions": shown,
        "origin": origin,
        "decisions": decide(analysis, options),
    }
    return kind(**vars(analysis), **about)


def _not_kept(start: int, stop: int) -> None:
    raise ValueError("a result does not keep the logits; read them from the predictions themselves")
