"""Texts of the small language as plain Python: what a class written by hand would hold as its `forward`."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional

from modelzoo.catalog import functions
from modelzoo.errors import Path
from modelzoo.export.source import floating, makers, trees
from modelzoo.export.source.kinds import Kinds, id_of
from modelzoo.export.source.naming import Imports, Scope
from modelzoo.language import syntax
from modelzoo.language.loops import SIDES
from modelzoo.language.names import Names
from modelzoo.language.pieces import assigned_names, called_name, index_of, text_of
from modelzoo.language.syntax import copied
from modelzoo.names import is_index

RANDOM = frozenset(
    [
        *("alpha_dropout", "bernoulli", "dropout", "dropout1d", "dropout2d", "dropout3d", "gumbel_softmax"),
        *("multinomial", "rand", "randint", "randn", "randn_like", "rand_like", "randperm"),
    ]
)

Draw = Callable[[str, list[ast.expr], list[ast.keyword]], ast.expr]


def function_tree(name: str, number: bool, imports: Imports, key: Path) -> ast.expr:
    """What a function of the catalog is called in Python, by whether its first argument is a number or a tensor."""
    function = functions.find_function(name)
    assert function is not None
    name = function.name
    if functions.FUNCTIONS.get(name) is not function:
        return imports.registered(function.call, key)
    if function.number and (number or not hasattr(torch, name)):
        return trees.name(name) if hasattr(builtins, name) else trees.attribute(imports.known("math"), name)
    if function.number and hasattr(builtins, name) and name in ("bool", "float", "int", "len"):
        return trees.name(name)
    if getattr(functional, name, None) is function.call:
        return trees.attribute(imports.known("F"), name)
    if getattr(torch.fft, name, None) is function.call:
        return trees.attribute(trees.name("torch"), "fft", name)
    return trees.attribute(trees.name("torch"), name)


def iterated(node: ast.expr, visit: Callable[[ast.expr], ast.expr]) -> ast.expr:
    """What a loop goes over, whose words are Python's."""
    called = called_name(node)
    if not isinstance(node, ast.Call) or (called != "range" and called not in SIDES):
        return visit(node)
    inner = visit if called == "range" else partial(iterated, visit=visit)
    return ast.Call(trees.name(str(called)), [inner(each) for each in node.args], [])


@dataclass(slots=True, kw_only=True)
class Method:
    """A text as Python.

    Attributes:
        inputs: what its inputs are called.
        body: its statements.
        reads: the values (args) that it reads.
        random: whether it draws.
    """

    inputs: list[str]
    body: list[ast.stmt]
    reads: set[str]
    random: bool

    @property
    def expression(self) -> ast.expr | None:
        """The value of a text that is a single expression."""
        only = self.body[0] if len(self.body) == 1 else None
        return only.value if isinstance(only, ast.Return) else None


def method(
    text: str,
    names: Names,
    imports: Imports,
    key: Path,
    *,
    values: Mapping[str, ast.expr],
    scope: Scope,
    owner: makers.Owner | None = None,
    draw: Draw | None = None,
    sequences: frozenset[str] = frozenset(),
) -> Method:
    """A `forward` or `fill` text as Python.

    Args:
        text: one that was checked.
        names: what its names mean.
        imports: gets what the source must import.
        key: where the text stands.
        values: how args, and inputs of a fill text, are written.
        scope: the names of the function that the text becomes.
        owner: of a `forward`, what decides the device and the dtype of what it makes.
        draw: writes a draw of a fill text.
        sequences: the names of inputs that are given by position, as torch's sequences take no others.
    """
    body = [*map(copied, syntax.parse_statements(text))]
    inputs = names.inputs if draw is None else ()
    local = scope.all([*inputs, *_assigned(body)])
    kinds = Kinds(names, draw is not None, body)
    plain = _Plain(names, imports, key, values, local, draw, sequences, kinds)
    if owner is not None:
        plain.makers = plain.makers_of(owner, scope, [*map(copied, body)])
    new = [*plain.held(kinds.moved), *plain.block(body)]
    new = [*(plain.makers.statements() if plain.makers is not None else ()), *new]
    return Method(
        inputs=[local[each] for each in inputs],
        body=[each for each in new if not isinstance(each, ast.Pass)] or [ast.Pass()],
        reads=plain.reads,
        random=plain.random,
    )


def _assigned(body: Sequence[ast.stmt]) -> list[str]:
    """The locals of a text, in the order they are written."""
    nodes = (each for statement in body for each in ast.walk(statement))
    return [each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]


