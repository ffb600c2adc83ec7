"""The report as one HTML page that needs no network: words, figures, samples, provenance."""

import base64
import io
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from jinja2 import Environment
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
    template = files("bvalign.show").joinpath("report.html.j2").read_text()
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    return environment.from_string(template).render(
        title=summary["data"]["name"],
        headline=headline.split("\n"),
        summary=summary,
        estimators=ESTIMATORS,
        figures=[
            {"name": name, "caption": CAPTIONS[name], "source": _data_uri(content)}
            for name, content in figures.items()
        ],
        extremes=_extremes(analysis, predictions),
    )


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
    names = predictions.class_names or tuple(map(str, range(analysis.num_classes)))
    return [
        {
            "index": int(analysis.index[row]),
            "label": names[int(analysis.target[row])],
            "prediction": names[int(analysis.prediction[row])],
            "bias_sq": float(analysis.decomposition.bias_sq[row]),
            "variance": float(analysis.decomposition.variance[row]),
            "votes": 1 - float(analysis.zero_one.error_rate[row]),
            "image": _thumbnail(predictions.images, int(row)),
        }
        for row in order[:SAMPLES_SHOWN]
    ]


def _thumbnail(images: np.ndarray | None, row: int) -> str | None:
    if images is None:
        return None
    channels_last = np.moveaxis(images[row], 0, -1)
    pixels = channels_last[..., 0] if channels_last.shape[-1] == 1 else channels_last
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return _data_uri(content.getvalue())


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _number(value: float | None, digits: int = 4) -> str:
    return "none" if value is None else f"{value:.{digits}g}"
