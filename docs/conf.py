"""The documentation site, by Sphinx: `make docs`.

Sphinx, MyST and the PyData theme are kept by teams, and Sphinx's search needs no server; MkDocs had
no release since 2024, and its theme Material is in maintenance. Every link is checked by the build.
The sources are the Markdown files of the whole repository, so links are those of its web pages.
"""

import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

sys.path.insert(0, str(Path(__file__).parent / "site"))
from docstrings import as_rst
from reference import sections

PAGES = {
    "README": """
        docs/start
        Your predictions <docs/predictions>
        Your own LightningModule <docs/lightning>
        docs/train
        docs/report
        Decide <docs/decisions/README>
        docs/wandb
        Many devices <docs/devices>
        Extend <docs/extending>
        docs/architecture
        docs/theory
        docs/findings
        docs/api
        docs/errors
        docs/versions
        CHANGELOG""",
    "docs/predictions": """
        docs/recipes
        docs/language-models
        docs/clusters
        docs/scale""",
    "docs/report": """
        docs/summary""",
    "docs/decisions/README": """
        docs/decisions/members
        docs/decisions/systematic
        docs/decisions/wrong_labels
        docs/decisions/calibrate
        docs/decisions/abstain
        docs/decisions/without_labels
        docs/decisions/answers""",
    "docs/devices": """
        tests/simulated/README""",
    "docs/findings": """
        experiments/README
        experiments/estimators/README
        experiments/estimators/results
        experiments/estimators/results_before
        experiments/estimators/real
        experiments/decisions/results
        benchmarks/README
        Speed of training <benchmarks/throughput/results>
        Speed of analyze <benchmarks/analysis/results>
        Several devices <benchmarks/devices/results>
        Speed of reading <benchmarks/readers/results>
        Growth on paper <benchmarks/scale/results>
        Bounds of top-k logits <benchmarks/topk/results>
        Speed of the report <benchmarks/report/results>
        Interruptions <benchmarks/reliability/results>
        examples/README""",
    "docs/api": """
        docs/api/analysis
        docs/api/decisions
        docs/api/predictions
        docs/api/data
        docs/api/ensemble
        docs/api/show""",
}
"""Page -> the pages below it in the contents."""

project = html_title = "bvalign"
copyright = "The bvalign developers"
root_doc = "README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    *(f"{folder}/**.md" for folder in ("docs", "experiments", "benchmarks", "examples")),
    "tests/simulated/README.md",
]
exclude_patterns = [".*", "runs", "docs/_build", "build", "experiments/findings.md"]  # a template
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
default_role = "code"
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!bvalign\.).*"),
    (
        "py:.*",
        r"bvalign\..*\.(T|Values|Result|Sums|Streams|Randomness|SizeCurves|TopK)",
    ),  # type variables and aliases
]
suppress_warnings = ["ref.python"]  # a field of several classes
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "navbar_center": [],
    "show_toc_level": 2,
    "show_prev_next": False,
    "footer_end": [],
}
html_sidebars = {"**": ["contents.html"]}
templates_path = ["site"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds what Markdown does not say: contents, docstrings, formulas without JavaScript."""
    app.connect("source-read", _add_contents)
    app.connect("autodoc-process-docstring", _read_docstring, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", _skip_field)
    app.connect("build-finished", _add_first_page)
    app.add_html_math_renderer("mathml", (_write_inline, None), (_write_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    if page.startswith("docs/api/"):
        source[0] += sections(page.removeprefix("docs/api/"))
    if page in PAGES:
        entries = "".join(f"\n{line.strip()}" for line in _absolute(page))
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n:titlesonly:\n{entries}\n```\n"


def _absolute(page: str) -> list[str]:
    entries = PAGES[page].split("\n")[1:]
    return [line.replace("<", "</") if "<" in line else f"/{line.strip()}" for line in entries]


def _read_docstring(
    _app: Sphinx, _what: str, _name: str, _object: object, _: object, lines: list[str]
) -> None:
    lines[:] = as_rst(lines)


def _skip_field(_app: Sphinx, _what: str, _name: str, member: object, *_: object) -> bool | None:
    named = type(member).__name__ == "_tuplegetter"  # fields are in the signature of their class
    return True if named else None


def _add_first_page(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        page = '<meta http-equiv="refresh" content="0; url=README.html">'
        (Path(app.outdir) / "index.html").write_text(page)


def _write_inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _write_block(writer: HTML5Translator, node: nodes.math_block) -> None:
    formula = tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div style="margin: 1em 0; overflow-x: auto">{formula}</div>')
    raise nodes.SkipNode
