"""Fuzzes the readers: small valid files are changed at random, and read.

    python benchmarks/reliability/fuzz.py --minutes 60             # goes on where it stopped
    python benchmarks/reliability/fuzz.py --minutes 1 --seed 7 --anew

Hypothesis draws a format and changes of its bytes: bits, bytes, parts that are cut out, doubled,
moved or replaced by what is odd in this format. A file is read to its end, as `analyze` does. It
must be read, or be refused by a ValueError or OSError of bvalign; any other end is a failure, whose
bytes are kept in `--out`, beside statistics.json.
"""

import argparse
import io
import json
import resource
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import hypothesis
import torch
from bad_inputs.formats import FILES
from hypothesis import strategies as st

import bvalign
from bvalign import open_predictions
from bvalign.atomic import write_atomic

PACKAGE = Path(bvalign.__file__).parent
BATCH = 200  # files of one seed
CALM, MEMORY = 2**30, 6 * 2**30  # bytes that reading may add, and that the process may have
ODD = [
    *(b"\0", b"\xff" * 8, b"\x7f\xff\xff\xff", b"-1", b"1e999", b"NaN", b"null", b"{}", b"[]"),
    *(b'"', b"\n", b"\r", b",", b"\t", b"\\udcff", b"\xef\xbb\xbf", b"9" * 40, b"PK\x03\x04"),
    *(b"'descr': '|O'", b"shape", b"(1000000000, 3)", b"__import__", b"cos\nsystem\n", b"true"),
]
"""What readers stumble over."""


VALUES = [None, True, -1, 0, 1.5, 10**30, float("nan"), "", "x", "7", "\x1b[31m", [], [[]], {}]
VALUES += [{"a": None}, [None], ["x", 1], [1.5, float("inf")], "\udcff", [0.0] * 50]
"""What may stand where something else is expected."""


def odd_json(draw: st.DrawFn, value: object) -> object:
    """Replaces, removes or renames something at a random depth."""
    kind = draw(st.sampled_from(["deeper", "deeper", "deeper", "replace", "remove", "rename"]))
    if not isinstance(value, dict | list) or not value or kind == "replace":
        return draw(st.sampled_from(VALUES))
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = draw(st.sampled_from(keys))
    copy = value.copy()
    if kind == "deeper":
        copy[key] = odd_json(draw, value[key])
    elif kind == "remove" or isinstance(value, list):
        del copy[key]
    else:
        copy[draw(st.sampled_from([*keys, "x", ""]))] = copy.pop(key)
    return copy


