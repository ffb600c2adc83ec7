"""Pieces of an analysis that are finished, in files: what a restart or another process need not do.

A piece is the joined result of successive ranges of samples. Its file is complete or absent, and
says of which predictions it is: a piece of other ones does not count.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bvalign.atomic import remove_left, write_atomic

Values = TypeVar("Values", bound=tuple)


@dataclass(frozen=True)
class Pieces:
    """Where pieces are kept.

    Attributes:
        folder: of the files; None to keep none.
        identity: of everything that determines the numbers.
    """

    folder: Path | None = None
    identity: str = ""

    def has(self, name: str) -> bool:
        """Returns whether there is an intact file of these predictions."""
        with self._opened(name) as file:
            return file is not None

    def kept(self, name: str, kind: type[Values], compute: Callable[[], Values]) -> Values:
        """Reads a piece, or computes and keeps it.

        Args:
            name: of the piece.
            kind: its NamedTuple.
            compute: called where there is no piece of these predictions.
        """
        with self._opened(name) as file:
            if file is not None:
                return _nested(kind, {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
        values = compute()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            tensors = {key: tensor.contiguous() for key, tensor in _flat(values)}
            write_atomic(self._path(name), save(tensors, self._about(name)))
        return values

    def refuse_others(self) -> None:
        """Checks that the folder holds no other files of such names, which might be overwritten.

        Raises:
            ValueError: it does.
        """
        for path in self._files():
            metadata = _metadata(path)
            if metadata is not None and metadata.keys() != self._about("").keys():
                raise ValueError(
                    f"{path} is no piece of an analysis and might be overwritten by one; choose "
                    "another folder for the report"
                )

    def remove(self) -> None:
        """Removes the files of pieces, of any predictions, and their folder if it has no other."""
        for path in self._files():
            if (_metadata(path) or {}).keys() == self._about("").keys():
                path.unlink(missing_ok=True)
        remove_left(self.folder)
        with suppress(OSError):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        return list(self.folder.glob("*.safetensors"))

    @contextmanager
    def _opened(self, name: str) -> Iterator[Any]:
        """The file of a piece, which may be replaced meanwhile; None where there is none."""
        with ExitStack() as opened:
            file = None
            if self.folder is not None:
                with suppress(OSError, SafetensorError):  # absent or cut short
                    file = opened.enter_context(safe_open(self._path(name), framework="pt"))
            yield file if file is not None and file.metadata() == self._about(name) else None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _about(self, name: str) -> dict[str, str]:
        """A single entry: the library draws the order of several."""
        return {"piece_of_analysis": f"{name} {self.identity}"}


def _metadata(path: Path) -> dict[str, str] | None:
    """Of a safetensors file; None if it is absent or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError):
        return None


NOWHERE = Pieces()
"""Keeps none."""


def _flat(values: tuple, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Tensors of nested NamedTuples, named as in `decomposition.bias_sq`."""
    for name, value in zip(values._fields, values, strict=True):
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif value is not None:
            yield from _flat(value, f"{prefix}{name}.")


def _nested(kind: type[Values], tensors: Mapping[str, Tensor]) -> Values:
    """The NamedTuple of such names; a part without any is None."""
    parts = []
    for name, hint in get_type_hints(kind).items():
        inside = {key.removeprefix(f"{name}."): v for key, v in tensors.items()
                  if key.startswith(f"{name}.")}  # fmt: skip
        several = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        nested = next((one for one in several if hasattr(one, "_fields")), None)
        parts.append(_nested(nested, inside) if inside else tensors.get(name))
    return kind(*parts)
