"""How an operation of torch is written in a text: which operator, method or function it is there, and with what."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import torch
from torch.nn import functional

from modelzoo.catalog.checks import words_of
from modelzoo.catalog.functions import ATTRIBUTES, METHODS, find_function
from modelzoo.importing.graph import Choice, Node, Ref
from modelzoo.language.pieces import load

Build = Callable[[Ref], ast.expr]
"""The expression of a value that another operation computed."""

BINARY: Mapping[str, type[ast.operator]] = {
    "add": ast.Add,
    "sub": ast.Sub,
    "mul": ast.Mult,
    "div": ast.Div,
    "pow": ast.Pow,
    "floor_divide": ast.FloorDiv,
    "remainder": ast.Mod,
    "matmul": ast.MatMult,
    "__and__": ast.BitAnd,
    "__or__": ast.BitOr,
    "__xor__": ast.BitXor,
}
SWAPPED = {"__rsub__": "sub", "__rdiv__": "div", "__rtruediv__": "div", "__rpow__": "pow", "__rmatmul__": "matmul"}
COMPARED: Mapping[str, type[ast.cmpop]] = {
    "eq": ast.Eq,
    "ne": ast.NotEq,
    "lt": ast.Lt,
    "le": ast.LtE,
    "gt": ast.Gt,
    "ge": ast.GtE,
}

ALIASES: Mapping[str, str] = {
    **{f"__{name}__": name for name in ("add", "sub", "mul", "pow", *COMPARED)},
    **{f"__r{name}__": name for name in ("add", "mul", "and", "or", "xor")},
    **{f"__i{name}__": name for name in ("add", "sub", "mul", "pow")},
    **{f"__i{name}__": f"__{name}__" for name in ("and", "or", "xor")},
    **dict.fromkeys(("__matmul__", "__imatmul__"), "matmul"),
    **dict.fromkeys(("__truediv__", "__itruediv__", "true_divide", "divide"), "div"),
    **dict.fromkeys(("__floordiv__", "__ifloordiv__"), "floor_divide"),
    **dict.fromkeys(("__mod__", "__imod__"), "remainder"),
    **dict.fromkeys(("concat", "concatenate"), "cat"),
    **dict.fromkeys(("swapaxes", "swapdims"), "transpose"),
    "__neg__": "neg",
    "negative": "neg",
    "__abs__": "abs",
    "absolute": "abs",
    "bitwise_not": "__invert__",
    "bitwise_and": "__and__",
    "bitwise_or": "__or__",
    "clip": "clamp",
    "data": "detach",
    "empty": "zeros",
    "empty_like": "zeros_like",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "moveaxis": "movedim",
    "multiply": "mul",
    "new_empty": "new_zeros",
    "not_equal": "ne",
    "rand": "rand",
    "subtract": "sub",
    "zero": "zeros_like",
    "fill": "full_like",
}

DROPPED = frozenset(
    words_of(
        """
        device layout requires_grad out inplace memory_format pin_memory non_blocking copy generator _stacklevel
        """
    )
)
"""Arguments that say where and how a tensor is stored."""


class UnsayableError(Exception):
    """An operation that a text cannot have."""


def expression(node: Node, build: Build, hidden: Collection[str]) -> ast.expr:
    """The expression of an operation.

    Args:
        node: a function that was called.
        build: the expressions of the values that it was given.
        hidden: names that a text of this block gives to layers, and so not to functions.

    Raises:
        UnsayableError: there is no such operation in a text.
    """
    name = node.name.removesuffix("_") if not node.name.endswith("__") else node.name
    name = ALIASES.get(name, name)
    named = {each: value for each, value in node.named.items() if each not in DROPPED}
    args = [each for each in node.args if not isinstance(each, (torch.device, torch.memory_format, torch.layout))]
    if name == "vector_norm":  # which `norm` calls, for a number
        order = named.pop("ord", args[1] if args[1:] else 2)
        name, args = "norm", [args[0], order, *args[2:]]
    written = _operator(name, args, named, build)
    if written is not None:
        return written
    if node.form == "attribute" and name in ATTRIBUTES:
        return ast.Attribute(value(args[0], build), name, ast.Load())
    if name in ("to", "type", "type_as"):
        return _converted(node, args, named, build)
    if node.name == "bernoulli_":
        return _function("bernoulli", args, named, build, hidden)
    if node.form == "method" and name in METHODS:
        return _method(name, args, named, build)
    if find_function(name) is not None:
        return _function(name, args, _without_defaults(node, named), build, hidden)
    if name in METHODS and args:
        return _method(name, args, named, build)
    raise UnsayableError(f"a text has no {'method' if node.form == 'method' else 'function'} '{node.name}'")


def _operator(name: str, args: list[Any], named: Mapping[str, Any], build: Build) -> ast.expr | None:
    """An operator of Python, or None."""
    if name == "__getitem__":
        return ast.Subscript(value(args[0], build), index(args[1], build), ast.Load())
    if name == "neg" and len(args) == 1:
        return ast.UnaryOp(ast.USub(), value(args[0], build))
    if name == "__invert__":
        return ast.UnaryOp(ast.Invert(), value(args[0], build))
    if name in SWAPPED:
        name, args = SWAPPED[name], args[::-1]
    if named or len(args) != 2 or name not in (*COMPARED, *BINARY) or (name == "pow" and isinstance(args[1], Choice)):
        return None
    left, right = (value(each, build) for each in args)
    if name in COMPARED:
        return ast.Compare(left, [COMPARED[name]()], [right])
    return ast.BinOp(left, BINARY[name](), right)


def _converted(node: Node, args: list[Any], named: Mapping[str, Any], build: Build) -> ast.expr:
    """A tensor with another dtype; without one it is the tensor."""
    dtypes = [each for each in (*args[1:], *named.values()) if isinstance(each, (torch.dtype, Ref))]
    if not dtypes:
        return value(args[0], build)
    to = dtypes[0]
    other = ast.Attribute(value(to, build), "dtype", ast.Load()) if isinstance(to, Ref) else value(to, build)
    return ast.Call(ast.Attribute(value(args[0], build), "to", ast.Load()), [other], [])


def _method(name: str, args: list[Any], named: Mapping[str, Any], build: Build) -> ast.expr:
    limit = METHODS[name]
    if limit is not None and len(args) - 1 > limit:
        raise UnsayableError(f"'{name}' takes {limit} argument here")
    owner = value(args[0], build)
    return ast.Call(ast.Attribute(owner, name, ast.Load()), _values(args[1:], build), _keywords(named, build))


def _function(name: str, args: list[Any], named: Mapping[str, Any], build: Build, hidden: Collection[str]) -> ast.expr:
    function = find_function(name)
    assert function is not None
    if name in hidden:
        long = next((f"{each}.{name}" for each in ("torch", "torch.fft", "F") if find_function(f"{each}.{name}")), None)
        if long is None:
            raise UnsayableError(f"the layer '{name}' hides the function of this name")
        name = long
    if function.creates and named.get("dtype") is torch.get_default_dtype():
        named = {each: given for each, given in named.items() if each != "dtype"}
    most = len(args) if function.positional is None else function.positional
    if len(args) > most:
        parameters = list(_parameters(function.call))
        named = {**dict(zip(parameters[most:], args[most:], strict=False)), **named}
        args = args[:most]
    return ast.Call(load(name), _values(args, build), _keywords(named, build))


def _without_defaults(node: Node, named: Mapping[str, Any]) -> dict[str, Any]:
    call = getattr(functional, node.name, None) or getattr(torch, node.name, None)
    defaults = {} if call is None else _parameters(call)
    return {
        name: given
        for name, given in named.items()
        if isinstance(given, (Ref, Choice)) or name not in defaults or not _equal(defaults[name], given)
    }


def _equal(default: Any, given: Any) -> bool:
    return type(default) is type(given) and bool(default == given)


@cache
def _parameters(call: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function with their defaults; torch's own functions in C have none that could be read."""
    try:
        return {name: each.default for name, each in inspect.signature(call).parameters.items()}
    except (TypeError, ValueError):
        return {}


