"""`bvalign` without the figures of its report, which say nothing of a GPU."""

from bvalign.cli import main
from bvalign.quick_imports import quick_imports

with quick_imports():
    from bvalign.show.report import write

if __name__ == "__main__":
    write.save_figure = lambda *_, **__: b""
    main()
