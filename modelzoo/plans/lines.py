"""The rows of a model as lines to show: a tree, with equal neighbours as one line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelzoo.escapes import one_line
from modelzoo.names import as_one, without_numbers
from modelzoo.plans.records import LOADED
from modelzoo.plans.rows import Row
from modelzoo.plans.statistics import pool


@dataclass(slots=True)
class _Node:
    row: Row
    children: list[_Node] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        return self.row.parameters if self.row.kind != "module" else sum(each.parameters for each in self.children)


def tree(rows: Sequence[Row]) -> list[_Node]:
    """Rows as a tree, without what lies below the second place of a module."""
    roots: list[_Node] = []
    above: list[_Node] = []
    hidden: int | None = None
    for row in rows:
        if hidden is not None and row.depth > hidden:
            continue
        hidden = row.depth if row.kind == "module" and row.same_as else None
        del above[row.depth :]
        node = _Node(row)
        (above[-1].children if above else roots).append(node)
        above.append(node)
    return roots


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table as text, in the order of `TITLES`."""

    module: bool
    name: str
    layer: str
    shape: str
    parameters: str
    fill: str
    mean: str
    std: str
    shared: str

    def cells(self) -> dict[str, str]:
        start = (self.name, self.layer, self.shape, self.parameters)
        return dict(zip(TITLES, (*start, self.fill, self.mean, self.std, self.shared), strict=True))

    def below(self) -> str:
        """What stands in a line of its own where there is no room."""
        seen = f"mean {self.mean}, std {self.std}" if self.mean else ""
        said = "  ".join(filter(None, (self.fill, seen, self.shared)))
        return said and " " * (len(self.name) - len(self.name.lstrip()) + 2) + said


def lines_of(nodes: Sequence[_Node], usual: str, indent: int = 0) -> Iterator[Line]:
    """The lines of a tree; `usual` is the dtype that goes without saying."""
    for group in _groups(nodes):
        node = _merged(group)
        row = node.row
        first = not row.same_as
        name = _local(row) or "model"
        times = ""
        if len(group) > 1:
            name += "-" + _number(_local(group[-1].row))[1]
            times = f"{len(group)} x "
        layer = times + _module(row) if row.kind == "module" else _tensor(row, usual)
        seen = row.statistics if first else None
        yield Line(
            module=row.kind == "module",
            name="  " * indent + one_line(name),
            layer=one_line(layer),
            shape=one_line(shape_text(row.shape)),
            parameters=f"{times}{node.parameters:,}" if node.parameters else "",
            fill=one_line(short("; ".join(row.fill.splitlines()))) if first else "",
            mean=f"{seen.mean:.3g}" if seen else "",
            std=f"{seen.std:.3g}" if seen else "",
            shared="" if first else f"= {one_line(row.same_as)}",
        )
        yield from lines_of(node.children, usual, indent + 1)


def _module(row: Row) -> str:
    """A module's type, with its calls and the turns of its loops."""
    if row.same_as:
        return row.type
    calls = f" x{row.calls}" if row.calls > 1 else ""
    if row.turns is not None:
        return f"{row.type}{calls}, {' + '.join(map(str, row.turns))} turn{'s' * (row.turns != (1,))}"
    return f"{row.type}{calls}{', loop' if row.loops else ''}"


def _tensor(row: Row, usual: str) -> str:
    """A tensor's marks, and its dtype if that does not go without saying."""
    return " ".join(filter(None, (row.mark, "tied" if row.tied else "", row.type if row.type != usual else "")))


def _groups(nodes: Sequence[_Node]) -> Iterator[list[_Node]]:
    """Neighbours that differ in nothing but a running number, together."""
    group: list[_Node] = []
    last: Any = None
    for node in nodes:
        now = _signature(node, node.row.name + ".")
        if group and now == last and node.row.kind == "module" and _follows(_local(group[-1].row), _local(node.row)):
            group.append(node)
            continue
        if group:
            yield group
        group, last = [node], now
    if group:
        yield group


def _signature(node: _Node, top: str) -> tuple[Any, ...]:
    """All that a copy shares with the one before it; names below `top` count from there."""
    row = node.row
    shape = _loose(row.shape) if row.kind == "module" else row.shape
    same_as = row.same_as.removeprefix(top)
    fill = without_numbers(row.fill) if row.fill.startswith(LOADED) else row.fill
    facts = replace(row, name=row.name[len(top) :], shape=shape, fill=fill, statistics=None, same_as=same_as)
    return (facts, *(_signature(each, top) for each in node.children))


def _merged(group: Sequence[_Node]) -> _Node:
    """One node for equal ones, with the statistics of all their values."""
    first = group[0]
    if len(group) == 1:
        return first
    seen = [node.row.statistics for node in group]
    known = [(math.prod(first.row.shape), each) for each in seen if each]
    equal = all(node.row.shape == first.row.shape for node in group)
    shape = first.row.shape if equal else _loose(first.row.shape)
    fills = [node.row.fill for node in group]
    fill = as_one(fills) if len(dict.fromkeys(fills)) > 1 else fills[0]
    row = replace(first.row, shape=shape, fill=fill, statistics=pool(known) if known else None)
    children = [_merged(same) for same in zip(*(node.children for node in group), strict=True)]
    return _Node(row, children)


def _loose(shape: Any) -> Any:
    """The shape of one tensor without its first size: how many rows a copy gets may depend on data."""
    return ("*", *shape[1:]) if isinstance(shape, tuple) and _is_shape(shape) and shape else shape


def _is_shape(shape: Sequence[Any]) -> bool:
    return all(isinstance(size, int) or size == "*" for size in shape)


def _local(row: Row) -> str:
    return row.name.rpartition(".")[2]


def _number(name: str) -> tuple[str, str]:
    """'block12' -> ('block', '12')."""
    digits = re.search(r"\d*$", name)
    start = digits.start() if digits else len(name)
    return name[:start], name[start:]


def _follows(before: str, after: str) -> bool:
    (left, one), (right, two) = _number(before), _number(after)
    return left == right and bool(one) and bool(two) and int(two) == int(one) + 1


def short(fill: str) -> str:
    """A fill with its long numbers rounded: the ledger has them in full."""
    return re.sub(r"\d+\.\d{5,}(e-?\d+)?", lambda number: f"{float(number[0]):.4g}", fill)


def shape_text(shape: Any) -> str:
    """A shape, or the shapes of a nested output.

    >>> shape_text((2, 16)), shape_text(((2, 5), {"mask": (2,)})), shape_text(None)
    ('[2, 16]', '([2, 5], {mask: [2]})', '')
    """
    if shape is None:
        return ""
    if isinstance(shape, tuple) and _is_shape(shape):
        return f"[{', '.join(map(str, shape))}]"
    if isinstance(shape, (tuple, list)):
        return f"({', '.join(shape_text(each) or 'None' for each in shape)})"
    if isinstance(shape, Mapping):
        return f"{{{', '.join(f'{key}: {shape_text(each) or None}' for key, each in shape.items())}}}"
    return str(shape)


TITLES = ("name", "layer", "shape", "parameters", "fill", "mean", "std", "shared with")
