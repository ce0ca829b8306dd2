"""The modules of a model before they have values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.catalog import sizes
from modelzoo.modules.states import State
from modelzoo.modules.user_layers import Kept
from modelzoo.spec.instances import BlockInstance, Instance, LayerInstance


class Unsized(nn.Module):
    """A layer that waits for its first input to learn the sizes that the config left out.

    Args:
        instance: the layer.
        parts: the layers among its arguments that wait for the same input, as in `TransformerEncoder`.
        construct: makes it with the arguments that were found.
    """

    def __init__(
        self,
        instance: LayerInstance,
        parts: Sequence[LayerInstance],
        construct: Callable[[dict[str, Any]], nn.Module],
    ) -> None:
        super().__init__()
        self.instance, self.parts, self.construct = instance, parts, construct
        self.found: dict[str, Any] = {}
        self.layer: list[nn.Module] = []

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        if not self.layer:
            for part in self.parts:
                found = sizes.infer(part.layer, part.arguments, inputs, keywords)
                part.arguments = {**part.arguments, **found}  # a new one: equal layers share theirs
            self.found = sizes.infer(self.instance.layer, self.instance.arguments, inputs, keywords)
            self.layer.append(self.construct({**self.instance.arguments, **self.found}))
            for module in self.layer[0].modules():  # as all others while sizes are found
                module.__dict__["training"] = False
        return self.layer[0](*inputs, **keywords)

    def __getattr__(self, name: str) -> Any:
        """A tensor that a text reads: of the layer, once there is one."""
        if self.__dict__.get("layer"):
            return getattr(self.layer[0], name)
        raise AttributeError(f"{self.instance.type} has no size, and so no '{name}', before its first call")

    def _unknown(self, *_: Any, **__: Any) -> Any:
        """What a user's constructor would do to the layer cannot be done to one that is not there."""
        raise ValueError(f"{self.instance.type} has no tensors before its first call: write its size")

    parameters = named_parameters = buffers = named_buffers = state_dict = requires_grad_ = _unknown
    register_forward_hook = register_forward_pre_hook = register_full_backward_hook = _unknown
    apply = to = half = float = double = bfloat16 = __deepcopy__ = _unknown


@dataclass(slots=True, kw_only=True)
class Skeleton:
    """Modules without values, and what each was made from.

    Attributes:
        root: the model.
        made: the module of each instance.
        instances: the instance of each module.
        blocks: the modules of blocks and their instances, outer ones first.
        unsized: layers whose sizes a dry run must find.
        tied: of each tied tensor the module and name it comes from: the right-hand side.
        kept: what the constructors of registered layers left in their tensors, by module and name.
        copies: of each module that a constructor copied what it is a copy of.
        equal: layers of torch that are equal but for their values, together.
        placed: what took the place of each tensor that was made elsewhere.
        states: while a dry run lasts, what the modules of registered layers held before it called them.
    """

    root: nn.Module
    device: torch.device
    dtype: torch.dtype
    max_steps: int
    made: dict[Instance, nn.Module] = field(default_factory=dict)
    instances: dict[nn.Module, Instance] = field(default_factory=dict)
    blocks: list[tuple[nn.Module, BlockInstance]] = field(default_factory=list)
    unsized: list[Unsized] = field(default_factory=list)
    tied: dict[Tensor, tuple[nn.Module, str]] = field(default_factory=dict)
    kept: Kept = field(default_factory=dict)
    copies: dict[nn.Module, nn.Module] = field(default_factory=dict)
    equal: list[list[nn.Module]] = field(default_factory=list)
    placed: dict[Tensor, Tensor] = field(default_factory=dict)
    states: dict[nn.Module, State] = field(default_factory=dict)

    def keep(self, layer: nn.Module) -> None:
        """Remembers what the modules of a registered layer hold."""
        for module in layer.modules():
            if module not in self.states and not isinstance(module, Unsized):
                self.states[module] = State(module)


@contextmanager
def unchanged(skeleton: Skeleton, modules: list[nn.Module]) -> Iterator[None]:
    """After it modules are as they were constructed, whatever a run does to them; those whose sizes it finds too.

    Those of blocks and of torch's layers are in training then; those of registered layers are in the mode, and have the
    values and all else, that their constructors left.
    """
    for module, instance in list(skeleton.instances.items()):
        if isinstance(instance, LayerInstance) and instance.layer.registered:
            skeleton.keep(module)
    try:
        yield
    finally:
        found = (part for unsized in skeleton.unsized for layer in unsized.layer for part in layer.modules())
        for module in (*modules, *found):  # as `train()` of each, in an eighth of the time
            module.__dict__["training"] = True
        for state in skeleton.states.values():
            state.give_back()
        skeleton.states.clear()


def modules_of(root: nn.Module) -> list[nn.Module]:
    """Every module once, as `root.modules()` in some order, in a third of the time."""
    found: dict[nn.Module, None] = {root: None}
    waiting = [root]
    while waiting:
        for child in waiting.pop()._modules.values():
            if child is not None and child not in found:
                found[child] = None
                if child._modules:
                    waiting.append(child)
    return list(found)
