"""The report in a browser: what is shown for whom, by pointer, keyboard and address."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bvalign import analyze, open_predictions, write_report
from bvalign.show.report import write
from bvalign.show.report.explorer import data as interactive
from bvalign.show.report.page.galleries import extremes_first, scores
from bvalign.show.report.page.report import MOST_BYTES, page
from bvalign.show.report.page.thumbnails import PER_ROW
from bvalign.show.report.summary_json import summarise
from tests.browser import in_chromium
from tests.ensembles import aligned_ensemble, predictions_of

pytestmark = pytest.mark.xdist_group("page")  # one worker starts the browser

EVIL = ("<script>document.title = 'broken'</script>", "</script><b>", "ship & co", "'\"", "{{ 7 }}")
SIDE = 6


def predictions(samples=150, classes=5, members=6, wrong=20, **more):
    """The ensemble gets the first samples wrong."""
    logits, target = aligned_ensemble(members=members, samples=samples, classes=classes)
    target[:wrong] = (target[:wrong] + 1) % classes
    return predictions_of(logits, target, index=100 + np.arange(samples), **more)


def images(samples=150, side=SIDE, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(samples, channels, side, side), dtype=np.uint8)


def html(source, analysis=None):
    analysis = analysis or analyze(source)
    summary = summarise(analysis, source, {"source": "test"})
    return page(analysis, source, summary, {}, {}).decode()


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A report with images and names that must be escaped: its file, predictions and numbers."""
    source = predictions(images=images(), class_names=EVIL)
    analysis = analyze(source)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html(source, analysis))
    return path, source, analysis


def sheet_pixels(path, number):
    """A sheet of thumbnails of the page."""
    uri = re.search(
        rf'\.sheet-{number} {{.*?base64,([^"]*)"', path.read_text(), flags=re.DOTALL
    ).group(1)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert("RGB"))


def shown_pixels(path, page):
    """The image in the panel of one sample."""
    panel = page.locator("#sample").inner_html()
    numbers = re.search(r"sheet-(\d+).*?--row: (\d+); --column: (\d+)", panel).groups()
    sheet, row, column = map(int, numbers)
    pixels = sheet_pixels(path, sheet)
    return pixels[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]


def selected(page):
    return page.locator("#sample").get_attribute("data-index")


@in_chromium
def test_the_address_selects_a_sample_and_shows_its_own_image(pictured, open_page):
    path, source, analysis = pictured
    for row in extremes_first(scores(analysis))[[64, 149]].tolist():
        opened = open_page(path, f"select={100 + row}")
        assert selected(opened) == str(100 + row)
        np.testing.assert_array_equal(
            shown_pixels(path, opened), np.moveaxis(source.images[row], 0, -1)
        )
        text = opened.inner_text("#sample")
        assert EVIL[int(analysis.table.target[row])] in text
        value = float(analysis.table.decomposition.bias_sq[row])
        shown = re.search(r"bias²\s+(\S+)", text).group(1)
        assert float(shown) == pytest.approx(value, rel=0.01)
        votes = [int(n) for n in re.findall(r"%\s+(\d+)", text)]
        assert sum(votes) == 6


def shown_names(analysis):
    """Columns that a reader is to see, other than those that the card names in words."""
    shown = {name for name, column in analysis.columns().items() if column.unit.shown}
    return shown - {"index", "label", "prediction", "correct"}


def test_the_data_of_the_card_has_every_shown_column_with_its_unit(pictured):
    _, _, analysis = pictured
    data = interactive.explorer(analysis, EVIL, np.arange(150))
    columns = analysis.columns()
    assert {"bias_sq", "variance", "risk"} <= shown_names(analysis)
    assert {entry["name"] for entry in data["card"]} == shown_names(analysis)
    for entry in data["card"]:
        name = entry["name"]
        assert entry["unit"] == columns[name].unit.name
        packed = data["columns"][name]
        values = np.frombuffer(base64.b64decode(packed["data"]), dtype=f"<{packed['type']}")
        np.testing.assert_allclose(values, columns[name].values.numpy(), rtol=1e-6)


@in_chromium
def test_the_card_lists_every_shown_column(pictured, open_page):
    path, _, analysis = pictured
    facts = open_page(path, "select=120").eval_on_selector_all(
        "#sample dt",
        "names => names.map(n => [n.textContent, n.nextSibling.textContent, n.nextSibling.title])",
    )
    assert [name for name, *_ in facts[:2]] == ["label", "mean prediction"]
    columns, wording = analysis.columns(), {"bias²": "bias_sq"}
    on_card = {wording.get(name, name): rest for name, *rest in facts[2:]}
    assert on_card.keys() == shown_names(analysis)
    for name, (value, unit) in on_card.items():
        assert float(value) == pytest.approx(float(columns[name].values[20]), rel=0.01)
        assert unit == columns[name].unit.name


@in_chromium
def test_hovering_previews_and_clicking_keeps(pictured, open_page):
    path, source, _ = pictured
    opened = open_page(path, "select=120")
    act = """([event, row]) => document.getElementById("plot").emit(
      `plotly_${event}`, {points: [{customdata: row}]})"""
    opened.evaluate(act, ["hover", 5])
    hovered = selected(opened)
    opened.evaluate(act, ["unhover", 5])
    assert selected(opened) == "120" != hovered
    opened.evaluate(act, ["click", 5])
    opened.evaluate(act, ["unhover", 5])
    assert selected(opened) == hovered
    own = np.moveaxis(source.images[int(hovered) - 100], 0, -1)
    np.testing.assert_array_equal(shown_pixels(path, opened), own)


