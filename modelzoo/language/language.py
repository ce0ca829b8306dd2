"""The small language of formulas, `forward` and `fill` texts: parsed with `ast`, checked, rewritten, compiled.

A text is a subset of Python's own grammar. Everything that makes it safe is decided here, once, before it runs: each
node is either rewritten by a rule or refused. What comes out is an ordinary function without a guard per operation.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import linecache
import math
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from modelzoo import arithmetic, bounds
from modelzoo.catalog import catalog
from modelzoo.errors import TextError, nearest
from modelzoo.names import Kind

_Node = TypeVar("_Node", bound=ast.AST)

_GUARDS: Mapping[type[ast.operator], str] = {
    ast.Add: "_add",
    ast.Sub: "_subtract",
    ast.Mult: "_multiply",
    ast.Mod: "_modulo",
    ast.Pow: "_power",
}
"""What computes with values that may grow."""

_BINARY: tuple[type[ast.operator], ...] = (
    *_GUARDS,
    ast.Div,
    ast.FloorDiv,
    ast.MatMult,
    ast.BitAnd,
    ast.BitOr,
    ast.BitXor,
)
_REFUSED: Mapping[str, str] = {
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
_ODD = re.compile(r"[\\\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""A backslash, control characters, halves of characters, and what makes text read in another order."""

_FOREIGN = re.compile(r"[^\x00-\x7f]")
_PRIVATE = "Names have ASCII letters, digits and '_', and start with a letter."

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
        outer: layers and tensors of the block outside, known only to explain why they cannot be used.
        fills: the fills that draw; not empty for a `fill` text, where elements may be assigned.
        training: whether `training` may be read; never in a `fill` text.
    """

    inputs: tuple[str, ...] = ()
    values: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    tensors: frozenset[str] = frozenset()
    outer: frozenset[str] = frozenset()
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
class Translation:
    """A checked text: its code, or what is wrong with it.

    Attributes:
        code: the code of the function; None if there are errors.
        watched: the same for the dry run: conditions on data and turns of loops are reported, and plain values cannot
            grow beyond the bounds; None if there is nothing of that.
        errors: what is wrong with the text.
        reads: the children, and tensors of children, that it reaches by dotted name.
        names: the values (args) it uses.
        loops: the places of its `while` loops, as watched code reports them.
        conditions: whether it has conditions on data.
    """

    code: CodeType | None
    watched: CodeType | None
    errors: tuple[TextError, ...]
    reads: tuple[Read, ...]
    names: frozenset[str]
    loops: tuple[str, ...] = ()
    conditions: bool = False


class EndlessError(RuntimeError):
    """Texts took more operations than allowed."""


class LoopError(EndlessError):
    """A loop of a `forward` or `fill` text did not end within the greatest number of steps allowed."""

    def __init__(self, filename: str, line: int, steps: int) -> None:
        self.filename, self.line, self.steps = filename, line, steps
        super().__init__(filename, line, steps)

    @property
    def what(self) -> str:
        text = linecache.getline(self.filename, self.line).strip()
        return f"this loop did not end after {self.steps:,} steps: {text}"

    def __str__(self) -> str:
        return f"{self.what} (line {self.line} of {self.filename.strip('<>')})"


ON_META = 20
"""An operation on meta counts as so many: it takes at least so many times as long as one on little data."""


class Operations:
    """Counts what texts do, all together, up to the bound.

    Args:
        kind: of texts, as a message calls them.
    """

    def __init__(self, kind: str) -> None:
        self.left, self.kind = bounds.OPERATIONS, kind

    def spend(self, count: int) -> None:
        """Counts so many operations.

        Raises:
            EndlessError: there were too many.
        """
        self.left -= count
        if self.left < 0:
            raise EndlessError(f"all {self.kind} together take more than {bounds.OPERATIONS:,} operations")


# --- parsing -------------------------------------------------------------------------------------------------------


def is_formula(text: object) -> bool:
    """Whether a string outside the places where text is code is a formula: it starts with `=`.

    >>> is_formula("=2 * width"), is_formula("relu"), is_formula(3)
    (True, False, False)
    """
    return isinstance(text, str) and text.startswith("=")


@lru_cache(maxsize=8_192)
def parse_expression(text: str) -> ast.expr:
    """The syntax tree of an expression; a leading `=` is skipped, but counts in the columns.

    Raises:
        TextError: with the line and column in `text`.
    """
    _check_text(text)
    try:
        return _expression(text)
    except _UNREADABLE as error:
        raise _syntax_error(error, text, _lead(text)) from None


@lru_cache(maxsize=8_192)
def parse_statements(text: str) -> tuple[ast.stmt, ...]:
    """The statements of a text: a text that is one expression returns it.

    Raises:
        TextError: with the line and column in `text`.
    """
    _check_text(text)
    try:
        expression = _expression(text)
        return (_at(ast.Return(expression), expression),)
    except _UNREADABLE:
        pass
    code, shifts = _dedented(text)
    try:
        statements = tuple(_placed(ast.parse(code), code, shifts).body)
    except _UNREADABLE as error:
        raise _syntax_error(error, text, *shifts) from None
    if not statements:
        raise TextError("this text is empty", "Write an expression.")
    return statements


_DIGITS = "integer string conversion"
"""What Python says of too many decimal digits; it has no limit for hexadecimal ones."""

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def _expression(text: str) -> ast.expr:
    lead = _lead(text)
    code = text[lead:].rstrip()
    return _placed(ast.parse(code, mode="eval"), code, (lead, 0)).body


def _lead(text: str) -> int:
    """The length of the `=` and the blanks around it."""
    return len(text) - len(re.sub(r"^[ \t]*=?[ \t]*", "", text))


def _dedented(text: str) -> tuple[str, tuple[int, int]]:
    """The text as statements, and how many columns its first line and the others were moved."""
    if text.lstrip(" \t").startswith("="):
        return text[_lead(text) :], (_lead(text), 0)
    code = textwrap.dedent(text)
    moved = [len(old) - len(new) for old, new in zip(text.split("\n"), code.split("\n"), strict=False) if new.strip()]
    return code, (moved[0], moved[0])


def _placed(tree: _Node, code: str, shifts: tuple[int, int]) -> _Node:
    """The tree with columns in characters of the raw text; `ast` counts bytes of what it was given."""
    _check_depth(tree)
    lines = [line.encode() for line in code.split("\n")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value.bit_length() > bounds.BITS:
            raise ValueError(_DIGITS)
        if isinstance(node, (ast.expr, ast.stmt, ast.keyword)):
            node.col_offset = _column(lines, node.lineno, node.col_offset, shifts)
            if node.end_lineno is not None and node.end_col_offset is not None:
                node.end_col_offset = _column(lines, node.end_lineno, node.end_col_offset, shifts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.keywords) > 1:
            _check_once(ast.unparse(node.func), ((each, each.arg) for each in node.keywords))
        elif isinstance(node, ast.Dict) and len(node.keys) > 1:
            _check_once("this mapping", ((each, _text(each)) for each in node.keys if each is not None))
    return tree


def _check_once(owner: str, named: Iterable[tuple[ast.expr | ast.keyword, str | None]]) -> None:
    """Python's parser lets a name be given twice; then its compiler does not, or the last one wins."""
    given: set[str] = set()
    for each, name in named:
        if name in given:
            raise TextError(f"{owner} gets '{name}' twice", "Remove one.", each.lineno, each.col_offset + 1)
        given |= {name} if name is not None else set()


