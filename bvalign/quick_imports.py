"""Imports of a command without the garbage collections in between and those of them at the end.

PyTorch, Lightning and what they bring are half a million objects, nearly all of which stay until
the process ends. Python searches them for cycles again and again while they are imported, and three
more times at the end: 2.2 of the 7.2 CPU seconds of a process that imports Lightning, makes an
optimizer and ends (Python 3.11, one busy Zen 5 core).
"""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Runs a block of imports without garbage collections, after importing torch.

    In a new process the objects of torch are left out of all later collections too. Those of other
    packages are not: triton, which comes with torch's compiler, prints what it takes for leaks if
    its objects outlive the interpreter. The collection when the process ends is left out; what
    waits for one there, Python takes apart in any case.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        if "torch" not in sys.modules:
            import torch  # noqa: F401 (so that its objects, and no others, are frozen)

            gc.freeze()
            atexit.register(gc.disable)
        yield
    finally:
        if collects:
            gc.enable()
