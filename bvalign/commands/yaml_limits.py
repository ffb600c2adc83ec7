"""Limits of YAML, which can say a billion values in a line, or nest them until readers crash."""

from functools import cache
from typing import Any

import jsonargparse
import yaml

DEEPEST, MOST = 100, 100_000
"""Levels and values of a configuration."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # where it was built with libyaml
_END = (yaml.MappingEndEvent, yaml.SequenceEndEvent, yaml.DocumentEndEvent)
_START = (yaml.MappingStartEvent, yaml.SequenceStartEvent, yaml.DocumentStartEvent)


@cache
def limit_yaml() -> None:
    """Lets jsonargparse check the limits of all text that it reads as YAML."""
    load = jsonargparse.get_loader("yaml")

    def limited(text: str) -> Any:
        check(text)
        return load(text)

    jsonargparse.set_loader("yaml", limited, exceptions=(yaml.YAMLError,))


def check(text: str) -> None:
    """Checks the limits without building a value.

    Raises:
        yaml.YAMLError: the text is deeper or, with aliases written out, longer than a configuration
            is, or it is no YAML.
    """
    numbers, anchors, inside = [0], [], {}
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, _START):
            anchors.append(getattr(event, "anchor", None))
            numbers.append(0)
        elif isinstance(event, yaml.AliasEvent):
            numbers[-1] += inside.get(event.anchor, MOST)  # one that is open contains itself
        elif isinstance(event, yaml.ScalarEvent):
            numbers[-1] += 1
            inside[event.anchor] = 1
        elif isinstance(event, _END):
            number = numbers.pop()
            inside[anchors.pop()] = number
            numbers[-1] += number
        if len(numbers) > DEEPEST or numbers[-1] >= MOST:
            raise yaml.YAMLError(
                f"more than {DEEPEST} levels or {MOST:,} values, aliases written out; a "
                "configuration must have fewer"
            )
