"""Evaluations by lm-evaluation-harness, as its versions write them."""

import gzip
import json
import math
import random
from pathlib import Path

import pytest
import torch

from bvalign import analyze, open_predictions
from bvalign.predictions import Names
from bvalign.predictions.readers import open_scores

OPTIONS = [3, 4, 5, 4, 2, 4, 3]
RIGHT = [2, 0, 4, 1, 1, 3, 0]
TIME = "2026-01-0{}T12-00-00.123456"


def log_likelihoods(member, options=OPTIONS):
    rng = random.Random(member)
    return [[rng.uniform(-9, -1) for _ in range(number)] for number in options]


def doc(number, likelihoods, target, **more):
    """A line as of version 0.4.3 and later."""
    arguments = {
        f"gen_args_{k}": {"arg_0": f"An example.\n\nQuestion {number}?", "arg_1": f" option {k}"}
        for k in range(len(likelihoods))
    }
    pairs = [[str(value), "False"] for value in likelihoods]
    best = likelihoods.index(max(likelihoods))
    return {
        "doc_id": number,
        "doc": {"query": f"Question {number}?"},
        "target": str(target),
        "arguments": arguments,
        "resps": [[pair] for pair in pairs],
        "filtered_resps": pairs,
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": f"hash {number}",
        "acc": float(best == target),
    } | more


def docs(member, options=OPTIONS, right=RIGHT):
    pairs = zip(log_likelihoods(member, options), right, strict=True)
    return [doc(n, values, target) for n, (values, target) in enumerate(pairs)]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_runs(folder, members=3, task="arc_easy", change=lambda rows: rows):
    for member in range(members):
        name = f"samples_{task}_{TIME.format(member + 1)}.jsonl"
        write(folder / name, change(docs(member)))
    return folder


def by_hand(members=3, options=OPTIONS, right=RIGHT):
    """bias_sq and variance of each doc, over the options that it has."""
    bias_sq, variance = [], []
    for n, (number, target) in enumerate(zip(options, right, strict=True)):
        probs = []
        for member in range(members):
            weights = [math.exp(value) for value in log_likelihoods(member, options)[n]]
            probs.append([weight / sum(weights) for weight in weights])
        mean = [sum(p[k] for p in probs) / members for k in range(number)]
        bias_sq.append(sum((mean[k] - (k == target)) ** 2 for k in range(number)))
        spread = sum((p[k] - mean[k]) ** 2 for p in probs for k in range(number))
        variance.append(spread / members)
    return bias_sq, variance


def assert_is_right(source, names=None):
    predictions, origin = open_predictions(source, names=names)
    assert origin["format"] == "lm_eval"
    assert predictions.target.tolist() == RIGHT
    assert open_scores(Path(source), names or Names())[0].num_options.tolist() == OPTIONS
    columns = analyze(predictions).columns()
    for name, values in zip(("bias_sq", "variance"), by_hand(), strict=True):
        torch.testing.assert_close(
            columns[name].values, torch.tensor(values, dtype=torch.float64), rtol=1e-12, atol=0
        )
    return predictions


def reversed_order(rows):
    return rows[::-1]


def as_before(rows):
    """Without what 0.4.3 and later versions added, and with numbers for strings."""
    for row in rows:
        for key in ("filter", "metrics", "doc_hash"):
            del row[key]
        row["target"] = int(row["target"])
        row["filtered_resps"] = [[float(a), b == "True"] for a, b in row["filtered_resps"]]
        row["arguments"] = [list(a.values()) for a in row["arguments"].values()]
    return rows


def without_filtered(rows):
    return [{k: v for k, v in row.items() if k != "filtered_resps"} for row in rows]


def with_text_targets(rows):
    return [row | {"target": f"option {row['target']}"} for row in rows]


def with_letters(rows):
    return [row | {"target": "ABCDE"[int(row["target"])]} for row in rows]


def in_lists(rows):
    return [row | {"target": f"[{row['target']}]"} for row in rows]


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda rows: rows, None),
        (reversed_order, None),
        (as_before, None),
        (without_filtered, None),
        (in_lists, None),
        (with_text_targets, "target is the text of the right option"),
        (with_letters, "target is the letter of the right option"),
    ],
)
def test_runs_of_one_task_are_members(tmp_path, change, note):
    predictions = assert_is_right(write_runs(tmp_path, change=change))
    assert predictions.members == tuple(TIME.format(m) for m in (1, 2, 3))
    assert predictions.texts[2] == "Question 2?"
    said = "task arc_easy: log-likelihoods of options are logits, as in acc; acc_norm divides"
    assert predictions.notes[0].startswith(said)
    assert note is None or predictions.notes[1] == note


