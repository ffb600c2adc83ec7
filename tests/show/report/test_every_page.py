"""Every page in a browser: accessible, in light and dark, at two widths, printed; links lead."""

import re
from urllib.parse import urlsplit

import numpy as np
import pytest

from bvalign import analyze
from bvalign.commands.compare import compare_runs
from bvalign.show.report import write
from bvalign.show.report.page.report import MOST_BYTES
from tests.browser import PHONE, in_chromium
from tests.decisions.noisy_data import noisy_data, symmetric
from tests.show.report.reports import images, predictions, usable
from tests.show.report.test_compare import report

pytestmark = pytest.mark.xdist_group("pages")  # one worker starts the browser
PAGES = ("images", "texts", "unlabelled", "review", "compare")
NAMES = ("aeroplane", "a class whose name is long, as it says what is in it", "cat", "deer", "dog")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of each kind, with its figures, by name."""
    folder = tmp_path_factory.mktemp("pages")
    logits, _, label = noisy_data(
        samples=240, classes=5, members=8, noise=symmetric(5, 0.2), margin=8.0
    )
    given = {"logits": logits, "labels": label.numpy(), "class_names": np.array(NAMES)}
    texts = np.array(
        [f"Sample {k} says {'much ' * (k % 40)}and_{'long' * 30}." for k in range(240)]
    )
    results = {
        "images": analyze(given | {"images": images(240, side=16)}),
        "unlabelled": analyze({"logits": logits, "texts": texts, "class_names": np.array(NAMES)}),
    }
    found = {name: result.report(folder / name) for name, result in results.items()}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(write, "draw", lambda plots: {})  # figures are those of the other pages
        source = predictions(texts=tuple(texts[:150]), class_names=NAMES)
        found["texts"] = analyze(source).report(folder / "texts")
    runs = [report(folder / f"{k}", noise=0.3 * k) for k in range(4)]
    compare_runs(runs, folder / "compare")
    found["review"] = folder / "images" / "review.html"
    return found | {"compare": folder / "compare" / "compare.html"}


def ready(name, page):
    return page if name == "review" else usable(page)


@in_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(pages, open_page, name, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = ready(name, open_page(pages[name], scheme=scheme))
    page.eval_on_selector_all("details", "all => all.forEach(details => { details.open = true; })")
    rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}  # others do not change
    found = Axe().run(page, options={"resultTypes": ["violations"]} | rules).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [
        (v["id"], node["target"], node["failureSummary"])
        for v in serious
        for node in v["nodes"][:3]
    ] == []


@in_chromium
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_small_and_fits_its_window(pages, open_page, name):
    assert pages[name].stat().st_size <= MOST_BYTES
    for size in ((1400, 900), PHONE):
        page = ready(name, open_page(pages[name], size=size))
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@in_chromium
@pytest.mark.parametrize("name", [name for name in PAGES if name != "review"])
def test_links_lead_somewhere_and_contents_mark_the_section(pages, open_page, name):
    page = usable(open_page(pages[name]))
    for address in page.eval_on_selector_all("a[href]", "a => a.map(e => e.getAttribute('href'))"):
        path, fragment = urlsplit(address).path, urlsplit(address).fragment
        if address.startswith("data:") or not path:
            known = "=" in fragment or not fragment or page.locator(f"[id='{fragment}']").count()
            assert known, address
        else:
            assert (pages[name].parent / path).is_file(), address
    for link in page.locator("#contents a").all():
        link.click()
        page.wait_for_timeout(150)
        section = page.locator(link.get_attribute("href"))
        ended = page.evaluate("scrollY + innerHeight >= document.documentElement.scrollHeight - 2")
        assert section.bounding_box()["y"] < (900 if ended else 450)
        assert page.locator("#contents").bounding_box()["y"] == pytest.approx(0, abs=1)
    page.wait_for_selector("#contents [aria-current]")
    assert page.locator("#contents [aria-current]").count() == 1


@in_chromium
@pytest.mark.parametrize("name", ["images", "texts", "unlabelled"])
def test_the_first_screen_has_tiles_advice_and_the_scatter(pages, open_page, name):
    page = usable(open_page(pages[name]))
    assert 4 <= page.locator(".tile").count() <= 6
    assert 1 <= page.locator("#do li").count() <= 5
    assert page.locator("#do li a").count() >= page.locator("#do li").count()
    for selector in (".tiles", "#do", "#plot"):
        found = page.locator(selector).bounding_box()
        assert found["y"] + found["height"] <= 900, selector
    for tile in page.locator(".tile").all():
        assert re.search(r"\d", tile.inner_text())


@in_chromium
@pytest.mark.parametrize("name", ["images", "unlabelled", "compare"])
def test_figures_follow_the_light_and_the_paper(pages, open_page, name):
    page = usable(open_page(pages[name], scheme="dark"))
    light = "element => getComputedStyle(element).fill.match(/\\d+/g).map(Number)[0]"
    words = page.locator("figure svg text")
    assert words.count() > 10
    assert words.first.evaluate(light) > 150
    for figure in page.locator("figure svg[role=img]").all():
        label = figure.get_attribute("aria-label") or figure.locator("title").first.inner_text()
        assert len(label) > 40
    page.emulate_media(media="print", color_scheme="light")
    assert words.first.evaluate(light) < 120
    assert not page.locator("#samples, .screen").first.is_visible()
    paper = page.pdf(format="A4")  # opens what is folded
    assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page>") < 40
    assert not page.locator("#appendix").evaluate("details => details.open")
