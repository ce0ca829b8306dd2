"""`report.html`: everything about one model on one page that needs no network."""

from __future__ import annotations

import math
import pathlib
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from modelzoo import files
from modelzoo.config.config import Config
from modelzoo.errors import ConfigError, Locate, Path
from modelzoo.escapes import printable
from modelzoo.export import pages
from modelzoo.export.graph import dataflow, mermaid, svg
from modelzoo.export.source import model as source
from modelzoo.measuring import lines
from modelzoo.measuring.picture import Point
from modelzoo.measuring.picture import svg as lines_of_trunk
from modelzoo.measuring.signals import Signals
from modelzoo.modules.homes import tensors_of
from modelzoo.optim.grouping import shown
from modelzoo.plans.draft import Draft
from modelzoo.plans.lines import shape_text, short
from modelzoo.plans.plan import Plan
from modelzoo.plans.records import TensorRecord as Planned
from modelzoo.plans.rows import Row, rows

BARS, WIDTH, HEIGHT = 32, 3, 22  # of a histogram, in pixels
SAMPLE = 1 << 16  # values that a histogram looks at
OPEN = 40  # rows of the tree that are unfolded at first
MOST = 3_000  # rows of a tree or a ledger; a larger model shows its modules only


def export(
    draft: Draft, model: nn.Module, given: Config, directory: pathlib.Path, signals: Signals | None = None
) -> pathlib.Path:
    """Writes `report.html` of a job; returns its path."""
    path = directory / "report.html"
    files.write_text(path, written(draft, model, given, signals))
    return path


def written(draft: Draft, model: nn.Module, given: Config, signals: Signals | None = None) -> str:
    """The page of a model.

    Args:
        draft: what was planned.
        model: what was built from it; on meta the page shows no values.
        given: the config that it came from.
        signals: what was measured of it, if it was.
    """
    plan = draft.plan
    found = rows(plan, model)
    picture = dataflow.drawn(draft)
    return pages.page(
        "report.html",
        title=_title(given.locate),
        facts=list(_facts(plan)),
        remarks=[f"{each.what} {each.hint}".strip() for each in plan.warnings] + list(plan.notes),
        tree=_tree(found),
        grouped=any(each.group for each in plan.tensors),
        ledger=list(_ledger(plan, model, found, given.locate)),
        signals=None if signals is None else _signals(signals),
        picture=svg.svg(picture),
        mermaid=mermaid.text(picture),
        config=list(_config(given)),
        source=_highlighted(printable(_source(draft, given))),
        bars=BARS * WIDTH,
        height=HEIGHT,
    )


def _signals(signals: Signals) -> dict[str, Any]:
    """The section of the signals: its picture, and each finding in lines."""
    points = [Point(each.name, each.std, each.gradient) for each in signals.trunk]
    told = [list(lines.told(each)) for each in signals.findings]
    return {"picture": lines_of_trunk({"": points}), "findings": told, "notes": list(signals.notes)}


def _title(locate: Locate) -> str:
    where, _ = locate(Path(("model",)), 0, 0)
    return pathlib.Path(where.partition(":")[0]).stem if where and where != "command line" else "model"


def _facts(plan: Plan) -> Iterator[tuple[str, str]]:
    """Names and values of the totals."""
    frozen = plan.parameters - plan.trainable
    yield "parameters", f"{plan.parameters:,}"
    yield "trainable", f"{plan.trainable:,}"
    if frozen:
        yield "frozen", f"{frozen:,}"
    if plan.buffers:
        yield "in buffers", f"{plan.buffers:,}"
    yield "size", _size(plan.bytes)
    if plan.activations:
        yield "activations", _size(plan.activations)
    if plan.flops:
        yield "FLOPs", f"{plan.flops:,}"
    for each in plan.inputs:
        yield f"input {each.name}", f"{shape_text(each.shape)} {each.dtype}"
    yield "dtype", plan.dtype
    yield "seed", str(plan.seed)


