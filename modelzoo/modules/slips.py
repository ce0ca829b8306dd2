"""What to write where a line of a text fails: a rule for each mistake, of what the names in the line hold."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

from torch import Tensor

from modelzoo.language import compiler
from modelzoo.language.pieces import call_of

_OF_TUPLES = re.compile("tuple indices|'tuple' object|not tuple|'tuple' and")

_Node = TypeVar("_Node", bound=ast.AST)


@dataclass(frozen=True, slots=True)
class Slip:
    """A line that failed.

    Attributes:
        why: what the error says.
        tree: the line.
        values: what the names in it hold, in their order there.
        before: the lines before it, the nearest first.
    """

    why: str
    tree: ast.stmt
    values: Mapping[str, Any]
    before: Sequence[str]

    def tensors(self) -> dict[str, list[int]]:
        """The shapes of the tensors that are named in the line."""
        return {name: list(value.shape) for name, value in self.values.items() if isinstance(value, Tensor)}

    def parts(self, kind: type[_Node]) -> Iterator[_Node]:
        """What the line has of a kind, the outer ones first."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kind))

    def held(self) -> str:
        """What the tensors are, as a sentence."""
        shown = [f"{name} is {shape}" for name, shape in self.tensors().items()]
        return f"Here {' and '.join(shown)}." if shown else ""


def hint(error: BaseException, frame: FrameType, number: int) -> str:
    """What to write for a line of a text, from its frame; empty where nobody knows."""
    tree = _statement(compiler.line_of(frame.f_code, number))
    if tree is None:
        return ""
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    values = {name: frame.f_locals[name] for name in names if name in frame.f_locals}
    before = [compiler.line_of(frame.f_code, each) for each in range(number - 1, 0, -1)]
    slip = Slip(str(error), tree, values, before)
    return next(filter(None, (rule(slip) for rule in _RULES)), "")


def _statement(line: str) -> ast.stmt | None:
    line = line.strip()
    with suppress(SyntaxError):
        return ast.parse(f"{line} pass" if line.endswith(":") else line).body[0]
    return None


def _taken_apart(slip: Slip) -> str:
    """A layer returns a tuple, which is used like a tensor."""
    if not _OF_TUPLES.search(slip.why):
        return ""
    for name, value in slip.values.items():
        if not isinstance(value, tuple) or len(value) < 2 or not isinstance(value[0], Tensor):
            continue
        for line in slip.before:
            made = _statement(line)
            if isinstance(made, ast.Assign) and ast.unparse(made.targets[0]) == name:
                rest = ", _" * (len(value) - 1)
                return f"'{name}' is a tuple of {len(value)}: write {name}{rest} = {ast.unparse(made.value)}."
    return ""


def _shortcut(slip: Slip) -> str:
    """Two tensors of other shapes, as in a residual block whose layers change the shape."""
    if "must match the size of tensor" not in slip.why:
        return ""
    for node in slip.parts(ast.BinOp):
        for side, other in (("right", "left"), ("left", "right")):
            shapes = [slip.tensors().get(ast.unparse(getattr(node, each)), []) for each in (side, other)]
            layer = _layer_between(*shapes) if all(shapes) else ""
            if layer:
                name = "shortcut" if "shortcut" not in slip.values else "shortcut_2"
                setattr(node, side, call_of(name, getattr(node, side)))
                return f"{slip.held()} Add {name}: {layer} to the layers. Write {ast.unparse(slip.tree)}."
    return slip.held()


def _layer_between(given: Sequence[int], wanted: Sequence[int]) -> str:
    """A layer that makes one shape of another: of features, or of images that are as large or smaller."""
    if len(given) != len(wanted) or given[0] != wanted[0]:
        return ""
    if len(given) == 4 and all((*given[2:], *wanted[2:])):
        strides = {-(-a // b) for a, b in zip(given[2:], wanted[2:], strict=True)}
        stride = max(strides)
        sizes = [(size - 1) // stride + 1 for size in given[2:]]
        if len(strides) != 1 or sizes != list(wanted[2:]):
            return ""
        return f"Conv2d({given[1]}, {wanted[1]}, 1{f', stride={stride}' if stride > 1 else ''})"
    return f"Linear({given[-1]}, {wanted[-1]})" if given[:-1] == wanted[:-1] else ""


def _flattened(slip: Slip) -> str:
    """`view` with other sizes than the tensor has."""
    if "is invalid for input of size" not in slip.why:
        return ""
    for node in slip.parts(ast.Call):
        if not isinstance(node.func, ast.Attribute) or len(node.args) != 2:
            continue
        name = ast.unparse(node.func.value)
        shape = slip.tensors().get(name, [])
        if node.func.attr in ("view", "reshape") and len(shape) > 2:
            return f"Here {name} is {shape}: {name}.flatten(1) makes {[shape[0], math.prod(shape[1:])]} of it."
    return ""


def _in_a_list(slip: Slip) -> str:
    """`cat(x, y)`."""
    if "argument 'tensors'" not in slip.why:
        return ""
    for node in slip.parts(ast.Call):
        tensors = [each for each in node.args if ast.unparse(each) in slip.tensors()]
        if len(tensors) > 1 and tensors == node.args[: len(tensors)]:
            node.args = [ast.List(tensors, ast.Load()), *node.args[len(tensors) :]]
            return f"Write {ast.unparse(node)}."
    return ""


def _joined(slip: Slip) -> str:
    return slip.held() if slip.why.startswith("Sizes of tensors must match") else ""


_RULES: Sequence[Callable[[Slip], str]] = (_taken_apart, _shortcut, _flattened, _in_a_list, _joined)
