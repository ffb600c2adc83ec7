"""The same ensemble in every format and under the names that people give it."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import dataset, parquet
from safetensors.torch import save_file

from bvalign import open_predictions
from bvalign.predictions import Names
from tests.ensembles import random_ensemble

LOGITS, TARGET = random_ensemble(members=3, samples=7, classes=4)
PROBS = torch.softmax(LOGITS.double(), -1)
P1 = PROBS[..., 1]
VOTES = LOGITS.argmax(-1)
SEEDS = ("seed0", "seed1", "seed2")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(path, **names):
    predictions, origin = open_predictions(path, names=Names(**names))
    logits = torch.cat([logits for logits, _ in predictions.ranges()], dim=1)
    assert f"{len(predictions.members)} member" in origin["read"]
    return predictions, torch.softmax(logits.double(), -1)


def check(path, probs=PROBS, target=TARGET, **names):
    """The notes, if the file holds this ensemble."""
    predictions, found = read(path, **names)
    torch.testing.assert_close(found, probs.double(), rtol=1e-6, atol=1e-9)
    assert (predictions.target is None) == (target is None)
    assert target is None or predictions.target.tolist() == target.tolist()
    return " | ".join(predictions.notes)


def long_table(scores=LOGITS, prefix="logit", **names):
    """Rows in an order of their own, with columns under other names."""
    rows = [
        {"member": SEEDS[m], "sample": n, "label": int(TARGET[n])}
        | {f"{prefix}{k}": float(scores[m, n, k]) for k in range(scores.shape[2])}
        for m in range(3)
        for n in range(7)
    ]
    np.random.default_rng(0).shuffle(rows)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {names.get(name, name): column for name, column in columns.items()}


def write_csv(path, columns, delimiter=",", decimal=".", opener=open, start=""):
    def cell(value):
        return str(value).replace(".", decimal) if isinstance(value, float) else str(value)

    rows = zip(*columns.values(), strict=True)
    lines = [delimiter.join(columns), *(delimiter.join(map(cell, row)) for row in rows)]
    with opener(path, "wt", encoding="utf-8") as file:
        file.write(start + "\n".join(lines) + "\n")
    return Path(path)


def test_tables_in_text():
    check(write_csv("a.csv", long_table()))
    check(write_csv("a.CSV", long_table(), start="\ufeff"))
    check(write_csv("a.tsv", long_table(), "\t"))
    check(write_csv("a.csv.gz", long_table(), opener=gzip.open))
    check(write_csv("b.csv", long_table(), ";", ","))
    check(write_csv("c.csv", long_table(), ";", "."))
    check(write_csv("d.csv", long_table(), "\t", ","))
    check(write_csv("e.csv", {"": range(21), **long_table()}))
    text = Path("a.csv").read_text()
    Path("g.csv").write_bytes(text.replace("\n", "\r").encode())
    check("g.csv")
    check(write_csv("h.csv", long_table(LOGITS * 1e-9), ";", ","), torch.softmax(LOGITS * 1e-9, -1))
    for content in (gzip.compress(text.encode()), text.encode("utf-16")):
        Path("i.csv").write_bytes(content)
        with pytest.raises(ValueError, match="not a complete .csv in UTF-8; is it compressed"):
            read("i.csv")
    check(write_csv("f.csv", {"note": ['"a, b\nc"'] * 21, **long_table()}))


@pytest.mark.parametrize(
    "save", [write_csv, lambda path, c: parquet.write_table(pa.table(c), path)]
)
@pytest.mark.parametrize(
    ("names", "prefix", "said"),
    [
        ({"member": "seed", "sample": "id", "label": "target"}, "logit_", "member is 'seed'"),
        ({"sample": "idx", "label": "y_true"}, "logits_", "label is 'y_true'"),
        ({"member": "Model", "sample": "filename"}, "logits.", "logits are logits.0"),
    ],
)
def test_other_names_of_columns_are_guessed_and_said(save, names, prefix, said):
    path = Path("t.csv" if save is write_csv else "t.parquet")
    save(path, long_table(prefix=prefix, **names))
    assert said in check(path)


def test_names_by_option():
    columns = long_table(prefix="out_", member="fold", sample="case", label="truth")
    write_csv("t.csv", columns)
    with pytest.raises(ValueError, match=r"--scores 'prob_\*' or --votes 'model_\*'"):
        read("t.csv")
    given = {"member": "fold", "sample": "case", "label": "truth", "scores": "out_*"}
    assert "logits: rows do not sum" in check("t.csv", **given).replace("scores are read as ", "")
    with pytest.raises(ValueError, match="--sample row is not there, has fold, case"):
        read("t.csv", **given | {"sample": "row"})
    with pytest.raises(ValueError, match=r"--scores 'p\*' fits no column"):
        read("t.csv", **given | {"scores": "p*"})
    write_csv("t.csv", columns | {"seed": columns["fold"], "run": columns["fold"]})
    with pytest.raises(ValueError, match="seed and run could each be the member; choose one"):
        read("t.csv", label="truth", sample="case", scores="out_*")


def test_one_column_by_option_and_what_it_holds():
    both = torch.stack([1 - P1, P1], dim=-1)
    columns = long_table(P1[..., None], "out")
    columns["label"] = [int(label > 1) for label in columns["label"]]
    given = {"probs": both, "target": TARGET > 1}
    columns["out"] = columns.pop("out0")
    check(write_csv("t.csv", columns), scores="out", **given)
    parquet.write_table(pa.table(columns), "t.parquet")
    check("t.parquet", scores="out", **given)
    columns["prob"] = columns.pop("out")
    for line, end, quote in ((";", "\n", '"'), (";", "\r\n", "")):
        text = write_csv("t.csv", columns, line, ",").read_text().splitlines()
        rows = (
            f"{row.rpartition(line)[0]};{quote}{row.rpartition(line)[2]}{quote}" for row in text
        )
        Path("t.csv").write_bytes((end.join(rows) + end).encode())
        check("t.csv", **given)
    write_csv("s.csv", {"id": range(7), "logits": ['"[1, 2]"'] * 7})
    with pytest.raises(ValueError, match="has logits; 'logits' holds string, no numbers or lists"):
        read("s.csv")
    names = {"id": [0, 1], "label": ["cat", "car"], "out_cat": [0.9, 0.2], "out_car": [0.1, 0.8]}
    write_csv("c.csv", names)
    for pattern in ("out*", "out_*"):
        assert read("c.csv", scores=pattern)[0].target.tolist() == [0, 1]
    nested = pa.table({"id": range(7), "logits": [[[1.0, 2.0]]] * 7})
    parquet.write_table(nested, "s.parquet")
    with pytest.raises(ValueError, match="column 'logits' must hold numbers"):
        read("s.parquet")


def test_numbers_that_are_not_whole_are_not_cut_to_whole_ones():
    for name, message in (("label", "21 are no whole numbers"), ("sample", "or whole numbers")):
        columns = long_table()
        columns[name] = [value + 0.5 for value in columns[name]]
        parquet.write_table(pa.table(columns), "t.parquet")
        with pytest.raises(ValueError, match=message):
            read("t.parquet")


def test_columns_named_after_classes():
    names = ["ant", "bee", "cat", "dog"]
    columns = {"id": range(7), "true": TARGET.tolist()}
    columns |= {f"prob_{name}": PROBS[0, :, k].tolist() for k, name in enumerate(names)}
    assert "prob_ant, prob_bee" in check(write_csv("oof.csv", columns), PROBS[:1])
    assert read("oof.csv")[0].class_names == tuple(names)
    columns["true"] = [names[k] for k in TARGET]
    check(write_csv("oof.csv", columns), PROBS[:1])
    turned = dict(reversed(columns.items()))
    check(write_csv("oof.csv", turned), PROBS[:1].flip(-1), 3 - TARGET)


def test_votes_in_tables():
    hard = torch.nn.functional.one_hot(VOTES, 4).double()
    wide = {"text": [f"t{n}" for n in range(7)], "label": TARGET.tolist()}
    wide |= {f"model{m}": VOTES[m].tolist() for m in range(3)}
    check(write_csv("wide.csv", wide), hard)
    predictions, _ = read("wide.csv")
    assert predictions.members == ("model0", "model1", "model2")
    assert predictions.texts[3] == "t3"
    assert read("wide.csv", votes="model[02]")[0].members == ("model0", "model2")
    names = np.array(["ant", "bee", "cat", "dog"])
    wide |= {f"model{m}": names[VOTES[m]].tolist() for m in range(3)}
    wide["label"] = names[TARGET].tolist()
    check(write_csv("named.csv", wide), hard)
    long = {n: c for n, c in long_table().items() if not n.startswith("logit")}
    place = {name: m for m, name in enumerate(SEEDS)}
    pairs = zip(long["member"], long["sample"], strict=True)
    long["prediction"] = [int(VOTES[place[m], n]) for m, n in pairs]
    check(write_csv("long.csv", long), hard)


def test_lists_and_lines_of_json():
    columns = {n: c for n, c in long_table().items() if not n.startswith("logit")}
    place = {name: m for m, name in enumerate(SEEDS)}
    pairs = list(zip(columns["member"], columns["sample"], strict=True))
    columns["logits"] = [LOGITS[place[m], n].tolist() for m, n in pairs]
    parquet.write_table(pa.table(columns), "lists.parquet")
    check("lists.parquet")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    lines = "\n".join(json.dumps(row) for row in rows)
    Path("t.jsonl").write_text("\ufeff" + lines + "\n\n")
    check("t.jsonl")
    with gzip.open("t.jsonl.gz", "wt") as file:
        file.write(lines)
    check("t.jsonl.gz")
    Path("t.json").write_text(json.dumps(rows))
    check("t.json")
    Path("t.jsonl").write_text(lines + '\n{"member": 3')
    with pytest.raises(ValueError, match="line 22 is no JSON .* is the file complete"):
        read("t.jsonl")
    Path("t.jsonl").write_text(lines + "\n\n[1]")
    with pytest.raises(ValueError, match="line 23 must be a JSON object"):
        read("t.jsonl")


def test_options_that_differ_in_number_are_padded():
    rows = []
    for m in range(2):
        for n, count in enumerate((2, 4, 3)):
            scores = LOGITS[m, n, :count].tolist()
            rows.append({"member": m, "sample": n, "label": 1, "logits": scores})
    Path("t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    _, probs = read("t.jsonl")
    assert probs.shape == (2, 3, 4)
    torch.testing.assert_close(probs[1, 2, :3], torch.softmax(LOGITS[1, 2, :3].double(), -1))
    assert not probs[1, 2, 3:].any()
    rows[0]["logits"] = [0.0, 1.0, 2.0]
    Path("t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match="must have the same options of a sample, but 1 samples"):
        read("t.jsonl")


def test_partitioned_tables():
    table = pa.table(long_table())
    parts = dataset.partitioning(pa.schema([("member", pa.string())]), flavor="hive")
    dataset.write_dataset(table, "parts", format="parquet", partitioning=parts)
    check("parts")
    Path("spark.parquet").mkdir()
    parquet.write_table(table[:10], "spark.parquet/part-0.parquet")
    parquet.write_table(table[10:], "spark.parquet/part-1.parquet")
    check("spark.parquet")


def test_named_arrays():
    arrays = {"labels": TARGET.numpy()}
    np.savez("hf.npz", predictions=LOGITS.numpy(), label_ids=TARGET.numpy())
    assert "labels are read from 'label_ids'" in check("hf.npz")
    np.savez("one.npz", predictions=LOGITS[0].numpy(), label_ids=TARGET.numpy())
    check("one.npz", PROBS[:1])
    np.savez("seeds.npz", **arrays, **dict(zip(SEEDS, LOGITS.numpy(), strict=True)))
    assert "each of these arrays is read as a member: seed0, seed1, seed2" in check("seeds.npz")
    np.save("logits.npy", LOGITS.numpy())
    check("logits.npy", target=None)
    tensors = {"logits": LOGITS.contiguous(), "labels": TARGET}
    save_file(tensors, "a.safetensors")
    check("a.safetensors")
    torch.save(tensors, "a.pt")
    check("a.pt")
    torch.save(tensors, "old.pth", _use_new_zipfile_serialization=False)
    check("old.pth")
    torch.save({"logits": list(LOGITS), "labels": TARGET}, "list.pt")
    check("list.pt")
    torch.save(
        {n: {"logits": x, "labels": TARGET} for n, x in zip(SEEDS, LOGITS, strict=True)}, "n.pt"
    )
    check("n.pt")
    Path("a.json").write_text(json.dumps({"logits": LOGITS.tolist(), "labels": TARGET.tolist()}))
    check("a.json")
    np.savez("other.npz", my_scores=LOGITS.numpy(), truth=TARGET.numpy())
    check("other.npz", scores="my_scores", label="truth")


def test_single_outputs_of_binary_classifiers():
    binary, target = torch.stack([1 - P1, P1], -1), TARGET % 2
    given = {"labels": target.numpy()}
    for probs in (P1, P1[..., None]):
        np.savez("p.npz", probs=probs.numpy(), **given)
        assert "read as (1 - p, p)" in check("p.npz", binary, target)
    z = torch.logit(P1)
    np.savez("z.npz", logits=z.numpy(), **given)
    assert "read as (0, z)" in check("z.npz", binary, target)
    np.savez("sklearn.npz", tree=P1[0].numpy(), knn=P1[1].numpy(), y_test=target.numpy())
    check("sklearn.npz", binary[:2], target)
    for name in ("p1", "proba", "y_prob"):
        columns = long_table(P1[..., None], name)
        columns = {n.removesuffix("0") if n != "p10" else "p1": c for n, c in columns.items()}
        columns["label"] = [int(target[n]) for n in columns["sample"]]
        check(write_csv("p.csv", columns), binary, target)
    np.savez("ids.npz", scores=VOTES.double().numpy(), **given)
    with pytest.raises(ValueError, match="scores are whole numbers; are they class ids"):
        read("ids.npz")
    np.savez("both.npz", probs=PROBS[0, :4].numpy(), labels=TARGET[:4].numpy())
    with pytest.raises(ValueError, match="may be one member .* or the single output"):
        read("both.npz")


def test_folders_of_any_format():
    for m, (name, logits) in enumerate(zip(SEEDS, LOGITS, strict=True)):
        for folder in ("csvs", "npzs", "pts", f"hydra/{m}", f"runs/{name}", "lines"):
            Path(folder).mkdir(parents=True, exist_ok=True)
        columns = {"id": range(7), "label": TARGET.tolist()}
        columns |= {f"logit{k}": logits[:, k].tolist() for k in range(4)}
        write_csv(f"csvs/{name}.csv", columns)
        np.savez(f"npzs/{name}.npz", logits=logits.numpy(), labels=TARGET.numpy())
        torch.save(logits.clone(), f"pts/{name}.pt")
        np.save(f"hydra/{m}/logits.npy", logits.numpy())
        np.save(f"hydra/{m}/labels.npy", TARGET.numpy())
        (Path(f"hydra/{m}") / "train.log").write_text("done")
        write_csv(f"runs/{name}/predictions.csv", columns)
        write_csv(f"runs/{name}/metrics.csv", {"epoch": [1], "loss": [0.5]})
        rows = [{"id": n, "target": int(TARGET[n]), "logits": logits[n].tolist()} for n in range(7)]
        Path(f"lines/{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("pts/labels.txt").write_text("\n".join(map(str, TARGET.tolist())))
    Path("pts/notes.md").write_text("seeds")
    for folder in ("csvs", "npzs", "runs", "lines"):
        check(folder)
        assert read(folder)[0].members == SEEDS
    check("hydra")
    assert read("hydra")[0].members == (0, 1, 2)
    assert "not used: notes.md" in check("pts")
    Path("all").mkdir()
    np.save("all/logits.npy", LOGITS.numpy())
    np.save("all/targets.npy", TARGET.numpy())
    assert "labels are read from 'targets'" in check("all")
    Path("none").mkdir()
    Path("none/readme.md").write_text("")
    with pytest.raises(ValueError, match=r"no run.json, .* needs a file .* has readme.md"):
        read("none")


def test_members_of_a_folder_are_matched_by_sample_name():
    names = [f"img_{n}.png" for n in range(7)]
    for m, order in enumerate((range(7), reversed(range(7)))):
        order = list(order)
        columns = {"filename": [names[n] for n in order], "label": TARGET[order].tolist()}
        columns |= {f"logit{k}": LOGITS[m, order, k].tolist() for k in range(4)}
        write_csv(f"seed{m}.csv", columns)
    check(".", PROBS[:2])
    assert read(".")[0].texts == tuple(names)
    columns["filename"][0] = "other.png"
    write_csv("seed1.csv", columns)
    with pytest.raises(ValueError, match="must have the same samples, but 'sample_names' of seed1"):
        read(".")


def test_what_ranks_wrote_is_one_member():
    def batches(rank):
        rows = torch.arange(rank, 7, 2)
        return [{"logits": LOGITS[0, r], "target": TARGET[r]} for r in rows.split(2)]

    for rank in range(2):
        torch.save(batches(rank), f"predictions_{rank}.pt")
    assert "2 ranks of one member are joined" in check(".", PROBS[:1])
    shutil.move("predictions_0.pt", "seed0.pt")
    shutil.move("predictions_1.pt", "seed1.pt")
    with pytest.raises(ValueError, match="all members must have the same samples"):
        read(".")


def test_several_labels_are_analysed_one_at_a_time():
    labels = np.random.default_rng(0).integers(2, size=(7, 4))
    labels[0] = 1
    given = {"probs": PROBS.numpy(), "labels": labels, "class_names": np.array(list("abcd"))}
    np.savez("m.npz", **given)
    with pytest.raises(ValueError, match="several labels; .* --task a or b or c or d"):
        read("m.npz")
    p = PROBS[..., 2]
    check("m.npz", torch.stack([1 - p, p], -1), torch.from_numpy(labels[:, 2]), task="c")
    np.savez("s.npz", logits=LOGITS.numpy(), labels=TARGET.numpy())
    with pytest.raises(ValueError, match="--task x needs labels"):
        read("s.npz", task="x")


def test_votes_for_ids_in_the_millions():
    ids = np.array([2119789, 7749582, 9000001, 5])
    np.savez("v.npz", votes=ids[VOTES], labels=ids[TARGET])
    predictions, probs = read("v.npz")
    assert probs.shape[-1] <= 4
    assert predictions.class_names == tuple(sorted({str(i) for i in ids}, key=int))
    right = torch.from_numpy(
        np.take_along_axis(probs.numpy(), predictions.target[None, :, None], 2)
    )
    assert torch.equal(right[..., 0] == 1, VOTES == TARGET)


def test_what_is_not_read_is_told_with_the_way_out():
    for name in ("a.h5", "a.pkl", "a"):
        Path(name).write_bytes(b"x")
        with pytest.raises(ValueError, match=r"is not read; save the predictions as one of .npz"):
            read(name)
    Path("lfs.npz").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match="a Git LFS pointer, not the file; run git lfs pull"):
        read("lfs.npz")
    torch.save({"logits": LOGITS, "model": torch.nn.Linear(2, 2)}, "m.pt")
    with pytest.raises(ValueError, match="holds Python objects, which are not loaded"):
        read("m.pt")
    torch.save([LOGITS[0], LOGITS[1]], "list.pt")
    with pytest.raises(ValueError, match="may be members or batches; save torch.stack"):
        read("list.pt")
    torch.save(torch.nn.Linear(2, 2).state_dict(), "weights.pt")
    with pytest.raises(ValueError, match="needs an array 'logits'.* has weight, bias"):
        read("weights.pt")
    np.savez("o.npz", logits=LOGITS.numpy(), members=np.array(["a", 1, None], dtype=object))
    with pytest.raises(ValueError, match="'members' is an object array; save members.astype"):
        read("o.npz")


def test_tables_of_votes_of_one_member_each_and_of_booleans():
    for m, name in enumerate(SEEDS):
        columns = {"id": range(7), "label": TARGET.tolist(), "prediction": VOTES[m].tolist()}
        write_csv(f"{name}.csv", columns)
    predictions, probs = read(".")
    assert predictions.members == SEEDS
    assert torch.equal(probs.argmax(-1), VOTES)
    write_csv("seed0.csv.gz", columns, opener=gzip.open)
    with pytest.raises(ValueError, match=r"seed0\.csv, seed0\.csv\.gz are of one name"):
        read(".")
    binary = {"label": (TARGET > 1).tolist(), "predicted": [1] * 7, "prob": P1[0].tolist()}
    both = torch.stack([1 - P1[:1], P1[:1]], dim=-1)
    check(write_csv("p.csv", binary), both, TARGET > 1)
    columns = {"label": (TARGET > 1).tolist()}
    columns |= {f"model{m}": (VOTES[m] > 1).tolist() for m in range(3)}
    write_csv("b.csv", columns)
    parquet.write_table(pa.table(columns), "b.parquet")
    for name in ("b.csv", "b.parquet"):
        predictions, probs = read(name)
        assert torch.equal(probs.argmax(-1), (VOTES > 1).long())
        assert predictions.target.tolist() == (TARGET > 1).tolist()


def test_batches_with_more_than_arrays_and_what_is_neither_batch_nor_member():
    batches = [
        {"logits": LOGITS[0, rows], "labels": TARGET[rows], "loss": torch.tensor(0.5), "batch": n}
        for n, rows in enumerate(torch.arange(7).split(4))
    ]
    torch.save(batches, "p.pt")
    assert check("p.pt", PROBS[:1]) == "not used: loss, batch"
    for saved, message in (
        ((LOGITS, TARGET), r"\(3, 7, 4\), \(7,\) are neither batches .* give a dict"),
        ({"logits": [LOGITS[:, :4], LOGITS[:, 4:]]}, "are neither batches"),
        (
            [(LOGITS[0, :4], TARGET[:4]), (LOGITS[0, 4:], TARGET[4:])],
            "parts have different lengths",
        ),
    ):
        torch.save(saved, "p.pt")
        with pytest.raises(ValueError, match=rf"^p\.pt: .*{message}"):
            read("p.pt")


def test_what_lies_beside_members_is_said_or_refused():
    for m in range(3):
        Path(f"runs/{m}").mkdir(parents=True)
        np.save(f"runs/{m}/logits.npy", LOGITS[m].numpy())
    for name in ("runs/metrics.json", "runs/0/metrics.json"):
        Path(name).write_text("{}")
    torch.save(TARGET, "runs/labels.pt")
    notes = check("runs", target=None)
    assert "not used: labels.pt, metrics.json; save labels and the like as .npy" in notes
    Path("runs/Labels.txt").write_text("\n".join(f"{t:.18e} " for t in TARGET.tolist()) + "\n\n")
    assert "0: not used: metrics.json" in check("runs")
    Path("runs/1/logits.npy").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match=r"1/logits\.npy: a Git LFS pointer"):
        read("runs")
    for name in ("s0.npy", "s1.npy", "s1.npz"):
        Path("twice").mkdir(exist_ok=True)
        save = np.save if name.endswith("npy") else np.savez
        save(f"twice/{name}", LOGITS[0].numpy())
    with pytest.raises(ValueError, match=r"twice: s1\.npy, s1\.npz are of one name; rename"):
        read("twice")


def test_ranks_beside_their_indices_and_shared_labels():
    for rank in range(2):
        rows = torch.arange(rank, 7, 2)
        torch.save({"logits": LOGITS[0, rows]}, f"rank{rank}.pt")
        torch.save([[rows.tolist()]], f"batch_indices_{rank}.pt")
    np.save("labels.npy", TARGET.numpy())
    assert "not used: batch_indices_0.pt, batch_indices_1.pt" in check(".", PROBS[:1])


def test_files_of_several_members_each_have_one_set_of_labels():
    for m, name in enumerate(("small", "large")):
        columns = long_table(
            LOGITS + m * torch.arange(4) ** 2 / (1 + torch.arange(3)[:, None, None])
        )
        write_csv(f"{name}.csv", columns)
    predictions, _ = read(".")
    assert len(predictions.members) == 6
    assert predictions.target.tolist() == TARGET.tolist()
    Path("npzs").mkdir()
    np.savez("npzs/one.npz", logits=LOGITS[:1].numpy() * 2, labels=TARGET[None].numpy())
    np.savez("npzs/two.npz", logits=LOGITS[1:].numpy(), labels=TARGET.expand(2, 7).numpy())
    assert len(read("npzs")[0].members) == 3
    np.save("npzs/labels.npy", TARGET.numpy())
    assert read("npzs")[0].target.tolist() == TARGET.tolist()
    for m in range(2):
        np.savez(f"m{m}.npz", logits=LOGITS[m].numpy(), labels=np.eye(4)[TARGET.roll(m)])
    with pytest.raises(ValueError, match="must have the same samples, but 'labels' of m1 and m0"):
        read(".")
