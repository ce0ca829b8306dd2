"""Blocks of one class become one definition; where they differ in numbers alone, the numbers are its args."""

from __future__ import annotations

import ast
import keyword
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from modelzoo.catalog.layers import find_layer
from modelzoo.importing.graph import Path
from modelzoo.importing.owners import Owners
from modelzoo.importing.repeats import compressed, packed
from modelzoo.importing.structure import Reader
from modelzoo.importing.trees import INITIAL, Block, Call, Formula, Reference, Sequenced, Tree, changed, skeleton
from modelzoo.modules.sequences import is_plain
from modelzoo.names import Kind

_FACTORS = (2, 3, 4, 5, 6, 8, 16)
"""By which one number may be made from another."""


_SIZES = ("channels", "depth", "dim", "embeddings", "features", "shape")
"""How the names of arguments end that have no default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A block with a name.

    Attributes:
        args: their names, in order, each with its default, if it has one.
        tree: what it is.
    """

    args: tuple[tuple[str, Any], ...]
    tree: Tree


WORDS = ("shape", "fan_in", "fan_out", "value")
"""What means something else in a fill."""

REQUIRED = object()
"""The default of an arg that has none."""


class Definitions:
    """Says a model from its leaves to its root.

    Args:
        owners: where everything stands.
        reader: says what each module is.
    """

    def __init__(self, owners: Owners, reader: Reader) -> None:
        self.owners, self.reader = owners, reader
        self.found: dict[str, Definition] = {}
        self.uses: dict[nn.Module, Tree] = {}
        self.open = self._open()

    def root(self) -> Tree:
        """What the model is; `found` then has all definitions."""
        levels: dict[int, list[nn.Module]] = {}
        heights: dict[nn.Module, int] = {}
        said = self.said(self.owners.root)
        for module in reversed(said):
            inside = [heights[each] for each in module._modules.values() if each in heights]
            heights[module] = 1 + max(inside, default=0)
        for module in said:
            levels.setdefault(heights[module], []).append(module)
        for height in sorted(levels):
            self.level(levels[height])
        return self.uses[self.owners.root]

    def said(self, root: nn.Module) -> list[nn.Module]:
        """All modules that are said, a module before those in it: nobody looks into layers."""
        found: dict[nn.Module, None] = {}
        waiting = [root]
        while waiting:
            module = waiting.pop()
            if module not in found:
                found[module] = None
                if self.reader.calls[module] is None:
                    waiting += [each for each in reversed(module._modules.values()) if each is not None]
        return list(found)

    def level(self, modules: Iterable[nn.Module]) -> None:
        """Says modules that do not hold each other."""
        groups: dict[tuple[str, str], list[tuple[nn.Module, Tree]]] = {}
        for module in modules:
            tree = self.reader.tree(module, self.child)
            if isinstance(tree, Sequenced):
                tree = compressed(tree)
            elif isinstance(tree, Block):
                tree = packed(tree)
            self.uses[module] = tree
            if isinstance(tree, (Block, Sequenced)) and self.is_defined(module):
                groups.setdefault((type(module).__name__, skeleton(tree)), []).append((module, tree))
        for (name, _), members in groups.items():
            self.define(self.free(name), members)

    def is_defined(self, module: nn.Module) -> bool:
        plain = is_plain(type(module)) or type(module) in (nn.ModuleList, nn.ModuleDict)
        return not plain and module is not self.owners.root and module not in self.open

    def child(self, module: nn.Module, path: Path) -> Tree:
        home = self.owners.paths[module][0]
        if path == home:
            return self.uses[module]
        return Reference(home[len(_common(home, path)) :])

    def free(self, name: str) -> str:
        """A name for a definition that nothing has yet."""
        base = name if Kind.BLOCK.fits(name) and find_layer(name) is None else f"Own{name.strip('_')}"
        found, count = base, 1
        while found in self.found:
            count += 1
            found = f"{base}{count}"
        return found

    def define(self, name: str, members: Sequence[tuple[nn.Module, Tree]]) -> None:
        """Makes one definition of blocks that have one skeleton."""
        rows = [_leaves(tree) for _, tree in members]
        columns = [[row[place][0] for row in rows] for place in range(len(rows[0]))]
        hints = [hint for _, hint in rows[0]]
        first = members[0][1]
        args = Args(_taken(first), [module for module, _ in members])
        instead = [args.said(column, hint) for column, hint in zip(columns, hints, strict=True)]
        places = iter(instead)
        tree = changed(first, lambda value, hint: next(places))
        self.found[name] = Definition(args=tuple(args.signature()), tree=tree)
        for number, (module, _) in enumerate(members):
            given = {arg: column[number] for arg, column in args.ordered()}
            required = tuple(arg for arg, default in args.signature() if default is REQUIRED)
            defaults = {arg: default for arg, default in args.signature() if default is not REQUIRED}
            self.uses[module] = Call(
                name=name,
                arguments=given,
                required=required,
                defaults=defaults,
                sequence=isinstance(tree, Sequenced),
            )

    def _open(self) -> set[nn.Module]:
        """The blocks that refer to layers outside: they must stand in place."""
        modules = {path: module for module, paths in self.owners.paths.items() for path in paths}
        found: set[nn.Module] = set()
        for paths in self.owners.paths.values():
            for path in paths[1:]:
                common = len(_common(path, paths[0]))
                found |= {modules[path[:length]] for length in range(common + 1, len(path))}
        return found


