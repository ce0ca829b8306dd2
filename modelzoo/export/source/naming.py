"""Names in a source: what is taken, how a taken one is told apart, and what must be imported.

This is the one room where names are put together; each is checked where it gets into a tree.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterable
from typing import Any

from modelzoo import names
from modelzoo.errors import Path, fail
from modelzoo.export.source import trees

IMPORTED = ("torch", "nn", "F", "math", "partial", "OrderedDict", "fnmatchcase", "self")
BUILTINS = (
    *("abs", "max", "min", "round", "sum", "bool", "float", "int", "len", "range", "str", "super", "isinstance"),
    *("hasattr", "next", "enumerate", "reversed", "tuple", "zip"),
)
RESERVED = frozenset([*IMPORTED, *BUILTINS])

_MODULES = {
    "math": None,
    "OrderedDict": "collections",
    "fnmatchcase": "fnmatch",
    "partial": "functools",
    "F": "torch.nn",
}


class Scope:
    """The names of one scope of the source, which knows those that it would hide or be hidden by.

    Args:
        outer: the scope around it, whose names are read inside.
        taken: names that are there from the start.

    >>> scope = Scope()
    >>> scope.fresh("cell"), scope.fresh("cell"), scope.fresh("torch"), scope.fresh("torch_")
    ('cell', 'cell2', 'torch_', 'torch_2')
    """

    def __init__(self, outer: Scope | None = None, taken: Iterable[str] = ()) -> None:
        self.outer, self.taken = outer, {*taken}
        self.inner: set[str] = set()

    def fresh(self, wanted: str) -> str:
        """A name that nothing else has here, as near to the wanted one as can be."""
        wanted = re.sub(r"[^A-Za-z0-9_]", "_", wanted)
        wanted = f"layer{wanted}" if wanted[:1].isdecimal() else wanted
        found = first = f"{wanted}_" if wanted in RESERVED else wanted
        number = 2
        while not self.is_free(found):
            found, number = f"{first.rstrip('0123456789')}{number}", number + 1
        self.take(found)
        return found

    def all(self, wanted: Iterable[str]) -> dict[str, str]:
        """A name for each; those that can stay as they are do so, whatever the others are called."""
        names = [*dict.fromkeys(wanted)]
        easy = {each: self.fresh(each) for each in names if each not in RESERVED}
        hard = {each: self.fresh(each) for each in names if each in RESERVED}
        return {each: (easy | hard)[each] for each in names}

    def is_free(self, text: str) -> bool:
        around = self.outer is not None and text in self.outer.taken
        return not (text in self.taken or text in self.inner or around or keyword.iskeyword(text))

    def take(self, text: str) -> None:
        self.taken.add(text)
        if self.outer is not None:
            self.outer.inner.add(text)

    def release(self, text: str) -> None:
        """Gives a name back, for something that has ended."""
        self.taken.discard(text)


class Imports:
    """What a source needs besides `torch` and `nn`: modules, and names of registered things."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.used: set[str] = set()
        self.own: dict[tuple[str, str], str] = {}

    def known(self, text: str) -> ast.expr:
        """One of the names that Python or torch bring."""
        assert text in _MODULES
        self.used.add(text)
        return trees.name(text)

    def registered(self, what: Any, key: Path) -> ast.expr:
        """A registered class or function, imported from where it is defined."""
        module, title = what.__module__, what.__qualname__
        parts = [*module.split("."), title]
        if module == "__main__" or not all(each.isidentifier() and not keyword.iskeyword(each) for each in parts):
            fail(key, f"'{module}.{title}' cannot be imported by a source.", "Define it at the top of a module.")
        if (module, title) not in self.own:
            self.own[module, title] = self.scope.fresh(title)
        return trees.name(self.own[module, title])

    def statements(self) -> list[ast.stmt]:
        """The import statements."""
        found: list[ast.stmt] = [ast.Import([ast.alias("math")])] if "math" in self.used else []
        found += [_from(module, each) for each, module in _MODULES.items() if each in self.used - {"math", "F"}]
        found += trees.statements("import torch\nfrom torch import nn")
        found += trees.statements("from torch.nn import functional as F") if "F" in self.used else []
        own = sorted(self.own.items())
        return found + [_from(module, title, alias) for (module, title), alias in own]


def _from(module: str | None, title: str, alias: str | None = None) -> ast.stmt:
    other = alias if alias != title else None
    return ast.ImportFrom(module, [ast.alias(title, other)], 0)


def class_title(block_name: str, key: Path) -> str:
    """What the class of a block is called: as the block is, or after its place where it has no name of its own.

    >>> class_title("Cell", Path()), class_title("open", Path())  # what Python has keeps its name
    ('Cell', 'open_')
    """
    if block_name != "Block":
        return f"{block_name}_" if hasattr(builtins, block_name) else block_name
    words: list[str] = []
    named = False  # after a key of a block comes a name, whatever it is
    for each in map(str, key[1:]):
        named = named or each not in ("layers", "blocks")
        words += [each] if named else []
        named = not named
    numbers: list[str] = []
    while words and names.is_index(words[-1]):
        numbers.insert(0, words.pop())
    return "_".join([names.of_class(words[-1]) if words else "Layer", *numbers]).replace("_", "", 1)


def fill_title(what: str) -> str:
    """What the function of a fill is called."""
    return f"fill_{what}"