def _column(lines: list[bytes], line: int, offset: int, shifts: tuple[int, int]) -> int:
    before = lines[line - 1][:offset] if line <= len(lines) else b""
    return len(before.decode(errors="replace")) + shifts[line > 1]


def _check_depth(tree: ast.AST) -> None:
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > bounds.NESTING:
            raise RecursionError
        level = [child for node in level for child in ast.iter_child_nodes(node)]


def _is_disguised(character: str) -> bool:
    """Whether Python would read another character, of ASCII, in a name: a full-width letter, a ligature."""
    return f"a{character}".isidentifier() and unicodedata.normalize("NFKC", character).isascii()


def _check_text(text: str) -> None:
    if len(text) > bounds.TEXT:
        raise TextError(f"this text has {len(text):,} characters; at most {bounds.TEXT:,} are allowed")
    if not text.replace("=", " ").strip():
        raise TextError("this text is empty", "Write an expression.")
    odd = _ODD.search(text) or next((each for each in _FOREIGN.finditer(text) if _is_disguised(each[0])), None)
    if odd:
        what = "a backslash" if odd[0] == "\\" else f"the character {odd[0]!a}"
        line, column = text.count("\n", 0, odd.start()) + 1, odd.start() - text.rfind("\n", 0, odd.start())
        raise TextError(f"{what} has no place in a text", "", line, column)
    if len(text) <= bounds.BRACKETS:
        return
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > bounds.BRACKETS:
            raise TextError(f"brackets are nested more than {bounds.BRACKETS} deep")
    if any(len(run) > bounds.BRACKETS for run in re.findall(r"(?:[-+~]\s*|\bnot\s+)+", text)):
        raise TextError(f"operators are nested more than {bounds.BRACKETS} deep")


def _syntax_error(error: BaseException, text: str, first: int, others: int = 0) -> TextError:
    if isinstance(error, (RecursionError, MemoryError)):
        return TextError(f"this text is nested more than {bounds.NESTING} deep", "Give its parts names.")
    if _DIGITS in str(error):
        return TextError("this text has an integer of thousands of digits")
    if not isinstance(error, SyntaxError):
        return TextError(f"cannot read this text: {error}")
    lines = text.split("\n")
    line = min(error.lineno or 1, len(lines))
    column = max(error.offset or 1, 1) + (first if line == 1 else others)
    return TextError(
        f"cannot read this text: {error.msg}: {lines[line - 1].strip()}", _balance_hint(text), line, column
    )


@lru_cache(maxsize=8_192)
def unbalanced(text: str) -> bool:
    """Whether a text has an opening bracket without its closing one, or the other way round: YAML cut it in two.

    >>> unbalanced("normal(0"), unbalanced("normal(0, 1)")
    (True, False)
    """
    return any(missing(text))


def missing(text: str) -> list[int]:
    """How many closing brackets of each kind a text lacks.

    >>> missing("f([1")
    [1, 1, 0]
    """
    return [text.count(a) - text.count(b) for a, b in ("()", "[]", "{}")]


def _balance_hint(text: str) -> str:
    whole = "," in text or "\n" in text  # in a list or mapping of one line a text without quotes has neither
    return "YAML may have cut it at a comma: put the whole text in quotes." if unbalanced(text) and not whole else ""


# --- pieces of code ------------------------------------------------------------------------------------------------


def _at(node: _Node, place: ast.AST) -> _Node:
    """A new node stands where the old one stood; its parts get their places when the whole is compiled."""
    return ast.copy_location(node, place)


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(_name(name), list(args), [])


def _statement(code: str, place: ast.AST) -> ast.stmt:
    new = ast.parse(code).body[0]
    for node in ast.walk(new):
        ast.copy_location(node, place)
    return new


def _called(node: ast.expr) -> str | None:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _number(node: ast.expr) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    return None


def _returns(body: Sequence[ast.stmt]) -> bool:
    """Whether every way through these statements ends with return."""
    if not body:
        return False
    last = body[-1]
    return isinstance(last, ast.Return) or (isinstance(last, ast.If) and _returns(last.body) and _returns(last.orelse))


def _assigned(body: Sequence[ast.stmt]) -> set[str]:
    nodes = (node for statement in body for node in ast.walk(statement))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)} - {"_"}


