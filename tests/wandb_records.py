"""Reads what W&B wrote offline, without a server: run-ID.wandb is a LevelDB log of protobufs."""

import json
import struct
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, FILE_HEADER, CHUNK_HEADER = 32768, 7, 7
FULL, LAST = 1, 4


def records(path):
    """The records of one .wandb file; chunks that lie in several blocks are joined."""
    data = Path(path).read_bytes()
    position, parts, found = FILE_HEADER, [], []
    while position + CHUNK_HEADER <= len(data):
        left = BLOCK - position % BLOCK
        if left < CHUNK_HEADER:  # the rest of a block that holds no header is padding
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        position += CHUNK_HEADER
        parts.append(data[position : position + length])
        position += length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(b"".join(parts))
            found.append(record)
            parts = []
    return found


def history(found):
    """What was logged, one dict per step."""
    steps = [record.history for record in found if record.WhichOneof("record_type") == "history"]
    return [{_key(i): json.loads(i.value_json) for i in step.item} for step in steps]


def config(found):
    """The run's configuration."""
    values = {}
    for record in found:
        kind = record.WhichOneof("record_type")
        if kind in ("run", "config"):
            update = record.run.config if kind == "run" else record.config
            values |= {_key(item): json.loads(item.value_json) for item in update.update}
    return values


def summary(found):
    """The run's summary."""
    updates = [r.summary.update for r in found if r.WhichOneof("record_type") == "summary"]
    return {_key(item): json.loads(item.value_json) for update in updates for item in update}


def artifacts(found):
    """Type -> paths of the files in the artifacts of that type."""
    paths = {}
    for record in found:
        if record.WhichOneof("record_type") == "artifact":
            contents = record.artifact.manifest.contents
            paths.setdefault(record.artifact.type, set()).update(item.path for item in contents)
    return paths


def _key(item):
    return item.key or ".".join(item.nested_key)
