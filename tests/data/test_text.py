"""Questions as token ids, and the networks that read them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign.data import TREC
from bvalign.ensemble import networks
from tests.data_files import QUESTIONS, write_trec


def trec(root, **arguments):
    data = TREC(root=root, verify=False, **arguments)
    data.prepare_data()
    data.setup()
    return data


def test_questions_become_ids_of_the_most_frequent_words(tmp_path):
    write_trec(tmp_path)
    data = trec(tmp_path, vocabulary=6, length=5)
    first = data.arrays.train_images[0]
    # ids from 2: ?, what, is, then was and who would tie with others: does is the next one seen
    assert first.tolist() == [3, 5, 1, 1, 1]
    assert data.arrays.train_images[1].tolist() == [3, 4, 1, 2, 0]
    assert data.image_shape == (6, 1, 5)
    assert data.arrays.train_target[:6].tolist() == list(range(6))
    assert data.arrays.train_images.dtype == np.int64
    assert "a re-encoded copy of trec" in data.arrays.notes[0]
    assert trec(tmp_path, vocabulary=7).identity() != data.identity()


def test_texts_follow_the_samples(tmp_path):
    write_trec(tmp_path)
    data = trec(tmp_path, num_test=9, num_train=13)
    names = [label.partition(":")[0] for label in QUESTIONS]
    for split, number in (("test", 9), ("train", 13)):
        samples = data.samples(split)
        assert len(samples.texts) == len(samples.target) == number
        assert samples.images is None
        for text, label in zip(samples.texts, samples.target, strict=True):
            assert QUESTIONS[list(QUESTIONS)[names.index(data.class_names[label])]] == text


def test_other_counts_and_broken_lines_are_refused(tmp_path):
    write_trec(tmp_path)
    with pytest.raises(ValueError, match="train_5500.label, TREC_10.label .* differ from the off"):
        TREC(root=tmp_path).setup()
    with pytest.raises(ValueError, match="at least 3 and data.length at least 1, got 2 and 24"):
        TREC(vocabulary=2)
    (tmp_path / "trec" / "TREC_10.label").write_text("LOC:city Where ?\nWHAT:ever is this ?\n")
    with pytest.raises(ValueError, match="line 2 must be 'CLASS:fine question', got 'WHAT:ever"):
        TREC(root=tmp_path, verify=False).setup()


def test_the_transformer_ignores_what_follows_the_question():
    torch.manual_seed(0)
    network = networks.create("transformer", 4, (30, 1, 8), width=8, depth=2).eval()
    ids = torch.tensor([[5, 7, 9, 0, 0, 0, 0, 0], [0] * 8])
    logits = network(ids)
    assert logits.shape == (2, 4)
    assert logits.isfinite().all()
    with torch.no_grad():
        network.positions[3:] += 1
    torch.testing.assert_close(network(ids)[0], logits[0])
    shuffled = torch.tensor([[7, 5, 9, 0, 0, 0, 0, 0]])
    assert not torch.allclose(network(shuffled)[0], logits[0])
    with pytest.raises(ValueError, match="got 3 heads, width 8"):
        networks.create("transformer", 4, (30, 1, 8), width=8, heads=3)


@pytest.mark.usefixtures("without_figures")
def test_transformers_train_and_the_report_has_no_images(bvalign, tmp_path):
    write_trec(tmp_path)
    bvalign(
        "fit",
        "--data=TREC",
        f"--data.root={tmp_path}",
        "--data.verify=false",
        "--data.batch_size=12",
        "--model.arch=transformer",
        "--model.width=16",
        "--model.members=3",
        "--model.optimizer=adamw",
        "--model.lr=0.01",
        "--trainer.max_epochs=8",
        "--trainer.logger=false",
    )
    run = Path("runs/trec-transformer")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["num_samples"] == 60
    assert summary["accuracy"]["value"] == 1.0  # the test questions are those of training
    with np.load(run / "samples.npz") as stored:
        assert "images" not in stored.files
        assert stored["texts"][2] == QUESTIONS["ENTY:animal"]
    assert "<b>Bambi</b>" not in (run / "report.html").read_text()


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"data.tokenizer needs: pip install 'bvalign\[text\]'"):
        TREC(root=tmp_path, tokenizer="bert-base-uncased")
    with pytest.raises(ValueError, match=r"need: pip install 'bvalign\[text\]'"):
        networks.create("bvalign.ensemble.pretrained_text.PretrainedText", 6, (30, 1, 8))


@pytest.fixture
def tiny_bert(tmp_path):
    """A BERT of two layers with the words of the questions, as a folder of Hugging Face."""
    transformers = pytest.importorskip("transformers")
    words = sorted({word for text in QUESTIONS.values() for word in text.lower().split()})
    letters = sorted({letter for word in words for letter in word})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    vocabulary += [letter for letter in letters if letter not in words]
    folder = tmp_path / "tiny-bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_bert_is_fine_tuned(fit, bvalign, tmp_path, tiny_bert):
    write_trec(tmp_path)
    bvalign(
        "fit",
        "--data=TREC",
        f"--data.root={tmp_path}",
        "--data.verify=false",
        f"--data.tokenizer={tiny_bert}",
        "--data.batch_size=12",
        "--data.length=12",
        "--model.arch=bvalign.ensemble.pretrained_text.PretrainedText",
        f"--model.arch_args.pretrained={tiny_bert}",
        "--model.members=2",
        "--model.optimizer=adamw",
        "--model.lr=0.003",
        "--trainer.max_epochs=6",
        "--trainer.logger=false",
        "--trainer.default_root_dir=bert",
    )
    assert json.loads(Path("bert/summary.json").read_text())["accuracy"]["value"] > 0.9


def test_an_encoder_must_know_the_tokens(tiny_bert):
    with pytest.raises(ValueError, match=r"tokens, the data has ids up to 4999; use --data.token"):
        networks.create(
            "bvalign.ensemble.pretrained_text.PretrainedText",
            6,
            (5000, 1, 8),
            pretrained=str(tiny_bert),
        )
