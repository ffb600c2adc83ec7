"""What the README shows is run; configurations and numbers are described."""

import json
import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.docs.pages import blocks

README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", README, flags=re.MULTILINE))


@pytest.mark.usefixtures("without_figures")
def test_the_example_of_analyze_runs(capsys):
    names = {}
    code = next(b.code for b in blocks("README.md") if "bvalign.analyze(" in b.code)
    exec(compile(code, "README.md", "exec"), names)
    result, columns = names["result"], names["columns"]
    assert capsys.readouterr().out == f"{result!r}\n"
    assert list(columns) == list(result.columns())
    assert {len(values) for values in columns.values()} == {200}
    assert columns["variance"][names["most_variable"]] == columns["variance"].max()
    assert Path("out/report.html").exists()
    assert Path("scatter.png").stat().st_size > 10_000


def test_the_readme_stays_short():
    assert README.count("\n") <= 135


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in TARGETS:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda c: c.stem)
def test_configs_parse_and_say_what_they_are_for(bvalign, config, capsys):
    assert config.read_text().startswith("# Purpose:")
    with pytest.raises(SystemExit) as stopped:
        bvalign("fit", "--config", config, "--print_config")
    assert stopped.value.code == 0
    assert "class_path: bvalign.data." in capsys.readouterr().out


def test_every_number_of_the_summary_is_documented(fit):
    documented = (ROOT / "docs" / "summary.md").read_text()
    fit("--model.members=2")
    for key in json.loads(Path("runs/digits-mlp/summary.json").read_text()):
        assert f"`{key}" in documented, key
