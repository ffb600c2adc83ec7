"""The command line: it runs the command, and prints one clear line if the command fails.

`analyze`, `report`, `figures`, `apply` and `compare` train nothing, so they start without
Lightning, and their `--help` does not import torch. The training commands are in `commands/fit.py`.
"""

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from bvalign import __version__
from bvalign.atomic import REMEDIES, told
from bvalign.commands.arguments import (
    add_asked,
    add_clusters,
    add_drawing,
    add_groups,
    add_names,
    add_samples,
    add_sharing,
    add_source,
    names_of,
    path,
    path_or_url,
)
from bvalign.commands.surroundings import adapt_to_surroundings
from bvalign.plain_text import escaped, shortened
from bvalign.quick_imports import quick_imports

TRAINING = {
    "fit": "train the missing members of an ensemble, then write its report",
    "test": "evaluate the finished members of a run again, from their network weights",
}
"""Commands of LightningCLI, which reads their arguments."""

EPILOG = """examples:
  bvalign fit --config configs/digits.yaml --model.members=64 --model.arch=cnn
  bvalign analyze predictions.npz --out out/
  bvalign apply out/abstain.json new.npz --out accepted.csv
  bvalign figures runs/digits-cnn --style neurips --only alignment,ratio
  bvalign compare runs/digits-cnn runs/digits-mlp --out compare/
"""

CAN_RESUME = 75
"""Exit code of a run that was stopped and can be resumed; EX_TEMPFAIL of sysexits.h."""

NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EEXIST}
NOT_WRITABLE |= set(REMEDIES)
"""Errors of the operating system about a place that cannot be written to; no bug of bvalign."""


def main() -> None:
    """Runs the command in `sys.argv`; bad input ends in one line on stderr and exit code 1.

    With BVALIGN_DEBUG set, the line is preceded by the traceback.
    """
    argv = sys.argv[1:]
    adapt_to_surroundings()
    try:
        if argv and argv[0] in TRAINING:
            with quick_imports():
                from bvalign.commands.fit import EnsembleCLI

            EnsembleCLI()  # reads sys.argv itself
        else:
            arguments = _parser().parse_args(argv)
            arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError as error:
        if not _raised_here(error):
            raise
        # the reader of `bvalign ... | head` has read enough; Python still writes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (ValueError, OSError) as error:
        if not _raised_here(error) and getattr(error, "errno", None) not in NOT_WRITABLE:
            raise
        if os.environ.get("BVALIGN_DEBUG"):
            traceback.print_exc()
        if getattr(error, "errno", None) in REMEDIES:
            error = told(error, f"could not use {error.filename}")
        said = escaped(shortened(" ".join(line.strip() for line in str(error).splitlines())))
        raise SystemExit(f"bvalign: error: {_rank()}{said}") from None
    except KeyboardInterrupt as error:
        print(f"\nbvalign: interrupted. {error}".rstrip(), file=sys.stderr)
        raise SystemExit(CAN_RESUME) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bvalign",
        description="Per-sample bias and variance of ensembles, and how they align.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, explained in TRAINING.items():
        commands.add_parser(name, help=explained, add_help=False)
    analyze, apply = _add_analyze(commands), _add_apply(commands)
    report = commands.add_parser("report", help="write the report of a run directory again")
    report.add_argument("run_directory", type=path, help="a run directory")
    report.set_defaults(run=lambda a: _report(a.run_directory, a.run_directory, a))
    figures = _add_figures(commands)
    for command in (analyze, report, figures):
        add_asked(command)
    for command in (analyze, report):
        add_samples(command)
    add_clusters(analyze, report, apply, figures)
    add_groups(analyze, report, figures)
    merge = commands.add_parser("merge", help="write the report of `analyze --shard`")
    merge.add_argument("out", type=path, help="the folder that all shards were given")
    merge.set_defaults(run=lambda a: _command("report.merge")(a.out))
    compare = commands.add_parser("compare", help="compare the reports of several runs")
    compare.add_argument(
        "runs", type=path, nargs="+", help="run directories, or folders of reports"
    )
    compare.add_argument("--out", type=path, required=True, help="folder for the comparison")
    compare.set_defaults(run=lambda a: _command("compare.compare_runs")(a.runs, a.out))
    return parser


