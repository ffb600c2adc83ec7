"""The samples of a report in a browser: filters, plot, table and panel, by pointer and keyboard."""

import base64
import csv
import io
import re

import numpy as np
import pytest
from PIL import Image

from bvalign import analyze
from bvalign.show.quantities import title
from bvalign.show.report import write
from tests.browser import in_chromium
from tests.show.report.reports import EVIL, SIDE, images, predictions, usable

pytestmark = pytest.mark.xdist_group("browsing")  # one worker starts the browser


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A report with images and names that must be escaped: its page and numbers."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(write, "draw", lambda plots: {})  # figures take seconds
        result = analyze(predictions(images=images(), class_names=EVIL))
        return result.report(tmp_path_factory.mktemp("pictured")), result


@pytest.fixture(scope="module")
def worded(tmp_path_factory):
    """A report with texts that must be escaped."""
    texts = tuple(f"<img src=x onerror=alert({i})> no{i}thing</script>" for i in range(150))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(write, "draw", lambda plots: {})
        result = analyze(predictions(texts=texts, class_names=EVIL))
        return result.report(tmp_path_factory.mktemp("worded")), texts


def selected(page):
    return page.get_attribute("#sample", "data-index")


def shown(page):
    """How many samples pass the filters, as the page says."""
    return int(re.match(r"(\d+) of 150 samples shown", page.inner_text("#count")).group(1))


def rows(page):
    """Ids in the table, from top to bottom, as exported."""
    with page.expect_download() as saved:
        page.click("#export")
    return list(csv.DictReader(io.StringIO(saved.value.path().read_text())))


def ids(page):
    return [int(row["index"]) for row in rows(page)]


def own_pixels(path, page):
    """The image in the panel of one sample, from its sheet."""
    panel = page.inner_html("#sample")
    place = re.search(r"sheet-(\d+).*?--row: (\d+); --column: (\d+)", panel).groups()
    sheet, row, column = map(int, place)
    uri = rf'\.sheet-{sheet} {{.*?base64,([^"]*)"'
    content = base64.b64decode(re.search(uri, path.read_text(), flags=re.DOTALL).group(1))
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    return pixels[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]


@in_chromium
def test_the_address_selects_a_sample_with_its_own_image_and_numbers(pictured, open_page):
    path, result = pictured
    for row in (3, 64, 149):
        page = usable(open_page(path, f"select={100 + row}"))
        assert selected(page) == str(100 + row)
        own = np.moveaxis(result.predictions.images[row], 0, -1)
        np.testing.assert_array_equal(own_pixels(path, page), own)
    text = page.inner_text("#sample")
    assert EVIL[int(result["label"][row])] in text
    assert sum(int(n) for n in re.findall(r"%\s+(\d+)", text)) == 6  # votes
    facts = page.eval_on_selector_all(
        "#sample dt", "terms => terms.map(t => [t.textContent, t.nextSibling.textContent])"
    )
    found = dict(facts)
    for name, column in result.columns().items():
        if column.unit.shown and column.values.is_floating_point():
            number = float(re.match(r"[\d.e+-]+", found[title(name)]).group())
            assert number == pytest.approx(float(column.values[row]), rel=0.01), name


@in_chromium
def test_names_and_texts_are_shown_as_they_are_and_found(worded, open_page):
    path, texts = worded
    page = usable(open_page(path, "select=107"))
    assert texts[7] in page.inner_text("#sample")
    assert page.locator("#sample img, #table img").count() == 0
    assert "broken" not in page.title()
    page.fill("[name=q]", "NO42thing")
    assert ids(page) == [142]
    page.fill("[name=q]", "249")
    assert ids(page) == [249]
    page.fill("[name=q]", "ship &")
    assert 0 < shown(page) < 150
    page.click("#filters [type=reset]")
    assert shown(page) == 150


