"""Tables in text: .csv and .tsv, also compressed, read by pyarrow a block at a time.

The delimiter is the one of comma, semicolon and tab that the first line has most of. Where it is
no comma, cells like 0,5 have decimal commas. The first block tells whether ids are numbers or
names; if a later one does not fit, the file is read again with all ids as names.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from bvalign.predictions.damage import damaged, lines_of
from bvalign.predictions.scores.names import Names, shorten
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.tables.layout import Layout
from bvalign.predictions.tables.table import Table, scores_of_table

BLOCK_BYTES = 2**20


def open_csv(path: Path, names: Names) -> Scores:
    """Opens the scores of a table in text.

    Raises:
        ValueError: a column is missing, or a row is damaged; the message names the line.
    """
    file = None
    try:
        file = _TextTable.look(path)
        try:
            return scores_of_table(file.table(), names)
        except pa.ArrowInvalid:
            return scores_of_table(file.table(ids_are_names=True), names)
    except (pa.ArrowException, csv.Error, UnicodeDecodeError, OSError, EOFError) as error:
        if file is not None:
            with suppress(csv.Error):  # of a cell that is too long
                file.refuse_bad_line()
        raise damaged(path, ".csv in UTF-8", error) from error


@dataclass
class _TextTable:
    """A table in text, and how it is written."""

    path: Path
    header: list[str]
    delimiter: str
    decimal_point: str
    numbers: tuple[str, ...] = ()  # columns of scores, once the layout is known

    @classmethod
    def look(cls, path: Path) -> "_TextTable":
        """Reads the names of the columns, and guesses delimiter and decimal point."""
        with pa.input_stream(path, compression="detect") as stream:
            start = stream.read(BLOCK_BYTES).decode("utf-8-sig", "replace")
        if "\0" in start or start.startswith("\x1f\ufffd"):
            raise ValueError(
                f"{path}: not a complete .csv in UTF-8; is it compressed, or in UTF-16?"
            )
        first = re.split(r"[\r\n]", start, maxsplit=1)[0]
        delimiter = max(",;\t", key=re.sub('"[^"]*"', "", first).count)
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        twice = [name for name, count in Counter(header).items() if name and count > 1]
        if twice:
            raise ValueError(f"{path}: needs one column '{twice[0]}', has {shorten(header)}")
        comma = delimiter != "," and re.search(
            rf'(^|{delimiter}) *"?-?\d+,\d+(e[+-]?\d+)?"? *({delimiter}|\r?$)', start, re.M | re.I
        )
        return cls(path, header, delimiter, "," if comma else ".")

    def table(self, *, ids_are_names: bool = False) -> Table:
        types = {}
        if self.header:
            with self._open({}) as reader:
                types = {field.name: field.type for field in reader.schema}

        def batches(layout: Layout) -> Iterator[pa.RecordBatch]:
            self.numbers = () if layout.key == "votes" else layout.scores
            whole = (
                [] if ids_are_names else [n for n in layout.values if pa.types.is_integer(types[n])]
            )
            wanted = dict.fromkeys(layout.values, pa.string()) | dict.fromkeys(whole, pa.int64())
            with self._open(wanted | dict.fromkeys(self.numbers, pa.float64())) as reader:
                yield from reader

        return Table(self.path, types, batches)

    def _open(self, wanted: dict[str, pa.DataType]) -> arrow_csv.CSVStreamingReader:
        return arrow_csv.open_csv(
            self.path,
            arrow_csv.ReadOptions(block_size=BLOCK_BYTES, column_names=self.header, skip_rows=1),
            arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=wanted, include_columns=[*wanted], decimal_point=self.decimal_point
            ),
        )

    def refuse_bad_line(self) -> None:
        """Raises for the first line of another length, or with a score that is no number."""
        with pa.input_stream(self.path, compression="detect") as stream:
            text = io.TextIOWrapper(stream, "utf-8-sig", "replace", newline="")
            reader = csv.reader(lines_of(self.path, text), delimiter=self.delimiter)
            for row in reader:
                if not row or reader.line_num == 1:
                    continue
                place = f"{self.path}: line {reader.line_num}"
                if len(row) != len(self.header):
                    raise ValueError(
                        f"{place} has {len(row)} cells instead of {len(self.header)}; is the file "
                        "complete?"
                    )
                for name, cell in zip(self.header, row, strict=True):
                    if name in self.numbers and not self._is_number(cell):
                        raise ValueError(
                            f"{place}: column '{name}' must hold numbers, got {cell!r}"
                        )

    def _is_number(self, cell: str) -> bool:
        try:
            float(cell.replace(self.decimal_point, ".") or "nan")
        except ValueError:
            return False
        return True
