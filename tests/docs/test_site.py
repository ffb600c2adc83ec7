"""The site is built without a warning, so without a broken link; messages are those of the code."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

PAGES = [p for p in ROOT.glob("docs/**/*.md") if "_build" not in p.parts]


@pytest.mark.slow
def test_every_page_is_built_and_every_link_leads_somewhere():
    command = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", ROOT / "docs"]
    done = subprocess.run(
        [sys.executable, *command, "-d", "doctrees", ROOT, "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for page in (*PAGES, ROOT / "README.md"):
        html = Path("html", page.relative_to(ROOT)).with_suffix(".html").read_text()
        assert 'src="http' not in html  # nothing is fetched
        assert "Search" in html
    assert "Result" in Path("html/searchindex.js").read_text()


def said(node):
    """The text of a string in the code, with `…` for what is filled in."""
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(parts):
            return "".join(map(said, parts))
        case ast.FormattedValue():
            return "…"
    return ""


def test_every_message_of_the_page_is_one_of_the_code():
    page = (ROOT / "docs/errors.md").read_text()
    trees = [ast.parse(path.read_text()) for path in (ROOT / "bvalign").rglob("*.py")]
    texts = "\0".join({said(node) for tree in trees for node in ast.walk(tree)})
    messages = re.findall(r"^\| `(.+?)` \|", page, flags=re.MULTILINE)
    assert len(messages) > 40
    for message in messages:
        parts = "[^\0]*".join(re.escape(part.strip()) for part in message.split("…"))
        assert re.search(parts, texts), message
