"""Errors of the configuration in one line: what argparse, Lightning and constructors say of it."""

import dis
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import jsonargparse
import lightning
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import bvalign.data
from bvalign.commands.yaml_limits import limit_yaml
from bvalign.ensemble.deterministic import told_nondeterministic

PACKAGES = tuple(Path(package.__file__).parent for package in (lightning, jsonargparse))
"""Where an error that is raised on purpose is about the configuration."""

GIVEN_BY_SHELL = ("/dev/", "/proc/")
"""Where the pipe of `--config <(command)` is, which ends with the command."""

LONGEST = 120
"""Characters of a value that a message repeats."""

NOT_SAID = (
    r"$|Does not validate|Subtypes: |Errors:|Given value type: |Expected a <class 'NoneType'>"
    r"|Not a valid subclass of |Subclass types expect one of|a class path \(str\)|a dict with"
)
"""Beginnings of lines of jsonargparse that tell users nothing."""

SAID_AS = (
    (r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1"),
    (r"typing\.Literal\[(.*?)\]", r"one of \1"),
    (r"Expected a path but \S+ either not accessible or invalid, ", ""),
    (r"Expected a dot import path string: (\S+?)(,|$)", r"no class '\1'\2"),
    (r"Problem with given class_path '(?:[\w.]*\.)?(\w+)':,?", r"\1:"),
    (r'Parser key "([\w.]+)":,?', r"\1:"),
    (r"Call to compute_fn of link .* failed: ", ""),
    (r"Expected an? ", "expected "),
    (r", expected ", " or "),
    (r"\. Got value: ", "; got "),
    (r"expected list, ", ""),  # where it is one of several
    (r"(no class '[^']+').*", r"\1"),
)
"""Expressions of jsonargparse and the same in plain words."""


class OneLineParser(LightningArgumentParser):
    """LightningCLI's parser, without the usage of 200 options before an error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        limit_yaml()
        super().__init__(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Ends the process with exit code 2 and one line, after the traceback with BVALIGN_DEBUG.

        Raises:
            argparse.ArgumentError: this parses the arguments of a class, within another parser.
        """
        if not self.exit_on_error:
            super().error(message, ex)
        if ex is not None and os.environ.get("BVALIGN_DEBUG"):
            traceback.print_exception(ex)
        prog = getattr(ex, "subcommand_parser", self).prog.replace(" [options]", "")
        self.exit(2, f"bvalign: error: {one_line(message)}; see `{prog} --help`\n")

    def parse_path(
        self, path: str | os.PathLike, *args: Any, **kwargs: Any
    ) -> jsonargparse.Namespace:
        """Parses a configuration file."""
        if Path(path).is_fifo() and not str(path).startswith(GIVEN_BY_SHELL):
            self.error(f"config: {path} is a pipe, which may never end; write it into a file")
        try:
            return super().parse_path(path, *args, **kwargs)
        except UnicodeDecodeError as error:
            self.error(f"config: {path} is not UTF-8 ({error.reason}); save it as UTF-8", error)


def one_line(message: str) -> str:
    """Shortens a message of jsonargparse to the key, what is expected and the value.

    >>> one_line("Expected a <class 'int'>. Got value: x")
    'expected int; got x'
    """
    head, *rest = re.split(r"\n\s*Given value: ", message, maxsplit=1)
    lines = (line.strip().removeprefix("- ") for line in head.splitlines())
    said = ", ".join(dict.fromkeys(line for line in lines if not re.match(NOT_SAID, line)))
    for theirs, ours in SAID_AS:
        said = re.sub(theirs, ours, said)
    if said.startswith("data: no class"):
        said += f"; ours are {', '.join(_data_sets())}, others are given by their dotted path"
    value = "".join(rest).strip().partition("\n")[0][:LONGEST]
    if not value or value in said or re.match(r"\w+\(", value):  # the last is a whole Namespace
        return said
    return f"{said}; got {value}"


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turns errors about the configuration into a ValueError of bvalign, which `main` prints.

    Such are Lightning's MisconfigurationException, what Lightning and jsonargparse raise on
    purpose, what a constructor raises on purpose that they call, and an operation that PyTorch
    refuses in a deterministic run. An error that no `raise` statement has made is a bug and passes.

    Raises:
        ValueError: in place of such an error.
    """
    try:
        yield
    except (ValueError, TypeError, ImportError, RuntimeError, MisconfigurationException) as error:
        if told := _told_by_worker(error) or told_nondeterministic(error):
            raise ValueError(told) from error
        cause = error
        while cause.__cause__ is not None and _file(cause).is_relative_to(PACKAGES[1]):
            cause = cause.__cause__  # jsonargparse wraps the errors of constructors
        if not _about_configuration(cause, constructed=cause is not error):
            raise
        said = str(cause)
        if _in_packages(cause):
            said = f"{said.strip().rstrip('.')}; see `bvalign fit --help`"
        raise ValueError(said) from error


def _data_sets() -> list[str]:
    classes = [one for one in vars(bvalign.data).values() if isinstance(one, type)]
    sets = [one.__name__ for one in classes if hasattr(one, "name")]
    return sorted(name for name in sets if not name.endswith("DataModule"))  # those are abstract


def _about_configuration(error: BaseException, *, constructed: bool) -> bool:
    if isinstance(error, MisconfigurationException | OSError):
        return True
    known = isinstance(error, ValueError | TypeError | ImportError)
    return known and _on_purpose(error.__traceback__) and (constructed or _in_packages(error))


def _told_by_worker(error: BaseException) -> str | None:
    """The message of bvalign in a process of a DataLoader, from which PyTorch makes another one."""
    text = str(error)
    files = re.findall(r'\n  File "(.+?)"', text)
    raised_by = Path(files[-1]) if files else Path()
    if "Caught ValueError in DataLoader worker" not in text or "bvalign" not in raised_by.parts:
        return None
    return text.rpartition("\nValueError: ")[2]


def _on_purpose(trace: TracebackType) -> bool:
    """Tells whether a `raise` statement made the error, as opposed to `int("x")`, say."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _in_packages(error: BaseException) -> bool:
    return any(_file(error).is_relative_to(package) for package in PACKAGES)


def _file(error: BaseException) -> Path:
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename)