@pytest.mark.parametrize("place", ["model{}", "seed{}/org__gpt"])
def test_a_folder_for_each_member(tmp_path, place):
    for member in range(3):
        folder = tmp_path / place.format(member)
        write(folder / f"samples_arc_easy_{TIME.format(member + 1)}.jsonl", docs(member))
        (folder / f"results_{TIME.format(member + 1)}.json").write_text('{"results": {}}')
    predictions = assert_is_right(tmp_path)
    assert predictions.members == tuple(place.split("{")[0] + str(m) for m in range(3))
    assert any(note.startswith("not used: results_2026") for note in predictions.notes)


def test_files_of_other_names_and_kinds(tmp_path, monkeypatch):
    monkeypatch.setattr("bvalign.predictions.evaluations.eval_logs.HEAD", 600)  # within a prompt
    write(tmp_path / "seed0.jsonl", docs(0))
    lines = "".join(json.dumps(row) + "\n" for row in docs(1))
    (tmp_path / "seed1.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "seed2.jsonl").write_text(json.dumps(as_before(docs(2)), indent=2))
    assert assert_is_right(tmp_path).members == ("seed0", "seed1", "seed2")
    predictions, _ = open_predictions(tmp_path / "seed2.jsonl")
    assert len(predictions.members) == 1


def test_a_log_likelihood_of_minus_infinity_is_probability_zero(tmp_path):
    rows = docs(0)
    rows[1]["filtered_resps"][2][0] = "-inf"
    write(tmp_path / "a.jsonl", rows)
    logits = next(iter(open_predictions(tmp_path / "a.jsonl")[0].ranges()))[0]
    probs = torch.softmax(logits[0, 1], -1)
    left = [math.exp(v) for k, v in enumerate(log_likelihoods(0)[1]) if k != 2]
    found = [value / sum(left) for value in left]
    expected = torch.tensor([*found[:2], 0, found[2], 0], dtype=torch.float64)
    torch.testing.assert_close(probs, expected, rtol=1e-12, atol=0)


def test_of_several_filters_one_is_read(tmp_path):
    def twice(rows, name):
        other = [row | {"filter": name, "filtered_resps": [["0.0", "False"]] * 5} for row in rows]
        return [*rows, *other]

    predictions = assert_is_right(write_runs(tmp_path / "a", change=lambda r: twice(r, "other")))
    assert "filter 'none' is read, not 'other'" in predictions.notes
    old = write_runs(tmp_path / "b", change=lambda rows: [*as_before(rows), *rows])
    notes = assert_is_right(old).notes
    assert "of docs that are there for several filters the first is read" in notes


def test_unconditional_log_likelihoods_are_not_options(tmp_path):
    def mutual(rows):
        for row in rows:
            pairs = list(row["arguments"].values())
            both = [*pairs, *({"arg_0": "", "arg_1": pair["arg_1"]} for pair in pairs)]
            row["arguments"] = {f"gen_args_{k}": pair for k, pair in enumerate(both)}
            row["filtered_resps"] = row["filtered_resps"] + [["-3.5", "False"]] * len(pairs)
        return rows

    notes = assert_is_right(write_runs(tmp_path, change=mutual)).notes
    assert "log-likelihoods without context (acc_mutual_info) are not used" in notes


def test_options_in_the_contexts(tmp_path):
    """As in winogrande, where all options end alike and target is that end."""
    right = [0, 1, 1, 0, 1, 0, 0]
    for member in range(3):
        rows = docs(member, [2] * 7, right)
        for row in rows:
            for k, pair in enumerate(row["arguments"].values()):
                pair |= {"arg_0": f"He took option {k}", "arg_1": " to the end."}
            row["target"] = "to the end."
        write(tmp_path / f"seed{member}.jsonl", rows)
    predictions, _ = open_predictions(tmp_path)
    assert predictions.target.tolist() == right
    assert "options stand in the contexts; the right one is found by acc" in predictions.notes
    rows[3].pop("acc")
    write(tmp_path / "seed2.jsonl", rows)
    with pytest.raises(ValueError, match="options stand in the contexts.*; doc 3 needs acc"):
        open_predictions(tmp_path)


def numbered(rows, right, first):
    """Options whose texts are numbers, so that a target may be one or a number of an option."""
    for row, target in zip(rows, right, strict=True):
        for k, pair in enumerate(row["arguments"].values()):
            pair["arg_1"] = f" {k + first}"
        row["target"] = str(target + first)
    return rows


def test_acc_tells_numbers_of_options_from_their_texts(tmp_path):
    right = [1, 0, 2, 1, 0, 2, 0]
    rows = numbered(docs(0, [4] * 7, right), right, 1)
    source = write(tmp_path / "a.jsonl", rows)
    predictions, _ = open_predictions(source)
    assert predictions.target.tolist() == right
    assert "target is the text of the right option" in predictions.notes
    for row in rows:
        del row["acc"]
    with pytest.raises(ValueError, match="may be the number of an option.*log the metric acc"):
        open_predictions(write(source, rows))
    own = [row | {"acc": 1.0 - row["acc"] if row["doc_id"] < 2 else row["acc"]} for row in docs(0)]
    notes = open_predictions(write(source, own))[0].notes
    assert any("acc of 2 of 7 docs does not say" in note for note in notes)


def test_one_of_several_tasks_is_chosen(tmp_path):
    write_runs(tmp_path, task="arc_easy")
    write_runs(tmp_path, task="hellaswag", change=lambda rows: rows[2:])
    with pytest.raises(ValueError, match="several tasks, arc_easy, hellaswag; choose .* --task"):
        open_predictions(tmp_path)
    with pytest.raises(ValueError, match="--task piqa is not there, has arc_easy, hellaswag"):
        open_predictions(tmp_path, names=Names(task="piqa"))
    notes = assert_is_right(tmp_path, Names(task="arc_easy")).notes
    assert any(note.startswith("not used: samples_hellaswag_2026") for note in notes)
    assert open_predictions(tmp_path, names=Names(task="hellaswag"))[0].num_samples == 5


def test_tasks_of_a_group_are_clusters(tmp_path):
    for member in range(3):
        for number, task in enumerate(("anatomy", "virology")):
            rows = docs(member)[3 * number : 4 + 3 * number]
            name = f"samples_mmlu_{task}_{TIME.format(number + 1)}.jsonl"
            write(tmp_path / f"seed{member}" / name, rows)
    predictions, _ = open_predictions(tmp_path, names=Names(task="mmlu"))
    assert predictions.members == ("seed0", "seed1", "seed2")
    assert predictions.target.tolist() == [*RIGHT[:4], *RIGHT[3:]]
    assert predictions.clusters.tolist() == [0] * 4 + [1] * 4
    assert predictions.notes[0].startswith("2 tasks, each a cluster: log-likelihoods")


def without_doc(rows):
    return [row for row in rows if row["doc_id"] != 5]


def another_doc(rows):
    return [row | ({"doc_hash": "new"} if row["doc_id"] == 4 else {}) for row in rows]


def another_target(rows):
    return [row | ({"target": "1", "acc": None} if row["doc_id"] == 5 else {}) for row in rows]


def fewer_options(rows):
    rows[1]["filtered_resps"].pop()
    return rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_doc, "member b lacks 1 of 7; the first that member b lacks is sample 5"),
        (another_doc, r"on the same docs.* doc 4 differs between a and b \(doc_hash\)"),
        (another_target, r"'labels' differs from member a: member b \(1 of 7 samples\)"),
        (fewer_options, "same options of a sample, but 1 samples have other numbers"),
    ],
)
def test_members_with_other_docs_are_refused(tmp_path, change, message):
    write(tmp_path / "a.jsonl", docs(0))
    write(tmp_path / "b.jsonl", change(docs(1)))
    with pytest.raises(ValueError, match=message):
        open_predictions(tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"filtered_resps": ["The answer is B."]}, r"doc 0 has no log-likelihoods but \['The ans"),
        ({"filtered_resps": [["A", "B"]]}, "doc 0 has no log-likelihoods but"),
        ({"filtered_resps": ["-123.5"]}, "doc 0 has no log-likelihoods but"),
        ({"filtered_resps": [["-3.5", "True"]]}, "doc 0 has one log-likelihood; only multiple-ch"),
        ({"target": "[0, 2]"}, r"one right option are read, but doc 0 has \[0, 2\]"),
        ({"acc": 0.437}, "one right option are read, but acc is 0.437"),
        ({"target": "Paris"}, "number, text or letter of an option, but that of doc 0 is 'Paris'"),
        ({"target": None}, "number, text or letter of an option, but that of doc 0 is 'null'"),
    ],
)
def test_what_has_no_options_or_no_right_one_is_refused(tmp_path, more, message):
    rows = docs(0)
    rows[0] |= more
    with pytest.raises(ValueError, match=message):
        open_predictions(write(tmp_path / "samples_x_2026-01-01T00-00-00.jsonl", rows))


def test_docs_with_hidden_answers_are_left_out(tmp_path):
    rows = [row | ({"target": "-1"} if row["doc_id"] < 2 else {}) for row in docs(0)]
    predictions, _ = open_predictions(write(tmp_path / "a.jsonl", rows))
    assert predictions.index.tolist() == [2, 3, 4, 5, 6]
    assert "left out: 2 of 7 samples, whose label is -1: no class" in predictions.notes


def test_a_damaged_line_is_told(tmp_path):
    path = write(tmp_path / "a.jsonl", docs(0))
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ValueError, match="line 7 is no JSON"):
        open_predictions(path)


def test_a_table_with_doc_ids_stays_a_table(tmp_path):
    rows = [{"doc_id": n, "label": 1, "logits": [0.5, n]} for n in range(3)]
    assert open_predictions(write(tmp_path / "a.jsonl", rows))[1]["format"] == "jsonl"