def _operations(body: Sequence[ast.stmt]) -> int:
    """How many calls and operators a body has, loops inside it left out."""
    waiting: list[ast.AST] = [*body]
    found = 1
    while waiting:
        node = waiting.pop()
        found += isinstance(node, (ast.Call, ast.BinOp, ast.Compare, ast.Subscript))
        if not isinstance(node, (ast.For, ast.While)):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def _site(node: ast.expr | ast.stmt) -> str:
    return f"{node.lineno}:{node.col_offset}"


# --- rewriting -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layer:
    """The code that fetches a layer, and its path from the block; without one where it is known only when it runs."""

    code: ast.expr
    path: tuple[str | int, ...] | None


class _Rewriter:
    """Checks one text and rewrites it to the code that runs; collects errors and goes on.

    A rule `statement_*` yields the statements that take a statement's place; a rule `expression_*` returns the
    expression that takes an expression's place. What has no rule is refused.
    """

    def __init__(self, names: Names, *, watch: bool = False, formula: bool = False) -> None:
        self.names, self.watch, self.formula = names, watch, formula
        self.checks = watch or formula or bool(names.fills)  # whether values that may grow are held within the bounds
        self.grows = False  # whether there are any
        self.kinds = dict.fromkeys(names.inputs, "value")  # of every name assigned so far: "value" or "layer"
        self.locals = set(names.inputs)  # those that are set on every way that leads here
        self.errors: list[TextError] = []
        self.reads: list[Read] = []
        self.used: set[str] = set()
        self.uses_modules = self.uses_device = self.has_conditions = False
        self.depth = 0
        self.loops: list[str] = []

    def error(self, node: ast.expr | ast.stmt | ast.keyword, what: str, hint: str = "") -> None:
        self.errors.append(TextError(what, hint, node.lineno, node.col_offset + 1))

    def is_value(self, name: str) -> bool:
        return name in self.locals and self.kinds[name] == "value"

    # statements

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        return [_at(new, statement) for statement in body for new in self.statement(statement)]

    def statement(self, node: ast.stmt) -> Iterator[ast.stmt]:
        kind = type(node).__name__
        rule: Callable[[Any], Iterator[ast.stmt]] | None = getattr(self, f"statement_{kind.lower()}", None)
        if rule is None:
            what = f"{_REFUSED.get(kind, kind)} has no place here"
            self.error(node, what, "Statements are assignment, if, while, for and return.")
        else:
            yield from rule(node)

    def statement_expr(self, node: ast.Expr) -> Iterator[ast.stmt]:
        errors = len(self.errors)
        self.expression(node.value)
        if len(self.errors) == errors:
            self.error(node, "this line has no effect", "Assign its value to a name, or return it.")
        yield ast.Pass()

    def statement_pass(self, node: ast.Pass) -> Iterator[ast.stmt]:
        yield node

    def statement_return(self, node: ast.Return) -> Iterator[ast.stmt]:
        if node.value is None:
            self.error(node, "return without a value", "Write what is returned.")
        else:
            yield ast.Return(self.expression(node.value))

    def statement_assign(self, node: ast.Assign) -> Iterator[ast.stmt]:
        value = self.expression(node.value)
        yield ast.Assign([self.target(target) for target in node.targets], value)

    def statement_augassign(self, node: ast.AugAssign) -> Iterator[ast.stmt]:
        """`x += y` is `x = x + y`: Python's own would change the tensor that others see too."""
        if not isinstance(node.target, ast.Name):
            self.error(node.target, "only names can be assigned", "Write x = x + y.")
            return
        old = _at(_name(node.target.id), node.target)
        value = self.expression(_at(ast.BinOp(old, node.op, node.value), node))
        yield ast.Assign([self.target(node.target)], value)

    def statement_if(self, node: ast.If) -> Iterator[ast.stmt]:
        test = self.condition(node.test)
        before = set(self.locals)
        body, then = self.block(node.body), self.locals
        self.locals = set(before)
        orelse, other = self.block(node.orelse), self.locals
        if _returns(node.body):
            self.locals = other
        elif _returns(node.orelse):
            self.locals = then
        else:
            self.locals = then & other
        yield ast.If(test, body or [ast.Pass()], orelse)
        if not _returns(node.body) and not _returns(node.orelse):
            yield from self.merge(node, _assigned([*node.body, *node.orelse]))

    def statement_while(self, node: ast.While) -> Iterator[ast.stmt]:
        if node.orelse:
            self.error(node, "else after while has no place here")
        self.loops.append(_site(node))
        counter, carried = f"_steps{len(self.loops)}", _assigned(node.body)
        yield from self.merge(node, carried)
        test = self.condition(node.test, loop=True)
        body = self.loop_body(node)
        yield _statement(f"{counter} = 0", node)
        count = _statement(f"{counter} += 1", node)
        stop = _statement(f"if {counter} > _max_steps: _stop({node.lineno})", node)
        told = [_statement(f"_watch.step(_self, {_site(node)!r})", node)] if self.watch else []
        yield ast.While(test, [count, stop, *told, *self.turn(node), *body], [])
        yield from self.merge(node, carried)

    def statement_for(self, node: ast.For) -> Iterator[ast.stmt]:
        if node.orelse:
            self.error(node, "else after for has no place here")
        if not isinstance(node.target, ast.Name):
            self.error(node.target, "the loop variable must be one name", "Write for i in range(n).")
            return
        before = set(self.locals)
        if isinstance(node.iter, ast.Call) and _called(node.iter) == "range":
            iterated, kind = self.range_call(node.iter), "value"
        else:
            layer = self.layer(node.iter)
            if layer is None:
                self.error(node.iter, "for goes over range(...) or layers", "Write for i in range(n).")
                return
            iterated, kind = layer.code, "layer"
        target = self.target(node.target, kind)
        body = self.loop_body(node)
        self.locals = before - {node.target.id}
        yield ast.For(target, iterated, [*self.turn(node), *body], [])

    def range_call(self, node: ast.Call) -> ast.expr:
        if node.keywords or not 1 <= len(node.args) <= 3:
            self.error(node, "range takes one to three numbers", "Write range(stop) or range(start, stop, step).")
        return _at(_call("_range", ast.Constant(node.lineno), *map(self.expression, node.args)), node)

    def loop_body(self, node: ast.For | ast.While) -> list[ast.stmt]:
        """The body; what it sets for the first time is unknown behind it, since it may never run."""
        before = set(self.locals)
        self.depth += 1
        if self.depth == bounds.LOOPS + 1:
            self.error(node, f"loops are nested more than {bounds.LOOPS} deep")
        body = self.block(node.body)
        self.depth -= 1
        self.locals = before
        return body or [ast.Pass()]

    def turn(self, node: ast.For | ast.While) -> Iterator[ast.stmt]:
        """Reports a turn of a loop: about how much it does, and the values that the turn before set."""
        self.grows = True
        if self.checks:
            carried = sorted(filter(self.is_value, _assigned(node.body)))
            yield _statement(f"_turned({', '.join([str(_operations(node.body)), *carried])})", node)

    def merge(self, node: ast.stmt, assigned: set[str]) -> Iterator[ast.stmt]:
        """In the dry run: reports the values that the ways through a branch or loop must agree on."""
        names = sorted(filter(self.is_value, assigned))
        if self.watch and names:
            pairs = ", ".join(f"{name}={name}" for name in names)
            yield _statement(f"_watch.merge(_self, {_site(node)!r}, {pairs})", node)

    # targets

    def target(self, node: ast.expr, kind: str = "value") -> ast.expr:
        if isinstance(node, (ast.Tuple, ast.List)):
            return _at(ast.Tuple([self.target(each) for each in node.elts], ast.Store()), node)
        if isinstance(node, ast.Name):
            self.assign(node, kind)
            return _at(ast.Name(node.id, ast.Store()), node)
        if isinstance(node, ast.Subscript) and self.names.fills and isinstance(node.value, ast.Name):
            return _at(self.element(node, node.value), node)
        if isinstance(node, ast.Subscript):
            self.error(node, "elements cannot be assigned here", "Use where(...), cat(...) or a mask.")
        elif isinstance(node, ast.Starred):
            self.error(node, "a starred value has no place here")
        else:
            self.error(node, "only names can be assigned")
        return _at(ast.Name("_", ast.Store()), node)

    def element(self, node: ast.Subscript, owner: ast.Name) -> ast.expr:
        name = owner.id
        if not self.is_value(name) or name in self.names.inputs:
            self.error(node, f"'{name}' is not a tensor of this text", "Write w = value + 0 and assign to w[...].")
        return ast.Subscript(_call("_tensor", _name(name)), self.index(node.slice), ast.Store())

    def assign(self, node: ast.Name, kind: str) -> None:
        name, names = node.id, self.names
        fixed = names.layers | names.tensors | names.values | ({*names.inputs} if names.fills else {"training"})
        if name == "_":
            return
        if name in fixed:
            owner = "text" if names.fills and name in names.inputs else "block"
            self.error(node, f"'{name}' belongs to the {owner} and cannot be assigned", "Take another name.")
        elif name.startswith("_") or not name.isascii():
            self.error(node, f"'{name}' cannot be a name", _PRIVATE)
        elif self.kinds.setdefault(name, kind) != kind:
            self.error(node, f"'{name}' would be a layer in one place and a value in another", "Take another name.")
        else:
            self.locals.add(name)

    # expressions

    def expression(self, node: ast.expr) -> ast.expr:
        kind = type(node).__name__
        rule: Callable[[Any], ast.expr] | None = getattr(self, f"expression_{kind.lower()}", None)
        if rule is None:
            self.error(node, f"{_REFUSED.get(kind, kind)} has no place here")
            return node
        return _at(rule(node), node)

    def expressions(self, nodes: Sequence[ast.expr]) -> list[ast.expr]:
        return [self.expression(node) for node in nodes]

    def expression_constant(self, node: ast.Constant) -> ast.expr:
        value = node.value
        if isinstance(value, str):
            hint = "Texts are arguments (mode='nearest') and keys of dicts."
            self.error(node, f"the text {value!r} has no place here", hint)
        elif isinstance(value, (bytes, complex)) or value is ...:
            self.error(node, f"{'...' if value is ... else repr(value)} has no place here")
        elif value == math.inf or (isinstance(value, int) and value >= bounds.INTEGER):
            self.error(node, "this number is too large", f"Integers are below {bounds.INTEGER:,}.")
        return node

    def expression_name(self, node: ast.Name) -> ast.expr:
        name = node.id
        if name in self.names.layers or self.kinds.get(name) == "layer":
            self.error(node, f"'{name}' is a layer", f"Call it: {name}(x).")
        elif self.is_value(name):
            return _name(name)
        elif name in self.names.values:
            self.used.add(name)
            return _name(name)
        elif name in self.names.tensors or (name == "training" and self.names.training and not self.names.fills):
            return ast.Attribute(_name("_self"), name, ast.Load())
        elif name == "_":
            self.error(node, "'_' is never read", "Give the value a name.")
        elif name.startswith("_"):
            self.error(node, f"'{name}' cannot be a name", _PRIVATE)
        elif name in self.names.fills or catalog.find_function(name) is not None:
            self.error(node, f"'{name}' is a function", self.layer_meant(name) or f"Call it: {name}(...).")
        else:
            self.unknown(node)
        return node

    def unknown(self, node: ast.Name) -> None:
        name = node.id
        if name in self.names.outer:
            hint = f"Add {name}: {{_ref_: {name}}} to this block's layers."
            self.error(node, f"'{name}' belongs to the block outside", hint)
        elif name in self.kinds:
            self.error(node, f"'{name}' is not set on every way that leads here", "Set it before the branch or loop.")
        else:
            known = sorted(self.locals) + sorted(self.names.values | self.names.tensors | self.names.layers)
            meant = _OF_YAML.get(name.lower())
            hint = f"Did you mean '{meant}'?" if meant else nearest(name, known)
            if not hint.startswith("Did"):
                hint = self.layer_meant(name) or hint
            self.error(node, f"there is no value '{name}'", hint)

    def layer_meant(self, name: str) -> str:
        """Which layer is meant by a name among the arguments of another, as in `Sequential(Linear(4, 4), relu)`."""
        hint = nearest(name, catalog.layer_names()) if self.formula else ""
        return hint if hint.startswith("Did") else ""

    def items(self, node: ast.expr, elements: Sequence[ast.expr]) -> ast.expr:
        """A new value that may hold others: whoever reads it meets all that is in them."""
        if all(isinstance(each, (ast.Constant, ast.BinOp, ast.Compare)) for each in elements):
            return node
        self.grows = True
        return _call("_items", node) if self.checks else node

    def expression_tuple(self, node: ast.Tuple) -> ast.expr:
        return self.items(ast.Tuple(self.expressions(node.elts), ast.Load()), node.elts)

    def expression_list(self, node: ast.List) -> ast.expr:
        return self.items(ast.List(self.expressions(node.elts), ast.Load()), node.elts)

    def expression_dict(self, node: ast.Dict) -> ast.expr:
        for key in node.keys:
            if key is None or _text(key) is None:
                self.error(key or node, "the keys of a dict are texts", "Write {'name': value}.")
        return self.items(ast.Dict(node.keys, self.expressions(node.values)), node.values)

    def expression_binop(self, node: ast.BinOp) -> ast.expr:
        if not isinstance(node.op, _BINARY):
            self.error(node, f"the operator of '{ast.unparse(node)}' has no place here")
        left, right = self.expression(node.left), self.expression(node.right)
        exponent = _number(node.right) if isinstance(node.op, ast.Pow) else 0
        if exponent is not None and abs(exponent) > bounds.EXPONENT:
            self.error(node.right, f"the exponent {exponent} is too large", f"At most {bounds.EXPONENT} is allowed.")
        guard = _GUARDS.get(type(node.op))
        if guard is None:
            return ast.BinOp(left, node.op, right)
        self.grows = True
        if self.formula and isinstance(node.op, ast.Mult):
            guard = "_multiplied"
        return _call(guard, left, right) if self.checks or exponent is None else ast.BinOp(left, node.op, right)

    def expression_unaryop(self, node: ast.UnaryOp) -> ast.expr:
        return ast.UnaryOp(node.op, self.expression(node.operand))

    def expression_boolop(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(node.op, self.expressions(node.values))

    def expression_compare(self, node: ast.Compare) -> ast.expr:
        if not any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops):
            return ast.Compare(self.expression(node.left), node.ops, self.expressions(node.comparators))
        right = node.comparators[0]
        if len(node.ops) > 1 or not isinstance(right, ast.Constant) or right.value is not None:
            self.error(node, "'is' compares with None only", "Write == instead.")
        layer = self.layer(node.left) if isinstance(node.left, ast.Name) else None
        left = self.expression(node.left) if layer is None else layer.code
        return ast.Compare(left, node.ops, node.comparators)

    def expression_ifexp(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.condition(node.test), self.expression(node.body), self.expression(node.orelse))

    def expression_subscript(self, node: ast.Subscript) -> ast.expr:
        return ast.Subscript(self.expression(node.value), self.index(node.slice), ast.Load())

    def index(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Tuple):
            return _at(ast.Tuple([self.index(each) for each in node.elts], ast.Load()), node)
        if isinstance(node, ast.Slice):
            lower, upper, step = (each and self.expression(each) for each in (node.lower, node.upper, node.step))
            return _at(ast.Slice(lower, upper, step), node)
        if _text(node) is not None or (isinstance(node, ast.Constant) and node.value is ...):
            return node
        return self.expression(node)

    def expression_attribute(self, node: ast.Attribute) -> ast.expr:
        name = node.attr
        of_child = isinstance(node.value, ast.Attribute) and self.layer_like(node.value.value)
        if self.layer_like(node.value) and not (of_child and name in catalog.ATTRIBUTES):
            return self.tensor_of(node)
        if self.formula:
            self.error(node, f"'.{name}' has no place in a formula")
        elif name in catalog.METHODS:
            self.error(node, f"'{name}' is a method", f"Call it: .{name}(...).")
        elif name not in catalog.ATTRIBUTES:
            self.error(node, f"there is no attribute '{name}'", nearest(name, sorted(catalog.ATTRIBUTES)))
        return ast.Attribute(self.expression(node.value), name, ast.Load())

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

    # calls

    def expression_call(self, node: ast.Call) -> ast.expr:
        called = self.method_of_child(node)
        if called is not None:
            return called
        layer = self.layer(node.func)
        if layer is not None:
            return ast.Call(layer.code, *self.arguments(node))
        if isinstance(node.func, ast.Name):
            return self.function_call(node, node.func)
        if isinstance(node.func, ast.Attribute):
            return self.method_call(node, node.func)
        self.error(node, "only functions, methods and layers are called")
        return node

    def method_of_child(self, node: ast.Call) -> ast.expr | None:
        """`embed.weight.t()`, and also `encoder.layer.norm(x)`: which of the two it is, the children will tell."""
        method = node.func
        if not isinstance(method, ast.Attribute) or not isinstance(method.value, ast.Attribute):
            return None
        if method.attr not in catalog.METHODS or not self.layer_like(method.value):
            return None
        if hasattr(nn.Module, method.attr):
            return self.method_call(node, method)
        owner = self.layer(method.value.value, reaches=False)
        if owner is None or owner.path is None:
            return None
        if self.check_part(method.value):
            path = (*owner.path, method.value.attr, method.attr)
            self.reads.append(Read(path, False, node.lineno, node.col_offset + 1, method=True))
        self.check_limits(node, method.attr, catalog.METHODS[method.attr])
        value = _at(ast.Attribute(owner.code, method.value.attr, ast.Load()), method.value)
        return ast.Call(_at(ast.Attribute(value, method.attr, ast.Load()), method), *self.arguments(node))

    def function_call(self, node: ast.Call, called: ast.Name) -> ast.expr:
        name, function = called.id, catalog.find_function(called.id)
        if self.is_value(name) or name in self.names.values or name in self.names.tensors:
            self.error(called, f"'{name}' is a value, not a function or a layer")
        elif name in self.names.fills and (function is None or not node.args):
            positional, keywords = self.arguments(node)
            return ast.Call(_name("_draw"), [ast.Constant(name), *positional], keywords)
        elif function is not None:
            return self.catalog_call(node, function)
        elif name in self.names.outer:
            self.unknown(called)
        elif name == "range":
            self.error(called, "range(...) stands in for only", "Write for i in range(n), or arange(n) for a tensor.")
        else:
            functions = catalog.function_names()
            if self.formula:  # of numbers, beside layers
                functions = tuple(each for each in functions if getattr(catalog.find_function(each), "number", False))
                functions += catalog.layer_names()
            known = [*functions, *sorted(self.names.layers), *sorted(self.names.fills)]
            self.error(called, f"there is no function or layer '{name}'", nearest(name, known))
        return node

    def catalog_call(self, node: ast.Call, function: catalog.Function) -> ast.expr:
        name = function.name
        if self.formula and not function.number:
            self.error(node, f"'{name}' makes a tensor and has no place in a formula")
        if name == "len" and len(node.args) == 1 and not node.keywords:
            layer = self.layer(node.args[0])
            if layer is not None:
                return _call("_call_len", layer.code)
        self.check_limits(node, name, function.positional)
        infinite = name == "float" and [_text(each) for each in node.args] in (["inf"], ["-inf"], ["nan"])
        positional, keywords = ([*node.args], []) if infinite else self.arguments(node, texts=not function.number)
        if function.creates:
            self.uses_device = True
            keywords = [*keywords, ast.keyword("device", _name("_device"))]
        return ast.Call(_name(f"_call_{name}"), positional, keywords)

    def method_call(self, node: ast.Call, method: ast.Attribute) -> ast.expr:
        name = method.attr
        if self.formula:
            self.error(method, f"'.{name}' has no place in a formula")
        elif name not in catalog.METHODS:
            in_place = name.endswith("_") and not name.startswith("_")
            what = "changes its tensor in place" if in_place else "is not a method of a tensor"
            self.error(method, f"'{name}' {what}", nearest(name.strip("_") or name, catalog.METHODS))
        self.check_limits(node, name, catalog.METHODS.get(name))
        if name == "to":
            self.check_dtype(node)
        value = self.expression(method.value)
        positional, keywords = self.arguments(node)
        if name == "sort":  # a list has it too, and there it changes the list
            return ast.Call(_name("_call_sort"), [value, *positional], keywords)
        return ast.Call(_at(ast.Attribute(value, name, ast.Load()), method), positional, keywords)

    def check_limits(self, node: ast.Call, name: str, limit: int | None) -> None:
        if limit is not None and len(node.args) > limit:
            what = f"{name} takes at most {limit} argument{'s' * (limit > 1)} by position, not {len(node.args)}"
            self.error(node, what, "Name the others." if limit > 1 else "")
        for keyword in node.keywords:
            if keyword.arg in catalog.FORBIDDEN_KEYWORDS:
                self.error(keyword, f"the argument '{keyword.arg}' has no place here")

    def check_dtype(self, node: ast.Call) -> None:
        """`to` takes a dtype: what else it takes would be a device."""
        given = [*node.args, *(each.value for each in node.keywords if each.arg == "dtype")]
        if len(given) == 1 and len(node.keywords) + len(node.args) == 1:
            dtype = given[0]
            if _text(dtype) in catalog.DTYPES or (isinstance(dtype, ast.Attribute) and dtype.attr == "dtype"):
                return
        self.error(node, "to takes one dtype", "Write x.to('float32') or x.to(y.dtype).")

    def arguments(self, node: ast.Call, *, texts: bool = True) -> tuple[list[ast.expr], list[ast.keyword]]:
        each_argument = self.argument if texts else self.expression
        keywords = []
        for keyword in node.keywords:
            if keyword.arg is None:
                self.error(keyword.value, "a starred value has no place here", "Write each argument.")
            elif not Kind.ARGUMENT.fits(keyword.arg):
                self.error(keyword, f"the argument '{keyword.arg}' has no place here")
            keywords.append(_at(ast.keyword(keyword.arg, each_argument(keyword.value)), keyword))
        return [each_argument(each) for each in node.args], keywords

    def argument(self, node: ast.expr) -> ast.expr:
        """An argument may also be a literal text; the name of a dtype means the dtype."""
        text = _text(node)
        if text is None:
            return self.expression(node)
        return _at(_name(f"_{text}"), node) if text in catalog.DTYPES else node

    # layers

    def layer_like(self, node: ast.expr) -> bool:
        """Whether an expression starts with the name of a layer and goes on with names and indices."""
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        return isinstance(node, ast.Name) and (node.id in self.names.layers or self.kinds.get(node.id) == "layer")

    def layer(self, node: ast.expr, *, reaches: bool = True) -> _Layer | None:
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
        return found and _Layer(_at(found.code, node), found.path)

    def named_layer(self, node: ast.Name) -> _Layer:
        if node.id in self.names.layers:
            self.uses_modules = True
            return _Layer(ast.Subscript(_name("_modules"), ast.Constant(node.id), ast.Load()), (node.id,))
        if node.id not in self.locals:
            self.unknown(node)
        return _Layer(_name(node.id), None)

    def indexed_layer(self, node: ast.Subscript) -> _Layer | None:
        owner = self.layer(node.value)
        if owner is None:
            return None
        if isinstance(node.slice, (ast.Slice, ast.Tuple)):
            self.error(node, "a layer is picked by one index", "Write layers[0](x).")
        key = _number(node.slice) if _text(node.slice) is None else _text(node.slice)
        path = (*owner.path, key) if owner.path is not None and isinstance(key, (int, str)) else None
        return _Layer(ast.Subscript(owner.code, self.index(node.slice), ast.Load()), path)

    def child(self, node: ast.Attribute, reaches: bool) -> _Layer | None:
        owner = self.layer(node.value, reaches=False)
        if owner is None:
            return None
        path = None if owner.path is None else (*owner.path, node.attr)
        if self.check_part(node) and reaches and path is not None:
            self.reads.append(Read(path, False, node.lineno, node.col_offset + 1))
        children = ast.Attribute(owner.code, "_modules", ast.Load())
        return _Layer(ast.Subscript(children, ast.Constant(node.attr), ast.Load()), path)

    def check_part(self, node: ast.Attribute) -> bool:
        """Whether a layer may have a child or tensor of this name: what `nn.Module` has itself is no part of it."""
        name = node.attr
        if name.startswith("_") or hasattr(nn.Module, name):
            hint = "Layers are called, and their tensors are read: layer(x), layer.weight."
            self.error(node, f"'{name}' of a layer has no place here", hint)
            return False
        return True

    def condition(self, node: ast.expr, *, loop: bool = False, negated: bool = False) -> ast.expr:
        """A test: a layer may be tested for presence; in the dry run data is not asked, but the recorder."""
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(each, loop=loop, negated=negated) for each in node.values]
            return _at(ast.BoolOp(node.op, parts), node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return _at(ast.UnaryOp(node.op, self.condition(node.operand, loop=loop, negated=not negated)), node)
        layer = self.layer(node) if isinstance(node, ast.Name) else None
        if layer is not None:
            return _at(ast.Compare(layer.code, [ast.IsNot()], [ast.Constant(None)]), node)
        self.has_conditions = True
        value = self.expression(node)
        if not self.watch:
            return value
        report = ast.Attribute(_name("_watch"), "turn" if loop else "branch", ast.Load())
        negation: list[ast.expr] = [ast.Constant(True)] if loop and negated else []
        return _at(ast.Call(report, [_name("_self"), ast.Constant(_site(node)), value, *negation], []), node)


# --- translating ---------------------------------------------------------------------------------------------------


class _RefusedError(Exception):
    """The errors of a text; raised, so that no cache keeps them: a function may be registered later."""

    def __init__(self, errors: Sequence[TextError]) -> None:
        self.errors = tuple(errors)
        super().__init__(self.errors)


def translate(text: str, names: Names, name: str, defaults: tuple[Any, ...] = ()) -> Translation:
    """Checks a `forward` or `fill` text and compiles it to the code of a function.

    Args:
        text: the text.
        names: what its names mean; `names.inputs` become the function's parameters, after `_self` (and `_draw`).
        name: the function's name, shown in tracebacks.
        defaults: the default values of the last parameters, as `link` takes them; the code does not depend on them.

    >>> names = Names(inputs=("x",), layers=frozenset({"hidden"}))
    >>> translate("relu(hiden(x))", names, "forward").errors[0].hint
    "Did you mean 'hidden'?"
    """
    try:
        return _translated(text, names, name)
    except TextError as error:
        return Translation(None, None, (error,), (), frozenset())
    except _RefusedError as refused:
        return Translation(None, None, refused.errors, (), frozenset())


@lru_cache(maxsize=4_096)
def _translated(text: str, names: Names, name: str) -> Translation:
    statements = parse_statements(text)
    plain = _Rewriter(names)
    body = plain.block(statements)
    if not _returns(statements) and not plain.errors:
        plain.error(statements[-1], "the text ends without return", "End every way through it with return.")
    if plain.errors:
        raise _RefusedError(plain.errors)
    filename = register(text, name)
    watched = None
    if (plain.has_conditions or plain.grows) and not names.fills:
        watcher = _Rewriter(names, watch=True)
        watched = _function_code(watcher, watcher.block(statements), name, filename)
    code = _function_code(plain, body, name, filename)
    reads, used, loops = tuple(plain.reads), frozenset(plain.used), tuple(plain.loops)
    return Translation(code, watched, (), reads, used, loops, plain.has_conditions)


def _function_code(rewriter: _Rewriter, body: list[ast.stmt], name: str, filename: str) -> CodeType:
    names, lines = rewriter.names, []
    given = [name for name in dict.fromkeys(names.inputs) if Kind.INPUT.fits(name)]  # others are refused elsewhere
    if rewriter.uses_modules:
        lines.append("_modules = _self._modules")
    if rewriter.uses_device:
        lines.append(f"_device = _device_of({', '.join(['_self', *given])})")
    parameters = ["_self", *(["_draw"] if names.fills else []), *given]
    module = ast.parse(f"def text({', '.join(parameters)}): pass")
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.name = name.rpartition(".")[2]
    function.body = [*(_statement(line, body[0]) for line in lines), *body]
    whole = compile(ast.fix_missing_locations(module), filename, "exec", dont_inherit=True)
    return next(constant for constant in whole.co_consts if isinstance(constant, CodeType))


def register(text: str, name: str) -> str:
    """Makes tracebacks show the text's own lines; returns the file name that stands for it."""
    filename = f"<{name} {hashlib.sha256(text.encode()).hexdigest()[:8]}>"
    lines = [line + "\n" for line in text.split("\n")]
    linecache.cache[filename] = (len(text), None, lines, filename)
    return filename


def texts(error: BaseException) -> list[tuple[FrameType, int]]:
    """The `forward` and `fill` texts that an error came through, with its line in each, the outermost first."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        if _TEXT.fullmatch(trace.tb_frame.f_code.co_filename):
            found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


_TEXT = re.compile("<.+ [0-9a-f]{8}>")
"""The file names that `register` gives."""


def link(
    code: CodeType,
    values: Mapping[str, Any],
    max_steps: int,
    defaults: tuple[Any, ...] = (),
    watch: object = None,
    turned: Callable[..., None] = lambda *_: None,
) -> FunctionType:
    """The function of a translated text, with the values of its args in place.

    Args:
        code: the code of a `Translation`.
        values: the values of its args; those it does not use are left out.
        max_steps: the greatest number of steps of a loop.
        defaults: the default values of the last parameters.
        watch: what conditions are reported to, for watched code: `branch(owner, site, value)` and
            `turn(owner, site, value, negated=False)` return what to do; `step(owner, site)` for each turn of a `while`
            and `merge(owner, site, **values)` return nothing.
        turned: what watched code and that of fills tell each turn of a loop: how much it does, about, then the
            values that the turn before has set.
    """

    def stop(line: int) -> None:
        raise LoopError(code.co_filename, line, max_steps)

    def bounded(line: int, *numbers: Any) -> range:
        steps = range(*numbers)
        if steps[max_steps:]:
            stop(line)
        return steps

    known = {
        **_HELPERS,
        **values,
        "_max_steps": max_steps,
        "_stop": stop,
        "_range": bounded,
        "_watch": watch,
        "_turned": turned,
    }
    # torch imports through the builtins of the frame that calls it, and torch.compile reads them
    # and without a __name__, torch.compile looks for no module of that name
    function = FunctionType(code, {"__builtins__": vars(builtins), **_used(code, known)}, code.co_name, defaults)
    function.__module__ = __name__
    return function


def _used(code: CodeType, known: Mapping[str, Any]) -> dict[str, Any]:
    """The globals that a code needs: of what is known, and of the catalog."""
    scope = {name: known[name] for name in code.co_names if name in known}
    for name in code.co_names:
        function = catalog.find_function(name.removeprefix("_call_")) if name.startswith("_call_") else None
        if function is not None:
            scope[name] = function.call
    return scope


def device_of(owner: Any, *inputs: Any) -> torch.device:
    """The device of the first tensor among a block's inputs; without one, of its first own tensor; else the CPU.

    >>> device_of(None, 1, [torch.zeros(1, device="meta")])
    device(type='meta')
    """
    tensor = _first_tensor(inputs)
    if tensor is not None:
        return tensor.device
    if owner is not None:
        for own in (*owner.parameters(), *owner.buffers()):
            return own.device  # type: ignore[no-any-return]
    return torch.device("cpu")


def _first_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (tuple, list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            tensor = _first_tensor(each)
            if tensor is not None:
                return tensor
    return None


# --- helpers of the compiled code ----------------------------------------------------------------------------------


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"elements of a tensor are assigned, not of {type(value).__name__}")
    return value


_HELPERS: Mapping[str, Any] = {
    **{f"_{name}": dtype for name, dtype in catalog.DTYPES.items()},
    "_add": arithmetic.add,
    "_device_of": device_of,
    "_items": arithmetic.counted,
    "_modulo": arithmetic.modulo,
    "_multiplied": arithmetic.multiplied,
    "_multiply": arithmetic.multiply,
    "_power": arithmetic.power,
    "_subtract": arithmetic.subtract,
    "_tensor": _tensor,
}


# --- formulas ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8_192)
def formula_names(tree: ast.expr) -> tuple[ast.Name, ...]:
    """The names that a formula reads, in the order of the text, without those it calls.

    >>> [each.id for each in formula_names(parse_expression("=max(width, 2 * depth)"))]
    ['width', 'depth']
    """
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    return tuple(sorted(names, key=lambda node: (node.lineno, node.col_offset)))


@lru_cache(maxsize=8_192)
def nodes(tree: ast.expr) -> int:
    """How many parts a formula has.

    >>> nodes(parse_expression("=2 * width"))
    5
    """
    return sum(1 for _ in ast.walk(tree))


def check_formula(tree: ast.expr, known: frozenset[str]) -> list[TextError]:
    """What is wrong with a formula whose names may be those of `known`."""
    return _formula(tree, known)[1]


def _formula(tree: ast.expr, known: frozenset[str]) -> tuple[ast.expr, list[TextError]]:
    rewriter = _Rewriter(Names(values=known, training=False), formula=True)
    return rewriter.expression(tree), rewriter.errors


@lru_cache(maxsize=8_192)
def _formula_code(tree: ast.expr, known: frozenset[str]) -> CodeType:
    new, errors = _formula(tree, known)
    if errors:
        raise errors[0]
    return compile(ast.fix_missing_locations(ast.Expression(new)), "<formula>", "eval", dont_inherit=True)


def evaluate(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of a formula.

    Args:
        tree: an expression.
        values: the values of its names.

    Raises:
        TextError: at the formula's place, if it is refused, cannot be computed, or its value is out of bounds.

    >>> evaluate(parse_expression("=width // 4"), {"width": 256})
    64
    """
    if isinstance(tree, ast.Name) and tree.id in values:
        return values[tree.id]
    read = {each.id: values[each.id] for each in formula_names(tree) if each.id in values}
    code = _formula_code(tree, frozenset(read))
    scope = {"__builtins__": {}, **_used(code, {**_HELPERS, **read})}
    try:
        result = eval(code, scope)
    except arithmetic.ExcessError as error:
        raise TextError(f"{ast.unparse(tree)} {error.what}", "", tree.lineno, tree.col_offset + 1) from error
    except Exception as error:
        what = f"{ast.unparse(tree)} cannot be computed: {error}"
        raise TextError(what, "", tree.lineno, tree.col_offset + 1) from error
    problem = _problem_with(result)
    if problem:
        raise TextError(f"{ast.unparse(tree)} {problem}", "", tree.lineno, tree.col_offset + 1)
    return result


def _problem_with(result: Any) -> str:
    """What is wrong with the value of a formula: it is no plain, finite, moderate value."""
    _, what = arithmetic.measure(result)
    waiting = [] if what else [result]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, float) and not math.isfinite(value):
            return f"is {value}, not a finite number"
        elif value is not None and not isinstance(value, (str, int, float)):
            return f"is {type(value).__name__}, not a number"
    return what
