"""`bvalign` without the figures of its report, which say nothing of a GPU."""

from bvalign import cli
from bvalign.quick_imports import quick_imports

with quick_imports():
    from bvalign.show.report import write


def main() -> None:
    """Runs the command in `sys.argv`."""
    write.svg = lambda *_: ""
    cli.main()


if __name__ == "__main__":
    main()
