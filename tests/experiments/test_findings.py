"""The page of findings: every number comes from a committed JSON, by a placeholder."""

import json
import sys

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from tests import ROOT

EXPERIMENTS = ROOT / "experiments"
sys.path.insert(0, str(EXPERIMENTS / "lab"))

import bibtex  # noqa: E402
import claim_tables  # noqa: E402
import findings  # noqa: E402
import verdicts  # noqa: E402
from placeholders import Results, filled  # noqa: E402

SLOPES = {"a-1": (1.0, [0.95, 1.05]), "a-2": (1.2, [1.15, 1.25]), "b": (1.0, [0.5, 1.5])}


def sample_results(folder="alignment", schema=2, flagged=()):
    """Results of three runs and one whose data is missing; numbers of `flagged` are not quoted."""
    claim = {"claim": "C1", "says": "near | one", "number": "slope", "within": [0.9, 1.1]}
    numbers = {
        name: {
            "slope": {"value": v, "interval": i} | ({"flags": ["rare"]} if name in flagged else {})
        }
        for name, (v, i) in SLOPES.items()
    }
    runs = {name: {"data": "digits", "num_members": 8, "seconds": 90.0} for name in SLOPES}
    runs["a-2"] |= {"data": "mnist", "num_members": 1064}
    return {
        "schema": schema,
        "folder": folder,
        "size": "small",
        "question": "Is it one?",
        "verdicts": [verdicts.verdict(claim, numbers)],
        "numbers": numbers,
        "runs": runs | {"lost": {"missing": "no data\nat all"}},
        "seconds_training": 100,
        "seconds_measuring": 20,
        "hardware": {"cpu": "a CPU"},
    }


STUDY = {"question": "Is it one?", "plain": {"C1": "It is {{alignment/a-1/slope | value}}."}}


@pytest.fixture
def root(tmp_path):
    """A repository with one study, one benchmark and a template."""
    studies = tmp_path / "experiments/studies"
    for name, results in (
        ("alignment", sample_results()),
        ("old", sample_results("old", schema=1)),
        ("flagged", sample_results("flagged", flagged=("a-2",))),
    ):
        (studies / name).mkdir(parents=True)
        (studies / name / "results-small.json").write_text(json.dumps(results))
        claims = [{"claim": "C1"}, {"claim": "new"}]
        study = yaml.safe_dump((STUDY if name == "alignment" else {}) | {"claims": claims})
        (studies / name / "study.yaml").write_text(study)
    (tmp_path / "speed.json").write_text(
        json.dumps({"rows": [{"of": "a", "s": 120.5, "n": 1200}, {"of": "b", "s": 60}], "k": 0.5})
    )
    (tmp_path / "CITATION.cff").write_text("title: T\ntype: software\nauthors: [{name: Us}]\n")
    (tmp_path / "experiments/findings.md").write_text("# F\n\n{{alignment/a-1/slope}} of C1\n")
    readme = "before\n<!-- {{table answers}} by findings.py -->\nold\n<!-- end -->\nafter\n"
    (tmp_path / "experiments/README.md").write_text(readme)
    (tmp_path / "docs").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("alignment/a-1/slope", "1.000 [0.950, 1.050]"),
        ("alignment/a-1/slope | value", "1"),
        ("alignment/a-1/slope | percent", "100.0% [95.0, 105.0]"),
        ("alignment/a-1/slope | exp", "2.72 [2.59, 2.86]"),
        ("alignment/*/slope", "1.000 [0.950, 1.050] (a-1) to 1.200 [1.150, 1.250] (a-2)"),
        (
            "flagged/*/slope",
            "1.000 [0.950, 1.050] (a-1) to 1.00 [0.50, 1.50] (b), 1 of 3 not to be quoted",
        ),
        ("flagged/a-2/slope", "1.200 [1.150, 1.250], do not quote: rare"),
        ("alignment/a-*,b/slope | max", "1.200 [1.150, 1.250]"),
        ("alignment/*/num_members", "8 to 1,064"),
        ("alignment/*/data", "digits, mnist"),
        ("alignment/b/seconds | minutes", "1.5 min"),
        ("verdict alignment/C1/slope", "**differs** (1 yes, 1 no of 3)"),
        ("measured alignment/C1/near", "1.000 [0.950, 1.050] (a-1) to 1.200 [1.150, 1.250] (a-2)"),
        ("cost alignment", "2 min, a CPU"),
        ("question alignment", "Is it one?"),
        ("speed.json#rows/of=b/s | minutes", "1 min"),
        ("speed.json#rows/0/n", "1,200"),
        ("speed.json#rows/*/s", "60 to 120"),
        (r"speed.json#rows/*/s \| sum \| over #k", "361"),
        ("speed.json#rows/*/of | len", "2"),
        ("speed.json#rows/*/s | mean", "90.2"),
        ("nothing/a/slope", "not measured yet"),
        ("old/a-1/other", "not measured yet"),
        ("verdict old/C2/other", "not measured yet"),
        ("figure none: a picture", "*(Figure none: not measured yet.)*"),
        (
            "table runs alignment/a-*; num_members: M; slope | value: slope",
            "|  | M | slope |\n| --- | --- | --- |\n| a-1 | 8 | 1 |\n| a-2 | 1,064 | 1.2 |",
        ),
        (
            "table runs flagged/a-*; slope: slope",
            "|  | slope | do not quote |\n| --- | --- | --- |\n| a-1 | 1.000 [0.950, 1.050] |  |\n"
            "| a-2 | *1.200 [1.150, 1.250]* | rare |",
        ),
    ],
)
def test_a_placeholder_says_what_is_filled_in(root, inside, text):
    found = filled("is {{" + inside.replace(" ", "\n", 1) + "}}.", Results(root), findings.COMMANDS)
    assert found == f"is {text}."


