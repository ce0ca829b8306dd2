"""Elements of a computed tensor that get other values: what a text says instead, which changes nothing."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from modelzoo.importing import operations
from modelzoo.importing.graph import Choice, Node, Ref
from modelzoo.language.pieces import load

Build = Callable[[Ref], ast.expr]


class Cut(NamedTuple):
    """A part of a tensor along one dimension; `single` where it is an item, without that dimension."""

    dim: int
    start: int
    stop: int
    size: int
    single: bool = False
    step: int = 1

    @property
    def place(self) -> slice:
        return slice(self.start, None, self.step) if self.step > 1 else slice(self.start, self.stop)


def expression(node: Node, build: Build) -> ast.expr:
    """What a tensor is after `x[place] = given`: filled behind a mask, or joined of what is before, there and behind.

    Raises:
        UnsayableError: the place is another one.
    """
    owner, place, given = node.args
    if isinstance(place, Ref) and _is_mask(place) and isinstance(given, (bool, int, float)):
        return ast.Call(load("masked_fill"), [operations.value(each, build) for each in node.args], [])
    return _joined(operations.value(owner, build), _cuts(place, node.value), node, build)


def is_done(node: Node) -> bool:
    """Whether elements have these values already: `x[0] += y` changes the part, and then assigns it."""
    owner, *rest = node.args
    before = owner.node if isinstance(owner, Ref) else node
    return before.name == "__setitem__" and not owner.path and list(before.args[1:]) == rest


def _joined(owner: ast.expr, cuts: list[Cut], node: Node, build: Build) -> ast.expr:
    """A tensor with other values in a part of it."""
    if not cuts:
        return _middle(owner, node, build)
    (dim, start, stop, size, _, step), *more = cuts
    if step > 1:
        parts = [_part(owner, dim, each or None, None, step) for each in range(step)]
        parts[start] = _joined(parts[start], more, node, build)
        whole = ast.Call(load("stack"), [ast.List(parts, ast.Load()), ast.Constant(dim + 1)], [])
        return _method(whole, "flatten", ast.Constant(dim), ast.Constant(dim + 1))
    there = _part(owner, dim, start or None, stop if stop < size else None)
    middle = _joined(there, more, node, build)
    parts = [_part(owner, dim, None, start)] if start else []
    parts += [middle, *([_part(owner, dim, stop, None)] if stop < size else [])]
    if len(parts) == 1:
        return middle
    return ast.Call(load("cat"), [ast.List(parts, ast.Load())], [ast.keyword("dim", ast.Constant(dim))])


def _middle(there: ast.expr, node: Node, build: Build) -> ast.expr:
    """The new values, in the shape of what they stand for."""
    given, cuts = node.args[2], _cuts(node.args[1], node.value)
    made = operations.value(given, build)
    if not isinstance(given, Ref):
        return ast.Call(load("full_like"), [there, made], [])
    part = node.value
    for cut in cuts:
        part = part[(*[slice(None)] * cut.dim, cut.place)]
    shape = _value(given).shape
    for cut in cuts:
        if cut.single and len(shape) < node.value.ndim and len(shape) >= cut.dim:
            made, shape = _method(made, "unsqueeze", ast.Constant(cut.dim)), (*shape[: cut.dim], 1, *shape[cut.dim :])
    return made if tuple(shape) == tuple(part.shape) else _method(made, "expand_as", there)


def _cuts(place: Any, value: Tensor) -> list[Cut]:
    """The parts that a place is of."""
    places = list(place) if isinstance(place, tuple) and not isinstance(place, (Ref, Choice)) else [place]
    at = next((number for number, each in enumerate(places) if each is ...), None)
    if at is not None:
        places[at : at + 1] = [slice(None)] * (value.ndim - len(places) + 1)
    found = []
    for dim, each in enumerate(places):
        plain = type(each) is int or isinstance(each, slice)
        bounds = (each.start, each.stop) if isinstance(each, slice) else (each,)
        if not plain or not all(bound is None or type(bound) is int for bound in bounds):
            raise operations.UnsayableError("elements are assigned in a place that is computed")
        size = value.shape[dim]
        start, stop, step = each.indices(size) if isinstance(each, slice) else (each % size, each % size + 1, 1)
        if stop < start or (step > 1 and (start >= step or stop <= size - step + start or size % step)):
            raise operations.UnsayableError("elements are assigned in steps that do not fill a dimension")
        if (start, stop, step) != (0, size, 1) or not isinstance(each, slice):
            found.append(Cut(dim, start, stop, size, not isinstance(each, slice), step))
    return found


def _part(owner: ast.expr, dim: int, start: int | None, stop: int | None, step: int | None = None) -> ast.expr:
    place = (*[slice(None)] * dim, slice(start, stop, step))
    return ast.Subscript(owner, operations.index(place if dim else place[0], _never), ast.Load())


def _never(ref: Ref) -> ast.expr:
    raise AssertionError(ref)


def _method(owner: ast.expr, name: str, *given: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(owner, name, ast.Load()), [*given], [])


def _is_mask(ref: Ref) -> bool:
    value = _value(ref)
    return isinstance(value, Tensor) and value.dtype is torch.bool


def _value(ref: Ref) -> Any:
    value = ref.node.value
    for step in ref.path:
        value = value[step]
    return value
