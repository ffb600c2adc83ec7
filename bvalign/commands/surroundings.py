"""What a command does not leave to the terminal, the notebook or the home it is started from."""

import codecs
import io
import logging
import os
import sys

PLAIN = {"±": "+-", "−": "-", "–": "-", "²": "^2", "…": "..."}
"""Characters that bvalign prints -> what stands for them where there are none of them."""


def adapt_to_surroundings() -> None:
    """Lets every terminal print, every backend of matplotlib draw files, and no home be no news.

    Characters that a terminal does not have are replaced; the environment of this process, and of
    those that it starts, names a backend that needs no window. Matplotlib without a home of its own
    works from a temporary one, as it should, and need not say so.
    """
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")
    os.environ["MPLBACKEND"] = "agg"
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replaces characters that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in found), error.end