@pytest.mark.parametrize(
    ("inside", "error"),
    [
        ("alignment/a-1/other", "no other in a-1 of alignment"),
        ("alignment/c/slope", "no run c of alignment"),
        ("alignment/lost/slope", r"lost has no results \(no data"),
        ("alignment", "write STUDY/RUN/NUMBER"),
        ("alignment/a-1/slope | twice", "no filter twice"),
        ("alignment/*/data | sum", "sum needs numbers, not 'digits'"),
        ("verdict alignment/C2/slope", "0 claims C2 of alignment fit, not one"),
        ("none.json#a", "no file none.json"),
        ("speed.json#rows/s", "no s; there is a list"),
        ("speed.json#row", "no row; there is rows, k"),
        ("table what", "there are the tables answers, claims, ensembles and runs"),
    ],
)
def test_a_placeholder_that_names_nothing_is_an_error_of_one_line(root, inside, error):
    with pytest.raises(ValueError, match=error) as raised:
        filled("{{" + inside + "}}", Results(root), findings.COMMANDS)
    assert str(raised.value).startswith("{{" + inside)
    assert "\n" not in str(raised.value)


def test_pages_are_written_and_checked(root, monkeypatch, capsys):
    page, readme = root / "docs/findings.md", root / "experiments/README.md"
    monkeypatch.setattr(sys, "argv", ["findings.py", "--root", str(root), "--check"])
    with pytest.raises(SystemExit, match="error: out of date: docs/findings.md, experiments/READ"):
        findings.main()
    assert not page.exists()
    monkeypatch.setattr(sys, "argv", ["findings.py", "--root", str(root)])
    findings.main()
    assert page.read_text() == findings.MADE + "# F\n\n1.000 [0.950, 1.050] of C1\n"
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old\n<!-- end" not in text
    assert (
        "| [alignment](studies/alignment/results-small.json) (small) | C1: near \\| one | slope: "
        "1.000 [0.950, 1.050] (a-1) to 1.200 [1.150, 1.250] (a-2) | digits, mnist | 8 to 1064 | "
        "2 min, a CPU | **differs** (1 yes, 1 no of 3) |"
    ) in text
    assert "- alignment (small): without lost: no data" in text
    assert "- at the paper's size: alignment, flagged, old: not run" in text
    assert "of schema 1 of `summary.json`" in text
    monkeypatch.setattr(sys, "argv", ["findings.py", "--root", str(root), "--check"])
    findings.main()
    (root / "experiments/findings.md").write_text("The slope is 1.2 here, see {{nothing/a/b}}.")
    with pytest.raises(SystemExit, match="typed numbers, write placeholders: The slope is 1.2 "):
        findings.main()
    (root / "experiments/findings.md").write_text("{{nothing/a/b}}")
    monkeypatch.setattr(sys, "argv", ["findings.py", "--root", str(root)])
    findings.main()
    assert "not measured yet: nothing" in capsys.readouterr().out


