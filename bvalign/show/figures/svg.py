"""Figures as SVG inside a page: its fonts, its colours in light and dark, and no strange ids."""

import html
import io
import re

import matplotlib as mpl
from matplotlib.collections import PathCollection

from bvalign.show.figures.plot import Plot
from bvalign.show.figures.style import (
    AREA,
    BOUND,
    CORRECT,
    FIT,
    GRID,
    HALO,
    OTHER_LINE,
    PAGE,
    WRONG,
    styled,
)

VARIABLES = {
    CORRECT: "correct",
    WRONG: "wrong",
    OTHER_LINE: "other-line",
    FIT: "ink",
    BOUND: "soft",
    AREA: "soft",
    HALO: "back",
    GRID["color"]: "line",
    "#D0D0D0": "line",
}
"""Colour -> variable of the page's style sheet that stands for it."""

MOST_VECTORS = 300
"""Points of a figure that a page holds one by one; more of them are a picture inside the figure."""

DPI, FILTER = 144, 'style="filter: var(--picture, none)"'
"""Of these pictures."""

ROOT = (
    '<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg" '
    'width="{width}" height="{height}" viewBox="{box}" role="img" aria-label="{alt}" '
    'style="max-width: 100%; height: auto; fill: var(--ink); stroke-linejoin: round; '
    'stroke-linecap: butt">'
)


def svg(plot: Plot, name: str, width: float | None = None) -> str:
    """Draws a figure as an element for a page that has the variables in VARIABLES.

    Pictures of clouds whose points are shaded have the filter `var(--picture)`, which a dark page
    sets to `invert(1) hue-rotate(180deg)`: dark shades are lost on it.

    Args:
        plot: the figure and its alternative text.
        name: unique in the page; all ids begin with it.
        width: inches of 96 pixels; by default that of the style for pages.
    """
    content = io.BytesIO()
    with styled(PAGE, width), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure = plot.draw()
        clouds = figure.findobj(PathCollection)
        points = sum(len(cloud.get_offsets()) for cloud in clouds)
        for cloud in clouds:
            cloud.set_rasterized(points > MOST_VECTORS)
        shaded = any(cloud.get_array() is not None for cloud in clouds)
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(content, format="svg", dpi=DPI, transparent=True, metadata=metadata)
    text = _inside_a_page(content.getvalue().decode(), name, plot.alt)
    return text.replace("<image ", f"<image {FILTER} ") if shaded else text


def _inside_a_page(text: str, name: str, alt: str) -> str:
    """Takes from a file what does not belong into a page, and puts in what does."""
    root = re.search(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt" viewBox="([^"]+)"', text)
    sizes = [f"{float(value) * 96 / 72:.0f}" for value in root.groups()[:2]]
    body = text[text.index(">", root.end()) + 1 :]
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "",
                  body, flags=re.DOTALL)  # fmt: skip
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", body)
    body = re.sub(r'( id="|href="#|url\(#)', rf"\1{name}-", body)
    body = re.sub(r"(font: [^'\";]*?[\d.]+px) [^;\"]+", r"\1 var(--font, sans-serif)", body)
    body = re.sub(r"font-family: [^;\"]+", "font-family: var(--font, sans-serif)", body)
    for colour, variable in VARIABLES.items():
        body = re.sub(rf"{colour}\b", f"var(--{variable})", body, flags=re.IGNORECASE)
    body = re.sub(r"\s*\n\s*", "\n", body)
    body = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), body)
    box, quoted = root.group(3), html.escape(alt)
    return ROOT.format(width=sizes[0], height=sizes[1], box=box, alt=quoted) + body
