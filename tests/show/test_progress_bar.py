"""Progress bars: where there is nothing to draw them with, there are none."""

import pytest
from rich.console import Console

from bvalign.show import progress_bar


@pytest.mark.parametrize(
    ("notebook", "widgets", "shown"),
    [(True, None, False), (True, object(), True), (False, None, True)],
)
def test_a_notebook_needs_widgets(monkeypatch, notebook, widgets, shown):
    monkeypatch.setattr(progress_bar, "find_spec", lambda name: widgets)
    bar = progress_bar.progress(Console(force_jupyter=notebook))
    assert bar.disable is not shown
