"""Opening a report of 10,000 and of 50,000 samples, with images and with texts, in a browser.

    python benchmarks/report/run.py             # all pages
    python benchmarks/report/run.py --rounds 1  # quickly

Chromium without a window and without a graphics card opens each page in a new context, in turns.
`first paint` is the browser's first-contentful-paint, `usable` the time from navigation until the
plot, the filters and the table answer; the median of the rounds counts, as the first one reads the
file. `frame` is the time between frames while the table scrolls by 600 pixels a frame from its
first row on, 95 of 100 are faster. Needs `playwright` (of the extra `dev`) and Chromium on PATH.

Writes results.json and results.md beside this file.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from playwright.sync_api import Browser, sync_playwright
from rich.progress import Progress

from bvalign import analyze
from bvalign.atomic import write_atomic
from bvalign.provenance import provenance

HERE = Path(__file__).parent
MEMBERS, CLASSES = 8, 10
GOALS = {10_000: {"paint": 1.0, "usable": 2.5}, 50_000: {"paint": 1.0, "usable": 5.0}}
"""Samples -> seconds until the first paint and until the page is usable."""

FRAMES = 120
SCROLL = """frames => new Promise(done => {
  const table = document.querySelector("#table .ag-grid-viewport"), times = [];
  let last = performance.now();
  function next(now) {
    times.push(now - last);
    last = now;
    table.scrollTop += 600;
    if (times.length <= frames) requestAnimationFrame(next);
    else done(times.slice(1));
  }
  requestAnimationFrame(next);
})"""
"""Scrolls the table; milliseconds between frames."""


class Opened(NamedTuple):
    """One opening of a page."""

    paint: float  # seconds
    usable: float
    frame: float  # milliseconds, 95th percentile


def make(kind: str, samples: int, folder: Path) -> Path:
    """Writes the report of made-up predictions.

    Args:
        kind: images or texts.
        samples: how many.
        folder: of the report.
    """
    rng = np.random.default_rng(0)
    label = rng.integers(CLASSES, size=samples)
    logits = rng.standard_normal((MEMBERS, samples, CLASSES), dtype=np.float32)
    logits[:, np.arange(samples), label] += rng.uniform(-1, 12, size=samples)
    given = {"logits": logits, "labels": label}
    if kind == "images":
        noise = rng.integers(256, size=(samples, 3, 8, 8)).astype(np.uint8)
        given["images"] = noise.repeat(4, axis=2).repeat(4, axis=3)
    else:
        words = np.array("the of network variance sample bias member label class".split())
        lengths = rng.integers(5, 120, size=samples)
        given["texts"] = np.array([" ".join(rng.choice(words, size=n)) for n in lengths])
    return analyze(given).report(folder, samples="none")


def open_once(browser: Browser, page: Path) -> Opened:
    """Opens a page and scrolls its table."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
    try:
        tab = context.new_page()
        tab.goto(f"file://{page.absolute()}")
        tab.wait_for_selector("body[data-usable-after]", state="attached", timeout=120_000)
        paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        usable = float(tab.get_attribute("body", "data-usable-after"))
        tab.locator("#table").scroll_into_view_if_needed()
        times = tab.evaluate(SCROLL, FRAMES)
    finally:
        context.close()
    return Opened(paint / 1000, usable / 1000, float(np.percentile(times, 95)))


def measure(
    pages: dict[tuple[str, int], Path], rounds: int, done: Callable[[str], None]
) -> list[dict[str, object]]:
    """Opens all pages in turns."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))))
    found: dict[tuple[str, int], list[Opened]] = {key: [] for key in pages}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for _ in range(rounds):
            for key, page in pages.items():
                found[key].append(open_once(browser, page))
                done(" ".join(map(str, key)))
        browser.close()
    return [row(*key, pages[key], opened) for key, opened in found.items()]


def row(kind: str, samples: int, page: Path, opened: list[Opened]) -> dict[str, object]:
    """The numbers of a page."""
    middle = Opened(*map(statistics.median, zip(*opened, strict=True)))
    best = Opened(*map(min, zip(*opened, strict=True)))
    return {
        "page": kind,
        "samples": samples,
        "mb": round(page.stat().st_size / 1e6, 1),
        "paint_seconds": round(middle.paint, 2),
        "paint_fastest": round(best.paint, 2),
        "usable_seconds": round(middle.usable, 2),
        "usable_fastest": round(best.usable, 2),
        "frame_ms": round(middle.frame, 1),
        "rounds": len(opened),
    }


def markdown(rows: list[dict[str, object]], origin: dict[str, object]) -> str:
    """The table as it is shown."""
    return "\n".join([*_lines(rows, origin), ""])


def _lines(rows: list[dict[str, object]], origin: dict[str, object]) -> Iterator[str]:
    yield "# Opening a report"
    yield ""
    yield (
        f"Made by `python benchmarks/report/run.py` on {origin['device']}, {origin['cores']} cores "
        f"(load {origin['load']:.1f} at the end), commit {origin['commit']}; {MEMBERS} members, "
        "Chromium without a graphics card. Seconds: median of the rounds, in brackets the fastest."
    )
    yield ""
    yield (
        "| page | samples | MB | first paint, s | goal | usable, s | goal | frame of the table, ms "
        "| |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for found in rows:
        goals = GOALS[found["samples"]]
        reached = all(found[f"{name}_seconds"] < goal for name, goal in goals.items())
        cells = [
            found["page"],
            f"{found['samples']:,}",
            found["mb"],
            f"{found['paint_seconds']} ({found['paint_fastest']})",
            f"< {goals['paint']}",
            f"{found['usable_seconds']} ({found['usable_fastest']})",
            f"< {goals['usable']}",
            found["frame_ms"],
            "reached" if reached else "missed",
        ]
        yield f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        pages = {
            (kind, samples): make(kind, samples, Path(folder) / f"{kind}-{samples}")
            for kind in ("images", "texts")
            for samples in GOALS
        }
        task = progress.add_task("open", total=rounds * len(pages))
        rows = measure(pages, rounds, lambda what: progress.advance(task))
    known = {key: provenance()[key] for key in ("device", "versions", "commit")}
    origin = known | {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    content = {"schema": 1, "origin": origin, "rows": rows}
    write_atomic(HERE / "results.json", (json.dumps(content, indent=1) + "\n").encode())
    write_atomic(HERE / "results.md", markdown(rows, origin).encode())
    print(markdown(rows, origin))


if __name__ == "__main__":
    main()