def odd_lines(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.decode().splitlines()
    whole = [json.loads(line) for line in lines]
    at = draw(st.integers(0, len(whole) - 1))
    every = draw(st.booleans())  # the same key is odd in all, or one line is
    key = draw(st.sampled_from(sorted(whole[at])))
    value = odd_json(draw, whole[at][key])
    for line in whole if every else [whole[at]]:
        line[key] = value
    return "\n".join(map(json.dumps, whole)).encode()


def odd_cells(draw: st.DrawFn, content: bytes) -> bytes:
    delimiter = b"\t" if b"\t" in content else b","
    rows = [line.split(delimiter) for line in content.splitlines()]
    column = draw(st.integers(0, len(rows[0]) - 1))
    cells = st.sampled_from([*(str(v).encode("utf-8", "replace") for v in VALUES), b'"', b"="])
    first = draw(st.integers(0, len(rows) - 1))
    for row in rows[first : first + draw(st.integers(1, len(rows)))]:
        row[column] = draw(cells)
    return b"\n".join(map(delimiter.join, rows))


def odd_log(draw: st.DrawFn, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        odd = draw(st.sampled_from(sorted(old.namelist())))
        for name in old.namelist():
            inside = json.loads(old.read(name))
            new.writestr(name, json.dumps(odd_json(draw, inside) if name == odd else inside))
    return file.getvalue()


STRUCTURED = {
    "json": lambda draw, content: json.dumps(odd_json(draw, json.loads(content))).encode(),
    "jsonl": odd_lines,
    "lm_eval": odd_lines,
    "csv": odd_cells,
    "tsv": odd_cells,
    "eval": odd_log,
}
"""Formats of which parts can be changed so that the whole can be parsed."""


@st.composite
def changed(draw: st.DrawFn, originals: dict[str, bytes]) -> tuple[str, bytes]:
    """A format, and a file of it with one to six changes."""
    target = draw(st.sampled_from(sorted(originals)))
    if target in STRUCTURED and draw(st.booleans()):
        return target, STRUCTURED[target](draw, originals[target])
    content = bytearray(originals[target])
    for _ in range(draw(st.integers(1, 6))):
        if not content:
            break
        start = draw(st.integers(0, len(content) - 1))
        if draw(st.booleans()):  # lengths and types stand at the beginning
            start = min(start, draw(st.integers(0, 200)))
        stop = min(len(content), start + draw(st.integers(0, 64)))
        kind = draw(st.sampled_from(["bit", "byte", "odd", "cut", "double", "move", "end"]))
        if kind == "bit":
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte":
            content[start] = draw(st.integers(0, 255))
        elif kind == "odd":
            content[start:stop] = draw(st.sampled_from(ODD))
        elif kind == "cut":
            del content[start:stop]
        elif kind == "double":
            content[start:start] = content[start:stop] * draw(st.integers(1, 20))
        elif kind == "move":
            to = draw(st.integers(0, len(content)))
            content[to:to] = content[start:stop]
        else:
            del content[start:]
    return target, bytes(content)


def ending(path: Path) -> str:
    """Reads predictions to their end; `read`, `refused`, or the traceback of what is neither."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        predictions, _ = open_predictions(path)
        for _ in predictions.ranges():
            pass
        end = "read"
    except (ValueError, OSError) as error:
        last = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        end = "refused" if last.is_relative_to(PACKAGE) else traceback.format_exc()
    except Exception:
        end = traceback.format_exc()
    added = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return end if added < CALM else f"took {added} bytes"


def batch(seed: int, originals: dict[str, bytes], out: Path) -> Counter:
    """Tries the files of one seed; gives how many ended how, by format."""
    ends: Counter = Counter()
    folder = Path(tempfile.mkdtemp(prefix="bvalign-fuzz-"))

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(changed(originals))
    def attempt(drawn: tuple[str, bytes]) -> None:
        target, content = drawn
        path = folder / FILES[target][0]
        path.write_bytes(content)
        begin, end = time.monotonic(), ending(path)
        slow = time.monotonic() - begin > 20
        known = end in ("read", "refused") and not slow
        ends[f"{target}: {end if known else 'FAILED'}"] += 1
        if not known:
            name = f"{seed}-{ends.total()}-{path.name}"
            write_atomic(out / name, content)
            write_atomic(out / f"{name}.txt", f"{'slow ' * slow}{end}".encode())
        path.unlink()

    attempt()
    folder.rmdir()
    return ends


def _limit() -> None:
    """Limits a process of one batch, so that what libraries do not free does not add up."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def originals() -> dict[str, bytes]:
    """The bytes of a small file of each format."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for target, (name, write) in FILES.items():
            write(Path(folder) / name)
            found[target] = (Path(folder) / name).read_bytes()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first files")
    parser.add_argument("--anew", action="store_true", help="forget what was tried before")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="for what fails")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file, known = args.out / "statistics.json", {"next": args.seed, "ends": {}}
    if file.exists() and not args.anew:
        known = json.loads(file.read_text())
    ends, files, stop = Counter(known["ends"]), originals(), time.monotonic() + 60 * args.minutes
    while time.monotonic() < stop:
        with ProcessPoolExecutor(1, get_context("fork"), _limit) as alone:
            ends += alone.submit(batch, known["next"], files, args.out).result()
        known = {"next": known["next"] + 1, "ends": dict(ends)}
        write_atomic(file, (json.dumps(known, indent=1) + "\n").encode())
        failed = sum(count for end, count in ends.items() if end.endswith("FAILED"))
        left = max(0, stop - time.monotonic()) / 60
        print(f"{ends.total()} files, {failed} failed, {left:.1f} minutes left", flush=True)
    print(json.dumps(dict(sorted(ends.items())), indent=1))
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
