"""What the names and dotted names of a text mean."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from modelzoo.catalog.layers import find_layer, layer_names
from modelzoo.errors import Code, TextError, nearest
from modelzoo.known import told
from modelzoo.language.pieces import at, call_of, index_of, load, number_of, text_of
from modelzoo.spelling import closest, did_you_mean

PRIVATE = "Names have ASCII letters, digits and '_', and start with a letter."

OWN = "layers"

_ONE = ("a layer is picked by one index", "Write layers[0](x).")

_OF_YAML = {"true": "True", "false": "False", "null": "None", "none": "None"}
"""How YAML and others write what a text writes as Python does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the names of a text may mean, besides its own locals and the catalog's functions.

    Attributes:
        inputs: the parameters of the function, in order.
        values: args and other plain values.
        layers: the layers that the block owns.
        tensors: the parameters and buffers that the block owns.
        buffers: those that are buffers: a text may set them in training.
        outer: layers and tensors of the block outside, known only to explain why they cannot be used.
        closed: values around a definition, known for the same reason.
        fills: the fills that draw; not empty for a `fill` text, where elements may be assigned.
        training: whether `training` may be read; never in a `fill` text.
    """

    inputs: tuple[str, ...] = ()
    values: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    tensors: frozenset[str] = frozenset()
    buffers: frozenset[str] = frozenset()
    outer: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    fills: frozenset[str] = frozenset()
    training: bool = True


@dataclass(frozen=True, slots=True)
class Read:
    """A child, or a child's own tensor, that a text reaches by dotted name: `embed.weight` or `encoder.layers(x)`."""

    path: tuple[str | int, ...]
    tensor: bool
    line: int
    column: int
    method: bool = False  # the last part may also be a method of the tensor before it: `embed.weight.t()`


@dataclass(frozen=True, slots=True)
class Layer:
    """The code that fetches a layer, and its path from the block; without one where it is known only when it runs."""

    code: ast.expr
    path: tuple[str | int, ...] | None


