"""Predictions in several files, written by hand."""

import hashlib
import json

from safetensors.torch import save


def write_part(folder, name, values, members, start, key="logits"):
    """Writes one file of members from a sample on; gives its entry of the manifest."""
    content = save({key: values.contiguous()})
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    stop = start + values.shape[1 if len(members) > 1 or values.ndim > 2 else 0]
    checksum = hashlib.sha256(content).hexdigest()
    return {"file": name, "members": members, "range": [start, stop], "sha256": checksum}


def write_manifest(folder, members, samples, files, **other):
    content = {"schema": 1, "members": members, "samples": samples, "files": files} | other
    (folder / "manifest.json").write_text(json.dumps(content))
