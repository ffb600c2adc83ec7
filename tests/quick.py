"""`bvalign` as a process of its own that draws no figures of the report: half of a tiny fit."""

from bvalign.cli import main
from bvalign.quick_imports import quick_imports

with quick_imports():
    from bvalign.show.report import write

if __name__ == "__main__":
    write.svg = lambda *_: ""
    main()