class _Plain(ast.NodeTransformer):
    """Rewrites a checked text: `self.` in front of what the block owns, functions by their names in torch."""

    def __init__(
        self,
        names: Names,
        imports: Imports,
        key: Path,
        values: Mapping[str, ast.expr],
        local: Mapping[str, str],
        draw: Draw | None,
        sequences: frozenset[str],
        kinds: Kinds,
    ) -> None:
        self.sequences = sequences
        self.names, self.imports, self.key, self.values, self.draw = names, imports, key, values, draw
        self.local = local
        self.kinds = kinds
        self.reads: set[str] = set()
        self.random = False
        self.makers: makers.Makers | None = None

    def makers_of(self, owner: makers.Owner, scope: Scope, body: Sequence[ast.stmt]) -> makers.Makers:
        """Who knows the device and the dtype of what a body makes."""
        values: dict[str, list[ast.expr | None]] = {each: [None] for each in self.names.inputs}
        for name, value in floating.assigned(body):
            values.setdefault(name, []).append(value)
        changed = frozenset(each for each in self.names.inputs if len(values[each]) > 1)
        return makers.Makers(
            owner=owner,
            local=self.local,
            numbers=floating.Numbers(owner.floats, values),
            changed=changed,
            tensors=frozenset(each for each in changed if self.kinds.of[each] == "tensor"),
            scope=scope,
        )

    # -- rewriting

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        found = (self.visit(each) for each in body)
        return [one for each in found for one in (each if isinstance(each, list) else [each])]

    def held(self, buffers: Iterable[str]) -> list[ast.stmt]:
        """The values of buffers that the text sets, each as a tensor of its own."""
        return [
            trees.assigned(
                trees.name(self.local[each]), trees.quoted("BUFFER.clone()", BUFFER=trees.child(_SELF, each))
            )
            for each in sorted(buffers)
        ]

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        moved = assigned_names(node.targets) & self.kinds.moved
        made: list[ast.stmt] = [self.generic_visit(node)]  # type: ignore[list-item]
        for each in sorted(moved):
            given = {"BUFFER": trees.child(_SELF, each), "VALUE": trees.name(self.local[each])}
            made += trees.statements("BUFFER.copy_(VALUE.detach())", **given)
        return [*made, *self.held(moved)]

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if not self.kinds.is_own(node.value):
            return self.generic_visit(node)
        name, number = text_of(node.slice), index_of(node.slice)
        if number is not None and number >= 0 and all(map(is_index, self.names.layers)):
            name = str(number)
        if name is not None:
            return trees.child(_SELF, name)
        return ast.Subscript(trees.call(trees.name("tuple"), [_OWN]), self.visit(node.slice), ast.Load())

    def visit_Name(self, node: ast.Name) -> ast.AST:
        name = node.id
        if self.kinds.is_own(node):
            return _OWN
        if isinstance(node.ctx, ast.Store) or name in self.local:
            return ast.Name(trees.identifier(self.local[name]), node.ctx)
        if name in self.names.values or (self.draw is not None and name in self.names.inputs):
            self.reads.add(name)
            return self.values[name]
        if name in self.names.layers or name in self.names.tensors or (name == "training" and self.names.training):
            return trees.attribute(trees.name("self"), name)
        return trees.name(name)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return node if node.value is ... else trees.literal(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        old = ast.Name(id_of(node.target), ast.Load())
        return self.visit_Assign(ast.Assign([node.target], ast.BinOp(old, node.op, node.value)))

    def visit_If(self, node: ast.If) -> ast.AST:
        node.test = self.condition(node.test)
        node.body, node.orelse = self.block(node.body), self.block(node.orelse)
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        node.test = self.condition(node.test)
        node.body = self.block(node.body)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        node.iter = iterated(node.iter, self.visit)
        node.target = self.visit(node.target)
        node.body = self.block(node.body)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return ast.IfExp(self.condition(node.test), self.visit(node.body), self.visit(node.orelse))

    def condition(self, node: ast.expr) -> ast.expr:
        """A test; a layer by itself is tested for presence."""
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(node.op, [self.condition(each) for each in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            if isinstance(node.operand, ast.Name) and self.kinds.is_layer(node.operand):
                return ast.Compare(self.visit(node.operand), [ast.Is()], [ast.Constant(None)])
            return ast.UnaryOp(node.op, self.condition(node.operand))
        if isinstance(node, ast.Name) and self.kinds.is_layer(node):
            return ast.Compare(self.visit(node), [ast.IsNot()], [ast.Constant(None)])
        return self.visit(node)  # type: ignore[no-any-return]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        number = bool(node.args) and self.kinds.kind(node.args[0]) != "tensor"
        added = self.added(node)
        keywords = [ast.keyword(each.arg, self.argument(each.value)) for each in node.keywords]
        positional = [self.argument(each) for each in node.args]
        layer = self.kinds.is_layer(node.func)
        if layer and not positional and len(keywords) == 1 and keywords[0].arg in self.sequences:
            return ast.Call(self.visit(node.func), [keywords[0].value], [])
        if layer or not isinstance(node.func, ast.Name):
            return ast.Call(self.visit(node.func), positional, keywords)
        name = node.func.id
        function = functions.find_function(name)
        if self.draw is not None and name in self.names.fills and (function is None or not node.args):
            self.random = True
            return self.draw(name.removesuffix("_"), positional, keywords)
        assert function is not None
        self.random |= function.name in RANDOM
        return ast.Call(function_tree(name, number, self.imports, self.key), positional, [*keywords, *added])

    def added(self, node: ast.Call) -> list[ast.keyword]:
        """What a call that makes a tensor from nothing is given besides what is written."""
        function = None if self.kinds.is_layer(node.func) else functions.find_function(id_of(node.func))
        if self.makers is None or function is None or not function.creates:
            return []
        return self.makers.keywords(function.name, node, lambda each: self.kinds.kind(each) == "tensor", self.visit)

    def argument(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in functions.DTYPES:
            return trees.attribute(trees.name("torch"), node.value)
        return self.visit(node)  # type: ignore[no-any-return]


_SELF = trees.name("self")
_OWN = trees.quoted("self._modules.values()")
