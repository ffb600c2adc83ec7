"""Logs of Inspect: a .json, or an .eval, which is a zip."""

import json
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from bvalign import analyze, open_predictions
from bvalign.predictions import Names
from bvalign.predictions.readers import open_scores

CHOICES = [3, 4, 5, 4, 2, 4]
RIGHT = [2, 0, 4, 1, 1, 3]
LETTERS = "ABCDE"


def votes(member):
    rng = random.Random(member)
    return [rng.randrange(number) for number in CHOICES]


def sample(number, epoch, vote, **more):
    choices = [f"text {k}" for k in range(CHOICES[number])]
    score = {"value": "CI"[vote != RIGHT[number]], "answer": LETTERS[vote], "explanation": ""}
    return {
        "id": number + 1,
        "epoch": epoch,
        "input": f"Question {number + 1}?",
        "choices": choices,
        "target": LETTERS[RIGHT[number]],
        "output": {"model": "m", "completion": f"ANSWER: {LETTERS[vote]}"},
        "scores": {"choice": score},
        "metadata": {},
    } | more


def samples(epochs=(0, 1, 2)):
    return [sample(n, m + 1, vote) for m in epochs for n, vote in enumerate(votes(m))]


def log(rows, model="openai/gpt", task="inspect_evals/arc", created="2026-01-01", **more):
    spec = {"task": task, "model": model, "created": created, "config": {"epochs": 3}}
    return {"version": 2, "status": "success", "eval": spec, "samples": rows} | more


def write_json(path, whole):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=2))
    return path


def entries(whole):
    header = {key: value for key, value in whole.items() if key != "samples"}
    named = {f"samples/{s['id']}_epoch_{s['epoch']}.json": s for s in whole["samples"]}
    return {"_journal/start.json": header, **named, "summaries.json": [], "header.json": header}


def write_eval(path, whole, names=lambda name: name):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in entries(whole).items():
            archive.writestr(names(name), json.dumps(value))
    return path


def write_zstd(path, whole):
    """As Inspect writes since 2026: method 93, which this zipfile cannot write."""
    with zipfile.ZipFile(path, "w") as archive:
        sizes = {}
        for name, value in entries(whole).items():
            plain = json.dumps(value).encode()
            sizes[name] = len(plain)
            archive.writestr(name, pa.Codec("zstd").compress(plain, asbytes=True))
        for info in archive.infolist():
            info.compress_type, info.file_size = 93, sizes[info.filename]
    return path


def write_unfinished(path, whole):
    return write_eval(path, whole, lambda name: "other.json" if name == "header.json" else name)


def write_in_chunks(path, whole):
    return write_eval(path, whole, lambda n: n[:-5] + "/sample.json" if "epoch" in n else n)


def by_hand(members):
    """bias_sq and variance of each sample, over the choices that it has."""
    bias_sq, variance = [], []
    for n, (number, target) in enumerate(zip(CHOICES, RIGHT, strict=True)):
        given = [votes(member)[n] for member in members]
        mean = [given.count(k) / len(given) for k in range(number)]
        bias_sq.append(sum((mean[k] - (k == target)) ** 2 for k in range(number)))
        spread = [sum(((v == k) - mean[k]) ** 2 for k in range(number)) for v in given]
        variance.append(sum(spread) / len(given))
    return bias_sq, variance


def assert_is_right(source, members, names=None, num_options=CHOICES):
    predictions, origin = open_predictions(source, names=names)
    assert origin["format"] == "inspect"
    assert predictions.members == members
    assert predictions.target.tolist() == RIGHT
    assert predictions.texts[1] == "Question 2?"
    found = open_scores(Path(source), names or Names())[0].num_options
    assert (found if found is None else found.tolist()) == num_options
    columns = analyze(predictions).columns()
    for name, values in zip(("bias_sq", "variance"), by_hand([0, 1, 2]), strict=True):
        torch.testing.assert_close(
            columns[name].values, torch.tensor(values, dtype=torch.float64), rtol=1e-12, atol=1e-15
        )
    return predictions


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("log.json", write_json),
        ("log.eval", write_eval),
        ("log.eval", write_zstd),
        ("log.eval", write_unfinished),
        ("log.eval", write_in_chunks),
    ],
)
def test_epochs_are_members(tmp_path, name, write):
    rows = samples()
    random.Random(0).shuffle(rows)
    predictions = assert_is_right(write(tmp_path / name, log(rows)), (1, 2, 3))
    assert predictions.notes[0] == "answers of task inspect_evals/arc are votes"


def test_logs_of_one_task_are_members(tmp_path):
    for m, model in enumerate(("a/x", "b/y", "b/z")):
        write = (write_eval, write_json)[m == 1]
        name = f"2026_arc_{m}.{'json' if m == 1 else 'eval'}"
        rows = [s | {"epoch": 1} for s in samples([m])]
        write(tmp_path / "models" / name, log(rows, model))
        write_eval(tmp_path / "times" / f"{m}.eval", log(rows, created=f"2026-01-0{m}"))
        write_eval(tmp_path / "seeds" / f"seed{m}" / "log.eval", log(rows))
    assert_is_right(tmp_path / "models", ("a/x", "b/y", "b/z"))
    assert_is_right(tmp_path / "times", ("2026-01-00", "2026-01-01", "2026-01-02"))
    assert_is_right(tmp_path / "seeds", ("seed0", "seed1", "seed2"))


