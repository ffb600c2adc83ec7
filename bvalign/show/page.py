"""The report as one HTML page that needs no network: words, figures, samples, provenance."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jinja2 import Environment, PackageLoader
from PIL import Image

from bvalign.analysis.summary import Analysis
from bvalign.predictions import Predictions

SAMPLES_SHOWN = 24
CAPTIONS = {
    "alignment_log": "One point per test sample, darker where more of them lie. Both axes span the "
    "same decades, so slope one is the dashed diagonal. Left the values of these members, right "
    "the unbiased estimates for the law they are drawn from.",
    "alignment_linear": "The same on linear axes: samples that the ensemble gets wrong lie to the "
    "right of squared bias 1/2, below the edge of what is feasible.",
    "slope_over_members": "The same ensemble cut into smaller ones. A slope that still moves at "
    "the right end is not yet a property of the models.",
    "ratio": "Variance over squared bias, sample by sample. No ensemble of M members can exceed "
    "M - 1, whatever its models are.",
    "gain_from_members": "What a larger ensemble would bring. The mean of m members has the risk "
    "bias² + variance / m (unbiased values): more members take the variance away and never the "
    "squared bias, which is the dashed limit. Right, how often the mean of m members errs.",
    "disagreement": "How often two members disagree, over how often they err, for every pair. On "
    "average the two are equal if the shares of votes are calibrated; below the line the members "
    "err together more than they should.",
    "collapse": "The model of neural collapse takes the logits of a sample as a margin for the "
    "label plus noise. Left, the noise in these logits beside the laws it could follow. Right, "
    "what the best of them predicts at the margins of these samples: for this many members, and "
    "for infinitely many.",
    "reliability": "Is the mean of the members calibrated? Where accuracy equals confidence in "
    "every bin, the mean gap between squared bias and variance is uncertainty alone.",
}
ESTIMATORS = {
    "cross_half": "cross-half: bins, means and correctness from three separate groups of members; "
    "the one to quote",
    "ols": "OLS on plug-in values, as in the paper: pulled towards one by the finite ensemble",
    "ols_unbiased": "OLS on unbiased values: less pulled, but logs of noisy numbers",
    "split_half": "split-half: one half of the members is the instrument for the line of the other",
    "corrected": "OLS on unbiased values less the estimated errors of both axes",
    "reversed": "1 / OLS of log squared bias on log variance, plug-in: an upper end",
    "orthogonal": "least perpendicular distance, plug-in: between OLS and reversed",
    "slope_one": "slope held at one: the offset and the spread around it",
}


def page(
    analysis: Analysis,
    predictions: Predictions,
    summary: dict[str, object],
    figures: dict[str, bytes],
    headline: str,
) -> str:
    """The HTML.

    Args:
        analysis: the numbers.
        predictions: class names and images.
        summary: as in summary.json.
        figures: PNG by name.
        headline: the main numbers as lines of text.
    """
    return render(
        "report.html.j2",
        summary,
        headline,
        figures,
        CAPTIONS,
        estimators=ESTIMATORS,
        extremes=_extremes(analysis, predictions),
    )


def render(
    template: str,
    summary: dict[str, object],
    headline: str,
    figures: dict[str, bytes],
    captions: dict[str, str],
    **more: object,
) -> str:
    """A template of this folder with what all pages show.

    Args:
        template: name of the file.
        summary: as in summary.json.
        headline: the main numbers as lines of text.
        figures: PNG by name.
        captions: by the same names.
        more: what this template alone shows.
    """
    loader = PackageLoader("bvalign", "show")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    return environment.get_template(template).render(
        title=summary["data"]["name"],
        headline=headline.split("\n"),
        summary=summary,
        figures=[
            {"name": name, "caption": captions[name], "source": _data_uri(content)}
            for name, content in figures.items()
        ],
        **more,
    )


def class_names(predictions: Predictions) -> tuple[str, ...]:
    """One name per class, its number where none is known."""
    return predictions.class_names or tuple(map(str, range(predictions.num_classes)))


def thumbnail(images: np.ndarray | None, row: int) -> str | None:
    """An image as the source of an `<img>`."""
    if images is None:
        return None
    channels_last = np.moveaxis(images[row], 0, -1)
    pixels = channels_last[..., 0] if channels_last.shape[-1] == 1 else channels_last
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return _data_uri(content.getvalue())


def _extremes(analysis: Analysis, predictions: Predictions) -> list[dict[str, object]]:
    d = analysis.decomposition
    choices = {
        "Most biased: the members are wrong together": d.bias_sq,
        "Most variable: the members disagree": d.variance,
    }
    return [
        {
            "title": title,
            "samples": _cards(analysis, predictions, score.argsort(descending=True)),
        }
        for title, score in choices.items()
    ]


def _cards(
    analysis: Analysis, predictions: Predictions, order: Sequence[int]
) -> list[dict[str, object]]:
    names = class_names(predictions)
    return [
        {
            "index": int(analysis.index[row]),
            "label": names[int(analysis.target[row])],
            "prediction": names[int(analysis.prediction[row])],
            "bias_sq": float(analysis.decomposition.bias_sq[row]),
            "variance": float(analysis.decomposition.variance[row]),
            "votes": 1 - float(analysis.zero_one.error_rate[row]),
            "image": thumbnail(predictions.images, int(row)),
        }
        for row in order[:SAMPLES_SHOWN]
    ]


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _number(value: float | None, digits: int = 4) -> str:
    return "none" if value is None else f"{value:.{digits}g}"
