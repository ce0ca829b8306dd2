"""Python source as text: expressions as `ruff format` writes them, statements in lines that are not too long."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from typing import TypeGuard

WIDTH = 88

Statement = str | tuple[str, list["Statement"]]
"""A simple statement as text, or the first line of a compound one with its body."""

_STRINGS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_POWER = re.compile(r"(?<![\w.)\]])([\w.]+) \*\* (-?[\w.]+)(?![\w.(\[])")


def shown(tree: ast.AST) -> str:
    """An expression or a simple statement on one line.

    >>> shown(ast.parse("x[1:n+1]**2 + f('a', y ** 2)"))
    'x[1 : n + 1] ** 2 + f("a", y**2)'
    """
    if isinstance(tree, ast.Starred):
        inner = shown(tree.value)
        return f"*({inner})" if isinstance(tree.value, ast.IfExp) else f"*{inner}"
    mode = "eval" if isinstance(tree, ast.expr) else "exec"
    copied = _Spaced().visit(ast.parse(ast.unparse(tree), mode=mode))
    text = ast.unparse(copied)
    only = copied.body[0] if mode == "exec" and len(copied.body) == 1 else None
    value = only.value if isinstance(only, (ast.Assign, ast.Return)) else None
    if isinstance(value, ast.Tuple) and len(value.elts) > 1 and text.endswith(ast.unparse(value)):
        text = text.removesuffix(ast.unparse(value)) + ast.unparse(value)[1:-1]
    target = ast.unparse(only.targets[0]) if isinstance(only, ast.Assign) else ""
    if target.startswith("(") and text.startswith(target):  # as older versions of Python write it
        text = target[1:-1] + text.removeprefix(target)
    return _respelt(text)


def _respelt(text: str) -> str:
    """With double quotes, and no spaces in a power of simple things."""
    parts = _STRINGS.split(text)
    strings = [_double_quoted(each) for each in _STRINGS.findall(text)]
    return "".join(_POWER.sub(r"\1**\2", part) + string for part, string in zip(parts, [*strings, ""], strict=True))


def _double_quoted(text: str) -> str:
    inner = text[1:-1]
    return f'"{inner}"' if text[0] == "'" and '"' not in inner and "\\" not in inner else text


class _Spaced(ast.NodeTransformer):
    """Puts spaces around the colon of a slice whose bounds are more than names and numbers, and other such things."""

    def visit_Starred(self, node: ast.Starred) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.value, ast.IfExp):
            return node
        return ast.Starred(ast.Name(f"({ast.unparse(node.value)})", ast.Load()), node.ctx)

    def visit_Slice(self, node: ast.Slice) -> ast.AST:
        self.generic_visit(node)
        bounds = [each for each in (node.lower, node.upper, node.step) if each is not None]
        if all(map(_is_simple, bounds)):
            return node
        lower, upper, step = ("" if each is None else ast.unparse(each) for each in (node.lower, node.upper, node.step))
        text = f"{lower} : {upper}" + (f" : {step}" if step else "")
        return ast.Name(text.strip(), ast.Load())


def _is_simple(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_simple(node.operand)
    return isinstance(node, (ast.Name, ast.Constant))


def tidied(text: str) -> str:
    """A statement or expression, however it was written, on one line.

    >>> tidied("x=f( 'a' )")
    'x = f("a")'
    """
    return shown(ast.parse(text))


def lines(body: Iterable[Statement], indent: int = 0) -> list[str]:
    """The lines of statements; long ones are broken at their brackets."""
    found: list[str] = []
    for each in body:
        head, inside = (each, None) if isinstance(each, str) else each
        if inside is None:
            found += (" " * indent + _broken(tidied(head), indent)).split("\n")
        else:
            found += (" " * indent + _head(_tidied_head(head), indent)).split("\n")
            found += lines(inside, indent + 4)
    return found


def statements(body: Sequence[ast.stmt]) -> list[Statement]:
    """Statements of a syntax tree."""
    found: list[Statement] = []
    for each in body:
        if isinstance(each, ast.If):
            found += _branches(each)
        elif isinstance(each, ast.While):
            found.append((f"while {shown(each.test)}:", statements(each.body)))
        elif isinstance(each, ast.For):
            found.append((f"for {shown(each.target)} in {shown(each.iter)}:", statements(each.body)))
        else:
            found.append(shown(each))
    return found


def _branches(node: ast.If, word: str = "if") -> list[Statement]:
    found: list[Statement] = [(f"{word} {shown(node.test)}:", statements(node.body))]
    if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        return found + _branches(node.orelse[0], "elif")
    return [*found, ("else:", statements(node.orelse))] if node.orelse else found


def _tidied_head(text: str) -> str:
    if text.startswith(("else", "class ")):
        return text
    word = "elif" if text.startswith("elif") else ""
    tree = _Spaced().visit(ast.parse(f"{text.removeprefix('el') if word else text} pass"))
    return ("el" if word else "") + _respelt(ast.unparse(tree).split("\n")[0])


def _head(text: str, indent: int) -> str:
    """The first line of a compound statement; only the parameters of a function are broken."""
    if indent + len(text) <= WIDTH or not text.startswith("def "):
        return text
    name, _, rest = text.partition("(")
    tree = ast.parse(f"f({rest.removesuffix('):')})", mode="eval").body
    assert isinstance(tree, ast.Call)
    return name + _bracketed("(", _arguments(tree), "):", indent)


def _broken(text: str, indent: int) -> str:
    if indent + len(text) <= WIDTH:
        return text
    tree = ast.parse(text).body[0]
    value = getattr(tree, "value", None)
    if not isinstance(value, ast.expr):
        return text
    whole = shown(value)
    if not text.endswith(whole):  # a bare tuple
        whole = whole[1:-1] if text.endswith(whole[1:-1]) else ""
    if not whole:
        return text
    if _is_chain(value) and indent + 4 + len(whole) <= WIDTH:
        pad = " " * indent
        return f"{text[: -len(whole)]}(\n{pad}    {whole}\n{pad})"
    return text[: -len(whole)] + _expression(value, indent, len(text) - len(whole))


def _is_chain(tree: ast.expr) -> bool:
    """Whether a method is called on what another method returned."""
    calls = 0
    while isinstance(tree, (ast.Call, ast.Attribute)):
        calls += isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute)
        tree = tree.func if isinstance(tree, ast.Call) else tree.value
    return calls > 1


def _expression(tree: ast.expr, indent: int, used: int) -> str:
    text = shown(tree)
    if indent + used + len(text) <= WIDTH:
        return text
    if isinstance(tree, ast.Starred):
        return f"*{_expression(tree.value, indent, WIDTH)}"
    if isinstance(tree, ast.Call) and (tree.args or tree.keywords):
        return _bracketed(f"{_expression(tree.func, indent, used)}(", _arguments(tree), ")", indent)
    if isinstance(tree, ast.List):
        return _bracketed("[", [("", each) for each in tree.elts], "]", indent)
    if isinstance(tree, ast.Tuple):
        return _bracketed("(", [("", each) for each in tree.elts], ")", indent)
    if isinstance(tree, ast.GeneratorExp):
        pad = " " * (indent + 4)
        loops = [
            f"for {shown(each.target)} in {shown(each.iter)}" + "".join(f" if {shown(test)}" for test in each.ifs)
            for each in tree.generators
        ]
        parts = [_expression(tree.elt, indent + 4, 0), *loops]
        return f"(\n{pad}{f'{chr(10)}{pad}'.join(parts)}\n{' ' * indent})"
    if isinstance(tree, (ast.IfExp, ast.BinOp, ast.BoolOp, ast.Compare)):
        pad = "\n" + " " * (indent + 4)
        parts = [text] if indent + 4 + len(text) <= WIDTH else _operands(tree)
        return f"({pad}{pad.join(parts)}\n{' ' * indent})"
    return text


def _operands(tree: ast.expr) -> list[str]:
    """The parts of an expression, each but the first with the word or operator in front of it."""
    if isinstance(tree, ast.IfExp):
        return [shown(tree.body), f"if {shown(tree.test)}", f"else {shown(tree.orelse)}"]
    if isinstance(tree, ast.BoolOp):
        word = "and" if isinstance(tree.op, ast.And) else "or"
        first, *others = map(shown, tree.values)
        return [first, *(f"{word} {each}" for each in others)]
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Sub)):
        left = _operands(tree.left) if _is_sum(tree.left) else [shown(tree.left)]
        right = f"({shown(tree.right)})" if _is_sum(tree.right) else shown(tree.right)
        return [*left, f"{'+' if isinstance(tree.op, ast.Add) else '-'} {right}"]
    return [shown(tree)]


def _is_sum(tree: ast.expr) -> bool:
    return isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Sub))


def _arguments(tree: ast.Call) -> list[tuple[str, ast.expr]]:
    return [
        *(("*", each.value) if _is_plain_starred(each) else ("", each) for each in tree.args),
        *((f"{each.arg}=" if each.arg else "**", each.value) for each in tree.keywords),
    ]


def _is_plain_starred(tree: ast.expr) -> TypeGuard[ast.Starred]:
    return isinstance(tree, ast.Starred) and not isinstance(tree.value, ast.IfExp)


def _bracketed(start: str, items: list[tuple[str, ast.expr]], end: str, indent: int) -> str:
    pad, close = " " * (indent + 4), "\n" + " " * indent + end
    whole = ", ".join(prefix + shown(each) for prefix, each in items)
    if len(pad) + len(whole) <= WIDTH:
        return f"{start}\n{pad}{whole}{close}"
    each_line = [f"{pad}{prefix}{_expression(each, len(pad), len(prefix) + 1)}," for prefix, each in items]
    return "\n".join([start, *each_line]) + close
