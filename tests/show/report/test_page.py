"""The page of a report: that it is whole, fetches nothing and keeps its limit of bytes."""

import re
from dataclasses import replace

import numpy as np
import pytest

from bvalign import analyze, open_predictions, write_report
from bvalign.show.report import write
from bvalign.show.report.explorer import data as interactive
from bvalign.show.report.page.report import MOST_BYTES, page
from bvalign.show.report.page.thumbnails import PER_ROW
from bvalign.show.report.summary_json import summarise
from tests.ensembles import aligned_ensemble
from tests.show.report.reports import EVIL, images, predictions


def html(source):
    analysis = analyze(source)
    return page(analysis, source, summarise(analysis, source, {"source": "test"}), {}, {}).decode()


def test_nothing_is_fetched_and_names_cannot_end_an_element():
    text = html(predictions(images=images(), class_names=EVIL))
    start = text.index('<script type="text/plain" id="table-library">')
    own = text[:start] + text[text.index("</script>", start) :]
    assert re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"'>\s]""", own) == []
    assert "url(http" not in own
    assert "@import" not in own
    assert "<script>document.title" not in text


def test_a_page_of_more_samples_than_it_can_hold_says_so(monkeypatch):
    monkeypatch.setattr(interactive, "MOST_SAMPLES", 50)
    monkeypatch.setattr(interactive, "EXTREME_POINTS", 20)
    assert "100 are left out; samples.csv has all" in html(predictions())


@pytest.mark.slow
def test_ten_thousand_images_stay_within_the_limit():
    noise = images(10_000, side=32, seed=1).astype(np.float32)
    smooth = sum(np.roll(noise, shift, axis) for shift in range(4) for axis in (2, 3)) / 8
    source = predictions(samples=10_000, members=2, images=smooth.astype(np.uint8))
    text = html(source)
    assert len(text.encode()) <= MOST_BYTES
    number = int(re.search(r'"thumbnails":(\d+)', text).group(1))
    assert number >= 2000
    assert "Thumbnails are compressed" in text


@pytest.mark.slow
def test_many_long_texts_stay_within_the_limit():
    rng = np.random.default_rng(0)
    letters = rng.integers(32, 127, size=(10_000, 3000), dtype=np.uint8)
    lengths = rng.integers(20, 3000, size=10_000)
    texts = [bytes(row[:n]).decode() for row, n in zip(letters, lengths, strict=True)]
    text = html(predictions(samples=10_000, members=2, texts=tuple(texts)))
    assert 0.9 * MOST_BYTES < len(text.encode()) <= MOST_BYTES
    number = re.search(r"([\d,]+) long texts are shortened", text).group(1)
    assert 0 < int(number.replace(",", "")) < 10_000


@pytest.mark.parametrize(
    ("members", "shift"),
    [(1, 0), (2, 0), (3, 0), (6, 0), (6, 1)],
    ids=["one", "two", "three", "right", "wrong"],
)
def test_reports_of_degenerate_predictions_are_written(tmp_path, monkeypatch, members, shift):
    source = predictions(samples=40, members=members, wrong=0)
    source = replace(source, target=(source.target + shift) % 5)
    monkeypatch.setattr(write, "draw", lambda plots: {})  # figures take seconds
    write_report(analyze(source), source, {"source": "x"}, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert ("Most variable" in text) == (members > 1)
    assert ("Furthest from the line" in text) == (members > 1 and not shift)


def test_a_page_of_votes_is_written(tmp_path):
    logits, target = aligned_ensemble(members=4, samples=30, sigma=6)
    np.savez(tmp_path / "votes.npz", votes=logits.argmax(dim=-1), labels=target)
    assert "votes" in html(open_predictions(tmp_path / "votes.npz")[0])


def test_sheets_hold_a_row_of_so_many_columns():
    assert (
        f"calc({PER_ROW} * var(--size))"
        in (write.Path(write.__file__).parent / "page" / "style.css").read_text()
    )
