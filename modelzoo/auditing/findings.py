"""What is wrong with how a module is initialised, in words, each with three lines that fail until it is repaired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modelzoo.auditing import poison
from modelzoo.auditing.evidence import Made, Row
from modelzoo.auditing.places import shown
from modelzoo.auditing.watch import Region, Write

KINDS = ("unwritten", "lost", "meta", "tie", "random", "twice")
"""What is found, the worst first; the last costs time alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: one of `KINDS`.
        tensors: what it is about, by their first names: those of one class with one name that one line wrote last.
        owner: the class of their module.
        where: the file and line that wrote them last, or made them; nothing where that is not known.
        what: what was seen, in sentences.
        reproduction: lines that fail until it is repaired; they come after `import torch`, and know what was audited as
            `make` or `module`, and what was given as `init`.
    """

    kind: str
    tensors: tuple[str, ...]
    owner: str
    where: str
    what: str
    reproduction: tuple[str, ...]


def findings(made: Made) -> list[Finding]:
    """Everything that is wrong, of each kind once for tensors of one class with one name."""
    found: list[Finding] = []
    for look in (_unwritten, _lost, _meta, _ties, _random, _twice):
        found += _joined(look(made))
    return found


def _joined(found: Iterable[Finding]) -> Iterator[Finding]:
    together: dict[tuple[str, ...], list[Finding]] = {}
    for each in found:
        local = each.tensors[0].rpartition(".")[2]
        together.setdefault((each.kind, each.owner, local, each.where), []).append(each)
    for head, *more in together.values():
        tensors = tuple(dict.fromkeys(name for each in (head, *more) for name in each.tensors))
        rest = f" The same holds for {len(more)} more." if more else ""
        yield replace(head, tensors=tensors, what=head.what + rest)


def _titled(row: Row) -> str:
    return f"'{row.name}' of {row.owner}"


def _elements(count: int, row: Row) -> str:
    total = 1
    for each in row.shape:
        total *= each
    return "" if count == total else f" in {count} of {total} elements"


def _get(model: str, row: Row) -> str:
    return f"{model}.get_{row.kind}({row.name!r})"


def _is_written(model: str, row: Row, dtype: torch.dtype) -> str:
    """A line that fails where a tensor holds what stands for nothing."""
    if dtype.is_floating_point or dtype.is_complex:
        return f"assert not {_get(model, row)}.isnan().any()"
    return f"assert not {_get(model, row)}.eq({poison.value_of(dtype)}).any()"


# -- as it is made ----------------------------------------------------------------------------------------------------


def _unwritten(made: Made) -> Iterator[Finding]:
    for row, tensor in made.rows:
        if row.unwritten and made.make:
            lines = (
                "torch.use_deterministic_algorithms(True)  # what nobody writes is no number then, or the largest one",
                _is_written("make()", row, tensor.dtype),
            )
            by = f", made by {row.where}," if row.where else ""
            what = f"{_titled(row)}{by} is never written{_elements(row.unwritten, row)}."
            yield Finding(
                kind="unwritten", tensors=(row.name,), owner=row.owner, where=row.where, what=what, reproduction=lines
            )


def _lost(made: Made) -> Iterator[Finding]:
    """Parts that became a number after the whole was written, and lost it when that was written again."""
    for row, tensor in made.rows:
        story = made.story(tensor)
        writes = [] if story is None else story.writes
        whole = [place for place, each in enumerate(writes) if each.region is None]
        parts = (
            {each.region: each for each in writes[whole[0] : whole[-1]] if each.even and each.region} if whole else {}
        )
        for region, part in parts.items():
            if tensor.is_contiguous() and not _holds(tensor, region, part):
                by = shown(writes[whole[-1]].place)
                where = f"{_part(region, tensor)} of {_titled(row)}"
                what = f"{where} is {part.value:g} by {shown(part.place)}, and {by} overwrites it with the whole."
                lines = (
                    f"part = {_indexed(_get(made.subject, row), region, tensor)}",
                    f"assert part.eq({part.value!r}).all()",
                )
                yield Finding(
                    kind="lost",
                    tensors=(row.name,),
                    owner=row.owner,
                    where=by,
                    what=what,
                    reproduction=(*made.begin, *lines),
                )


def _holds(tensor: Tensor, region: Region, part: Write) -> bool:
    return bool((tensor.detach().as_strided(*region) == part.value).all())


def _rows_of(region: Region, tensor: Tensor) -> tuple[int, int] | None:
    """The first row of a part that consists of whole rows, and the one past the last; None for another part."""
    one = tensor.stride(0) if tensor.ndim else 0
    count = 1
    for each in region.size:
        count *= each
    start = region.offset - int(tensor.storage_offset())
    even = one and not start % one and not count % one
    plain = even and torch.empty(region.size, device="meta").stride() == region.stride
    return (start // one, (start + count) // one) if plain else None


def _part(region: Region, tensor: Tensor) -> str:
    rows = _rows_of(region, tensor)
    if rows is None:
        return "a part"
    first, end = rows
    return f"row {first}" if end == first + 1 else f"what is in rows {first} to {end - 1}"


def _indexed(text: str, region: Region, tensor: Tensor) -> str:
    rows = _rows_of(region, tensor)
    if rows is None:
        return f"{text}.as_strided({region.size}, {region.stride}, {region.offset})"
    first, end = rows
    return f"{text}[{first}]" if end == first + 1 else f"{text}[{first}:{end}]"


def _twice(made: Made) -> Iterator[Finding]:
    """What was drawn, and overwritten whole."""
    for row, tensor in made.rows:
        story = made.story(tensor)
        whole = [] if story is None else story.whole
        drawn = next((each for each in whole[:-1] if not each.even), None)
        if drawn is not None:
            by = shown(whole[-1].place)
            what = f"{_titled(row)} is filled by {shown(drawn.place)}, and overwritten whole by {by}."
            lines = (
                "import modelzoo",
                f"[row] = [each for each in modelzoo.audit({made.audited}).tensors if each.name == {row.name!r}]",
                "assert row.writes == 1",
            )
            yield Finding(kind="twice", tensors=(row.name,), owner=row.owner, where=by, what=what, reproduction=lines)


def _random(made: Made) -> Iterator[Finding]:
    for row, _ in made.rows:
        if row.name in made.random:
            left_out = "" if row.persistent else ", and the state dict does not have it"
            what = f"{_titled(row)} depends on torch's global generator{left_out}."
            lines = (
                "torch.manual_seed(0); one = make()",
                "torch.manual_seed(1); other = make()",
                f"assert {_get('one', row)}.equal({_get('other', row)})",
            )
            yield Finding(
                kind="random", tensors=(row.name,), owner=row.owner, where=row.where, what=what, reproduction=lines
            )


# -- made anew --------------------------------------------------------------------------------------------------------


def _meta(made: Made) -> Iterator[Finding]:
    for row, tensor in made.rows:
        count = made.missing.get(row.name, 0)
        if count:
            by = f"{row.where} writes {_titled(row)}" if row.where else f"{_titled(row)} has values"
            what = f"{by}, and after to_empty() {made.reset.name} does not{_elements(count, row)}."
            lines = (*made.anew, _is_written("module", row, tensor.dtype))
            yield Finding(
                kind="meta", tensors=(row.name,), owner=row.owner, where=row.where, what=what, reproduction=lines
            )


def _ties(made: Made) -> Iterator[Finding]:
    for row, _ in made.rows:
        for other in made.broken.get(row.name, ()):
            what = (
                f"'{row.name}' and '{other}' are one tensor, and after to_empty() and {made.reset.name} they are two."
            )
            lines = (*made.anew, f"assert {_get('module', row)} is {_get('module', replace(row, name=other))}")
            yield Finding(
                kind="tie", tensors=(row.name, other), owner=row.owner, where=row.where, what=what, reproduction=lines
            )