def test_names_code_and_links_may_have_digits():
    text = (
        "C10 and CIFAR-10N of ICLR 2024, 95% intervals, `M=2` [x](a/1.md) {{a/b\n1/c}}\n"
        "```bash\nrun 3\n```\n<!-- 4 -->\nCIFAR-1 is none\n96% is none\n"
    )
    assert findings.typed_numbers(text) == ["CIFAR-1 is none", "96% is none"]


def test_claims_have_plain_words_in_the_order_of_the_paper(root):
    lines = filled("{{table claims}}", Results(root), findings.COMMANDS).splitlines()
    assert lines[2] == (
        "| C1 | [alignment](../experiments/studies/alignment/study.yaml) | near \\| one: "
        "**differs** (1 yes, 1 no of 3) | It is 1. |"
    )
    assert [line[:5] for line in lines[5:]] == ["| new"] * 3
    assert "| not measured yet |  |" in lines[5]


def test_answers_name_what_a_number_leaves_out_and_why_some_have_none(root):
    file = root / "experiments/studies/alignment/results-small.json"
    shown = {"name": "a", "value": 1, "interval": [0, 2], "over": "samples", "flags": ["saturated"]}
    results = sample_results() | {"flags": {"saturated": "probabilities of 0"}}
    results["verdicts"][0] |= {
        "evidence": [shown],
        "undefined": {"needs three members": ["b"]},
        "beside": {"number": "offset", "evidence": [shown | {"over": None, "flags": []}]},
    }
    file.write_text(json.dumps(results))
    table = claim_tables.answers_table(root / "experiments")
    assert (
        "| slope: 1.0 [0.0, 2.0] over samples alone, do not quote: saturated (a); "
        "offset: 1.0 [0.0, 2.0] (a) |"
    ) in table
    assert "- alignment (small): without b: slope: needs three members" in table
    assert "- alignment (small): saturated: probabilities of 0" in table


def test_kept_ensembles_tell_what_they_reach_and_cost(tmp_path):
    listed = {"a": {"set": {"model.members": 3}}, "b": {"set": {"model.members": 2}}}
    (tmp_path / "ensembles.yaml").write_text(yaml.safe_dump(listed))
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a/labels.npy", np.array([0, 1, 1, 0]))
    for member, column in (("0", [0, 1, 1, 0]), ("2", [0, 1, 0, 1])):
        save_file({"logits": np.eye(2)[column]}, tmp_path / f"a/{member}.safetensors")
    identity = {"data.name": "d", "model.arch": "cnn", "model.width": 4, "trainer.max_epochs": 9}
    about = {"identity": identity, "members": {"0": {}, "2": {}}}
    about["costs"] = [{"members": [0], "cpu_seconds": 60}, {"members": [2], "cpu_seconds": 180}]
    (tmp_path / "a/identity.json").write_text(json.dumps(about))
    *_, kept, none = claim_tables.ensembles_table(tmp_path).splitlines()
    assert kept.endswith("| d | cnn width 4 | 9 | 2 of 3 | 75.00%, 50.00% to 100.00% | 2 |")
    assert none.endswith("| 0 of 2 |  |  |")


def test_the_committed_pages_are_those_of_the_results():
    files, _ = findings.written(ROOT)
    assert {path.name for path, text in files.items() if path.read_text() != text} == set()


def test_bibtex_has_the_fields_of_the_citation_file(root):
    (root / "CITATION.cff").write_text(
        "title: T\ntype: software\nversion: 1.0\nauthors: [{name: Us}]\nreferences:\n"
        "- {type: conference-paper, title: P, year: 2024, conference: {name: C}, authors: "
        "[{family-names: Chen, given-names: Lin}, {family-names: You, given-names: Chong}]}\n"
    )
    assert bibtex.entries(root / "CITATION.cff") == (
        "```bibtex\n@software{t,\n  author = {{Us}},\n  title = {{T}},\n  version = {1.0},\n}\n\n"
        "@inproceedings{chen2024,\n  author = {Chen, Lin and You, Chong},\n  title = {{P}},\n"
        "  booktitle = {C},\n  year = {2024},\n}\n```"
    )
