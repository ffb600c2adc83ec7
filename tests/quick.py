"""`bvalign` as a process of its own whose figures have few dots, which halves a tiny fit's time."""

from bvalign.cli import main
from bvalign.show.report import write

if __name__ == "__main__":
    write.FORMATS = {"png": {"dpi": 40}}
    main()