def test_epochs_of_several_logs(tmp_path):
    write_eval(tmp_path / "a.eval", log(samples([0, 1]), "gpt"))
    write_eval(tmp_path / "b.eval", log(samples([0, 1]), "claude"))
    members = ("claude/1", "claude/2", "gpt/1", "gpt/2")
    assert open_predictions(tmp_path)[0].members == members


def test_unfinished_logs_and_other_tasks_are_left_out(tmp_path):
    write_json(tmp_path / "a.json", log(samples()))
    write_json(tmp_path / "b.json", log(samples()[:3], "other", status="error"))
    predictions = assert_is_right(tmp_path, (1, 2, 3))
    assert "left out, not finished: b.json" in predictions.notes
    write_json(tmp_path / "c.json", log(samples()[:1], task="gpqa"))
    with pytest.raises(ValueError, match="several tasks, gpqa, inspect_evals/arc; choose one with"):
        open_predictions(tmp_path)
    assert_is_right(tmp_path, (1, 2, 3), Names(task="arc"))
    assert_is_right(tmp_path, (1, 2, 3), Names(task="inspect_evals/arc"))


@pytest.mark.parametrize(
    "more",
    [
        {"error": {"message": "timeout"}},
        {"scores": None},
        {"scores": {"choice": {"value": "I", "answer": ""}}},
        {"scores": {"choice": {"value": "I", "answer": "A, B"}}},
        {"scores": {"choice": {"value": "N", "answer": None}}},
    ],
)
def test_samples_without_one_answer_are_left_out(tmp_path, more):
    rows = samples()
    rows[7] |= more
    predictions, _ = open_predictions(write_json(tmp_path / "a.json", log(rows)))
    assert predictions.index.tolist() == [1, 3, 4, 5, 6]
    said = "left out: 1 of 6 samples without one answer of every member (errors, none or several)"
    assert said in predictions.notes
    rows = [row | more for row in rows]
    with pytest.raises(ValueError, match="no sample has one answer of every member"):
        open_predictions(write_json(tmp_path / "a.json", log(rows)))


def test_choices_in_another_order_are_matched(tmp_path):
    rows = samples()
    for row in rows[6:]:
        score, number = row["scores"]["choice"], len(row["choices"])
        row["choices"] = row["choices"][::-1]
        row["target"] = LETTERS[number - 1 - LETTERS.index(row["target"])]
        score["answer"] = LETTERS[number - 1 - LETTERS.index(score["answer"])]
    path = write_json(tmp_path / "a.json", log(rows))
    notes = assert_is_right(path, (1, 2, 3)).notes
    assert "choices of 6 samples come in several orders: matched by their texts" in notes
    rows[9]["choices"] = ["new", *rows[9]["choices"][1:]]
    with pytest.raises(ValueError, match="must have the same choices, but those of sample 4 diff"):
        open_predictions(write_json(path, log(rows)))


def test_targets_and_answers_in_other_words(tmp_path):
    rows = samples()
    for row in rows:
        row["target"] = [row["choices"][LETTERS.index(row["target"])]]
        row["id"] = f"q{row['id']}"
        row["input"] = [
            {"role": "system", "content": "-"},
            {"role": "user", "content": row["input"]},
        ]
        score = row["scores"].pop("choice")
        row["scores"]["mine"] = {"value": score["value"] == "C", "answer": f"({score['answer']})"}
    assert_is_right(write_json(tmp_path / "a.json", log(rows)), (1, 2, 3))


def test_of_several_scorers_one_is_chosen(tmp_path):
    rows = samples()
    for row in rows:
        row["scores"] = {"x": row["scores"]["choice"], "y": {"value": 0.5, "answer": "A"}}
    path = write_json(tmp_path / "a.json", log(rows))
    with pytest.raises(ValueError, match="has the scorers x, y; choose one with --votes"):
        open_predictions(path)
    assert_is_right(path, (1, 2, 3), Names(votes="x"))
    with pytest.raises(ValueError, match="--votes z is no scorer, has x, y"):
        open_predictions(path, names=Names(votes="z"))


def test_letters_without_choices(tmp_path):
    rows = [row | {"choices": None} for row in samples()]
    path = write_json(tmp_path / "a.json", log(rows))
    notes = assert_is_right(path, (1, 2, 3), num_options=None).notes
    assert "samples without choices: their letters are the classes" in notes


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"target": "A, C"}, "target 'A, C' of sample 1 is not one of its 3 choices; only logs"),
        ({"target": "AC"}, "target 'AC' of sample 1 is not one of"),
        ({"target": ["A", "C"]}, "of sample 1 is not one of its 3 choices"),
        ({"target": "Paris", "choices": None}, "'Paris' of sample 1 is not one of its 0 choices"),
        ({"target": "E"}, "'E' of sample 1 is not one of its 3 choices"),
        (
            {"scores": {"choice": {"value": "C", "answer": "A"}}},
            "1 of 18 scores do not say whether .* the first is 'C' for sample 1, answer 'A'",
        ),
        ({"epoch": 2}, "1 rows are repeated; the first is member 2, sample 1"),
        ({"epoch": 4}, "member 1 lacks 1 of 6, member 4 lacks 5 of 6"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path, more, message):
    rows = samples()
    rows[0] |= more
    with pytest.raises(ValueError, match=message):
        open_predictions(write_json(tmp_path / "a.json", log(rows)))


def test_damaged_and_empty_logs_are_told(tmp_path):
    path = write_eval(tmp_path / "a.eval", log(samples()))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"a.eval: not a complete log of Inspect \("):
        open_predictions(path)
    with pytest.raises(ValueError, match="has no samples; log them, with --log-samples"):
        open_predictions(write_json(tmp_path / "b.json", log(None)))
