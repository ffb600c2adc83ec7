"""Reports of all kinds of predictions are written, escaped, self-contained and small."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bvalign import analyze, open_predictions
from bvalign.show.report import write
from bvalign.show.report.explorer import data as interactive
from bvalign.show.report.page.report import MOST_BYTES
from bvalign.show.report.page.thumbnails import PER_ROW
from tests.ensembles import aligned_ensemble
from tests.show.report.reports import EVIL, images, predictions


@pytest.fixture
def html(monkeypatch, tmp_path):
    """Writes the report of predictions without figures, and reads its page."""
    monkeypatch.setattr(write, "draw", lambda plots: {})

    def html(source, samples="none"):
        return analyze(source).report(tmp_path, samples=samples).read_text()

    return html


def test_names_are_escaped_and_nothing_is_fetched(html):
    text = html(predictions(images=images(), class_names=EVIL))
    assert "<script>document.title" not in text
    library = text.index('id="table-library"')
    own = text[:library] + text[text.index("</script>", library) :]
    addresses = re.findall(r"""(?:src|href)=["']?(?!data:|#)([^"'>\s]+)""", own)
    assert {address for address in addresses if "//" in address} == set()
    assert "url(http" not in own
    assert "@import" not in own


def test_a_page_of_more_samples_than_it_can_hold_says_so(html, monkeypatch):
    monkeypatch.setattr(interactive, "MOST_SAMPLES", 50)
    monkeypatch.setattr(interactive, "EXTREME_POINTS", 20)
    assert "100 are left out; samples.csv has all." in html(predictions(), "both")
    assert "100 are left out." in html(predictions())


@pytest.mark.slow
def test_ten_thousand_images_stay_within_the_limit(html):
    noise = images(10_000, side=32, seed=1).astype(np.float32)
    smooth = sum(np.roll(noise, shift, axis) for shift in range(4) for axis in (2, 3)) / 8
    text = html(predictions(samples=10_000, members=2, images=smooth.astype(np.uint8)))
    assert len(text.encode()) <= MOST_BYTES
    number = int(re.search(r'"thumbnails":(\d+)', text).group(1))
    assert number >= 2000
    assert "Thumbnails are compressed" in text


@pytest.mark.slow
def test_many_long_texts_stay_within_the_limit(html):
    words = np.random.default_rng(0).integers(32, 127, size=(10_000, 3000), dtype=np.uint8)
    lengths = np.random.default_rng(1).integers(20, 3000, size=10_000)
    texts = [bytes(row[:n]).decode() for row, n in zip(words, lengths, strict=True)]
    text = html(predictions(samples=10_000, members=2, texts=tuple(texts)))
    assert 0.9 * MOST_BYTES < len(text.encode()) <= MOST_BYTES
    shortened = int(re.search(r"([\d,]+) long texts are shortened", text).group(1).replace(",", ""))
    assert 0 < shortened < 10_000


@pytest.mark.parametrize(
    ("members", "shift"),
    [(1, 0), (2, 0), (3, 0), (6, 0), (6, 1)],
    ids=["one", "two", "three", "right", "wrong"],
)
def test_reports_of_degenerate_predictions_are_written(tmp_path, members, shift):
    source = predictions(samples=40, members=members, wrong=0)
    source = replace(source, target=(source.target + shift) % 5)
    text = analyze(source).report(tmp_path).read_text()
    assert ("Most variable" in text) == (members > 1)
    assert ("Furthest from the line" in text) == (members > 1 and not shift)


def test_a_page_of_votes_is_written(html, tmp_path):
    logits, target = aligned_ensemble(members=4, samples=30, sigma=6)
    np.savez(tmp_path / "votes.npz", votes=logits.argmax(dim=-1), labels=target)
    assert "votes" in html(open_predictions(tmp_path / "votes.npz")[0])


def test_sheets_hold_a_row_of_so_many_columns():
    style = Path(write.__file__).parent / "page" / "style.css"
    assert f"calc({PER_ROW} * var(--size))" in style.read_text()
