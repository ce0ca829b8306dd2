"""A syntax tree as text that reads well: expressions as `ruff format` writes them, in lines that are not too long.

What is written is read back and must be the same tree, so that no layout can change what a source says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from modelzoo.export.source import trees
from modelzoo.language import pieces
from modelzoo.language.syntax import copied

WIDTH = 88

_OF_BITS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)
_STRINGS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_POWER = re.compile(r"(?<![\w.)\]])([\w.]+) \*\* (-?[\w.]+)(?![\w.(\[])")


def python(module: ast.Module) -> str:
    """The text of a module.

    >>> print(python(ast.parse("x=f( 'a' )")), end="")
    x = f("a")
    """
    ast.fix_missing_locations(module)
    text = "\n".join(_top(module.body)) + "\n"
    if ast.dump(ast.parse(text)) != ast.dump(module):
        raise AssertionError(f"the layout changed a source:\n{text}")
    return text


def shown(tree: ast.AST) -> str:
    """An expression or a simple statement on one line.

    >>> shown(ast.parse("x[1:n+1]**2 + f('a', y ** 2)"))
    'x[1 : n + 1] ** 2 + f("a", y**2)'
    """
    if isinstance(tree, ast.Starred):
        inner = shown(tree.value)
        return f"*({inner})" if isinstance(tree.value, ast.IfExp) else f"*{inner}"
    spaced = ast.fix_missing_locations(_Spaced().visit(copied(tree)))
    only = spaced.body[0] if isinstance(spaced, ast.Module) and len(spaced.body) == 1 else spaced
    text = pieces.shown(only)
    value = only.value if isinstance(only, (ast.Assign, ast.Return)) else None
    if isinstance(value, ast.Tuple) and len(value.elts) > 1 and text.endswith(ast.unparse(value)):
        text = text.removesuffix(ast.unparse(value)) + ast.unparse(value)[1:-1]
    return _respelt(text)


# --- statements ----------------------------------------------------------------------------------------------------


def _top(body: Sequence[ast.stmt]) -> list[str]:
    """The statements of a module: groups of imports one line apart, functions and classes two."""
    found: list[str] = []
    before: ast.stmt | None = None
    for each in body:
        if before is not None:
            separate = isinstance(each, (ast.FunctionDef, ast.ClassDef))
            apart = _group(before) != _group(each)
            found += ["", ""] if separate or isinstance(before, (ast.FunctionDef, ast.ClassDef)) else [""] * apart
        found += _lines([each], 0)
        before = each
    return found


def _group(statement: ast.stmt) -> str:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        module = statement.module if isinstance(statement, ast.ImportFrom) else statement.names[0].name
        first = str(module).partition(".")[0]
        return (
            first
            if first == "torch"
            else "python"
            if first in ("collections", "fnmatch", "functools", "math")
            else "own"
        )
    return type(statement).__name__


def _lines(body: Iterable[ast.stmt], indent: int) -> list[str]:
    """The lines of statements; a function inside stands apart from what is around it."""
    found: list[str] = []
    before: ast.stmt | None = None
    for each in body:
        apart = isinstance(each, ast.FunctionDef) or isinstance(before, ast.FunctionDef)
        found += [""] if before is not None and apart else []
        found += _statement(each, indent)
        before = each
    return found


def _statement(node: ast.stmt, indent: int) -> list[str]:
    pad = " " * indent
    if isinstance(node, ast.ClassDef):
        head = f"class {node.name}({', '.join(map(shown, node.bases))}):"
        return [pad + head, *_lines(node.body, indent + 4)]
    if isinstance(node, ast.FunctionDef):
        decorators = [f"{pad}@{shown(each)}" for each in node.decorator_list]
        return [*decorators, *(pad + _head(node, indent)).split("\n"), *_lines(node.body, indent + 4)]
    if isinstance(node, ast.If):
        return _branches(node, indent)
    if isinstance(node, ast.While):
        return [f"{pad}while {shown(node.test)}:", *_lines(node.body, indent + 4)]
    if isinstance(node, ast.For):
        return [f"{pad}for {_target(node.target)} in {shown(node.iter)}:", *_lines(node.body, indent + 4)]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return [pad + ast.unparse(ast.Module([node], []))]  # with the quotes of a docstring
    return _commented((pad + _broken(node, indent)).split("\n"), node, pad)


def _commented(lines: list[str], node: ast.stmt, pad: str) -> list[str]:
    """A statement, with the sizes in it that the config left out: behind it, or above where that would be too long."""
    sizes = dict.fromkeys(f"{argument}={shown(value)}" for argument, value in trees.inferred_in(node))
    if not sizes:
        return lines
    comment = f"# inferred: {', '.join(sizes)}"
    if len(lines) == 1 and len(lines[0]) + 2 + len(comment) <= WIDTH:
        return [f"{lines[0]}  {comment}"]
    return [pad + comment, *lines]


def _branches(node: ast.If, indent: int, word: str = "if") -> list[str]:
    pad = " " * indent
    found = [f"{pad}{word} {shown(node.test)}:", *_lines(node.body, indent + 4)]
    if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        return found + _branches(node.orelse[0], indent, "elif")
    return [*found, f"{pad}else:", *_lines(node.orelse, indent + 4)] if node.orelse else found


def _target(tree: ast.expr) -> str:
    """The target of a loop; older versions of Python put brackets around several."""
    text = shown(tree)
    return text[1:-1] if isinstance(tree, ast.Tuple) and text.startswith("(") else text


def _head(node: ast.FunctionDef, indent: int) -> str:
    """The first line of a function; where it is long each parameter has a line of its own."""
    names = [each.arg for each in node.args.args]
    required = len(names) - len(node.args.defaults)
    items: list[tuple[str, ast.expr | None]] = [(each, None) for each in names[:required]]
    items += [(f"{each}=", value) for each, value in zip(names[required:], node.args.defaults, strict=True)]
    whole = ", ".join(each + ("" if value is None else shown(value)) for each, value in items)
    text = f"def {node.name}({whole}):"
    return text if indent + len(text) <= WIDTH else _bracketed(f"def {node.name}(", items, "):", indent)


def _broken(node: ast.stmt, indent: int) -> str:
    text = shown(node)
    value = getattr(node, "value", None)
    if indent + len(text) <= WIDTH or not isinstance(value, ast.expr):
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


# --- expressions ---------------------------------------------------------------------------------------------------


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

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return ast.Name(ast.unparse(node.func) + ast.unparse(node.args[0])) if _is_of_turns(node) else node

    def visit_Slice(self, node: ast.Slice) -> ast.AST:
        self.generic_visit(node)
        bounds = [each for each in (node.lower, node.upper, node.step) if each is not None]
        if all(map(_is_simple, bounds)):
            return node
        lower, upper, step = ("" if each is None else ast.unparse(each) for each in (node.lower, node.upper, node.step))
        text = f"{lower} : {upper}" + (f" : {step}" if step else "")
        return ast.Name(text.strip(), ast.Load())

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        assert not node.args.args
        return ast.Name(f"lambda: {ast.unparse(node.body)}", ast.Load())  # older versions of Python: `lambda :`


def _is_of_turns(node: ast.Call) -> bool:
    """Whether a call takes a comprehension alone, whose brackets are its own."""
    return len(node.args) == 1 and not node.keywords and isinstance(node.args[0], ast.GeneratorExp)


def _is_simple(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_simple(node.operand)
    return isinstance(node, (ast.Name, ast.Constant))


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
    if isinstance(tree, ast.Call) and _is_of_turns(tree):
        return _expression(tree.func, indent, used) + _expression(tree.args[0], indent, WIDTH)
    if isinstance(tree, ast.Call) and (tree.args or tree.keywords):
        function = _expression(tree.func, indent, used) if _tightness(tree.func) == 9 else _part(tree.func, 9)
        return _bracketed(f"{function}(", _arguments(tree), ")", indent)
    if isinstance(tree, ast.List):
        return _bracketed("[", [("", each) for each in tree.elts], "]", indent)
    if isinstance(tree, ast.Tuple):
        return _bracketed("(", [("", each) for each in tree.elts], ")", indent)
    if isinstance(tree, ast.GeneratorExp):
        pad = " " * (indent + 4)
        loops = [
            f"for {_target(each.target)} in {shown(each.iter)}" + "".join(f" if {shown(test)}" for test in each.ifs)
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
    tight = _tightness(tree)
    if isinstance(tree, ast.IfExp):
        return [_part(tree.body, tight + 1), f"if {_part(tree.test, tight + 1)}", f"else {shown(tree.orelse)}"]
    if isinstance(tree, ast.BoolOp):
        word = "and" if isinstance(tree.op, ast.And) else "or"
        first, *others = (_part(each, tight + 1) for each in tree.values)
        return [first, *(f"{word} {each}" for each in others)]
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Sub)):
        left = _operands(tree.left) if _tightness(tree.left) == tight else [_part(tree.left, tight)]
        return [*left, f"{'+' if isinstance(tree.op, ast.Add) else '-'} {_part(tree.right, tight + 1)}"]
    return [shown(tree)]


def _tightness(tree: ast.expr) -> int:
    """How tightly the parts of an expression hold together, as Python reads it."""
    if isinstance(tree, (ast.IfExp, ast.Lambda)):
        return 0
    if isinstance(tree, ast.BoolOp):
        return 1 if isinstance(tree.op, ast.Or) else 2
    if isinstance(tree, ast.UnaryOp):
        return 3 if isinstance(tree.op, ast.Not) else 8
    if isinstance(tree, ast.Compare):
        return 4
    if isinstance(tree, ast.BinOp):
        return 6 if isinstance(tree.op, (ast.Add, ast.Sub)) else 5 if isinstance(tree.op, _OF_BITS) else 7
    return 9


def _part(tree: ast.expr, least: int) -> str:
    """An expression inside another, in brackets where it holds together less tightly than that needs."""
    return shown(tree) if _tightness(tree) >= least else f"({shown(tree)})"


def _arguments(tree: ast.Call) -> list[tuple[str, ast.expr]]:
    return [
        *(("*", each.value) if _is_plain_starred(each) else ("", each) for each in tree.args),
        *((f"{each.arg}=" if each.arg else "**", each.value) for each in tree.keywords),
    ]


def _is_plain_starred(tree: ast.expr) -> TypeGuard[ast.Starred]:
    return isinstance(tree, ast.Starred) and not isinstance(tree.value, ast.IfExp)


def _bracketed(start: str, items: Sequence[tuple[str, ast.expr | None]], end: str, indent: int) -> str:
    pad, close = " " * (indent + 4), "\n" + " " * indent + end
    shown_items = [(prefix, "" if each is None else shown(each)) for prefix, each in items]
    whole = ", ".join(prefix + each for prefix, each in shown_items)
    if len(pad) + len(whole) <= WIDTH:
        return f"{start}\n{pad}{whole}{close}"
    each_line = [
        f"{pad}{prefix}{'' if each is None else _expression(each, len(pad), len(prefix) + 1)},"
        for prefix, each in items
    ]
    return "\n".join([start, *each_line]) + close
