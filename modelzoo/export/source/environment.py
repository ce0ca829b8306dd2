"""What is known where a node is written: the class it is in, what its names are called, what can be reached."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelzoo.errors import Path
from modelzoo.export.source.naming import Imports, Scope
from modelzoo.export.source.needs import Needs
from modelzoo.export.source.occurrences import Occurrences
from modelzoo.export.source.taken import Calls
from modelzoo.spec import nodes
from modelzoo.spec.instances import Instance
from modelzoo.spec.visible import Visible


class DeadError(Exception):
    """No instance took this way, so what the data would have decided about it is not known."""


@dataclass(slots=True, kw_only=True, eq=False)
class Class:
    """A class of the source.

    Attributes:
        name: its name.
        block: what it is written from.
        scope: the names in its `__init__`.
        attributes: the names that `self` has.
        names: how the values that its `__init__` sees are called there.
        free: the values of blocks around it that it takes as arguments.
        parameters: its own args, each with its default, or None.
        lifted: arguments for sizes that instances disagree about, with the value of each instance.
        modules: arguments for layers of blocks around it, by their place.
    """

    name: str
    block: nodes.Block
    scope: Scope
    attributes: Scope
    names: dict[str, ast.expr] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    parameters: dict[str, ast.expr | None] = field(default_factory=dict)
    lifted: dict[str, dict[Instance, Any]] = field(default_factory=dict)
    modules: dict[tuple[int, str], tuple[Frame, str]] = field(default_factory=dict)
    open: bool = True
    recursive: bool = False

    def called(self, arg: str) -> str:
        """What an arg is called in `__init__`."""
        tree = self.names[arg]
        assert isinstance(tree, ast.Name)
        return tree.id


@dataclass(slots=True, kw_only=True, eq=False)
class Frame:
    """A block whose children are being written, and how those that are ready can be reached (None: not yet)."""

    block: nodes.Block
    cls: Class
    ready: dict[str, ast.expr | None] = field(default_factory=dict)
    hoist: Callable[[str], ast.expr]


@dataclass(slots=True, kw_only=True, eq=False)
class Source:
    """One source while it is being written.

    Attributes:
        classes, functions: those that are ready, each before those that use it.
        known: the class of a block.
        root: the block of the model.
        sequences: the names of inputs that texts give to sequences, which torch's take by position alone.
        pinned: args of the root that decide a size which the source holds as a number: they are offered no longer.
        calls: what the blocks of the model were called with.
        erased: the keys of fills of own tensors that rules overwrite wherever they stand, so that nobody tried them.
        node, child: write a node where it stands, and one that may be absent; `write`: writes the class of a block.
    """

    seen: Occurrences
    needs: Needs
    scope: Scope
    imports: Imports
    root: nodes.Block
    sequences: frozenset[str]
    node: Callable[[nodes.Node, Env], ast.expr]
    child: Callable[[nodes.Node, Env], ast.expr]
    write: Callable[..., Class]
    calls: Calls
    erased: frozenset[Path] = frozenset()
    classes: list[ast.ClassDef] = field(default_factory=list)
    functions: list[ast.FunctionDef] = field(default_factory=list)
    known: dict[nodes.Block, Class] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)

    def definition(self, block: nodes.Block) -> Class:
        """The class of a definition."""
        return self.write(self, block, None, self.seen.visible(block))

    def layer_args(self, block: nodes.Block) -> set[str]:
        """The args that a definition uses as layers."""
        return self.needs.layers(block, self.seen.visible(block))


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """Where a node is written: what its names are called, and where statements that come before it go."""

    source: Source
    cls: Class
    names: Mapping[str, ast.expr]
    blocks: Mapping[str, nodes.Block]
    frames: tuple[Frame, ...]
    before: list[ast.stmt]
    index: ast.expr | None = None

    def within(self, frame: Frame) -> Env:
        """The same inside a block."""
        return replace(self, frames=(*self.frames, frame))

    @property
    def visible(self) -> Visible:
        """What a text that is read here may name."""
        signatures = {name: block.args for name, block in self.blocks.items()}
        return Visible(values=frozenset(self.names), signatures=signatures)
