"""Calls in a text: of a function, of a method of a tensor, of a layer, and of a fill."""

from __future__ import annotations

import ast
from collections.abc import Callable

from modelzoo.catalog import layers, makers
from modelzoo.catalog.functions import (
    DTYPES,
    FORBIDDEN_KEYWORDS,
    GUARDED,
    METHODS,
    Function,
    find_function,
    function_names,
)
from modelzoo.catalog.keywords import misspelt
from modelzoo.errors import Code, nearest
from modelzoo.known import told
from modelzoo.language.loops import SIDES
from modelzoo.language.names import Read, Text
from modelzoo.language.pieces import at, call_of, load, text_of
from modelzoo.names import Kind

MODULES = ("F", "fft", "functional", "math", "nn", "np", "numpy", "torch")
"""What Python writes in front of the names of functions, and a text does not."""


class Calls:
    """Rewrites the calls of one text.

    Args:
        text: what its names mean.
        expression: rewrites an expression.
    """

    def __init__(self, text: Text, expression: Callable[[ast.expr], ast.expr]) -> None:
        self.text, self.expression = text, expression
        self.uses_device = self.uses_dtype = False

    def call(self, node: ast.Call) -> ast.expr:
        called = self.method_of_child(node)
        if called is not None:
            return called
        layer = self.text.layer(node.func)
        if layer is not None:
            return ast.Call(layer.code, *self.arguments(node))
        if isinstance(node.func, ast.Name):
            return self.function_call(node, node.func)
        if isinstance(node.func, ast.Attribute):
            return self.method_call(node, node.func)
        self.text.error(node, "only functions, methods and layers are called")
        return node

    def method_of_child(self, node: ast.Call) -> ast.expr | None:
        """`embed.weight.t()`, and also `encoder.layer.norm(x)`: which of the two it is, the children will tell."""
        method = node.func
        if not isinstance(method, ast.Attribute) or not isinstance(method.value, ast.Attribute):
            return None
        if method.attr not in METHODS or not self.text.layer_like(method.value):
            return None
        if method.attr in told("methods") or method.attr in GUARDED:
            return self.method_call(node, method)
        owner = self.text.layer(method.value.value, reaches=False)
        if owner is None or owner.path is None:
            return None
        if self.text.check_part(method.value):
            path = (*owner.path, method.value.attr, method.attr)
            self.text.reads.append(Read(path, False, node.lineno, node.col_offset + 1, method=True))
        self.check_limits(node, method.attr, METHODS[method.attr])
        value = at(ast.Attribute(owner.code, method.value.attr, ast.Load()), method.value)
        return ast.Call(at(ast.Attribute(value, method.attr, ast.Load()), method), *self.arguments(node))

    def function_call(self, node: ast.Call, called: ast.Name) -> ast.expr:
        name, function = called.id, find_function(called.id)
        if name in self.text.names.fills and (function is None or not node.args):
            positional, keywords = self.arguments(node)
            return ast.Call(load("_draw"), [ast.Constant(name), *positional], keywords)
        elif function is not None:
            return self.catalog_call(node, function)
        elif self.text.is_value(name) or name in self.text.names.values or name in self.text.names.tensors:
            self.text.error(called, f"'{name}' is a value, not a function or a layer")
        elif name in self.text.names.outer or self.text.is_own(called):
            self.text.unknown(called)
        elif name == "range" or name in SIDES:
            hint = "Write for i in range(n), or arange(n) for a tensor." if name == "range" else SIDES[name][1]
            hint = "Write [i for i in range(n)]." if self.text.formula else hint
            self.text.error(called, f"{name}(...) stands in for only", hint)
        elif self.text.formula and layers.find_layer(name) is not None:
            self.text.error(called, f"'{name}' is a layer, not a value", "Write _repeat_ for several layers.")
        else:
            functions = function_names()
            if self.text.formula:  # of numbers, beside layers
                functions = tuple(each for each in functions if getattr(find_function(each), "number", False))
                functions += layers.layer_names()
            known = [*functions, *sorted(self.text.names.layers), *sorted(self.text.names.fills)]
            self.text.error(called, f"there is no function or layer '{name}'", nearest(name, known), Code.UNKNOWN)
        return node

    def catalog_call(self, node: ast.Call, function: Function) -> ast.expr:
        name = function.name
        if self.text.formula and not function.number:
            self.text.error(node, f"'{name}' makes a tensor and has no place in a formula")
        if name == "len" and len(node.args) == 1 and not node.keywords:
            layers = self.text.layers(node.args[0])
            if layers is not None:
                return call_of("_call_len", layers)
        self.check_limits(node, name, function.positional, function)
        infinite = name == "float" and [text_of(each) for each in node.args] in (["inf"], ["-inf"], ["nan"])
        positional, keywords = ([*node.args], []) if infinite else self.arguments(node, texts=not function.number)
        if function.creates:
            self.uses_device = True
            keywords = [*keywords, *self.dtype(name, keywords), ast.keyword("device", load("_device"))]
        return ast.Call(load(f"_call_{name}"), positional, keywords)

    def dtype(self, name: str, written: list[ast.keyword]) -> list[ast.keyword]:
        """The dtype of what a function makes in a `forward`, where none is written and it may be floating."""
        keyword = "dtype" if name in makers.FLOATING else "_floating" if name in makers.DECIDING else None
        if keyword is None or self.text.names.fills or any(each.arg == "dtype" for each in written):
            return []
        self.uses_dtype = True
        return [ast.keyword(keyword, load("_dtype"))]

    def method_call(self, node: ast.Call, method: ast.Attribute) -> ast.expr:
        name = method.attr
        if self.is_module(method.value):
            what = f"there is no function '{ast.unparse(method)}'"
            self.text.error(method, what, nearest(name, function_names()), Code.UNKNOWN)
            return node
        if self.text.formula:
            self.text.error(method, f"'.{name}' has no place in a formula")
        elif name not in METHODS:
            in_place = name.endswith("_") and not name.startswith("_")
            what = "changes its tensor in place" if in_place else "is not a method of a tensor"
            self.text.error(method, f"'{name}' {what}", nearest(name.strip("_") or name, METHODS))
        self.check_limits(node, name, METHODS.get(name))
        if name == "to":
            self.check_dtype(node)
        value = self.expression(method.value)
        positional, keywords = self.arguments(node)
        if name == "sort":  # a list has it too, and there it changes the list
            return ast.Call(load("_call_sort"), [value, *positional], keywords)
        if name in GUARDED:
            return ast.Call(load(f"_method_{name}"), [value, *positional], keywords)
        return ast.Call(at(ast.Attribute(value, name, ast.Load()), method), positional, keywords)

    def is_module(self, node: ast.expr) -> bool:
        """Whether an expression is a module of Python's and no value: `F`, `torch.nn.functional`."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in MODULES and not self.text.is_known(node.id)

    def check_limits(self, node: ast.Call, name: str, limit: int | None, function: Function | None = None) -> None:
        """The arguments of a function, or of a method of a tensor: how many there are, and what they are called."""
        if limit is not None and len(node.args) > limit:
            what = f"{name} takes at most {limit} argument{'s' * (limit > 1)} by position, not {len(node.args)}"
            self.text.error(node, what, "Name the others." if limit > 1 else "")
        for keyword in node.keywords:
            if keyword.arg in FORBIDDEN_KEYWORDS:
                self.text.error(keyword, f"the argument '{keyword.arg}' has no place here")
            elif keyword.arg is None or not Kind.ARGUMENT.fits(keyword.arg):
                continue  # what is none of Python's names is told as that
            elif (hint := misspelt(function, name, keyword.arg)) is not None:
                self.text.error(keyword, f"{name} has no argument '{keyword.arg}'", hint)

    def check_dtype(self, node: ast.Call) -> None:
        """`to` takes a dtype: what else it takes would be a device."""
        given = [*node.args, *(each.value for each in node.keywords if each.arg == "dtype")]
        if len(given) == 1 and len(node.keywords) + len(node.args) == 1:
            dtype = given[0]
            if text_of(dtype) in DTYPES or (isinstance(dtype, ast.Attribute) and dtype.attr == "dtype"):
                return
        self.text.error(node, "to takes one dtype", "Write x.to('float32') or x.to(y.dtype).")

    def arguments(self, node: ast.Call, *, texts: bool = True) -> tuple[list[ast.expr], list[ast.keyword]]:
        each_argument = self.argument if texts else self.expression
        keywords = []
        for keyword in node.keywords:
            if keyword.arg is None:
                self.text.error(keyword.value, "a starred value has no place here", "Write each argument.")
            elif not Kind.ARGUMENT.fits(keyword.arg):
                self.text.error(keyword, f"the argument '{keyword.arg}' has no place here")
            keywords.append(at(ast.keyword(keyword.arg, each_argument(keyword.value)), keyword))
        return [each_argument(each) for each in node.args], keywords

    def argument(self, node: ast.expr) -> ast.expr:
        """An argument may also be a literal text; the name of a dtype means the dtype."""
        text = text_of(node)
        if text is None:
            return self.expression(node)
        return at(load(f"_{text}"), node) if text in DTYPES else node