@in_chromium
def test_filters_and_named_filters_say_how_many_they_show(pictured, open_page):
    path, result = pictured
    correct, label = result["correct"], result["label"]
    wrong = ~correct
    page = usable(open_page(path, "class=3&axes=linear"))
    assert shown(page) == (label == 3).sum()
    for chosen, number in [
        ({"class": "3", "outcome": "wrong"}, ((label == 3) & wrong).sum()),
        ({"outcome": "correct"}, correct.sum()),
        ({"class": "2", "axes": "linear", "values": "unbiased"}, (label == 2).sum()),
        ({}, 150),
    ]:
        page.click("#filters [type=reset]")
        for name, value in chosen.items():
            page.select_option(f"[name={name}]", value)
        page.wait_for_timeout(50)
        assert shown(page) == number, chosen
        assert dict(re.findall(r"(\w+)=(\w+)", page.url.partition("#")[2])) == chosen
    for button in page.locator("#scenarios button").all():
        button.click()
        count = int(button.locator(".soft").inner_text())
        assert 0 < count < 150
        page.wait_for_function(
            f"document.getElementById('count').textContent.startsWith('{count} ')"
        )
        assert f"view={button.get_attribute('data-view')}" in page.url
        assert page.is_visible("#explanation")
        assert len(rows(page)) == count
    assert {f"{100 + row}" for row in np.flatnonzero(wrong)} == {
        row["index"] for row in rows(usable(open_page(path, "view=wrong")))
    }


def box(page, selector):
    found = page.locator(selector).bounding_box()
    return found["x"], found["y"], found["width"], found["height"]


def drag(page, *corners):
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    page.wait_for_timeout(100)


@in_chromium
def test_a_brush_shows_its_samples_in_the_table_and_the_histograms(pictured, open_page):
    path, result = pictured
    page = usable(open_page(path))
    x, y, width, height = box(page, "#plot")
    drag(page, (x + 0.3 * width, y + 0.3 * height), (x + 0.7 * width, y + 0.7 * height))
    found = page.url.partition("#")[2]
    ends = {
        name: tuple(map(float, re.search(rf"{name}=([^&]*)\.\.([^&]*)", found).groups()))
        for name in ("bias_sq", "variance")
    }
    inside = np.logical_and.reduce(
        [(result[k] >= low) & (result[k] <= high) for k, (low, high) in ends.items()]
    )
    assert 0 < inside.sum() < 150
    assert sorted(ids(page)) == (100 + np.flatnonzero(inside)).tolist()
    written = page.eval_on_selector_all(
        ".histogram[data-column=bias_sq] input", "i => i.map(e => e.value)"
    )
    assert tuple(map(float, written)) == ends["bias_sq"]
    page.reload()
    assert shown(usable(page)) == inside.sum()


@in_chromium
def test_a_lasso_becomes_a_list_of_its_samples(pictured, open_page):
    path, result = pictured
    page = usable(open_page(path))
    x, y, width, height = box(page, "#plot")
    page.check("#modes [value=lasso]")
    corners = [(0.2, 0.9), (0.2, 0.2), (0.7, 0.2), (0.3, 0.9)]
    drag(page, *[(x + u * width, y + v * height) for u, v in corners])
    sides = re.search(r"lasso=([^&]*)", page.evaluate("decodeURIComponent(location.hash)")).group(1)
    polygon = [
        tuple(np.log(float(value)) for value in pair.split(","))
        for pair in sides.replace("+", " ").split(" ")
    ]
    points = np.log([result["bias_sq"], result["variance"]]).T
    inside = [within(polygon, *point) for point in points]
    assert 0 < sum(inside) < 150
    assert sorted(ids(page)) == (100 + np.flatnonzero(inside)).tolist()


def within(polygon, x, y):
    """Counts the sides that a ray to the left crosses."""
    crossed = 0
    for (x1, y1), (x2, y2) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y1 > y) != (y2 > y):
            crossed += x1 + (y - y1) / (y2 - y1) * (x2 - x1) < x
    return crossed % 2 == 1


