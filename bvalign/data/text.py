"""Question classification: short texts as rows of token ids."""

from collections import Counter
from pathlib import Path
from urllib.error import URLError

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from bvalign.data.datamodule import Arrays
from bvalign.data.images import DownloadableDataModule

PADDING, UNKNOWN = 0, 1
URL = "https://cogcomp.seas.upenn.edu/Data/QA/QC/"


class TREC(DownloadableDataModule):
    """Questions in 6 classes by what they ask for (Li and Roth 2002); 5,452 train, 500 test.

    Args:
        vocabulary: number of token ids: one for padding, one for unknown words, the others for the
            most frequent words of all training questions, in lower case. A tokenizer brings its
            own number.
        length: tokens per question; longer ones are truncated.
        tokenizer: name or folder of a Hugging Face tokenizer, such as `bert-base-uncased`, used
            instead of whole words; needs `pip install 'bvalign[text]'`.
        **kwargs: of `DownloadableDataModule`; `verify` compares class counts with the published.
    """

    name = "trec"
    class_names = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    files = "trec/train_5500.label and trec/TREC_10.label"
    counts = ((86, 1162, 1250, 1223, 835, 896), (9, 138, 94, 65, 81, 113))  # train, test
    dtype = np.int64

    def __init__(
        self,
        vocabulary: int = 4000,
        length: int = 24,
        tokenizer: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        if vocabulary < 3 or length < 1:
            raise ValueError(
                "data.vocabulary must be at least 3 and data.length at least 1, got "
                f"{vocabulary} and {length}"
            )
        self.tokenizer = None if tokenizer is None else _load_tokenizer(tokenizer)
        self.vocabulary = vocabulary if tokenizer is None else len(self.tokenizer)
        self.length = length

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of a question seen as a 1 x length image whose channels are one-hot tokens."""
        return (self.vocabulary, 1, self.length)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return (self.length,)

    def has_files(self) -> bool:
        return all(path.is_file() for path in self._paths())

    def download(self) -> None:
        from torchvision.datasets.utils import download_url

        for path in self._paths():
            try:
                download_url(URL + path.name, self.root / "trec", path.name)
            except URLError as error:
                raise OSError(f"{URL}: {error}") from error

    def load(self) -> Arrays:
        (train, train_target), (test, test_target) = (self._read(path) for path in self._paths())
        self.texts, self.train_texts = tuple(test), tuple(train)
        names = ["train_5500.label", "TREC_10.label"]
        published = zip(names, (train_target, test_target), self.counts, strict=True)
        notes = self._checksum_note(
            [name for name, target, counts in published if tuple(np.bincount(target)) != counts]
        )
        known = _most_frequent(train, self.vocabulary - 2)
        ids = [self._tokens(texts, known) for texts in (train, test)]
        return Arrays(ids[0], train_target, ids[1], test_target, notes)

    def identity(self) -> dict[str, object]:
        return super().identity() | {"vocabulary": self.vocabulary}

    def normalise(self, images: Int64[Tensor, "*batch words"]) -> Int64[Tensor, "*batch words"]:
        """Returns token ids unchanged."""
        return images

    def _paths(self) -> list[Path]:
        return [self.root / "trec" / name for name in ("train_5500.label", "TREC_10.label")]

    def _read(self, path: Path) -> tuple[list[str], Int64[np.ndarray, " samples"]]:
        """Reads lines `COARSE:fine the question ?`; the training file is not UTF-8."""
        texts, labels = [], []
        lines = path.read_text(encoding="latin-1").splitlines()
        if not lines:
            raise ValueError(f"{path}: empty, and must have a line 'CLASS:fine question' for each")
        for number, line in enumerate(lines, 1):
            label, _, text = line.partition(" ")
            coarse = label.partition(":")[0]
            if coarse not in self.class_names or not text:
                raise ValueError(
                    f"{path}: line {number} must be 'CLASS:fine question', got {line[:40]!r}"
                )
            texts.append(text)
            labels.append(self.class_names.index(coarse))
        return texts, np.array(labels, dtype=np.int64)

    def _tokens(
        self, texts: list[str], known: dict[str, int]
    ) -> Int64[np.ndarray, "samples {self.length}"]:
        if self.tokenizer is not None:
            encoded = self.tokenizer(
                texts, padding="max_length", truncation=True, max_length=self.length
            )
            return np.array(encoded["input_ids"], dtype=np.int64)
        ids = np.full((len(texts), self.length), PADDING, dtype=np.int64)
        for row, text in zip(ids, texts, strict=True):
            words = text.lower().split()[: self.length]
            row[: len(words)] = [known.get(word, UNKNOWN) for word in words]
        return ids


def _most_frequent(texts: list[str], num: int) -> dict[str, int]:
    """Ids of the most frequent words, from 2 on; ties in the order of first appearance."""
    counts = Counter(word for text in texts for word in text.lower().split())
    return {word: 2 + rank for rank, (word, _) in enumerate(counts.most_common(num))}


def _load_tokenizer(name: str) -> object:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ValueError("data.tokenizer needs: pip install 'bvalign[text]'") from error
    return AutoTokenizer.from_pretrained(name)
