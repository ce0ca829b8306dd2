"""What a run over poisoned memory leaves, as values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from modelzoo.auditing import poison
from modelzoo.auditing.places import shown
from modelzoo.auditing.resets import Init, Reset, reset_of
from modelzoo.auditing.watch import Story, Unfilled, Watch, is_plain
from modelzoo.errors import first_line
from modelzoo.modules.homes import homes, named_in

Make = Callable[[], nn.Module]
"""Makes a module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What happened to a tensor.

    Attributes:
        name, aliases: all its names.
        kind: "parameter" or "buffer".
        owner: the class of its module.
        shape: of it.
        persistent: whether the state dict has it.
        writes: how often the whole of it was written; 0 where that was not seen.
        unwritten: how many of its elements nobody wrote.
        where: the file and line that wrote to it last, or made it; nothing where that is not known.
    """

    name: str
    aliases: tuple[str, ...]
    kind: str
    owner: str
    shape: tuple[int, ...]
    persistent: bool
    writes: int
    unwritten: int
    where: str


@dataclass(kw_only=True)
class Made:
    """All that findings are made from.

    Attributes:
        rows: each tensor.
        watch: what happened to them.
        reset: what gave them their values anew.
        make: whether the module was made, rather than given.
        missing: how many elements of tensors it did not write then, by their first names.
        broken: the names that were those of one tensor with that first name, and are no more.
        random: the buffers that depend on the global generator.
        notes: what could not be looked at.
    """

    rows: list[tuple[Row, Tensor]]
    watch: Watch
    reset: Reset
    make: bool
    missing: dict[str, int] = field(default_factory=dict)
    broken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    random: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)

    @property
    def audited(self) -> str:
        """The arguments of `audit`."""
        return ("make" if self.make else "module") + (", init" if self.reset.name == "init" else "")

    @property
    def subject(self) -> str:
        """The module with its first values, as an expression."""
        return "make()" if self.make else "module"

    @property
    def begin(self) -> tuple[str, ...]:
        """What gives a module that was given its values; of one that is made there is nothing to do."""
        return () if self.make else (self.reset.text.replace("{}", "module"),)

    @property
    def anew(self) -> tuple[str, ...]:
        """Lines that give `module` its values anew, over memory that is no number."""
        call = self.reset.text.replace("{}", "module")
        if self.make:
            emptied = f"torch.use_deterministic_algorithms(True); module.to_empty(device='cpu'); {call}"
            return "with torch.device('meta'): module = make()", emptied
        return (f"torch.use_deterministic_algorithms(True); module.to_empty(device='cpu'); {call}",)

    def story(self, tensor: Tensor) -> Story | None:
        """What happened to a tensor."""
        return self.watch.of(tensor)


def of_factory(make: Make, init: Init | None, meta: bool) -> Made:
    """Makes a module over poisoned memory, and another on meta that is given its values anew."""
    with Watch() as watch:
        module = make()
    made = Made(rows=_rows(module, watch), watch=watch, reset=reset_of(module, init), make=True)
    made.random = _random(made, make)
    if meta:
        _on_meta(made, module, make, init)
    return made


def of_module(module: nn.Module, init: Init | None) -> Made:
    """Gives a copy of a module its values anew over poisoned memory."""
    copied = copy.deepcopy(module)
    reset = reset_of(copied, init)
    _emptied(copied)
    with Watch() as watch:
        for each in _tensors(copied).values():
            watch.begun(each).fresh = True
        reset.call(copied)
    made = Made(rows=_rows(copied, watch), watch=watch, reset=reset, make=False)
    _compare(made, module, copied)
    return made


def _on_meta(made: Made, module: nn.Module, make: Make, init: Init | None) -> None:
    """Compares with a module of the same kind that is made on meta, gets memory, and then its values."""
    try:
        with torch.device("meta"), Unfilled():  # type: ignore[no-untyped-call]
            other = make()
    except Exception as error:
        made.notes.append(f"it cannot be made on meta: {first_line(error)}")
        return
    if not {*_tensors(module).values()}.isdisjoint(_tensors(other).values()):
        made.notes.append("what it makes shares tensors with what it made before, so it is not looked at on meta.")
        return
    made.reset = reset_of(other, init)
    _emptied(other)
    try:
        made.reset.call(other)
    except Exception as error:
        made.notes.append(f"after to_empty() {made.reset.name} fails: {first_line(error)}")
        return
    _compare(made, module, other)


def _emptied(module: nn.Module) -> None:
    """Does what `to_empty` does."""
    module._apply(poison.memory_like)  # type: ignore[no-untyped-call]


def _compare(made: Made, before: nn.Module, after: nn.Module) -> None:
    """What was written before and is not after; what was one tensor before and is not after."""
    has = _tensors(after)
    for tensor, (first, *others) in homes(_tensors(before).items()).items():
        count = poison.left(has[first], certain=True) if first in has else 0
        if count and not poison.left(tensor, certain=True):
            made.missing[first] = count
        apart = tuple(name for name in others if has.get(name) is not has.get(first))
        if apart:
            made.broken[first] = apart


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and then the buffers whose memory can be looked at, by each of their names."""
    modules = named_in(module)
    held = [(prefix, each._parameters) for prefix, each in modules] + [
        (prefix, each._buffers) for prefix, each in modules
    ]
    return {
        f"{prefix}.{local}" if prefix else local: each
        for prefix, own in held
        for local, each in own.items()
        if each is not None and is_plain(each) and not is_lazy(each)
    }


def _rows(module: nn.Module, watch: Watch) -> list[tuple[Row, Tensor]]:
    found = []
    owners = dict(named_in(module))
    for tensor, (name, *aliases) in homes(_tensors(module).items()).items():
        owner, local = owners[name.rpartition(".")[0]], name.rpartition(".")[2]
        story = watch.of(tensor)
        parameter = local in owner._parameters
        whole = () if story is None else story.whole
        row = Row(
            name=name,
            aliases=tuple(aliases),
            kind="parameter" if parameter else "buffer",
            owner=type(owner).__name__,
            shape=tuple(tensor.shape),
            persistent=parameter or local not in owner._non_persistent_buffers_set,
            writes=len(whole),
            unwritten=_unwritten(tensor, story),
            where=shown(None if story is None else story.last),
        )
        found.append((row, tensor))
    return found


def _unwritten(tensor: Tensor, story: Story | None) -> int:
    if story is None:
        return poison.left(tensor, certain=False) if tensor.is_floating_point() else 0
    return poison.left(tensor, certain=not story.writes) if story.fresh or story.garbage else 0


def _random(made: Made, make: Make) -> frozenset[str]:
    """The buffers that are others where the global generator is another; it is asked only if one may be."""
    drawn = {row.name: each for row, each in made.rows if row.kind == "buffer" and _may_be_random(made, each)}
    if not drawn:
        return frozenset()
    torch.manual_seed(torch.initial_seed() ^ 1)
    other = _tensors(make())
    return frozenset(name for name, each in drawn.items() if name in other and not each.equal(other[name]))


def _may_be_random(made: Made, tensor: Tensor) -> bool:
    story = made.story(tensor)
    return story is not None and story.random