def _values(args: list[Any], build: Build) -> list[ast.expr]:
    return [value(each, build) for each in args]


def _keywords(named: Mapping[str, Any], build: Build) -> list[ast.keyword]:
    return [ast.keyword(name, value(given, build)) for name, given in named.items()]


def index(given: Any, build: Build) -> ast.expr:
    """What stands between the brackets behind a tensor."""
    if isinstance(given, tuple) and given and not isinstance(given, (Ref, Choice)):
        return ast.Tuple([index(each, build) for each in given], ast.Load())
    if isinstance(given, slice):
        return ast.Slice(
            *(None if each is None else value(each, build) for each in (given.start, given.stop, given.step))
        )
    return value(given, build)


def value(given: Any, build: Build) -> ast.expr:
    """The expression of an argument.

    Raises:
        UnsayableError: a text cannot hold it.
    """
    if isinstance(given, Ref):
        return build(given)
    if isinstance(given, Choice):
        return _choice(given, build)
    if isinstance(given, torch.dtype):
        return ast.Constant(str(given).removeprefix("torch."))
    if isinstance(given, tuple):
        return ast.Tuple(_values(list(given), build), ast.Load())
    if isinstance(given, list):
        return ast.List(_values(given, build), ast.Load())
    if isinstance(given, dict):
        return ast.Dict([ast.Constant(each) for each in given], _values(list(given.values()), build))
    return constant(given)


def _choice(given: Choice, build: Build) -> ast.expr:
    if (given.training, given.evaluation) == (True, False):
        return load("training")
    if (given.training, given.evaluation) == (False, True):
        return ast.UnaryOp(ast.Not(), load("training"))
    return ast.IfExp(load("training"), value(given.training, build), value(given.evaluation, build))


def constant(given: Any) -> ast.expr:
    """The expression of a plain value.

    >>> ast.unparse(constant(-2)), ast.unparse(constant(float("-inf")))
    ('-2', "float('-inf')")
    """
    if given is ... or given is None or isinstance(given, (bool, str)):
        return ast.Constant(given)
    if isinstance(given, int):
        given = int(given)
    elif isinstance(given, float):
        given = float(given)
    else:
        raise UnsayableError(f"a text cannot hold a {type(given).__name__}")
    if not math.isfinite(given):
        return ast.Call(load("float"), [ast.Constant(str(given))], [])
    return ast.Constant(given) if given >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-given))
