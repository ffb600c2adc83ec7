"""The first page about decisions: its commands and its Python run on predictions of one's own."""

import re
import shlex

import numpy as np
import pytest

from bvalign.decisions import Options, decide
from tests import ROOT
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble

PAGE = (ROOT / "docs" / "decisions" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("without_figures")
def test_from_an_npz_to_three_answers(bvalign, capsys):
    logits, target = aligned_ensemble(members=6, samples=300, classes=3)
    np.savez("mine.npz", logits=logits[:, :200], labels=target[:200])
    np.savez("new.npz", logits=logits[:, 200:])
    commands = re.search(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL).group(1).splitlines()
    for command in commands:
        bvalign(*shlex.split(command)[1:])
    printed = capsys.readouterr().out
    for question in ("How many members?", "Systematic or chance?", "Risk without labels?"):
        assert question in printed
    code = re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL).group(1)
    exec(compile(code, "README.md", "exec"), {})
    for line in capsys.readouterr().out.splitlines():
        assert line in printed or f"Systematic or chance? {line}" in printed


def test_every_question_has_a_page_and_a_row():
    logits, target = aligned_ensemble(members=6, samples=100, classes=3)
    labelled = decide(analysed(logits, target), Options(evaluation=True))
    asked = decide(analysed(logits, None), Options())
    rows = dict(re.findall(r"\| \[.*?\]\((\w+)\.md\) \| `(\w+)`", PAGE))
    assert set(rows) == set(rows.values()) == {*labelled, *asked}
    for key, decision in (labelled | asked).items():
        assert decision.card().page == f"docs/decisions/{key}.md"
        assert (ROOT / decision.card().page).exists()
