"""What the terminal shows: the table of a model, chosen values, and a short account of an output."""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import torch
from rich.cells import cell_len
from torch import Tensor, nn

from modelzoo.errors import Path, fail, nearest
from modelzoo.escapes import printable
from modelzoo.plans.rows import Row, pool

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

TITLES = ("name", "layer", "shape", "parameters", "fill", "mean", "std", "shared with")
NUMBERS = ("parameters", "mean", "std")
LEAST = {"shape": 16, "name": 16, "layer": 10}  # how narrow a column may become, in the order of squeezing
GAP = 2


@dataclass(slots=True)
class _Node:
    row: Row
    children: list[_Node] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        return self.row.parameters if self.row.kind != "module" else sum(each.parameters for each in self.children)


def model_table(rows: Sequence[Row]) -> ModelTable:
    """A rich table of a model, one line for each module and tensor, with the totals below it.

    A module's parameters include those below it. Equal neighbours with numbered names are one line (`0-11`) with the
    lines of one copy below it; mean and std are then those of all copies together, and `*` is a first size in which
    their outputs differ. What lies below the second place of a shared module is not repeated. Where the columns do not
    fit, a tensor's fill, mean and std stand in a line of their own below it.
    """
    dtypes = Counter(row.type for row in rows if row.kind == "parameter")
    usual = dtypes.most_common(1)[0][0] if dtypes else ""
    return ModelTable(tuple(_lines(_tree(rows), usual)), str(totals(rows)))


@dataclass(frozen=True, slots=True)
class ModelTable:
    """What `model_table` returns, for `rich.print`, `text` and `show`."""

    lines: tuple[Line, ...]
    totals: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        for line, style in self._laid(options.max_width):
            yield Text(line, style, no_wrap=True, overflow="ignore")
        yield Text()
        yield Text(self.totals)

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """The titles, then a row of cells for each line; columns that say nothing are left out."""
        known = [line.cells() for line in self.lines]
        titles = [title for title in TITLES if title in TITLES[:4] or any(each[title] for each in known)]
        return (tuple(titles), *(tuple(each[title] for title in titles) for each in known))

    def _laid(self, room: int) -> Iterator[tuple[str, str]]:
        """The lines of the table, with their styles."""
        titles, *cells = self.cells()
        whole = [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]
        fits = _total(whole) <= room
        widths = whole if fits else _squeezed(whole[:4], room)
        yield from ((line, "bold underline") for line in _padded(titles, titles, widths))
        for line, each in zip(self.lines, cells, strict=True):
            style = "" if line.module else "dim"
            yield from ((text, style) for text in _padded(titles, each, widths))
            if not fits:
                yield from ((text, style) for text in _folded(line.below(), room))


def _squeezed(widths: Sequence[int], room: int) -> list[int]:
    """Widths of the first columns that fit, if they can: numbers stay whole, the others are folded."""
    found = dict(zip(TITLES, widths, strict=False))
    for title, least in LEAST.items():
        excess = max(_total(found.values()) - room, 0)
        found[title] = max(found[title] - excess, min(found[title], least))
    return list(found.values())


def _total(widths: Iterable[int]) -> int:
    return sum(width + GAP for width in widths) - GAP


def _padded(titles: Sequence[str], cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """One row: its cells side by side, those that are wider than their column folded."""
    columns = [_folded(cell, width) for cell, width in zip(cells, widths, strict=False)]
    for each in zip_longest(*columns, fillvalue=""):
        padded = []
        for title, cell, width in zip(titles, each, widths, strict=False):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if title in NUMBERS else cell + space)
        yield (" " * GAP).join(padded).rstrip()


def _folded(cell: str, width: int) -> list[str]:
    """A text in lines of some width, each indented like the first."""
    if cell_len(cell) <= width:
        return [cell] if cell else []
    indent = min(len(cell) - len(cell.lstrip()), width // 2)
    return textwrap.wrap(" " * indent + cell.lstrip(), width, subsequent_indent=" " * indent, break_on_hyphens=False)


def _tree(rows: Sequence[Row]) -> list[_Node]:
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


def _lines(nodes: Sequence[_Node], usual: str, indent: int = 0) -> Iterator[Line]:
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
            name="  " * indent + _shown(name),
            layer=_shown(layer),
            shape=_shown(shape_text(row.shape)),
            parameters=f"{times}{node.parameters:,}" if node.parameters else "",
            fill=_shown(_short("; ".join(row.fill.splitlines()))) if first else "",
            mean=f"{seen.mean:.3g}" if seen else "",
            std=f"{seen.std:.3g}" if seen else "",
            shared="" if first else f"= {_shown(row.same_as)}",
        )
        yield from _lines(node.children, usual, indent + 1)


