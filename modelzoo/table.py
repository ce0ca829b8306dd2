"""What the terminal shows: the table of a model, chosen values, and a short account of an output."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from modelzoo.errors import Path, fail, nearest
from modelzoo.rows import Row, pool, rows
from modelzoo.terminal import text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

    from modelzoo.plans import Plan

TITLES = ("name", "layer", "shape", "parameters", "fill", "mean", "std", "shared with")
NUMBERS = ("parameters", "mean", "std")
LEAST = {"fill": 12, "name": 12, "shape": 6, "layer": 6}  # how narrow a column may become, in the order of squeezing
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
    lines of one copy below it; mean and std are then those of all copies together. What lies below the second place
    of a shared module is not repeated. Where the columns do not fit, mean, std and sharing move into the fill's.
    """
    dtypes = Counter(row.type for row in rows if row.kind == "parameter")
    usual = dtypes.most_common(1)[0][0] if dtypes else ""
    return ModelTable(tuple(_lines(_tree(rows), usual)), _totals(rows))


@dataclass(frozen=True, slots=True)
class ModelTable:
    """What `model_table` returns, for `rich.print`, `text` and `show`."""

    lines: tuple[_Line, ...]
    totals: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        cells = [line.wide() for line in self.lines]
        widths = _widths(cells)
        if _total(widths) > options.max_width:
            cells = [line.narrow() for line in self.lines]
            widths = _squeezed(_widths(cells), options.max_width)
        # Rich would squeeze numbers into a console that is narrower than the table.
        width = max(_total(widths), options.max_width)
        yield from console.render(self._table(cells, widths), options.update_width(width))
        yield Text()
        yield Text(self.totals)

    def _table(self, cells: Sequence[Cells], widths: dict[str, int]) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold underline")
        for title, width in widths.items():
            table.add_column(title, justify="right" if title in NUMBERS else "left", overflow="fold", width=width)
        for line, each in zip(self.lines, cells, strict=True):
            table.add_row(*(Text(each.get(title, ""), style="" if line.module else "dim") for title in widths))
        return table


def _widths(cells: Sequence[Cells]) -> dict[str, int]:
    """The width of every column that says anything; the first four always do."""
    widths = {}
    for title in TITLES:
        lines = [line for each in cells for line in each.get(title, "").splitlines()]
        if any(lines) or title in TITLES[:4]:
            widths[title] = max(map(len, (title, *lines)))
    return widths


def _squeezed(widths: dict[str, int], room: int) -> dict[str, int]:
    """Widths that fit, if they can: numbers stay whole, the other columns are folded, the fill first."""
    for title, least in LEAST.items():
        excess = max(_total(widths) - room, 0)
        if title in widths:
            widths[title] = max(widths[title] - excess, min(widths[title], least))
    return widths


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def plan_table(plan: Plan) -> str:
    """A plan as plain text: its inputs, the table, warnings and notes."""
    inputs = [f"input {each.name}  {shape_text(each.shape)}  {each.dtype}" for each in plan.inputs]
    warnings = [f"warning: {problem}" for problem in plan.warnings]
    notes = [f"note: {note}" for note in plan.notes]
    costs = [] if plan.flops is None else [f"{plan.flops:,} FLOPs, {plan.activations:,} bytes of activations"]
    return "\n".join([*inputs, *[""] * bool(inputs), text(model_table(rows(plan))), *costs, *warnings, *notes])


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


Cells = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of the table as text."""

    module: bool
    name: str
    layer: str
    shape: str
    parameters: str
    fill: str
    mean: str
    std: str
    shared: str

    def wide(self) -> Cells:
        return {**self._start(), "fill": self.fill, "mean": self.mean, "std": self.std, "shared with": self.shared}

    def narrow(self) -> Cells:
        seen = f"mean {self.mean}, std {self.std}" if self.mean else ""
        return {**self._start(), "fill": "\n".join(filter(None, (self.fill, seen, self.shared)))}

    def _start(self) -> Cells:
        return {"name": self.name, "layer": self.layer, "shape": self.shape, "parameters": self.parameters}


def _lines(nodes: Sequence[_Node], usual: str, indent: int = 0) -> Iterator[_Line]:
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
        if row.kind == "module":
            layer = times + row.type + (f" x{row.calls}" if row.calls > 1 and first else "")
        else:
            layer = " ".join(filter(None, (row.mark, row.type if row.type != usual else "")))
        seen = row.statistics if first else None
        yield _Line(
            module=row.kind == "module",
            name="  " * indent + name,
            layer=layer,
            shape=shape_text(row.shape),
            parameters=f"{times}{node.parameters:,}" if node.parameters else "",
            fill=_short("; ".join(row.fill.splitlines())) if first else "",
            mean=f"{seen.mean:.3g}" if seen else "",
            std=f"{seen.std:.3g}" if seen else "",
            shared="" if first else f"= {row.same_as}",
        )
        yield from _lines(node.children, usual, indent + 1)


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
    facts = replace(row, name=row.name[len(top) :], statistics=None, same_as=row.same_as.removeprefix(top))
    return (facts, *(_signature(each, top) for each in node.children))


def _merged(group: Sequence[_Node]) -> _Node:
    """One node for equal ones, with the statistics of all their values."""
    first = group[0]
    if len(group) == 1:
        return first
    seen = [node.row.statistics for node in group]
    known = [(math.prod(first.row.shape), each) for each in seen if each]
    row = replace(first.row, statistics=pool(known) if known else None)
    children = [_merged(same) for same in zip(*(node.children for node in group), strict=True)]
    return _Node(row, children)


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
    if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
        return f"[{', '.join(map(str, shape))}]"
    if isinstance(shape, (tuple, list)):
        return f"({', '.join(shape_text(each) or 'None' for each in shape)})"
    if isinstance(shape, Mapping):
        return f"{{{', '.join(f'{key}: {shape_text(each) or None}' for key, each in shape.items())}}}"
    return str(shape)


def _totals(rows: Iterable[Row]) -> str:
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
    return (
        f"{trained + frozen:,} parameters ({trained:,} trainable, {frozen:,} frozen), "
        f"{buffers:,} in buffers, {size:,} bytes"
    )


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
            lines.append(f"{name} = {first[value]}")
            continue
        lines += [f"{name}  {shape_text(tuple(value.shape))}  {_dtype(value)}", *_values(value)]
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