@in_chromium
def test_filters_change_the_count(pictured, open_page):
    path, _, analysis = pictured
    correct, target = analysis.table.decomposition.correct, analysis.table.target
    opened = open_page(path)
    for chosen, number in [
        ({"class": "3"}, (target == 3).sum()),
        ({"class": "3", "outcome": "wrong"}, ((target == 3) & ~correct).sum()),
        ({"outcome": "correct"}, correct.sum()),
        ({"class": "2", "axes": "linear", "values": "unbiased"}, (target == 2).sum()),
        ({}, 150),
    ]:
        opened.click("#filters [type=reset]")
        for name, value in chosen.items():
            opened.select_option(f"#filters [name={name}]", value)
        shown, more = re.fullmatch(
            r"(\d+) of 150 samples shown(?:; (\d+) more .* axes)?", opened.inner_text("#count")
        ).groups()
        assert int(shown) + int(more or 0) == int(number), chosen
        assert opened.url.partition("#")[2] == "&".join(f"{k}={v}" for k, v in chosen.items())


@in_chromium
def test_the_address_sets_the_filters(pictured, open_page):
    path, _, analysis = pictured
    opened = open_page(path, "class=3&axes=linear")
    number = int((analysis["label"] == 3).sum())
    assert opened.inner_text("#count") == f"{number} of 150 samples shown"
    assert selected(opened) == ""


@in_chromium
def test_keys_go_through_the_samples_by_squared_bias(pictured, open_page):
    path, _, analysis = pictured
    order = (100 + analysis.table.decomposition.bias_sq.argsort()).tolist()
    opened = open_page(path, f"select={order[70]}")
    opened.focus("#plot")
    steps = {"ArrowRight": 71, "ArrowRight+": 72, "ArrowLeft": 71, "PageUp": 121}
    for key, place in steps.items():
        opened.keyboard.press(key.rstrip("+"))
        assert selected(opened) == str(order[place])
    opened.keyboard.press("Escape")
    assert selected(opened) == ""


@in_chromium
def test_cards_of_a_gallery_are_one_stop_and_arrows_go_on(pictured, open_page):
    path, _, analysis = pictured
    order = analysis.table.decomposition.bias_sq.argsort(descending=True).tolist()
    opened = open_page(path)
    opened.locator(".gallery button").first.focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("Enter")
    assert selected(opened) == str(100 + order[1])
    assert opened.locator(".gallery button[tabindex='0']").count() == 3


@in_chromium
def test_names_and_texts_with_html_are_shown_as_they_are(pictured, tmp_path, open_page):
    path, *_ = pictured
    text = path.read_text()
    assert "<script>document.title" not in text
    texts = tuple(f"<img src=x onerror=alert({i})> {i}</script>" for i in range(150))
    source = predictions(texts=texts, class_names=EVIL)
    (tmp_path / "texts.html").write_text(html(source))
    opened = open_page(tmp_path / "texts.html", "select=107")
    assert texts[7] in opened.inner_text("#sample")
    assert opened.locator("#sample img").count() == 0


def test_nothing_is_fetched(pictured):
    text = pictured[0].read_text()
    own = text[: text.index("<script>/**")] + text[text.index('id="page-data"') :]
    assert re.findall(r"""(?:src|href)=["']?(?!data:)[^"'>\s]""", own) == []
    assert "url(http" not in own
    assert "@import" not in own


@in_chromium
def test_many_samples_are_a_density_with_the_extremes_as_points(tmp_path, monkeypatch, open_page):
    monkeypatch.setattr(interactive, "MOST_POINTS", 100)
    monkeypatch.setattr(interactive, "EXTREME_POINTS", 30)
    path = tmp_path / "dense.html"
    path.write_text(html(predictions()))
    opened = open_page(path, "select=119&axes=linear")
    kinds, points, total = opened.evaluate("""() => {
      const data = document.getElementById("plot").data;
      const counts = data[0].z.flat().filter(z => z !== null).map(z => 10 ** z);
      return [data.map(trace => trace.type), data[1].x.length + data[2].x.length,
        counts.reduce((a, b) => a + b)];
    }""")
    assert (kinds[0], points, round(total)) == ("heatmap", 30, 150)
    assert selected(opened) == "119"


def test_a_page_of_more_samples_than_it_can_hold_says_so(monkeypatch):
    monkeypatch.setattr(interactive, "MOST_SAMPLES", 50)
    monkeypatch.setattr(interactive, "EXTREME_POINTS", 20)
    assert "100 are left out; samples.csv has all" in html(predictions())


def test_ten_thousand_images_stay_within_the_limit():
    noise = images(10_000, side=32, seed=1).astype(np.float32)
    smooth = sum(np.roll(noise, shift, axis) for shift in range(4) for axis in (2, 3)) / 8
    source = predictions(samples=10_000, members=2, images=smooth.astype(np.uint8))
    text = html(source)
    assert len(text.encode()) <= MOST_BYTES
    number = int(re.search(r'"thumbnails":(\d+)', text).group(1))
    assert number >= 2000
    assert "Thumbnails are compressed" in text


@pytest.mark.parametrize(
    ("members", "shift"),
    [(1, 0), (2, 0), (3, 0), (6, 0), (6, 1)],
    ids=["one", "two", "three", "right", "wrong"],
)
def test_reports_of_degenerate_predictions_are_written(tmp_path, members, shift):
    source = predictions(samples=40, members=members, wrong=0)
    source = replace(source, target=(source.target + shift) % 5)
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
