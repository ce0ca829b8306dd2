"""From resolved instances to torch modules whose tensors hold nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import bounds
from modelzoo.catalog import arguments as catalog
from modelzoo.catalog import constructors, functions, layers, sizes
from modelzoo.errors import Problems, fail, first_line
from modelzoo.language import compiler
from modelzoo.language.runtime import Reports
from modelzoo.modules.blocks import Frozen, Generated, class_of, hashable, reporting
from modelzoo.modules.reads import check_reads
from modelzoo.modules.sequences import name_input
from modelzoo.modules.skeleton import Skeleton, Unsized
from modelzoo.modules.ties import Ties
from modelzoo.modules.torch_layers import Factory, TooLargeError
from modelzoo.modules.user_layers import Constructor
from modelzoo.spec import nodes, visible
from modelzoo.spec.instances import BlockInstance, Instance, LayerInstance


def construct(
    root: Instance,
    device: torch.device,
    dtype: torch.dtype,
    *,
    max_steps: int = bounds.STEPS,
    zeroed: bool = False,
    limit: float = float("inf"),
    seed: int = 0,
) -> Skeleton:
    """Calls every constructor once.

    Args:
        root: the resolved model.
        device: where tensors are made; on the CPU untouched memory costs nothing until it is written.
        dtype: of all floating tensors that name none.
        zeroed: make zeros, for a dry run on them.
        limit: in bytes; beyond it `TooLargeError` is raised.
        seed: of what the constructors of registered layers draw.
    """
    skeleton = Skeleton(root=nn.Module(), device=device, dtype=dtype, max_steps=max_steps)
    factory = Factory(device, dtype, zeroed, limit)
    constructor = Constructor(device, dtype, seed, factory.spend)
    skeleton.kept = constructor.kept
    skeleton.root = Builder(skeleton, factory, constructor).module(root, "")
    skeleton.equal = factory.equal()
    return skeleton


class Builder:
    """Constructs each instance once."""

    def __init__(self, skeleton: Skeleton, factory: Factory, constructor: Constructor) -> None:
        self.skeleton, self.factory, self.constructor = skeleton, factory, constructor
        self.classes: dict[Hashable, type[Generated]] = {}

    def module(self, instance: Instance, name: str) -> nn.Module:
        """The module of an instance, made under its first dotted name."""
        made = self.skeleton.made.get(instance)
        if made is None:
            made = self.made(instance, name)
            self.skeleton.made[instance] = made
            self.skeleton.instances[made] = instance
        return made

    def made(self, instance: Instance, name: str) -> nn.Module:
        if isinstance(instance, LayerInstance):
            return self.layer(instance, name)
        if isinstance(instance, BlockInstance):
            return self.block(instance, name)
        return self.sequence(instance, name)

    def layer(self, instance: LayerInstance, name: str) -> nn.Module:
        if self.factory.knows(instance.arguments):
            return self.constructed(instance, name, [], instance.arguments)
        if instance.children or instance.layer.name in ("ModuleList", "ModuleDict"):
            return self.container(instance, name)
        given = () if instance.layer.registered else instance.given
        parts = [each for each in given if isinstance(each, LayerInstance) and _is_unsized(each)]
        if parts or _is_unsized(instance):
            unsized = Unsized(instance, parts, lambda arguments: self.late(instance, name, arguments))
            self.skeleton.unsized.append(unsized)
            return unsized
        return self.call(instance, name, instance.arguments)

    def late(self, instance: LayerInstance, name: str, arguments: dict[str, Any]) -> nn.Module:
        for size, what in catalog.problem_with_all(instance.layer, arguments):
            fail(instance.key / size, f"{size} of {instance.type} {what}")
        made = self.call(instance, name, arguments)
        if instance.layer.registered:
            self.skeleton.keep(made)
        instance.arguments = arguments
        self.skeleton.made[instance] = made
        self.skeleton.instances[made] = instance
        return made

    def call(self, instance: LayerInstance, name: str, arguments: dict[str, Any]) -> nn.Module:
        given, positional = arguments, list(instance.positional)
        if instance.layer.registered:
            given = {argument: self.within(each, f"{name}.{argument}") for argument, each in arguments.items()}
            positional = [self.within(each, f"{name}.{index}") for index, each in enumerate(positional)]
            return self.constructed(instance, name, positional, given)
        if positional or any(isinstance(each, Instance) for each in arguments.values()):
            given = {argument: self.part(each, f"{name}.{argument}") for argument, each in arguments.items()}
            positional = [self.part(each, f"{name}.{index}") for index, each in enumerate(positional)]
        if positional:
            names = [each for each in instance.layer.signature if each in given]
            positional = [*(given.pop(each) for each in names), *positional]
        return self.constructed(instance, name, positional, given)

    def constructed(
        self, instance: LayerInstance, name: str, positional: list[Any], given: dict[str, Any]
    ) -> nn.Module:
        try:
            if instance.layer.registered:
                return self.registered(instance.layer, name, positional, given)
            return self.factory.layer(instance.layer.cls, positional, given)
        except TooLargeError:
            raise
        except Exception as error:
            large = isinstance(error, MemoryError) or "allocate memory" in str(error) or "Storage size" in str(error)
            if large and self.skeleton.device.type != "meta":
                raise TooLargeError from error
            fail(instance.key, f"{instance.call()} cannot be constructed: {first_line(error)}", cause=error)

    def part(self, value: Any, name: str) -> Any:
        if not isinstance(value, Instance):
            return value
        made = self.module(value, name)
        if value.frozen and not isinstance(made, Unsized):
            made.requires_grad_(False)  # at once, since the layer that is given it may copy it
            self.factory.forget()
        return made

    def within(self, value: Any, name: str) -> Any:
        """A value with the modules of all layers in it."""
        if isinstance(value, (list, tuple)):
            return tuple(self.within(each, f"{name}.{index}") for index, each in enumerate(value))
        if isinstance(value, dict):
            return {key: self.within(each, f"{name}.{key}") for key, each in value.items()}
        return self.part(value, name)

    def registered(self, layer: layers.Layer, name: str, positional: list[Any], given: dict[str, Any]) -> nn.Module:
        made = self.constructor(layer.cls, name.removeprefix("."), *constructors.python(layer, positional, given))
        if made.given:
            self.factory.forget()  # since the constructor may have changed what would be copied
        for copy, original in made.copies:
            self.skeleton.copies[copy] = self.skeleton.copies.get(original, original)
            instance = self.skeleton.instances.get(original)
            if instance is not None:
                self.skeleton.instances[copy] = instance
                if isinstance(instance, BlockInstance):
                    self.skeleton.blocks.append((copy, instance))
        for tensor, owner, local in made.tied:
            self.skeleton.tied.setdefault(tensor, (owner, local))
        return made.module

    def container(self, instance: LayerInstance, name: str) -> nn.Module:
        made = instance.layer.cls()
        for local, child in instance.children.items():
            made.add_module(local, None if child is None else self.module(child, f"{name}.{local}"))
        return made

    def block(self, instance: BlockInstance, name: str) -> nn.Module:
        block = instance.block
        if block.forward is None:
            sequence = self.sequence(instance, name)
            name_input(sequence, block)
            return sequence
        made = self.class_of(instance, block.forward)()
        self.skeleton.blocks.append((made, instance))
        for tensor in block.tensors:
            if tensor.name not in instance.shapes:
                made.register_parameter(tensor.name, None)
                continue
            value = self.tensor(tensor, instance.shapes[tensor.name])
            trains = tensor.name not in instance.frozen_tensors and value.dtype.is_floating_point
            made.register_parameter(tensor.name, nn.Parameter(value, requires_grad=trains))
        for tensor in block.buffers:
            there = tensor.name in instance.shapes
            buffer = self.tensor(tensor, instance.shapes[tensor.name]) if there else None
            made.register_buffer(tensor.name, buffer, persistent=tensor.persistent)
        for local, child in instance.children.items():  # the names were checked, which add_module would do again
            made._modules[local] = None if child is None else self.module(child, f"{name}.{local}")
        return made

    def class_of(self, instance: BlockInstance, text: str) -> type[Generated]:
        """The class of a block; equal ones are not looked at again."""
        values = instance.values
        if not all(type(each) in nodes.SCALARS for each in values.values()):
            return class_of(frozen(instance, text, self.skeleton.max_steps))
        key = instance.block, (*instance.children,), repr(values)
        if key not in self.classes:
            self.classes[key] = class_of(frozen(instance, text, self.skeleton.max_steps))
        return self.classes[key]

    def sequence(self, instance: Instance, name: str) -> nn.Sequential:
        made = nn.Sequential()
        if isinstance(instance, BlockInstance):
            self.skeleton.blocks.append((made, instance))  # before those in it
        children = instance.children.items()
        named = {local: self.module(child, f"{name}.{local}") for local, child in children if child is not None}
        made._modules.update(named)  # the names were checked; add_module would look for each in vain
        return made

    def tensor(self, tensor: nodes.OwnTensor, shape: tuple[int, ...]) -> Tensor:
        dtype = self.skeleton.dtype if tensor.dtype is None else functions.DTYPES[tensor.dtype]
        try:
            return self.factory.tensor(shape, dtype)
        except RuntimeError as error:
            raise TooLargeError from error


def _is_unsized(instance: LayerInstance) -> bool:
    """Whether a layer was left without a size that torch has no default for."""
    return not _needed(instance.layer) <= instance.arguments.keys()


@cache
def _needed(layer: layers.Layer) -> frozenset[str]:
    signature = layer.signature
    return frozenset(size for size in sizes.inferable(layer) if signature[size].default is signature[size].empty)


def frozen(instance: BlockInstance, text: str, max_steps: int) -> Frozen:
    """What the class of a block is made of: its text, and the values that the text reads."""
    block = instance.block
    names = visible.names_of(block, frozenset(instance.values), layers=instance.children)
    inputs = [each.optional for each in block.inputs]
    defaults = (None,) * (len(inputs) - inputs.index(True) if True in inputs else 0)
    translation = compiler.translate(text, names, f"{block.name}.forward", defaults)
    problems = Problems()
    for error in translation.errors:
        problems.add_text(block.key / "forward", error)
    for name in sorted(translation.names):
        if not isinstance(instance.values[name], (bool, int, float, str, tuple, list, type(None))):
            problems.add(
                block.key / "forward",
                f"'{name}' describes a layer and cannot be used in forward.",
                f"Add a layer: act: ={name}.",
            )
    problems.check()
    values = tuple((name, hashable(instance.values[name])) for name in sorted(translation.names))
    # A class does not depend on args that its text does not read.
    names = visible.names_of(block, frozenset(translation.names), layers=instance.children)
    return Frozen(name=block.name, text=text, names=names, values=values, defaults=defaults, max_steps=max_steps)


def finish(skeleton: Skeleton, problems: Problems) -> None:
    """After the dry run: puts found layers in their places, checks what texts read, makes the ties, and freezes.

    Args:
        skeleton: the modules.
        problems: collects what is wrong with texts and ties.

    Raises:
        ConfigError: layers without a size.
    """
    unreached = Problems()
    for unsized in skeleton.unsized:
        if not unsized.layer:
            what = f"{unsized.instance.type} was left without a size, and no input reached it."
            unreached.add(
                unsized.instance.key,
                what,
                "Write the size, or an example of every input, or call the layer in forward.",
            )
    unreached.check()
    real: dict[nn.Module | None, nn.Module] = {each: each.layer[0] for each in skeleton.unsized}
    if real:
        skeleton.root = real.get(skeleton.root, skeleton.root)
        for module in list(skeleton.root.modules()):
            for name, child in module._modules.items():
                if child in real:
                    module._modules[name] = real[child]
        check_reads(skeleton, problems)
    ties = Ties(skeleton.tied, problems)
    for made, instance in skeleton.blocks:
        for left, right in instance.ties:
            ties.tie(made, instance, left, right)
    ties.settle()
    for module, its in skeleton.instances.items():
        if its.frozen and not isinstance(module, Unsized):
            module.requires_grad_(False)


def materialise(skeleton: Skeleton, device: torch.device) -> None:
    """Gives every tensor its storage on a device, once; aliases and ties stay what they are."""
    if skeleton.device == device:
        return
    placed = skeleton.placed
    for module in skeleton.root.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and parameter.device != device:
                if parameter not in placed:
                    empty = torch.empty_like(parameter, device=device)
                    placed[parameter] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
                setattr(module, name, placed[parameter])
        for name, buffer in list(module._buffers.items()):
            if buffer is not None and buffer.device != device:
                if buffer not in placed:
                    placed[buffer] = torch.empty_like(buffer, device=device)
                module._buffers[name] = placed[buffer]


def has_registered(skeleton: Skeleton) -> bool:
    """Whether a user's own layers are in a model."""
    return any(isinstance(each, LayerInstance) and each.layer.registered for each in skeleton.instances.values())


@contextmanager
def forwards(skeleton: Skeleton, watch: Reports, turned: Callable[..., None]) -> Iterator[list[Generated]]:
    """While it lasts, blocks run the version of their text that reports to `watch` and `turned`, as `link` takes them.

    Yields those with conditions on data.
    """
    blocks = [module for module, _ in skeleton.blocks if isinstance(module, Generated)]
    with reporting(blocks, watch, turned):
        yield [module for module in blocks if module.__translation__.conditions]