def _add_figures(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    figures = commands.add_parser(
        "figures",
        help="draw the figures of predictions for a paper, with captions and tables",
        description="Writes each figure with its caption (NAME.txt) and its numbers (NAME.csv), "
        "table.tex (booktabs) and main_numbers.csv, rounded to what the intervals support.",
        epilog="What your own matplotlibrc sets, such as font.family or text.usetex, wins over the "
        "style, all but figure.figsize: --width says that.",
    )
    figures.add_argument(
        "sources",
        type=path_or_url,
        nargs="+",
        metavar="SOURCE",
        help="a run directory or predictions, as for `analyze`; several run directories or folders "
        "of reports give the figures of `compare`",
    )
    add_drawing(figures)
    add_names(figures)
    add_source(figures)
    figures.set_defaults(run=_figures)
    return figures


def _figures(options: argparse.Namespace) -> None:
    _command("figures.draw_figures")(
        options.sources,
        options.out,
        only=options.only,
        style=options.style,
        width=options.width,
        formats=options.format,
        **_reading(options),
    )


def _add_analyze(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    analyze = commands.add_parser(
        "analyze", help="analyse the predictions of any ensemble and write a report"
    )
    analyze.add_argument(
        "predictions",
        type=path_or_url,
        help="a run directory; arrays (.npz, .npy, .safetensors, .pt, .json) with logits or probs "
        "(members, samples, classes) or votes (members, samples), optionally labels (samples); a "
        "table (.csv, .tsv, .csv.gz, .parquet, .jsonl) with columns member, sample, label and "
        "logit0, logit1, ... or p0, p1, ...; a folder with a file or folder for each member and "
        "perhaps labels.npy; a Zarr group, also in an object store (s3://...); without labels the "
        "report has the numbers that need none; see docs/predictions.md",
    )
    add_names(analyze)
    add_source(analyze)
    analyze.add_argument("--out", type=path, required=True, help="folder for the report")
    add_sharing(analyze)
    analyze.set_defaults(run=lambda a: _report(a.predictions, a.out, a))
    return analyze


def _add_apply(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    apply = commands.add_parser(
        "apply", help="apply a rule that a report has saved to new predictions"
    )
    apply.add_argument("rule", type=path, help="abstain.json or calibrate.json")
    apply.add_argument(
        "predictions", type=path_or_url, help="as for `analyze`; labels are optional"
    )
    add_names(apply)
    apply.add_argument(
        "--out",
        type=path,
        required=True,
        help="file to write, a row per sample: .parquet, else CSV",
    )
    apply.set_defaults(run=_apply)
    return apply


def _apply(options: argparse.Namespace) -> None:
    given = {"clusters": options.clusters, "names": names_of(options)}
    _command("apply.apply_and_write")(options.rule, options.predictions, options.out, **given)


def _report(source: Path | str, out: Path, options: argparse.Namespace) -> None:
    asked = {"samples": options.samples, **_reading(options)}
    if shard := getattr(options, "shard", None):
        _command("report.analyze_shard")(source, out, shard, **asked)
    else:
        asked["ray"] = getattr(options, "ray", None)
        _command("report.analyze_and_report")(source, out, **asked)


def _reading(options: argparse.Namespace) -> dict[str, object]:
    """What is asked of predictions and how they are read, of a command that analyses them."""
    with quick_imports():
        from bvalign.decisions import Options

    return {
        "clusters": options.clusters,
        "groups": options.groups,
        "names": names_of(options) if "member" in options else None,
        "options": Options(dict(options.target), options.max_error, options.confidence),
        "sources": getattr(options, "source", None),
    }


def _command(name: str) -> Callable[..., object]:
    """Imports a function of `commands`, and with it torch."""
    module, _, function = name.partition(".")
    with quick_imports():
        return getattr(import_module(f"bvalign.commands.{module}"), function)


def _rank() -> str:
    """Returns a prefix with the rank of this process, empty for rank zero."""
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    rank = next((os.environ[name] for name in names if name in os.environ), "0")
    return "" if rank == "0" else f"[rank {rank}] "


def _raised_here(error: BaseException) -> bool:
    """Tells whether bvalign itself raised the error, so that its message is meant for the user."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return Path(last).is_relative_to(Path(__file__).parent)
