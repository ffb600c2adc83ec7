"""`~` in a configuration: the shell expands it at the beginning of a word only."""

import os
from pathlib import Path
from typing import Any

from jsonargparse import Namespace


def with_home(value: Any) -> Any:
    """A configuration whose strings and paths that begin with `~` have the home in its place."""
    if isinstance(value, Namespace):
        return Namespace({key: with_home(one) for key, one in vars(value).items()})
    if isinstance(value, dict):
        return {key: with_home(one) for key, one in value.items()}
    if isinstance(value, list):
        return [with_home(one) for one in value]
    if isinstance(value, str | Path) and str(value).partition("/")[0] == "~":
        return type(value)(os.path.expanduser(value))  # noqa: PTH111 (works without a home)
    return value