class Text:
    """One text as it is read: what its names mean where it stands, and what is wrong with it.

    Args:
        names: what its names may mean.
        index: rewrites what stands between the brackets behind a layer.
        formula: whether it is a formula, which may stand among the arguments of a layer.
        moved: the buffers that it sets somewhere.
    """

    def __init__(
        self,
        names: Names,
        index: Callable[[ast.expr], ast.expr],
        formula: bool = False,
        moved: frozenset[str] = frozenset(),
    ) -> None:
        self.names, self.index, self.formula, self.moved = names, index, formula, moved
        first = [*names.inputs, *moved]
        self.kinds = dict.fromkeys(first, "value")  # of every name assigned so far: "value" or "layer"
        self.locals = set(first)  # those that are set on every way that leads here
        self.setting: bool | None = None  # in an assignment, whether it happens in training alone
        self.errors: list[TextError] = []
        self.reads: list[Read] = []
        self.uses_modules = False

    def error(
        self, node: ast.expr | ast.stmt | ast.keyword, what: str, hint: str = "", code: Code | None = None
    ) -> None:
        self.errors.append(TextError(what, hint, node.lineno, node.col_offset + 1, code))

    def is_value(self, name: str) -> bool:
        return name in self.locals and self.kinds[name] == "value"

    def is_known(self, name: str) -> bool:
        """Whether the block or the text has something of this name."""
        return name in self.kinds or any(
            name in each for each in (self.names.values, self.names.layers, self.names.tensors, self.names.outer)
        )

    def assign(self, node: ast.Name, kind: str) -> None:
        name, names = node.id, self.names
        fixed = (
            names.layers | names.tensors | names.values | ({*names.inputs} if names.fills else {"training", "torch"})
        )
        if name == "_" or (name in self.moved and self.setting):
            return
        if name in self.moved and self.setting is not None:
            self.error(node, f"'{name}' is a buffer, and is set in training alone", "Write if training: above it.")
        elif name in fixed:
            owner = "text" if names.fills and name in names.inputs else "block"
            self.error(node, f"'{name}' belongs to the {owner} and cannot be assigned", "Take another name.")
        elif name.startswith("_") or not name.isascii():
            self.error(node, f"'{name}' cannot be a name", PRIVATE)
        elif self.kinds.setdefault(name, kind) != kind:
            self.error(node, f"'{name}' would be a layer in one place and a value in another", "Take another name.")
        else:
            self.locals.add(name)

    def code_of(self, name: str) -> str:
        """What a local is called in the code: a buffer that the text sets has a name there that nothing else has."""
        return f"_own_{name}" if name in self.moved else name

    def suppose(self, names: Iterable[str]) -> None:
        """Takes names as set by a statement that was refused: that they are not is its consequence."""
        for name in names:
            self.kinds.setdefault(name, "value")
            self.locals.add(name)

    def unknown(self, node: ast.Name) -> None:
        name = node.id
        if name in self.names.outer and self.formula:
            hint = f"For a layer again write {{'_ref_': '{name}'}}."
            self.error(node, f"'{name}' is no arg, and a formula sees args alone", hint)
        elif name in self.names.outer:
            hint = f"Add {name}: {{_ref_: {name}}} to this block's layers."
            self.error(node, f"'{name}' belongs to the block outside", hint)
        elif self.is_own(node):
            self.error(node, "'layers' are all layers of this block", _ONE[1])
        elif self.formula and find_layer(name) is not None:
            self.error(node, f"'{name}' is a layer, not a value")
        elif name in self.kinds:
            self.error(node, f"'{name}' is not set on every way that leads here", "Set it before the branch or loop.")
        elif name in self.names.closed:
            hint = f"A definition sees its own args: add {name} to them, and give it where the definition is used."
            self.error(node, f"there is no value '{name}'", hint, Code.NO_VALUE)
        else:
            known = sorted(self.locals) + sorted(self.names.values | self.names.tensors | self.names.layers)
            meant = _OF_YAML.get(name.lower()) or closest(name, known) or self.layer_meant(name)
            hyphened = next((each for each in sorted(self.names.layers) if each.startswith(f"{name}-")), None)
            hint = f"Write layers['{hyphened}'](x)." if hyphened else did_you_mean(meant) or nearest(name, known)
            self.error(node, f"there is no value '{name}'", hint, Code.NO_VALUE)

    def layer_meant(self, name: str) -> str:
        """Which layer is meant by a name among the arguments of another, as in `Sequential(Linear(4, 4), relu)`."""
        return closest(name, layer_names()) if self.formula else ""

    def tensor_of(self, node: ast.Attribute) -> ast.expr:
        """`layer.weight` where it is read, not called."""
        layer = self.layer(node.value, reaches=False)
        if layer is None:
            return node
        if self.check_part(node):
            if layer.path is None:
                hint = "Write layer.weight, or layers[0].weight."
                self.error(node, "a tensor of a layer is read by its full name", hint)
            else:
                self.reads.append(Read((*layer.path, node.attr), True, node.lineno, node.col_offset + 1))
        return ast.Attribute(layer.code, node.attr, ast.Load())

    def layer_like(self, node: ast.expr) -> bool:
        """Whether an expression starts with the name of a layer and goes on with names and indices."""
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            if isinstance(node, ast.Subscript) and self.is_own(node.value):
                return True
            node = node.value
        return isinstance(node, ast.Name) and (node.id in self.names.layers or self.kinds.get(node.id) == "layer")

    def is_own(self, node: ast.expr) -> bool:
        """Whether an expression is `layers`, by which a text names those of its block, if nothing else is called so."""
        names = self.names
        known = self.kinds.keys() | names.values | names.layers | names.tensors
        return isinstance(node, ast.Name) and node.id == OWN and OWN not in known and bool(names.layers)

    def own(self) -> ast.expr:
        """The code of all layers of the block, in their order."""
        self.uses_modules = True
        return call_of("_tuple", ast.Call(ast.Attribute(load("_modules"), "values", ast.Load()), [], []))

    def layer(self, node: ast.expr, *, reaches: bool = True) -> Layer | None:
        """The layer that an expression names (`hidden`, `blocks[i]`, `encoder.embed`), or None if it names none.

        Args:
            node: the expression.
            reaches: whether a dotted name is recorded; not where it is the start of a longer one.
        """
        if not self.layer_like(node):
            return None
        if isinstance(node, ast.Subscript):
            found = self.indexed_layer(node)
        elif isinstance(node, ast.Attribute):
            found = self.child(node, reaches)
        else:
            assert isinstance(node, ast.Name)
            found = self.named_layer(node)
        return found and Layer(at(found.code, node), found.path)

    def layers(self, node: ast.expr) -> ast.expr | None:
        """The code of what holds layers, or of a slice of it; None if an expression names none."""
        if self.is_own(node):
            return at(self.own(), node)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            owner = self.layer(node.value) if not self.is_own(node.value) else Layer(self.own(), None)
            part = None if owner is None else call_of("_tuple", owner.code)
            return None if part is None else at(ast.Subscript(part, self.index(node.slice), ast.Load()), node)
        layer = self.layer(node)
        return None if layer is None else layer.code

    def named_layer(self, node: ast.Name) -> Layer:
        if node.id in self.names.layers:
            self.uses_modules = True
            return Layer(ast.Subscript(load("_modules"), ast.Constant(node.id), ast.Load()), (node.id,))
        if node.id not in self.locals:
            self.unknown(node)
        return Layer(load(node.id), None)

    def own_layer(self, node: ast.Subscript) -> Layer:
        """`layers[0]` or `layers['block1-0']`: a number counts, a text is a name."""
        known = self.names.layers
        name, number = text_of(node.slice), index_of(node.slice)
        if number is not None and known == {str(each) for each in range(len(known))}:
            name = str(number + len(known) if number < 0 else number)
        if isinstance(node.slice, (ast.Slice, ast.Tuple)):
            self.error(node, *_ONE)
        if name is None:
            return Layer(ast.Subscript(self.own(), self.index(node.slice), ast.Load()), None)
        if name not in known:
            shown = name if number is None else str(number)
            self.error(node, f"there is no layer '{shown}'", nearest(shown, sorted(known)), Code.UNKNOWN)
        self.uses_modules = True
        return Layer(ast.Subscript(load("_modules"), ast.Constant(name), ast.Load()), (name,))

    def indexed_layer(self, node: ast.Subscript) -> Layer | None:
        if self.is_own(node.value):
            return self.own_layer(node)
        owner = self.layer(node.value)
        if owner is None:
            return None
        if isinstance(node.slice, (ast.Slice, ast.Tuple)):
            self.error(node, *_ONE)
        key = number_of(node.slice) if text_of(node.slice) is None else text_of(node.slice)
        path = (*owner.path, key) if owner.path is not None and isinstance(key, (int, str)) else None
        return Layer(ast.Subscript(owner.code, self.index(node.slice), ast.Load()), path)

    def child(self, node: ast.Attribute, reaches: bool) -> Layer | None:
        owner = self.layer(node.value, reaches=False)
        if owner is None:
            return None
        path = None if owner.path is None else (*owner.path, node.attr)
        if self.check_part(node) and reaches and path is not None:
            self.reads.append(Read(path, False, node.lineno, node.col_offset + 1))
        children = ast.Attribute(owner.code, "_modules", ast.Load())
        return Layer(ast.Subscript(children, ast.Constant(node.attr), ast.Load()), path)

    def check_part(self, node: ast.Attribute) -> bool:
        """Whether a layer may have a child or tensor of this name: what `nn.Module` has itself is no part of it."""
        name = node.attr
        if name.startswith("_") or name in told("methods"):
            hint = "Layers are called, and their tensors are read: layer(x), layer.weight."
            self.error(node, f"'{name}' of a layer has no place here", hint)
            return False
        return True
