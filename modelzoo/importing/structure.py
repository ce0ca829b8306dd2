"""From a module to the tree that says it: layers read off, sequences, and blocks with what they compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.importing import bodies, fillings, layers, ours, texts
from modelzoo.importing.graph import Path
from modelzoo.importing.loops import with_loops
from modelzoo.importing.owners import Owners, own_tensors
from modelzoo.importing.records import Record, line_of
from modelzoo.importing.training import alike, merged
from modelzoo.importing.trees import About, Block, Call, Own, Tree, sequence
from modelzoo.modules.blocks import Generated
from modelzoo.modules.sequences import is_plain
from modelzoo.names import Kind

NEVER = (nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What cannot be said: of which module, at which line of its source, and what it is."""

    path: Path
    module: nn.Module
    line: str
    what: str


class Reader:
    """Reads the modules of a model, each by itself.

    Args:
        owners: where everything stands.
        calls: what makes each layer of the catalog, and None for other modules.
        evaluation, training: what each block computed; nothing for training where that cannot run.
    """

    def __init__(
        self,
        owners: Owners,
        calls: layers.Calls,
        evaluation: Mapping[nn.Module, list[Record]],
        training: Mapping[nn.Module, list[Record]],
    ) -> None:
        self.owners, self.calls, self.evaluation, self.training = owners, calls, evaluation, training
        self.troubles: list[Trouble] = []
        self.filled = ours.fills(owners.root)

    def tree(self, module: nn.Module, child: Callable[[nn.Module, Path], Tree]) -> Tree:
        """What a module is.

        Args:
            module: any of the model.
            child: what stands for a module in it, at its path.
        """
        call = self.calls[module]
        path = self.owners.paths[module][0]
        if call is not None:
            return self.frozen(call, module)
        inside = {name: each for name, each in module._modules.items() if each is not None}
        found = {name: child(each, (*path, name)) for name, each in inside.items()}
        if is_sequence(module):
            return sequence(found)
        return self.block(module, path, found)

    def frozen(self, call: Call, module: nn.Module) -> Call:
        parameters = [*module.parameters()]
        return replace(call, frozen=True) if parameters and not any(each.requires_grad for each in parameters) else call

    def block(self, module: nn.Module, path: Path, found: dict[str, Tree]) -> Block:
        text = self.text(module, path)
        held = dict(own_tensors(module))
        if not all(map(Kind.PARAMETER.fits, held)):
            self.unnamed(path, module)
        parameters: dict[str, Own] = {}
        buffers: dict[str, Own] = {}
        for name, tensor in held.items():
            if isinstance(tensor, nn.Parameter):
                parameters[name] = self.own(path, module, name, tensor)
            else:
                buffers[name] = self.own(path, module, name, tensor)
        for name, constant in text.constants.items():
            buffers[name] = self.constant(path, module, name, constant)
        return Block(
            inputs=tuple(text.inputs), layers=found, parameters=parameters, buffers=buffers, forward=text.statements
        )

    def text(self, module: nn.Module, path: Path) -> bodies.Text:
        """What a block computes."""
        if isinstance(module, Generated):
            return ours.text(module)
        records = self.evaluation.get(module, [])
        training = self.training.get(module, [])
        if not records and not training:
            return bodies.uncalled()
        for each in (*records, *training):
            for line, what in each.problems:
                self.trouble(path, module, line, what)
        setting = [node for each in records for node in each.nodes if node.sets]
        for node in setting:
            what = f"it changes its buffer '{node.sets}' in evaluation too, and a text does so in training alone"
            self.trouble(path, module, node.line, what)
        if setting or any(each.problems for each in (*records, *training)):
            return bodies.uncalled()
        inside = containers(module)
        for each in (*records, *training):
            with_loops(each, inside)
        for several in (records, training):
            if not all(alike(several[0], each) for each in several[1:]):
                self.trouble(path, module, line_of(type(module)), "it is called in several ways")
                return bodies.uncalled()
        branch = merged((records or training)[0], training[0] if training and records else None)
        held = {id(value): name for name, value in vars(module).items() if isinstance(value, Tensor)}
        own = frozenset(name for name, each in module._modules.items() if each is not None)
        tensors = frozenset(name for name, _ in own_tensors(module))
        text = texts.written(branch, own | tensors, own, held)
        for line, what in text.problems:
            self.trouble(path, module, line, what)
        return text

    def unnamed(self, path: Path, module: nn.Module) -> None:
        """The tensors of a module have no names, as those of an `nn.ParameterList`: who has it must be a layer."""
        owner = self.owners.root.get_submodule(".".join(map(str, path[:-1])))
        what = (
            f"'{path[-1] if path else type(module).__name__}' holds tensors by numbers, and a config gives them names"
        )
        self.trouble(path[:-1], owner, line_of(type(owner)), what)

    def own(self, path: Path, module: nn.Module, name: str, tensor: Tensor) -> Own:
        persistent = name not in module._non_persistent_buffers_set
        is_parameter = isinstance(tensor, nn.Parameter)
        fill: Any = self.filled.get(id(tensor))
        if fill is None:
            fill = _filled(tensor) if is_parameter else fillings.exact(tensor)
        if fill is None:
            if not persistent or not tensor.is_floating_point():
                self.trouble(
                    path, module, line_of(type(module)), f"the buffer '{name}' holds values that no fill gives"
                )
                fill = 0
            else:
                fill = _filled(tensor)
        more: list[tuple[str, Any]] = []
        if tensor.dtype is not torch.get_default_dtype():
            more.append(("dtype", str(tensor.dtype).removeprefix("torch.")))
        if not persistent:
            more.append(("persistent", False))
        if is_parameter and not tensor.requires_grad:
            more.append(("trainable", False))
        return Own(shape=tuple(tensor.shape), fill=fill, more=tuple(more))

    def constant(self, path: Path, module: nn.Module, name: str, given: bodies.Constant) -> Own:
        """A tensor that the module computes or keeps, and no state dict has."""
        tensor = given.value
        fill = given.fill or fillings.exact(tensor)
        if fill is None:
            self.trouble(path, module, line_of(type(module)), f"'{name}' holds values that no fill gives")
            fill = 0
        more: list[tuple[str, Any]] = [("persistent", False)]
        if tensor.dtype is not torch.get_default_dtype():
            more.insert(0, ("dtype", str(tensor.dtype).removeprefix("torch.")))
        return Own(shape=tuple(tensor.shape), fill=fill, more=tuple(more))

    def trouble(self, path: Path, module: nn.Module, line: str, what: str) -> None:
        self.troubles.append(Trouble(path=path, module=module, line=line or line_of(type(module)), what=what))


def is_sequence(module: nn.Module) -> bool:
    """Whether a module calls its layers in order, or only holds them."""
    if isinstance(module, Generated) or "forward" in vars(module):
        return False
    forward = type(module).forward
    holds = forward is nn.Module.forward or type(module) in NEVER
    if not holds and any(layers.is_extended(each) for each in module.children()):
        return False
    return not own_tensors(module) and (forward is nn.Sequential.forward or is_plain(type(module)) or holds)


def containers(module: nn.Module) -> dict[Path, list[str]]:
    """The names of the layers of each container in a module, and of its own, if it is one."""
    found = {}
    for name, each in module.named_modules():
        if name and is_sequence(each):
            found[tuple(name.split("."))] = list(each._modules)
    if isinstance(module, layers.CONTAINERS) and "layers" not in module._modules:
        found[()] = list(module._modules)
    return found


def _filled(tensor: Tensor) -> Any:
    """A number, or about what the values are."""
    fill = fillings.about(tensor)
    return About(fill) if isinstance(fill, str) else fill
