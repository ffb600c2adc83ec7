"""Whether anything was lost: what an interrupted command left, and what the same command made."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from safetensors import safe_open

from benchmarks.reliability.shim import Call

LOGS = "lightning_logs"
"""Of a logger of Lightning, which begins a new version with each start."""

SIGN = "sign"
"""Of life, of who holds a lease."""

TEMPORARY = re.compile(r"\..+\.tmp|.+\.gone")
REMEDY = re.compile(r"; .*(same command|another|again)")

Tree = dict[str, bytes]


def tree(root: Path) -> Tree:
    """Content of all files of a folder by relative path; locks and signs of their holders stay."""
    files = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    return {
        name: path.read_bytes().replace(bytes(root), b"ROOT")
        for name, path in files.items()
        if not name.startswith(LOGS) and path.suffix != ".lock" and path.name != SIGN
    }


def identified(root: Path) -> str:
    """The state of a folder as a digest: of all names and contents, but not of who made them."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*"), key=lambda path: _anonymous(path, root)):
        content = path.read_bytes() if path.is_file() else b"a folder"
        content = content[:8] if path.name == SIGN else content.replace(bytes(root), b"ROOT")
        digest.update(f"{_anonymous(path, root)}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]


def _anonymous(path: Path, root: Path) -> str:
    """A name without the number of a process and what is drawn."""
    return re.sub(r"\.\d+\.tmp|\.[0-9a-f]+\.gone", ".*", path.relative_to(root).as_posix())


def compared(files: Tree) -> Tree:
    """The content without the number of reports, which is how often one was begun."""
    if "run.json" not in files:
        return files
    info = json.loads(files["run.json"])
    info.get("report", {}).pop("number", None)
    return files | {"run.json": json.dumps(info).encode()}


def finished_files(root: Path) -> dict[str, tuple[int, int]]:
    """Results of finished members on disk, each with its inode and time of change."""
    done = [path.parent for path in root.glob("members/*/logits.safetensors")]
    files = [folder / f"{kind}.safetensors" for folder in done for kind in ("weights", "logits")]
    stats = {str(file): file.stat() for file in files if file.exists()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def rewritten(finished: Mapping[str, tuple[int, int]], root: Path) -> Iterator[str]:
    """Results of finished members that were written again since; see `finished_files`."""
    now = finished_files(root)
    yield from (f"written again: {name}" for name in finished if now.get(name) != finished[name])


def left_behind(root: Path, before: Tree, after: Tree, calls: Sequence[Call]) -> Iterator[str]:
    """What is wrong with what an interrupted command left.

    Args:
        root: the folder that it changed.
        before: files that were there.
        after: files of the command without interruption.
        calls: what it called before it was killed or a call failed.
    """
    now = tree(root)
    for name, content in now.items():
        if TEMPORARY.search(name) or content in (before.get(name), after.get(name)):
            continue
        if damage := _damage(root / name):
            yield f"half a file: {name} ({damage})"
    last: dict[Path, str] = {}
    for call in calls:
        path = Path(call.path)
        of_a_member = call.kind == "rename" and path.parent.parent == root / "members"
        if of_a_member and path.name.startswith("checkpoint-"):
            last[path.parent] = path.name
    for folder, name in last.items():
        if not (folder / name).exists() and not (folder / "logits.safetensors").exists():
            yield f"lost checkpoint: {folder.name}/{name}"


def differences(made: Tree, wanted: Tree) -> Iterator[str]:
    """Files that are not those of the command without interruption."""
    made, wanted = compared(made), compared(wanted)
    for name in sorted(made.keys() | wanted.keys()):
        if name not in made:
            yield f"missing: {name}"
        elif name not in wanted:
            kind = "temporary file" if TEMPORARY.fullmatch(Path(name).name) else "another file"
            yield f"{kind} left: {name}"
        elif made[name] != wanted[name]:
            yield f"differs: {name}"


def unclear(said: str, code: int, usual: str) -> Iterator[str]:
    """What is wrong with what a command said that failed.

    Args:
        said: on stderr, with ROOT for the folder that it changes.
        code: its exit code.
        usual: the same of the command without a failure.
    """
    if code <= 0:
        yield f"exit code {code}"
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("bvalign: error: ")]
    known = {_masked(line) for line in usual.splitlines()}
    others = [line for line in lines if line not in errors and _masked(line) not in known]
    if len(errors) != 1:
        yield f"{len(errors)} lines of error"
    if others:
        yield f"also said: {others[-1]}"
    for line in errors:
        if "ROOT" not in line:
            yield f"names no file: {line}"
        if not REMEDY.search(line):
            yield f"no remedy: {line}"


def _masked(line: str) -> str:
    """A line without its numbers and bars, which differ between starts."""
    return re.sub(r"[\d━╸╺ :.]+", "#", line.strip())


def _damage(path: Path) -> str | None:
    """Says why a file is not whole; None if it is, or if nobody could tell."""
    readers: Mapping[str, object] = {
        ".safetensors": lambda: safe_open(path, framework="pt").__enter__().keys(),
        ".json": lambda: json.loads(path.read_text()),
        ".npz": lambda: zipfile.ZipFile(path).testzip(),
        ".yaml": lambda: yaml.safe_load(path.read_text())["trainer"],
    }
    if path.suffix not in readers:
        return "not the one of before, not the one of after"
    try:
        readers[path.suffix]()
    except Exception as error:
        return str(error) or type(error).__name__
    return None
