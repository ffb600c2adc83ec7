"""The pages of the API reference: a section for every module of a room, from its docstrings."""

from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "bvalign"

SECTION = """
## {name}

```{{eval-rst}}
.. automodule:: bvalign.{name}
   :members:
```
"""


def sections(room: str) -> str:
    """Markdown of all modules of a room, those of its folders after those beside them."""
    files = sorted((PACKAGE / room).rglob("*.py"), key=lambda file: (len(file.parts), file))
    names = (file.relative_to(PACKAGE).with_suffix("").parts for file in files)
    return "".join(SECTION.format(name=".".join(name)) for name in names if _shown(name))


def _shown(name: tuple[str, ...]) -> bool:
    return name[-1] != "__init__" and "triton_conv" not in name
