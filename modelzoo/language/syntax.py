"""From the characters of a text to a tree, whose columns are those of the text."""

from __future__ import annotations

import ast
import re
import textwrap
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeGuard, TypeVar

from modelzoo import bounds
from modelzoo.errors import TextError
from modelzoo.language.pieces import at, text_of

_ODD = re.compile(r"[\\\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""A backslash, control characters, halves of characters, and what makes text read in another order."""

_Node = TypeVar("_Node", bound=ast.AST)


_FOREIGN = re.compile(r"[^\x00-\x7f]")


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
        return (at(ast.Return(expression), expression),)
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
        if isinstance(node, ast.Call) and _is_torchs(node.func):
            node.func = at(ast.Name(ast.unparse(node.func), ast.Load()), node.func)
        if isinstance(node, ast.Call) and len(node.keywords) > 1:
            _check_once(ast.unparse(node.func), ((each, each.arg) for each in node.keywords))
        elif isinstance(node, ast.Dict) and len(node.keys) > 1:
            _check_once("this mapping", ((each, text_of(each)) for each in node.keys if each is not None))
    return tree


def _check_once(owner: str, named: Iterable[tuple[ast.expr | ast.keyword, str | None]]) -> None:
    """Python's parser lets a name be given twice; then its compiler does not, or the last one wins."""
    given: set[str] = set()
    for each, name in named:
        if name in given:
            raise TextError(f"{owner} gets '{name}' twice", "Remove one.", each.lineno, each.col_offset + 1)
        given |= {name} if name is not None else set()


def _is_torchs(node: ast.expr) -> TypeGuard[ast.Attribute]:
    """Whether `torch.sum` or `torch.fft.fft` is called: one name, which nothing hides."""
    owner = node.value if isinstance(node, ast.Attribute) else node
    if isinstance(owner, ast.Attribute) and owner.attr == "fft":
        owner = owner.value
    return isinstance(node, ast.Attribute) and isinstance(owner, ast.Name) and owner.id == "torch"


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


@lru_cache(maxsize=8_192)
def names_in(text: str) -> frozenset[str]:
    """The names in the statements of a text, those it calls and assigns too.

    >>> sorted(names_in("y = relu(x); return y.t()"))
    ['relu', 'x', 'y']

    Raises:
        TextError: with the line and column in `text`.
    """
    parts = (node for each in parse_statements(text) for node in ast.walk(each))
    return frozenset(node.id for node in parts if isinstance(node, ast.Name))


@lru_cache(maxsize=8_192)
def formula_names(tree: ast.expr) -> tuple[ast.Name, ...]:
    """The names that a formula reads, in the order of the text, without those it calls, or its comprehensions set.

    >>> [each.id for each in formula_names(parse_expression("=max(width, 2 * depth)"))]
    ['width', 'depth']
    """
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in called]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    names = [node for node in names if node.id not in own]
    return tuple(sorted(names, key=lambda node: (node.lineno, node.col_offset)))


def copied(tree: _Node) -> _Node:
    """A tree whose nodes are new, for those who change it; in a fifth of the time of `copy.deepcopy`.

    >>> tree = parse_expression("relu(x)")
    >>> other = copied(tree)
    >>> other.func.id = "gelu"
    >>> ast.unparse(tree), ast.unparse(other)
    ('relu(x)', 'gelu(x)')
    """
    made = type(tree).__new__(type(tree))
    for name, value in vars(tree).items():
        if isinstance(value, ast.AST):
            value = copied(value)
        elif isinstance(value, list):
            value = [copied(each) if isinstance(each, ast.AST) else each for each in value]
        setattr(made, name, value)
    return made


@lru_cache(maxsize=8_192)
def nodes(tree: ast.expr) -> int:
    """How many parts a formula has.

    >>> nodes(parse_expression("=2 * width"))
    5
    """
    return sum(1 for _ in ast.walk(tree))
