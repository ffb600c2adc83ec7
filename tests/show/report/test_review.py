"""The sheet to review labels: what it holds, and what a reviewer's keys decide and export."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from bvalign import analyze
from bvalign.show.report import labelled, write
from bvalign.show.report.review import page as review
from tests.browser import in_chromium
from tests.decisions.noisy_data import noisy_data, symmetric

pytestmark = pytest.mark.xdist_group("review")  # one worker starts the browser

NAMES = ("ship, big", 'the "cat"', "</script><b>", "dog")
SAMPLES = 120


def result(**more):
    logits, true, label = noisy_data(
        samples=SAMPLES, classes=4, members=3, noise=symmetric(4, 0.2), margin=8.0
    )
    given = {"logits": logits, "labels": label.numpy(), "class_names": np.array(NAMES)}
    return analyze(given | more), true


@pytest.fixture(scope="module", autouse=True)
def no_figures():
    """Reports without figures, which take seconds."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(labelled, "plot", lambda analysis: {})
        patched.setattr(write, "charts", lambda *_: {})
        yield


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A report with images of 200 x 100 pixels, whose first row of pixels is their number."""
    images = np.zeros((SAMPLES, 1, 100, 200), dtype=np.uint8)
    images[:] = np.arange(SAMPLES, dtype=np.uint8)[:, None, None, None]
    found, _ = result(images=images)
    out = tmp_path_factory.mktemp("reviewed")
    found.report(out, samples="none")
    return out, found


def content(path):
    return json.loads(re.search(r'id="page-data">(.*?)</script>', path.read_text()).group(1))


def test_the_sheet_holds_the_suspicious_labels_in_order(pictured):
    out, found = pictured
    page, answer = content(out / "review.html"), found.decisions["wrong_labels"]
    rows = answer.suspicious()
    assert page["columns"]["index"] == rows.tolist()
    assert page["columns"]["probability"] == sorted(page["columns"]["probability"], reverse=True)
    assert page["columns"]["suggested"] == answer.suggested[rows].tolist()
    assert page["names"] == list(NAMES)
    assert 'href="review.html"' in (out / "report.html").read_text()


def test_images_are_larger_than_thumbnails_and_in_the_order_of_the_labels(pictured):
    out, found = pictured
    text = (out / "review.html").read_text()
    uri = re.search(r'\.sheet-0 {.*?base64,([^"]*)"', text, flags=re.DOTALL).group(1)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert("L"))
    side = review.SIDE
    middles = sheet[side // 2 :: side, side // 2 :: side].flatten()
    rows = found.decisions["wrong_labels"].suspicious().numpy()
    np.testing.assert_array_equal(middles[: len(rows)], rows)


def test_without_doubtful_labels_there_is_no_sheet(pictured, tmp_path):
    (tmp_path / "review.html").write_text("of an earlier report")
    logits, true, _ = noisy_data(samples=60, classes=4, noise=np.eye(4))
    sure = 60 * np.eye(4)[true.numpy()] + logits.numpy()
    analyze({"logits": sure, "labels": true.numpy()}).report(tmp_path, samples="none")
    assert not (tmp_path / "review.html").exists()


@in_chromium
def test_keys_decide_go_back_and_export(pictured, open_page):
    out, found = pictured
    opened = open_page(out / "review.html")
    for key in ("k", "r", "o"):
        opened.keyboard.press(key)
    opened.select_option("#other", "2")
    for key in ("Enter", "s", "b", "ArrowLeft", "u"):
        opened.keyboard.press(key)
    assert "3 of" in opened.inner_text("#count")
    assert "1 kept, 1 relabelled, 1 unsure" in opened.inner_text("#count")
    with opened.expect_download() as exported:
        opened.keyboard.press("e")
    header, *lines = exported.value.path().read_text().splitlines()
    assert header == "index,label,suggested_label,verdict,new_label"
    answer = found.decisions["wrong_labels"]

    def quoted(k):
        name = NAMES[k].replace('"', '""')
        return f'"{name}"' if set(name) & set('",') else name

    def line(place, verdict, new):
        row = int(answer.suspicious()[place])
        label, suggested = int(answer.label[row]), int(answer.suggested[row])
        names = {"label": quoted(label), "suggested": quoted(suggested), "": ""}
        return f"{row},{names['label']},{names['suggested']},{verdict},{names[new]}"

    expected = [line(0, "keep", "label"), line(1, "relabel", "suggested"), line(2, "unsure", "")]
    assert lines == expected


@in_chromium
@pytest.mark.parametrize("kind", ["texts", "numbers"])
def test_texts_are_shown_as_they_are_and_numbers_stand_alone(tmp_path, kind, open_page):
    texts = np.array([f"<b>text</b> {row}\nnext line" for row in range(SAMPLES)])
    found, _ = result(**({"texts": texts} if kind == "texts" else {}))
    found.report(tmp_path, samples="none")
    opened = open_page(tmp_path / "review.html")
    first = int(found.decisions["wrong_labels"].suspicious()[0])
    assert f"sample {first}" in opened.inner_text("#title")
    shown = f"<b>text</b> {first}" if kind == "texts" else "No image or text"
    assert shown in opened.inner_text("#picture")
    assert "votes" in opened.inner_text("#facts")
