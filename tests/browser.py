"""Chromium without a window, and what a page holds after its scripts have run."""

import html.parser
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def in_chromium(test):
    """Marks a test that opens a page in a browser."""
    reason = "no chromium on PATH; install it: apt-get install chromium"
    return pytest.mark.slow(pytest.mark.skipif(CHROMIUM is None, reason=reason)(test))


OPTIONS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --enable-logging=stderr "
    "--virtual-time-budget=30000 --dump-dom"
).split()
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND"


class Page(NamedTuple):
    """A page as the reader sees it."""

    elements: dict[str, dict[str, str]]  # id -> attributes
    texts: dict[str, str]  # id -> all text inside
    console: list[str]  # lines of its scripts, the renderer's own left out

    def thumbnail(self) -> tuple[int, int, int]:
        """Sheet, row and column of the image in the panel of one sample."""
        panel = self.elements["sample"]["inner"]
        sheet, row, column = re.search(
            r"sheet-(\d+) .*?--row: (\d+); --column: (\d+)", panel
        ).groups()
        return int(sheet), int(row), int(column)


def open_page(path: Path, fragment: str = "", script: str = "") -> Page:
    """Opens a file and waits until its scripts have run.

    Args:
        path: of the page.
        fragment: after the `#`.
        script: JavaScript that runs at the end of the page, as a user would act.
    """
    if script:
        acted = path.with_name("acted.html")
        text = path.read_text().replace("</body>", f"<script>{script}</script></body>")
        acted.write_text(text)
        path = acted
    command = [CHROMIUM, *OPTIONS, NO_NETWORK, f"--user-data-dir={path.parent / 'profile'}"]
    done = subprocess.run(
        [*command, f"file://{path.absolute()}#{fragment}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = _Elements()
    found.feed(done.stdout)
    console = [
        line
        for line in done.stderr.splitlines()
        if "CONSOLE" in line and "WebGL" not in line  # software drawing, on a machine without GPU
    ]
    return Page(found.attributes, found.texts, console)


class _Elements(html.parser.HTMLParser):
    """Attributes and texts of elements that have an id."""

    VOID = frozenset("meta link img br input hr path circle rect".split())

    def __init__(self) -> None:
        super().__init__()
        self.attributes, self.texts, self.open = {}, {}, []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        inside = [name for _, name in self.open if name]
        for name in inside:
            self.attributes[name]["inner"] += " " + " ".join(f"{v}" for v in attributes.values())
        name = attributes.get("id")
        if name:
            self.attributes[name], self.texts[name] = {**attributes, "inner": ""}, ""
        if tag not in self.VOID:
            self.open.append((tag, name))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for _, name in self.open:
            if name:
                self.texts[name] += data + " "