def _shown(text: str) -> str:
    """A text in one line, as wide as it looks."""
    return printable(text, lines=False)


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
    facts = replace(row, name=row.name[len(top) :], shape=shape, statistics=None, same_as=same_as)
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
    row = replace(first.row, shape=shape, statistics=pool(known) if known else None)
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


def _short(fill: str) -> str:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Elements of all unique tensors, and their bytes; it reads as the line below the table."""

    trainable: int
    frozen: int
    buffers: int
    bytes: int

    @property
    def parameters(self) -> int:
        return self.trainable + self.frozen

    def __str__(self) -> str:
        return (
            f"{self.parameters:,} parameters ({self.trainable:,} trainable, {self.frozen:,} frozen), "
            f"{self.buffers:,} in buffers, {self.bytes:,} bytes"
        )


def totals(rows: Iterable[Row]) -> Totals:
    """What the rows add up to, each tensor counted once."""
    trained = frozen = buffers = size = 0
    for row in rows:
        if row.kind == "module" or row.same_as:
            continue
        elements = math.prod(row.shape)
        size += elements * getattr(torch, row.type).itemsize
        if row.kind == "buffer":
            buffers += elements
        elif row.mark == "frozen":
            frozen += elements
        else:
            trained += elements
    return Totals(trainable=trained, frozen=frozen, buffers=buffers, bytes=size)


def value_lines(model: nn.Module, pattern: str) -> list[str]:
    """The parameters and buffers whose name fits a glob, with values and gradients.

    Raises:
        ConfigError: no name fits.

    >>> model = nn.Sequential(nn.Linear(1, 2))
    >>> _ = nn.init.ones_(model[0].bias)
    >>> print("\\n".join(value_lines(model, "*.bias")))
    0.bias  [2]  float32
      tensor([1., 1.])
      gradient: none
    """
    tensors = dict(model.named_parameters(remove_duplicate=False))
    known: dict[str, Tensor] = {**tensors, **dict(model.named_buffers(remove_duplicate=False))}
    found = [name for name in known if fnmatchcase(name, pattern)]
    if not found:
        fail(Path(("show",)), f"No parameter or buffer has a name like '{pattern}'.", nearest(pattern, known))
    lines: list[str] = []
    first: dict[Tensor, str] = {}
    for name in found:
        value = known[name]
        if first.setdefault(value, name) != name:
            lines.append(_shown(f"{name} = {first[value]}"))
            continue
        lines += [_shown(f"{name}  {shape_text(tuple(value.shape))}  {_dtype(value)}"), *_values(value)]
        if name in tensors:
            gradient = value.grad
            lines += ["  gradient: none"] if gradient is None else ["  gradient:", *_values(gradient)]
    return lines


def output_lines(output: Any, name: str = "output") -> list[str]:
    """What a forward pass returned: shape, dtype and first values of every tensor in it, and whether all are finite.

    >>> print("\\n".join(output_lines({"y": torch.tensor([[0.5, float("nan")]]), "n": 3})))
    output['y']  [1, 2]  float32  not finite: 1 of 2 values
      tensor([[0.5000,    nan]])
    output['n']  3
    """
    if isinstance(output, Tensor):
        return [f"{name}  {shape_text(tuple(output.shape))}  {_dtype(output)}{_finite(output)}", *_values(output)]
    if isinstance(output, Mapping):
        return [line for key, each in output.items() for line in output_lines(each, f"{name}[{key!r}]")]
    if isinstance(output, (tuple, list)):
        return [line for index, each in enumerate(output) for line in output_lines(each, f"{name}[{index}]")]
    return [f"{name}  {output!r}"]


def _finite(value: Tensor) -> str:
    if value.is_meta or not (value.is_floating_point() or value.is_complex()):
        return ""
    bad = value.numel() - int(value.detach().isfinite().sum())
    return f"  not finite: {bad:,} of {value.numel():,} values" if bad else "  finite"


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _values(value: Tensor) -> list[str]:
    if value.is_meta:
        return ["  on meta: no values"]
    # The public set_printoptions would change how the user's own tensors print.
    from torch._tensor_str import printoptions

    with printoptions(precision=4, threshold=32, edgeitems=3, linewidth=78):
        shown = str(value.detach().cpu())
    return ["  " + line for line in shown.splitlines()]
