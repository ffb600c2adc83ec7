"""Figures inside a page: well-formed, in its colours and fonts, with ids of their own."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from bvalign.show.figures import Line, Panel, Plot, alignment_scatter, svg
from bvalign.show.figures.svg import MOST_VECTORS, VARIABLES

ALT = 'A "cloud" of points < 1 & a line'


def scatter(samples):
    x = np.geomspace(1e-6, 1e-1, samples)
    panel = Panel("plug-in", x, x**0.9 / 3, [Line("ols", 0.9123, -1.1)])
    size = {"num_members": 8, "num_classes": 3}
    return Plot(lambda: alignment_scatter([panel], x < 1e-2, **size), "caption", ALT, {})


@pytest.fixture(scope="module")
def few():
    return svg(scatter(40), "few")


def test_a_figure_is_an_image_with_its_text(few):
    root = ElementTree.fromstring(few)
    assert root.get("role") == "img"
    assert root.get("aria-label") == ALT
    texts = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert "not feasible" in texts
    assert "variance, plug-in" in texts
    assert "these members: slope 0.912" in texts
    assert not [node for node in root.iter() if node.tag.endswith(("style", "metadata", "title"))]
    assert "DejaVu" not in few


def test_colours_are_variables_of_the_page(few):
    for colour in VARIABLES:
        assert colour.lower() not in few.lower(), colour
    for name in ("correct", "wrong", "ink", "line", "back"):
        assert f"var(--{name})" in few
    assert "<image" not in few


def test_ids_are_used_and_no_other_figure_has_them(few):
    ids = set(re.findall(r' id="([^"]+)"', few))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', few))
    assert ids == used
    assert ids
    assert all(name.startswith("few-") for name in ids)
    assert svg(scatter(40), "few") == few


def test_many_points_are_a_picture_that_a_dark_page_inverts():
    text = svg(scatter(20 * MOST_VECTORS), "many", 5.0)
    assert text.count('<image style="filter: var(--picture, none)"') >= 1
    assert len(text) < 150_000
    assert 'width="480"' in text