class Args:
    """The args of a definition: the numbers in which its uses differ."""

    def __init__(self, taken: set[str], modules: Sequence[nn.Module]) -> None:
        self.taken, self.modules = taken, modules
        self.columns: dict[str, list[Any]] = {}
        self.sizes: set[str] = set()  # those that say how large a layer is: every use does

    def said(self, column: list[Any], hint: str) -> Any:
        """What stands for a value in the definition: itself, where all uses have it, else a formula of args."""
        if len({repr(each) for each in column}) == 1:
            return column[0]
        for name, known in self.columns.items():
            if repr(known) == repr(column) and not (hint == INITIAL and name in WORDS):
                return Formula(name)
        formula = self.computed(column)
        if formula is not None:
            return formula
        name = self.name(column, hint)
        self.columns[name] = column
        self.sizes |= {name} if hint.endswith(_SIZES) else set()
        return Formula(name)

    def computed(self, column: list[Any]) -> Formula | None:
        """A number that is another one times or by a small one."""
        if not all(type(each) is int for each in column):
            return None
        for name, known in self.columns.items():
            if not all(type(each) is int and each for each in known):
                continue
            for factor in _FACTORS:
                if column == [factor * each for each in known]:
                    return Formula(f"{factor} * {name}")
                if column == [each // factor for each in known] and all(each % factor == 0 for each in known):
                    return Formula(f"{name} // {factor}")
        return None

    def name(self, column: list[Any], hint: str) -> str:
        """What an arg is called: as the attribute that holds it, else as the argument that gets it."""
        shared = [name for name in vars(self.modules[0]) if all(name in vars(each) for each in self.modules)]
        same = [
            name
            for name in shared
            if not name.startswith("_") and [repr(vars(each)[name]) for each in self.modules] == [*map(repr, column)]
        ]
        for each in (*same, hint, f"{hint}_"):
            reserved = hint == INITIAL and each in WORDS
            if each not in self.taken and each not in self.columns and not reserved and _is_name(each):
                return each
        count = 2
        while f"{hint}{count}" in self.taken or f"{hint}{count}" in self.columns:
            count += 1
        return f"{hint}{count}"

    def default(self, column: list[Any]) -> Any:
        """What most uses have."""
        if next(name for name, known in self.columns.items() if known is column) in self.sizes:
            return REQUIRED
        ((most, count),) = Counter(map(repr, column)).most_common(1)
        return next(each for each in column if repr(each) == most) if 2 * count > len(column) > 2 else REQUIRED

    def ordered(self) -> list[tuple[str, list[Any]]]:
        """The args with their values in each use: those without a default first."""
        return sorted(self.columns.items(), key=lambda each: self.default(each[1]) is not REQUIRED)

    def signature(self) -> list[tuple[str, Any]]:
        return [(name, self.default(column)) for name, column in self.ordered()]


def _leaves(tree: Tree) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []

    def leaf(value: Any, hint: str) -> Any:
        found.append((value, hint))
        return value

    changed(tree, leaf)
    return found


def _taken(tree: Tree) -> set[str]:
    """The names that a block has already."""
    if not isinstance(tree, Block):
        return {name for name, _ in tree.items} if isinstance(tree, Sequenced) else set()
    names = {each.partition("=")[0] for each in tree.inputs} | {*tree.layers, *tree.parameters, *tree.buffers}
    nodes = (node for each in tree.forward for node in ast.walk(each))
    return names | {node.id for node in nodes if isinstance(node, ast.Name)}


def _is_name(name: str) -> bool:
    return Kind.ARG.fits(name) and not keyword.iskeyword(name)


def _common(first: Path, second: Path) -> Path:
    """The path of the innermost module that both are in."""
    length = 0
    while length < min(len(first), len(second)) - 1 and first[length] == second[length]:
        length += 1
    return first[:length]
