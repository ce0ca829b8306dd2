"""What is known of the modules of a draft: names, calls as they are shown, and which of them are equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from modelzoo.plans.draft import Draft
from modelzoo.spec.instances import BlockInstance, Instance, LayerInstance


class Modules:
    """The modules of a draft, by identity: a module in several places has the first of its names."""

    def __init__(self, draft: Draft) -> None:
        self.root, self.instances = draft.skeleton.root, draft.skeleton.instances
        self.tensors = draft.plan.tensors
        self.names: dict[nn.Module, str] = {module: name for name, module in self.root.named_modules()}

    def name(self, module: nn.Module) -> str:
        """The first dotted name of a module; "" of the root."""
        return self.names[module]

    def instance(self, module: nn.Module) -> Instance | None:
        """What a module was made from; None of one inside a layer."""
        return self.instances.get(module)

    def call(self, module: nn.Module) -> str:
        """How a module was made, as one would write it."""
        instance = self.instance(module)
        return _call(instance) if instance is not None else type(module).__name__

    def ties(self, module: nn.Module) -> str:
        """Which tensors of a module are another's, by a tie."""
        name = self.name(module)
        own = {f"{name}.{local}" for local in module._parameters}
        ties = [
            f"{alias.rpartition('.')[2]} = {each.name}"
            for each in self.tensors
            for alias in each.aliases
            if alias in own and each.name not in own
        ]
        return ", ".join(ties)

    def groups(self, modules: Iterable[nn.Module]) -> list[list[nn.Module]]:
        """Blocks side by side that are equal, together."""
        found: list[list[nn.Module]] = []
        for module in modules:
            same = found and module._modules and self.alike(found[-1][-1], module)
            found[-1].append(module) if same else found.append([module])
        return found

    def span(self, group: Sequence[nn.Module]) -> str:
        """The names of equal copies: `0-11`; of one module in several places, its name."""
        first, last = (local(self.name(each)) for each in (group[0], group[-1]))
        return first if first == last else f"{first}-{last}"

    def alike(self, one: nn.Module, other: nn.Module) -> bool:
        """Whether two modules are the same or made alike."""
        return one is other or self.signature(one) == self.signature(other)

    def signature(self, module: nn.Module) -> Any:
        """All that makes a module what it is, but its name and the values of its tensors."""
        instance = self.instance(module)
        tensors = tuple((name, tuple(each.shape)) for name, each in module._parameters.items() if each is not None)
        text = (instance.block.forward or "") if isinstance(instance, BlockInstance) else ""
        own = self.call(module)
        children = tuple((n, None if c is None else self.signature(c)) for n, c in module._modules.items())
        return own, text, tensors, children


def local(name: str) -> str:
    """The last part of a dotted name."""
    return name.rpartition(".")[2]


def type_of(instance: Instance) -> str:
    """A block's name, where it has one of its own."""
    if not isinstance(instance, BlockInstance) or instance.block.name == "Block":
        return ""
    return instance.block.name


def _call(instance: Instance) -> str:
    if isinstance(instance, LayerInstance):
        return _short_call(instance)
    if not isinstance(instance, BlockInstance):
        return f"{instance.type} of {len(instance.children)}"
    own = {each.name: instance.values.get(each.name) for each in instance.block.args}
    shown = [f"{name}={value!r}" for name, value in own.items() if isinstance(value, (int, float, str, list, tuple))]
    return f"{type_of(instance) or instance.type}({', '.join(shown)})" if shown else type_of(instance) or instance.type


def _short_call(instance: LayerInstance) -> str:
    """A layer as one would write it: the first two sizes without their names."""
    names = list(instance.arguments)
    leading = [n for n in list(instance.layer.signature)[:2] if n in names[:2]]
    parts = [repr(each) for each in instance.positional]
    parts += [repr(v) if n in leading else f"{n}={v!r}" for n, v in instance.arguments.items()]
    return f"{instance.type}({', '.join(parts)})" if parts else instance.type