def _size(count: int) -> str:
    """A number of bytes as one reads it.

    >>> _size(484), _size(497_759_232)
    ('484 B', '474.7 MiB')
    """
    size, units = float(count), iter(("B", "KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    while size >= 1024 and unit != "PiB":
        size, unit = size / 1024, next(units)
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


# -- the tree ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A row of the tree: a place in the model, what is below it, and whether that is folded at first."""

    row: Row
    local: str
    shape: str
    fill: str
    parameters: int
    parent: bool
    folded: bool


def _tree(found: Sequence[Row]) -> list[Branch]:
    """The rows; a module counts the parameters below it. As many levels are unfolded as fit on a screen."""
    if len(found) > MOST:
        found = [row for row in found if row.kind == "module"][:MOST]
    totals: dict[str, int] = {}
    for row in found:
        if row.kind == "module":
            for above in _homes(row.name):
                totals[above] = totals.get(above, 0) + row.parameters
    level = 1
    while sum(row.depth <= level + 1 for row in found) <= OPEN and level < 50:
        level += 1
    parents = {row.name.rpartition(".")[0] for row in found if row.name}
    return [
        Branch(
            row=row,
            local=row.name.rpartition(".")[2] or "model",
            shape=shape_text(row.shape),
            fill="" if row.same_as else short(row.fill),
            parameters=totals.get(row.name, 0) if row.kind == "module" else row.parameters,
            parent=row.kind == "module" and row.name in parents,
            folded=row.depth >= level or bool(row.same_as),
        )
        for row in found
    ]


def _homes(name: str) -> Iterator[str]:
    """A name, and the names of all that it lies in.

    >>> list(_homes("a.0"))
    ['a.0', 'a', '']
    """
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


# -- the ledger -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the ledger: a unique tensor, who filled it, and what its values look like."""

    tensor: Planned
    mark: str
    shape: str
    fill: str
    statistics: tuple[str, ...]
    histogram: str
    rule: str
    where: str
    options: str


def _ledger(plan: Plan, model: nn.Module, found: Sequence[Row], locate: Locate) -> Iterator[Entry]:
    values = tensors_of(model)
    facts = {row.name: row for row in found if row.kind != "module"}
    for tensor in plan.tensors[:MOST]:
        row = facts.get(tensor.name)
        seen = row.statistics if row is not None else None
        rule, where = _decided(tensor, locate)
        yield Entry(
            tensor=tensor,
            mark=row.mark if row is not None and row.mark else tensor.kind,
            shape=shape_text(tensor.shape),
            fill=short(tensor.fill),
            statistics=() if seen is None else tuple(f"{n:.4g}" for n in (seen.mean, seen.std, seen.min, seen.max)),
            histogram=histogram(values[tensor.name]) if seen is not None and tensor.name in values else "",
            rule=rule,
            where=where,
            options=", ".join(f"{name}={shown(value)}" for name, value in tensor.options.items()),
        )


def _decided(tensor: Planned, locate: Locate) -> tuple[str, str]:
    """Who decided a tensor's fill, and the place of that in the config."""
    if tensor.rule == "torch":
        return "torch's default", ""
    if tensor.rule.startswith(("init.", "model.")):
        where, path = locate(Path(tensor.rule.split(".")), 0, 0)
        name = tensor.rule if tensor.rule.startswith("init.") else "the block's own fill"
        return name, path if where in ("", "command line") else where
    return tensor.rule, tensor.where


def histogram(values: Tensor) -> str:
    """The outline of a histogram as an SVG path, of the values or of an even sample; empty if none is finite.

    >>> histogram(torch.tensor([0.0, 0.0, 1.0]))
    'M0 22V0h3V22h90V11h3V22z'
    """
    flat = values.detach().reshape(-1)
    sample = flat[:: max(1, math.ceil(flat.numel() / SAMPLE))]
    sample = (sample.abs() if sample.is_complex() else sample).float().cpu()
    sample = sample[sample.isfinite()]
    if not sample.numel():
        return ""
    low, high = (each.item() for each in sample.aminmax())
    if low == high:
        counts = [0.0] * BARS
        counts[BARS // 2] = 1.0
    else:
        counts = torch.histc(sample, BARS, low, high).tolist()
    most = max(counts)
    path, before, run = f"M0 {HEIGHT}", HEIGHT, 0
    for count in counts:
        top = HEIGHT - max(round(HEIGHT * count / most), int(count > 0))
        if top != before:
            path += (f"h{run * WIDTH}" if run else "") + f"V{top}"
            before, run = top, 0
        run += 1
    return path + f"h{run * WIDTH}" + (f"V{HEIGHT}" if before != HEIGHT else "") + "z"


# -- the config -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the composed config, and where it came from.

    Attributes:
        indent: how deep the key lies.
        name: the key, with its colon or dash.
        value: the scalar or text, as YAML.
        where: `file:line:column`, or the override as it was typed.
        typed: whether it came from the command line.
    """

    indent: int
    name: str
    value: str
    where: str
    typed: bool


def _config(given: Config) -> Iterator[Line]:
    content = {"model": given.model, **({"init": given.init} if given.init else {}), **given.options}
    for name, value in content.items():
        yield from _listed(f"{name}:", value, Path((name,)), 0, given.locate)


def _listed(name: str, value: Any, key: Path, indent: int, locate: Locate) -> Iterator[Line]:
    where, path = locate(key, 0, 0)
    typed = where == "command line"
    inside = isinstance(value, (dict, list)) and any(isinstance(each, (dict, list)) for each in _values(value))
    long = isinstance(value, (dict, list)) and len(_scalar(value)) > 60
    named = isinstance(value, dict) and bool(value)
    text = "" if inside or long or named else _scalar(value)
    name = printable(name, lines=False)
    yield Line(indent=indent, name=name, value=text, where=path if typed else where, typed=typed)
    if text:
        return
    if isinstance(value, dict):
        for local, each in value.items():
            yield from _listed(f"{_scalar(local)}:", each, key / local, indent + 1, locate)
        return
    for index, each in enumerate(value):
        first, *rest = _listed("-", each, key / index, indent + 1, locate)
        if rest and isinstance(each, dict):  # the first key stands beside the dash
            yield replace(rest[0], indent=first.indent, name=f"- {rest[0].name}")
            rest = rest[1:]
        else:
            yield first
        yield from rest


def _values(value: dict[Any, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _scalar(value: Any) -> str:
    """As YAML writes it; a text of several lines as it is."""
    if isinstance(value, str) and "\n" in value:
        return "|\n" + textwrap.indent(value.rstrip(), "  ")
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


# -- the source -------------------------------------------------------------------------------------------------------


def _source(draft: Draft, given: Config) -> str:
    try:
        return source.written(draft, given.model)
    except ConfigError as error:
        return "\n".join(f"# {each}" for each in str(error).splitlines())


def _highlighted(text: str) -> str:
    """Python source as HTML, its kinds of words in spans."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    return str(highlight(text, PythonLexer(), HtmlFormatter(nowrap=True)))
