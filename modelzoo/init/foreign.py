"""The tensors of a module that no config describes, as entries that rules select like those of a model of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from modelzoo.catalog import fills, torch_init
from modelzoo.errors import Path, Problems
from modelzoo.init.decisions import Decision, Kept, NamedFill
from modelzoo.init.ledger import Decided, Entry, Home, entries
from modelzoo.modules.homes import Named, named_in
from modelzoo.modules.skeleton import Skeleton

KEPT = "kept"
"""The rule of a tensor that keeps what it holds."""

RESTS = ("keep", "torch", "error")
"""What may become of tensors that no rule selects."""


Chains = Mapping[Tensor, tuple[Decision, ...]]
"""What fills tensors."""


@dataclass(slots=True, kw_only=True)
class Foreign:
    """The tensors of a module as a ledger.

    Attributes:
        skeleton: the module.
        table: an entry for each unique tensor; what fills it so far is what it holds, or torch's default.
        assigned: of the entries of weights that several tensors make, what gives those their values.
    """

    skeleton: Skeleton
    table: list[Entry]
    assigned: dict[Entry, Callable[[], None]] = field(default_factory=dict)


def foreign(module: nn.Module, rest: str, told: Mapping[Tensor, str], own: Chains, max_steps: int) -> Foreign:
    """Reads a module; nothing of it changes.

    A weight under a parametrization is known by its own name and layer, and means what is parametrized.

    Args:
        module: any, without lazy tensors.
        rest: what fills tensors that no rule selects; with "torch" those of torch's own layers get torch's defaults.
        told: what is known about what tensors hold.
        own: what a config gave tensors before any rule, which "torch" gives them again.
        max_steps: how often a loop of a text may turn.
    """
    skeleton = Skeleton(root=module, device=torch.device("cpu"), dtype=torch.get_default_dtype(), max_steps=max_steps)
    modules = named_in(module)
    base: dict[nn.Module, dict[str, tuple[Decision, ...]]] = {}
    for _, each in modules:
        held = {**each._parameters, **each._buffers}
        base[each] = {local: (_kept(value, told),) for local, value in held.items() if value is not None}
    if rest == "torch":
        for owner, defaults in _torchs(module).items():
            base[owner].update(defaults)
        for _, each in modules:
            held = {**each._parameters, **each._buffers}
            base[each].update(
                (local, own[value]) for local, value in held.items() if value is not None and value in own
            )
    found = Foreign(skeleton=skeleton, table=entries(skeleton, modules, base))
    _see_through(found, modules)
    return found


def check(module: nn.Module, problems: Problems) -> None:
    """Tensors that have no size yet can be given nothing."""
    tensors = (*module.named_parameters(), *module.named_buffers())
    lazy = [name for name, value in tensors if is_lazy(value)]
    if lazy:
        problems.add(Path(("module",)), f"{_named(lazy)} no size yet.", "Call the module once before.")


def _kept(value: Tensor, told: Mapping[Tensor, str]) -> Kept:
    return Kept(rule=KEPT, strength=0, value=value, told=told.get(value, KEPT))


def _torchs(module: nn.Module) -> Decided:
    """Torch's defaults for the tensors of its own layers; what derives from them may mean something else."""
    found: dict[nn.Module, dict[str, tuple[Decision, ...]]] = {}
    for dotted, (name, arguments) in torch_init.defaults(module).items():
        start, _, local = dotted.rpartition(".")
        owner = module.get_submodule(start)
        if type(owner).__module__.startswith("torch."):
            decision = NamedFill(rule="torch", strength=0, fill=fills.FILLS[name], arguments=arguments)
            found.setdefault(owner, {})[local] = (decision,)
    return found


def _see_through(found: Foreign, modules: Named) -> None:
    """Gives the originals of parametrized tensors the names and owners of what they stand for."""
    owners = {
        plist: (owner, local)
        for _, owner in modules
        if isinstance(under := owner._modules.get("parametrizations"), nn.ModuleDict)
        for local, plist in under._modules.items()
        if isinstance(plist, ParametrizationList)
    }
    table: dict[Entry, None] = {}
    joined: dict[nn.Module, Entry] = {}
    for entry in found.table:
        plist, original = entry.homes[0].owner, entry.homes[0].local
        if plist not in owners or original not in (*plist._parameters, *plist._buffers):
            table[entry] = None
            continue
        owner, local = owners[plist]
        if original != "original":  # one of several that a weight is made of
            entry = joined.get(plist) or _joined(found, entry, owner, local)
            joined[plist] = entry
        if entry not in table:
            entry.owner = type(owner).__name__
            for home in entry.homes:
                start = home.name.removesuffix(f"parametrizations.{local}.{original}")
                home.name, home.owner, home.local = f"{start}{local}", owner, local
            table[entry] = None
    found.table = [*table]


def _joined(found: Foreign, first: Entry, owner: nn.Module, local: str) -> Entry:
    """The entry of a weight that several tensors make: it is drawn whole, and they get what it consists of."""
    with torch.no_grad():
        value: Tensor = getattr(owner, local).detach().clone()
    value.requires_grad_(first.tensor.requires_grad)
    kept = (_kept(value, {}),)
    entry = Entry(
        value, first.kind, first.key, homes=[Home(each.name, each.owner, each.local, kept) for each in first.homes]
    )
    found.assigned[entry] = lambda: setattr(owner, local, value.detach())
    return entry


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if names[1:] else ""
    return f"'{names[0]}'{more} {'have' if more else 'has'}"
