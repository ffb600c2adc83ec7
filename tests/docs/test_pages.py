"""What the pages show is run, and every command on them is one that exists."""

import re

import pytest

from bvalign.cli import TRAINING, _parser
from tests import ROOT
from tests.docs import inputs
from tests.docs.pages import blocks, commands, run

ALL = sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"])
PAGES = [page for page in ALL if "/_build/" not in page and blocks(page)]

GIVEN = {
    "README.md": lambda _: inputs.predictions("predictions.npz"),
    "docs/report.md": lambda bvalign: inputs.runs(bvalign, "digits-cnn", "digits-mlp"),
    "docs/predictions.md": lambda _: inputs.tables(),
    "docs/clusters.md": lambda _: inputs.predictions("predictions.npz"),
    "docs/summary.md": inputs.report,
    "docs/decisions/members.md": lambda _: inputs.predictions("predictions.npz"),
    "docs/decisions/systematic.md": lambda _: inputs.with_groups("predictions.npz", "groups.csv"),
    "docs/decisions/wrong_labels.md": lambda _: inputs.predictions("predictions.npz"),
    "docs/decisions/calibrate.md": lambda _: inputs.predictions("predictions.npz", "new.npz"),
    "docs/decisions/abstain.md": lambda _: inputs.predictions(
        "predictions.npz", "new.npz", samples=1200
    ),
    "docs/decisions/without_labels.md": lambda _: inputs.shifted(),
    "docs/decisions/answers.md": inputs.evaluations,
    "docs/lightning.md": None,
}
"""Pages that are run from the first block to the last, and what their readers have."""


@pytest.mark.slow
@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("page", GIVEN)
def test_a_page_runs(bvalign, page):
    if GIVEN[page]:
        GIVEN[page](bvalign)
    names = {}
    for block in blocks(page):
        if not block.mark:
            run(block, names, bvalign)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_here_exists(bvalign, page):
    for block in blocks(page):
        if block.language == "python" and block.mark:
            compile(block.code, page, "exec")
        for program, *words in commands(block.code) if block.language == "bash" else ():
            if program == "make":
                assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            elif program == "bvalign" and words[0] in TRAINING:
                words = [word.replace("$width", "4") for word in words]
                with pytest.raises(SystemExit) as stopped:
                    bvalign(*words, "--print_config")
                assert stopped.value.code == 0, words
            elif program == "bvalign":
                _parser().parse_args(words)
