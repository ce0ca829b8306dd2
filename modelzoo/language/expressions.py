"""Expressions: each has a rule that rewrites it to the code that runs, or is refused."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelzoo import bounds
from modelzoo.catalog import functions
from modelzoo.errors import Code, nearest
from modelzoo.language.calls import Calls
from modelzoo.language.loops import Loops
from modelzoo.language.names import PRIVATE, Names, Text
from modelzoo.language.pieces import assigned_names, at, call_of, load, number_of, site, text_of
from modelzoo.spelling import did_you_mean

_GUARDS: Mapping[type[ast.operator], str] = {
    ast.Add: "_add",
    ast.Sub: "_subtract",
    ast.Mult: "_multiply",
    ast.Mod: "_modulo",
    ast.Pow: "_power",
}
"""What computes with values that may grow."""

_OF_FORMULAS: Mapping[type[ast.operator], str] = {ast.Add: "_joined", ast.Mult: "_multiplied"}
"""What does so otherwise in a formula."""

_TEXTUAL = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
"""What compares texts."""

_BINARY: tuple[type[ast.operator], ...] = (
    *_GUARDS,
    ast.Div,
    ast.FloorDiv,
    ast.MatMult,
    ast.BitAnd,
    ast.BitOr,
    ast.BitXor,
)

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("JoinedStr", "TemplateStr"), "an f-string"),
    **dict.fromkeys(("ListComp", "SetComp", "DictComp", "GeneratorExp"), "a comprehension"),
    **dict.fromkeys(("FunctionDef", "AsyncFunctionDef"), "def"),
    **dict.fromkeys(("Import", "ImportFrom"), "import"),
    **dict.fromkeys(("Try", "TryStar"), "try"),
    **dict.fromkeys(("With", "AsyncWith"), "with"),
    **dict.fromkeys(("Yield", "YieldFrom"), "yield"),
    "AnnAssign": "an annotation",
    "Assert": "assert",
    "AsyncFor": "async",
    "Await": "await",
    "Break": "break",
    "ClassDef": "class",
    "Continue": "continue",
    "Delete": "del",
    "Global": "global",
    "Lambda": "lambda",
    "Match": "match",
    "NamedExpr": "':='",
    "Nonlocal": "nonlocal",
    "Raise": "raise",
    "Set": "a set",
    "Slice": "a slice",
    "Starred": "a starred value",
}


class Expressions:
    """Rewrites the expressions of one text; collects errors and goes on.

    A rule `expression_*` returns the expression that takes an expression's place. What has no rule is refused.

    Args:
        names: what the names of the text mean.
        watch: whether conditions on data are reported, as in the dry run.
        formula: whether the text is a formula.
        moved: the buffers that it sets somewhere.
    """

    def __init__(
        self, names: Names, *, watch: bool = False, formula: bool = False, moved: frozenset[str] = frozenset()
    ) -> None:
        self.text = Text(names, self.index, formula, moved)
        self.calls = Calls(self.text, self.expression)
        self.loops = Loops(self.text, self.expression, self.looped)
        self.watch = watch
        self.checks = watch or formula or bool(names.fills)  # whether values that may grow are held within the bounds
        self.grows = False  # whether there are any
        self.used: set[str] = set()
        self.has_conditions = False

    def expression(self, node: ast.expr) -> ast.expr:
        kind = type(node).__name__
        rule: Callable[[Any], ast.expr] | None = getattr(self, f"expression_{kind.lower()}", None)
        if rule is None:
            self.text.error(node, f"{REFUSED.get(kind, kind)} has no place here")
            return node
        return at(rule(node), node)

    def expressions(self, nodes: Sequence[ast.expr]) -> list[ast.expr]:
        return [self.expression(node) for node in nodes]

    def expression_constant(self, node: ast.Constant) -> ast.expr:
        value = node.value
        if isinstance(value, str):
            hint = "Texts are arguments (mode='nearest'), keys of dicts, and what an arg is compared with."
            self.text.error(node, f"the text {value!r} has no place here", hint)
        elif isinstance(value, (bytes, complex)) or value is ...:
            self.text.error(node, f"{'...' if value is ... else repr(value)} has no place here")
        elif value == math.inf or (isinstance(value, int) and value >= bounds.INTEGER):
            self.text.error(node, "this number is too large", f"Integers are below {bounds.INTEGER:,}.")
        return node

    def expression_name(self, node: ast.Name) -> ast.expr:
        name = node.id
        if name in self.text.names.layers or self.text.kinds.get(name) == "layer":
            self.text.error(node, f"'{name}' is a layer", f"Call it: {name}(x).")
        elif self.text.is_value(name):
            return load(self.text.code_of(name))
        elif name in self.text.names.values:
            self.used.add(name)
            return load(name)
        elif name in self.text.names.tensors or (
            name == "training" and self.text.names.training and not self.text.names.fills
        ):
            return ast.Attribute(load("_self"), name, ast.Load())
        elif name == "_":
            self.text.error(node, "'_' is never read", "Give the value a name.")
        elif name.startswith("_"):
            self.text.error(node, f"'{name}' cannot be a name", PRIVATE)
        elif name in self.text.names.fills or functions.find_function(name) is not None:
            self.text.error(
                node, f"'{name}' is a function", did_you_mean(self.text.layer_meant(name)) or f"Call it: {name}(...)."
            )
        else:
            self.text.unknown(node)
        return node

    def looped(self, node: ast.expr) -> tuple[ast.expr, str] | None:
        """What a loop goes over that is no range: layers, or whatever a formula has."""
        if self.text.formula:
            return self.expression(node), "values"
        layers = self.text.layers(node)
        return None if layers is None else (layers, "layer")

    def items(self, node: ast.expr, elements: Sequence[ast.expr]) -> ast.expr:
        """A new value that may hold others: whoever reads it meets all that is in them."""
        if all(isinstance(each, (ast.Constant, ast.BinOp, ast.Compare)) for each in elements):
            return node
        self.grows = True
        return call_of("_items", node) if self.checks else node

    def expression_tuple(self, node: ast.Tuple) -> ast.expr:
        return self.items(ast.Tuple(self.expressions(node.elts), ast.Load()), node.elts)

    def expression_list(self, node: ast.List) -> ast.expr:
        return self.items(ast.List(self.expressions(node.elts), ast.Load()), node.elts)

    def expression_listcomp(self, node: ast.ListComp) -> ast.expr:
        """A list of a formula; each turn counts as often as it has parts, and as they have items."""
        if not self.text.formula:
            self.text.error(node, f"{REFUSED['ListComp']} has no place here")
            return node
        before = set(self.text.locals), dict(self.text.kinds)
        count = ast.Constant(sum(1 for _ in ast.walk(node)))
        tests = [test for each in node.generators for test in each.ifs]
        inner = [each.iter for each in node.generators]
        generators = [
            self.generator(each, count, [node.elt, *tests, *inner[number + 1 :]])
            for number, each in enumerate(node.generators)
        ]
        made = self.expression(node.elt)
        self.text.locals, self.text.kinds = before
        return call_of("_gathered", ast.GeneratorExp(made, generators))

    def generator(self, node: ast.comprehension, count: ast.expr, turned: Sequence[ast.expr]) -> ast.comprehension:
        """One `for` of a comprehension, with its conditions; `turned` is what each of its turns computes."""
        if node.is_async:
            self.text.error(node.iter, f"{REFUSED['AsyncFor']} has no place here")
        read = {one.id for each in turned for one in ast.walk(each) if isinstance(one, ast.Name)}
        held = sorted(each for each in read if self.text.is_value(each) or each in self.text.names.values)
        head = self.loops.head(node.target, node.iter)
        if head is None:
            self.text.suppose(assigned_names([node]))
            return node
        turns = call_of("_turns", count, head[1], *map(load, held))
        return ast.comprehension(head[0], turns, [self.condition(each) for each in node.ifs], 0)

    def expression_dict(self, node: ast.Dict) -> ast.expr:
        for key in node.keys:
            if key is None or text_of(key) is None:
                self.text.error(key or node, "the keys of a dict are texts", "Write {'name': value}.")
        return self.items(ast.Dict(node.keys, self.expressions(node.values)), node.values)

    def expression_binop(self, node: ast.BinOp) -> ast.expr:
        if not isinstance(node.op, _BINARY):
            self.text.error(node, f"the operator of '{ast.unparse(node)}' has no place here")
        left, right = self.expression(node.left), self.expression(node.right)
        exponent = number_of(node.right) if isinstance(node.op, ast.Pow) else 0
        if exponent is not None and abs(exponent) > bounds.EXPONENT:
            self.text.error(
                node.right, f"the exponent {exponent} is too large", f"At most {bounds.EXPONENT} is allowed."
            )
        guard = _GUARDS.get(type(node.op))
        if guard is None:
            return ast.BinOp(left, node.op, right)
        self.grows = True
        if self.text.formula:
            guard = _OF_FORMULAS.get(type(node.op), guard)
        return call_of(guard, left, right) if self.checks or exponent is None else ast.BinOp(left, node.op, right)

    def expression_unaryop(self, node: ast.UnaryOp) -> ast.expr:
        return ast.UnaryOp(node.op, self.expression(node.operand))

    def expression_boolop(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(node.op, self.expressions(node.values))

    def expression_compare(self, node: ast.Compare) -> ast.expr:
        if not any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops):
            sides = [node.left, *node.comparators]
            texts = all(isinstance(operator, _TEXTUAL) for operator in node.ops) and any(map(self.is_arg, sides))
            new = [self.compared(each) for each in sides] if texts else self.expressions(sides)
            if self.text.formula and any(isinstance(each, (ast.Tuple, ast.List, ast.ListComp)) for each in sides):
                new = [call_of("_alike", each) for each in new]
            left, *others = new
            return ast.Compare(left, node.ops, others)
        right = node.comparators[0]
        if len(node.ops) > 1 or not isinstance(right, ast.Constant) or right.value is not None:
            self.text.error(node, "'is' compares with None only", "Write == instead.")
        layer = self.text.layer(node.left) if isinstance(node.left, ast.Name) else None
        left = self.expression(node.left) if layer is None else layer.code
        return ast.Compare(left, node.ops, node.comparators)

    def is_arg(self, node: ast.expr) -> bool:
        """Whether an expression is an arg, or an item of one, which may be a text; a formula has nothing else."""
        while isinstance(node, ast.Subscript):
            node = node.value
        return self.text.formula or (isinstance(node, ast.Name) and node.id in self.text.names.values)

    def compared(self, node: ast.expr) -> ast.expr:
        """What an arg is compared with: a text, or several of them."""
        if text_of(node) is not None:
            return node
        if isinstance(node, (ast.Tuple, ast.List)):
            return at(type(node)([self.compared(each) for each in node.elts], ast.Load()), node)
        return self.expression(node)

    def expression_ifexp(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.condition(node.test), self.expression(node.body), self.expression(node.orelse))

    def expression_subscript(self, node: ast.Subscript) -> ast.expr:
        return ast.Subscript(self.expression(node.value), self.index(node.slice), ast.Load())

    def index(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Tuple):
            return at(ast.Tuple([self.index(each) for each in node.elts], ast.Load()), node)
        if isinstance(node, ast.Slice):
            lower, upper, step = (each and self.expression(each) for each in (node.lower, node.upper, node.step))
            return at(ast.Slice(lower, upper, step), node)
        if text_of(node) is not None or (isinstance(node, ast.Constant) and node.value is ...):
            return node
        return self.expression(node)

    def expression_call(self, node: ast.Call) -> ast.expr:
        return self.calls.call(node)

    def expression_attribute(self, node: ast.Attribute) -> ast.expr:
        name = node.attr
        of_child = isinstance(node.value, ast.Attribute) and self.text.layer_like(node.value.value)
        if self.text.layer_like(node.value) and not (of_child and name in functions.ATTRIBUTES):
            return self.text.tensor_of(node)
        if self.text.formula:
            self.text.error(node, f"'.{name}' has no place in a formula")
        elif name in functions.METHODS:
            self.text.error(node, f"'{name}' is a method", f"Call it: .{name}(...).")
        elif name not in functions.ATTRIBUTES:
            self.text.error(
                node, f"there is no attribute '{name}'", nearest(name, sorted(functions.ATTRIBUTES)), Code.UNKNOWN
            )
        return ast.Attribute(self.expression(node.value), name, ast.Load())

    def condition(
        self, node: ast.expr, *, loop: bool = False, negated: bool = False, leads_out: bool = False
    ) -> ast.expr:
        """A test: a layer may be tested for presence; in the dry run data is not asked, but the recorder."""
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(each, loop=loop, negated=negated, leads_out=leads_out) for each in node.values]
            return at(ast.BoolOp(node.op, parts), node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.condition(node.operand, loop=loop, negated=not negated, leads_out=leads_out)
            return at(ast.UnaryOp(node.op, inner), node)
        layer = self.text.layer(node) if isinstance(node, ast.Name) else None
        if layer is not None:
            return at(ast.Compare(layer.code, [ast.IsNot()], [ast.Constant(None)]), node)
        self.has_conditions = True
        value = self.expression(node)
        if not self.watch:
            return value
        report = ast.Attribute(load("_watch"), "turn" if loop else "branch", ast.Load())
        more: list[ast.expr] = [ast.Constant(True)] if (loop and negated) or leads_out else []
        return at(ast.Call(report, [load("_self"), ast.Constant(site(node)), value, *more], []), node)
