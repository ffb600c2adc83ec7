"""Rendering of all pages: the common parts of the templates, and numbers."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from bvalign.predictions import Predictions
from bvalign.predictions.run.identity import flatten

SAMPLES_SHOWN = 21
CHART = "decide_"
"""Begins the names of the charts of decisions among the figures of a page."""

MOST_CHARACTERS = {"text": 400, "name": 100}
"""Most characters of a text in a gallery, and of the name of a class."""


def render(
    template: str,
    summary: dict[str, object],
    headline: str,
    figures: dict[str, str],
    captions: dict[str, str],
    **more: object,
) -> bytes:
    """Renders a template of this folder with the parts common to all pages, as UTF-8.

    Args:
        template: name of a file that extends base.html.j2.
        summary: as in summary.json.
        headline: the main results, one paragraph per line.
        figures: SVG by name, with the charts of decisions.
        captions: by the same names.
        more: variables of this template alone.
    """
    loader = PackageLoader("bvalign", "show/report")
    environment = Environment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "percent": _percent}
    pieces = environment.get_template(template).generate(  # as a string it would take twice as much
        title=summary["data"]["name"],
        headline=headline.split("\n"),
        summary=summary,
        made={
            "Configuration": flatten(summary["identity"]),
            "Provenance": flatten(summary["provenance"]),
            "Software that wrote this page": summary["versions"],
        },
        figures=[
            {"name": name, "caption": captions[name], "svg": content}
            for name, content in figures.items()
            if not name.startswith(CHART)
        ],
        decisions=summary.get("decisions", {}),
        charts={
            name.removeprefix(CHART): content
            for name, content in figures.items()
            if name.startswith(CHART)
        },
        **more,
    )
    return b"".join(piece.encode() for piece in pieces)


def class_names(predictions: Predictions) -> tuple[str, ...]:
    """Returns a name for each class, its number by default."""
    names = predictions.class_names or tuple(map(str, range(predictions.num_classes)))
    return tuple(cut(name, "name") for name in names)


def cut(text: str, kind: str) -> str:
    """Cuts a string that is too long for a page, and says so.

    Args:
        text: of any length.
        kind: text or name.

    >>> cut("a" * 102, "name")[95:]
    'aaaaa … (2 more characters)'
    """
    most = MOST_CHARACTERS[kind]
    more = len(text) - most
    return text if more <= 0 else f"{text[:most]} … ({more:,} more characters)"


def _number(value: float | None, digits: int = 4) -> str:
    if value is None:
        return "none"
    return f"{'−' * (value < 0)}{abs(value):.{digits}g}"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"