@in_chromium
def test_histograms_filter_by_pointer_and_by_number(pictured, open_page):
    path, result = pictured
    page = usable(open_page(path))
    high = "[data-column=variance] [data-end='1']"
    middle = float(np.median(result["variance"]))
    page.fill(high, f"{middle:.9g}")
    page.keyboard.press("Tab")
    page.wait_for_timeout(100)
    assert shown(page) == (result["variance"] <= float(f"{middle:.9g}")).sum()
    x, y, width, height = box(page, "[data-column=confidence] svg")
    drag(page, (x + 1, y + height / 2), (x + width / 2, y + height / 2))
    few = shown(page)
    assert few < 75
    assert len(rows(page)) == few
    page.click("#filters [type=reset]")
    page.wait_for_timeout(100)
    assert shown(page) == 150


@in_chromium
def test_the_table_sorts_selects_and_opens_by_keyboard(pictured, open_page):
    path, result = pictured
    page = usable(open_page(path))
    header = page.locator("#table .ag-header-cell[col-id=variance]")
    header.click()
    header.click()
    order = (100 + np.argsort(-result["variance"], kind="stable")).tolist()
    assert ids(page)[:5] == order[:5]
    page.locator("#table [role=gridcell][col-id=index]").first.click()
    assert selected(page) == str(order[0])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert selected(page) == str(order[1])
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    # the grid tells of what is selected a moment later
    page.wait_for_function("document.getElementById('export').innerText.includes('2 selected')")
    saved = rows(page)
    assert [int(row["index"]) for row in saved] == order[1:3]
    assert saved[0]["label_name"] == EVIL[int(saved[0]["label"])]
    assert float(saved[0]["variance"]) == result["variance"][order[1] - 100]
    assert page.locator("#rings .selected").count() == 2


@in_chromium
def test_keys_go_through_the_plot_and_the_galleries(pictured, open_page):
    path, result = pictured
    order = (100 + result["bias_sq"].argsort()).tolist()
    page = usable(open_page(path, f"select={order[70]}"))
    page.focus("#plot")
    for key, place in (("ArrowRight", 71), ("ArrowRight", 72), ("ArrowLeft", 71), ("PageUp", 121)):
        page.keyboard.press(key)
        assert selected(page) == str(order[place])
    page.keyboard.press("Escape")
    assert selected(page) == ""
    page.locator(".gallery button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert selected(page) == str(order[-2])
    for gallery in page.locator(".gallery").all():
        assert gallery.locator("button[tabindex='0']").count() == 1


@in_chromium
def test_anchors_leave_the_state_and_links_change_it(pictured, open_page):
    page = usable(open_page(pictured[0], "class=3"))
    number = shown(page)
    page.click("#contents a[href='#calibration']")
    assert page.url.endswith("#calibration")
    assert shown(page) == number
    page.select_option("[name=outcome]", "wrong")
    page.wait_for_timeout(50)
    assert page.url.endswith("#class=3&outcome=wrong")
    link = page.locator("a[href^='#view=']").first
    view = link.get_attribute("href").partition("=")[2]
    link.click()
    page.wait_for_timeout(100)
    assert page.get_attribute("#scenarios [aria-pressed=true]", "data-view") == view
    assert page.input_value("[name=class]") == ""


@in_chromium
def test_many_rows_are_a_few_elements(tmp_path, open_page, monkeypatch):
    monkeypatch.setattr(write, "draw", lambda plots: {})
    result = analyze(predictions(samples=20_000, members=2))
    page = usable(open_page(result.report(tmp_path, samples="none")))
    assert page.locator("#table [role=row]").count() < 100
    assert (
        int(page.get_attribute("#table [role=grid], #table [role=treegrid]", "aria-rowcount"))
        > 19_999
    )
