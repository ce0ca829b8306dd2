"""Idioms of PyTorch and Python in expressions, and how a text writes the same: a rule for each."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence

from modelzoo.catalog.checks import words_of
from modelzoo.catalog.functions import DTYPES, METHODS, find_function
from modelzoo.catalog.layers import find_layer
from modelzoo.known import told
from modelzoo.language import unrolled
from modelzoo.language.names import Names
from modelzoo.language.pieces import call_of, called_name, load, text_of
from modelzoo.language.unrolled import goes, is_layer, is_slice

_MODULES = (
    *("F", "fft", "functional", "math", "nn.functional", "np", "np.fft", "numpy", "numpy.fft"),
    *("torch", "torch.fft", "torch.nn.functional", "torch.special"),
)
"""What stands in front of the name of a function."""

_FILLED = {"zero_": "zeros_like", "fill_": "full_like"}
"""What gives a tensor other values in place, and what makes one that has them."""

_ALSO = {
    **dict.fromkeys(("concat", "concatenate"), "cat"),
    **dict.fromkeys(("divide", "true_divide"), "div"),
    **dict.fromkeys(("swapaxes", "swapdims"), "transpose"),
    **dict(zip(words_of("arccos arcsin arctan arctan2"), words_of("acos asin atan atan2"), strict=True)),
    **dict(zip(words_of("greater greater_equal less less_equal not_equal"), words_of("gt ge lt le ne"), strict=True)),
    **dict(zip(words_of("absolute clip fix moveaxis"), words_of("abs clamp trunc movedim"), strict=True)),
    **dict(zip(words_of("multiply negative ravel subtract"), words_of("mul neg flatten sub"), strict=True)),
}
"""Other names of functions and methods."""

_NUMBERS = {"inf": math.inf, "nan": math.nan, "pi": math.pi, "e": math.e}

_DTYPES = {name: each for name, each in told("dtypes").items() if each in DTYPES}
"""The dtypes of torch by all their names: `long` is int64."""

_OF_PYTHON = {"float": "float32", "int": "int64", "bool": "bool"}

_OF_SIZES = frozenset(words_of("expand new_ones new_zeros ones permute rand randn repeat reshape tile view zeros"))
"""What takes sizes one by one, or as one tuple."""

_PLACES = ("device", "inplace", "pin_memory", "requires_grad", "non_blocking")
"""Arguments that say where a tensor is stored, or that it is changed."""


class Idioms(ast.NodeTransformer):
    """Writes an expression as a text does; changes the tree that it is given.

    Attributes:
        what: of every idiom that was met, what a text does instead.
        before: statements that must stand before the one at work.
        layers: layers that the block must have for it: their names, and how they are written.
    """

    def __init__(self, names: Names, text: Sequence[ast.stmt]) -> None:
        self.names = names
        nodes = [node for statement in text for node in ast.walk(statement)]
        read = {node.id for node in nodes if isinstance(node, ast.Name)}
        self.assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        self.known = {*names.inputs, *names.values, *names.layers, *names.tensors, *self.assigned}
        self.taken = self.known | read
        self.what: list[str] = []
        self.before: list[ast.stmt] = []
        self.layers: dict[str, str] = {}

    def met(self, what: str) -> None:
        self.what.append(what)

    def fresh(self, *wanted: str) -> str:
        name = next((each for each in wanted if each not in self.taken), f"{wanted[0]}_")
        self.taken.add(name)
        return name

    # -- comprehensions

    def loop(self, target: ast.expr, iterated: ast.expr, body: list[ast.stmt]) -> ast.For | None:
        """A loop over anything that has a length."""
        if goes(iterated, self.names.layers):
            return ast.For(target, iterated, body, [])
        return unrolled.loop(target, iterated, body, self.fresh("k", "j", "n"), self.names.layers)

    def gathered(self, node: ast.ListComp | ast.GeneratorExp, name: str) -> list[ast.stmt]:
        """A comprehension as a loop that makes a list of this name."""
        self.met("a comprehension has no place here")
        grown: ast.stmt = ast.AugAssign(
            ast.Name(name, ast.Store()), ast.Add(), ast.List([self.visit(node.elt)], ast.Load())
        )
        for each in reversed(node.generators):
            for test in reversed(each.ifs):
                grown = ast.If(self.visit(test), [grown], [])
            loop = self.loop(each.target, self.visit(each.iter), [grown])
            if loop is None:
                return [ast.Expr(node)]
            grown = loop
        before, self.before = self.before, []
        return [*before, ast.Assign([ast.Name(name, ast.Store())], ast.List([], ast.Load())), grown]

    def written_out(self, node: ast.ListComp | ast.GeneratorExp) -> ast.List | None:
        """A comprehension over what is written there as the list that it makes."""
        only = node.generators[0]
        turns = unrolled.turns(only.target, only.iter) if len(node.generators) == 1 and not only.ifs else None
        if turns is None:
            return None
        self.met("a comprehension has no place here")
        return ast.List([self.visit(unrolled.named(node.elt, each)) for each in turns], ast.Load())

    def visit_ListComp(self, node: ast.ListComp | ast.GeneratorExp) -> ast.AST:
        written_out = self.written_out(node)
        if written_out is not None:
            return written_out
        name = self.fresh("items", "more", "others")
        outer, self.before = self.before, []
        self.before = [*outer, *self.gathered(node, name)]
        return load(name)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        return self.visit_ListComp(node)

    # -- expressions

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.known or isinstance(node.ctx, ast.Store):
            return node
        if node.id in ("inf", "nan"):
            self.met(f"'{node.id}' is no name here")
            return call_of("float", ast.Constant(node.id))
        if node.id in _DTYPES and find_function(node.id) is None:
            return self.dtype(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        owner = _dotted(node.value)
        if owner == "self" and "self" not in self.known:
            self.met("what the block owns is named without 'self.'")
            return load(node.attr)
        if owner is not None and owner.partition(".")[0] not in self.known and owner in _MODULES:
            if node.attr in _NUMBERS:
                self.met(f"'{owner}.{node.attr}' is no name here")
                number = _NUMBERS[node.attr]
                return ast.Constant(number) if math.isfinite(number) else call_of("float", ast.Constant(node.attr))
            if node.attr in _DTYPES and owner == "torch":
                return self.dtype(node.attr)
        return self.generic_visit(node)

    def dtype(self, name: str) -> ast.expr:
        self.met("a dtype is written as a text")
        return ast.Constant(_DTYPES.get(name, _OF_PYTHON.get(name)))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        node.operand = self.visit(node.operand)
        inner = node.operand
        called = isinstance(node.op, ast.USub) and isinstance(inner, ast.Call) and called_name(inner) == "float"
        if called and isinstance(inner, ast.Call) and [text_of(each) for each in inner.args] == ["inf"]:
            return call_of("float", ast.Constant("-inf"))
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        parts = [text_of(each) for each in node.values]
        if None in parts:
            return node
        self.met("an f-string has no place here")
        return ast.Constant("".join(map(str, parts)))

    def visit_List(self, node: ast.List | ast.Tuple) -> ast.AST:
        self.generic_visit(node)
        if not any(isinstance(each, ast.Starred) for each in node.elts):
            return node
        self.met("a starred value has no place here")
        return _added(node.elts, ast.List)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self.visit_List(node)

    # -- calls

    def visit_Call(self, node: ast.Call) -> ast.AST:
        made = self.made_layer(node.func)
        if made is not None:
            node.func = made
        elif called_name(node) == "getattr" and [_dotted(node.args[0]), *map(text_of, node.args[1:2])][:1] == ["self"]:
            name = text_of(node.args[1]) if len(node.args) == 2 else None
            if name is not None and name.isidentifier():
                self.met("what the block owns is named without 'self'")
                return load(name)
        for keyword in [each for each in node.keywords if each.arg in _PLACES]:
            self.met(f"the argument '{keyword.arg}' has no place here")
            node.keywords.remove(keyword)
        for each in node.keywords:
            if each.arg == "dtype" and isinstance(each.value, ast.Name) and each.value.id in _OF_PYTHON:
                each.value = self.dtype(each.value.id)
        node.args = [self.visit(each) for each in node.args]
        node.keywords = [ast.keyword(each.arg, self.visit(each.value)) for each in node.keywords]
        if last_part(node.func) in _OF_SIZES and any(isinstance(each, ast.Starred) for each in node.args):
            self.met("a starred value has no place here")
            node.args = [_added(node.args, ast.Tuple)]
        if isinstance(node.func, ast.Subscript) and is_slice(node.func.slice):
            return self.sliced(node, node.func)
        return self.called(node)

    def called(self, node: ast.Call) -> ast.expr:
        """A call of a function or a method by the name it has here."""
        function, name = node.func, called_name(node) or ""
        owner, short = ("torch", name.removeprefix("torch.")) if name.startswith("torch.") else (None, "")
        if isinstance(function, ast.Attribute):
            owner, short = _dotted(function.value), function.attr
        if owner in _MODULES and owner.partition(".")[0] not in self.known:
            if find_function(f"{owner}.{short}") is not None:  # of torch's own, as it is
                return node
            short = _ALSO.get(short, short)
            if find_function(short) is not None:
                self.met("a function is called by its name alone")
                node.func = load(short)
            elif short in METHODS and node.args:
                self.met(f"'{short}' is a method here")
                node.func, node.args = ast.Attribute(node.args[0], short, ast.Load()), node.args[1:]
            return node
        if isinstance(function, ast.Attribute) and not is_layer(function, self.names.layers):
            return self.method(node, function)
        node.func = self.visit(function)
        return node

    def method(self, node: ast.Call, method: ast.Attribute) -> ast.expr:
        name = method.attr
        if _dotted(method.value) == "self":
            node.func = self.visit(method)
            return node
        method.value = self.visit(method.value)
        if (
            name == "to"
            and len(node.args) == 1
            and isinstance(other := node.args[0], ast.Name)
            and other.id in self.known
        ):
            self.met("to takes one dtype")
            node.args = [ast.Attribute(other, "dtype", ast.Load())]
        if name in ("cpu", "cuda") or (name == "to" and not _is_dtype(node)):
            self.met("where a tensor lies is no part of a model")
            return method.value
        if is_in_place(name):
            self.met(f"'{name}' changes its tensor in place")
            name = method.attr = _FILLED.get(name, name.rstrip("_"))
        if name not in METHODS and name in _ALSO:
            self.met(f"'{name}' is another name of '{_ALSO[name]}'")
            name = method.attr = _ALSO[name]
        if name not in METHODS and find_function(name) is not None:
            self.met(f"'{name}' is a function here")
            return ast.Call(load(name), [method.value, *node.args], node.keywords)
        return node

    def made_layer(self, node: ast.expr, name: str = "") -> ast.expr | None:
        """`nn.Upsample(scale_factor=2)(x)`: a layer that the block must have, under a name that is given or free."""
        target = _dotted(node.func) if isinstance(node, ast.Call) else None
        layer = find_layer(target) if target is not None and target not in self.known else None
        given = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} - {str(target).partition(".")[0]}
        if layer is None or given & {*self.names.inputs, *self.assigned}:
            return None
        self.met("a layer is made in layers, and called here")
        name = name or self.fresh(layer.name.lower(), f"{layer.name.lower()}_2")
        self.layers[name] = ast.unparse(node).replace(str(target), layer.name, 1)
        return load(name)

    def sliced(self, node: ast.Call, layers: ast.Subscript) -> ast.expr:
        """`layers[1:](x)`: one after the other."""
        layers.value = self.visit(layers.value)
        name, layer = self.fresh("out", "y", "z"), self.fresh("layer", "each", "step")
        if len(node.args) != 1 or not goes(layers, self.names.layers):
            return node
        self.met("a layer is picked by one index")
        self.before.append(ast.Assign([ast.Name(name, ast.Store())], node.args[0]))
        step = ast.Assign([ast.Name(name, ast.Store())], ast.Call(load(layer), [load(name)], []))
        self.before.append(ast.For(ast.Name(layer, ast.Store()), layers, [step], []))
        return load(name)


class Formulas(Idioms):
    """Writes a formula as one, which has comprehensions."""

    def visit_ListComp(self, node: ast.ListComp | ast.GeneratorExp) -> ast.AST:
        return self.generic_visit(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        self.met("a comprehension has no place here")
        return self.generic_visit(ast.ListComp(node.elt, node.generators))


def _added(items: Sequence[ast.expr], kind: type[ast.List] | type[ast.Tuple]) -> ast.expr:
    """A list or tuple with starred values in it, as a sum."""
    parts: list[ast.expr] = []
    for each in items:
        if isinstance(each, ast.Starred):
            parts.append(each.value)
        elif parts and isinstance(last := parts[-1], kind):
            last.elts.append(each)
        else:
            parts.append(kind([each], ast.Load()))
    whole = parts[0]
    for part in parts[1:]:
        whole = ast.BinOp(whole, ast.Add(), part)
    return whole


def last_part(node: ast.expr) -> str | None:
    """The last part of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id.rpartition(".")[2] if isinstance(node, ast.Name) else None


def is_in_place(name: str) -> bool:
    """Whether a method changes its tensor, as its name says."""
    return name.endswith("_") and not name.startswith("_")


def _is_dtype(node: ast.Call) -> bool:
    """Whether `to` is given a dtype."""
    given = [*node.args, *(each.value for each in node.keywords)]
    return any(text_of(each) in DTYPES or (isinstance(each, ast.Attribute) and each.attr == "dtype") for each in given)


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    owner = _dotted(node.value) if isinstance(node, ast.Attribute) else None
    return None if owner is None or not isinstance(node, ast.Attribute) else f"{owner}.{node.attr}"
