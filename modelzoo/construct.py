"""From resolved instances to torch modules whose tensors hold nothing yet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from modelzoo import catalog, language, sizes, spec
from modelzoo.errors import Path, Problems, fail, nearest
from modelzoo.generated import Frozen, class_of, hashable
from modelzoo.resolve import Instance

MAX_STEPS = 10_000

_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}
_PLACED = _FACTORIES | {torch.tensor, torch.full, torch.arange, torch.eye}
_FILLS = {
    *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")),
    *(getattr(Tensor, name) for name in ("uniform_", "normal_", "fill_", "zero_", "exponential_", "bernoulli_")),
}


class Constructing(TorchFunctionMode):
    """While a constructor of torch runs: its tensors get our device and dtype, and nothing is drawn or filled.

    Args:
        device: where tensors are made.
        dtype: of floating tensors for which the constructor names none.
        zeroed: whether tensors are zeros instead of untouched memory.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, zeroed: bool) -> None:
        super().__init__()
        self.device, self.dtype, self.empty = device, dtype, torch.zeros if zeroed else torch.empty

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FILLS:
            return args[0] if args else kwargs["tensor"]
        kwargs = dict(kwargs or {})
        if func in _PLACED:
            if kwargs.get("device") is None:
                kwargs["device"] = self.device
            if func in _FACTORIES and kwargs.get("dtype") is None:
                kwargs["dtype"] = self.dtype
            if func is torch.empty:
                func = self.empty
        return func(*args, **kwargs)


class Unsized(nn.Module):
    """A layer that waits for its first input to learn the sizes that the config left out."""

    def __init__(self, instance: Instance, construct: Callable[[dict[str, Any]], nn.Module]) -> None:
        super().__init__()
        self.instance, self.construct = instance, construct
        self.found: dict[str, Any] = {}
        self.layer: list[nn.Module] = []

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        if not self.layer:
            assert self.instance.layer is not None
            self.found = sizes.infer(self.instance.layer, self.instance.arguments, inputs, keywords)
            self.layer.append(self.construct({**self.instance.arguments, **self.found}))
        return self.layer[0](*inputs, **keywords)


@dataclass(slots=True, kw_only=True)
class Skeleton:
    """Modules without values, and what each was made from.

    Attributes:
        root: the model.
        made: the module of each instance, by its id.
        instances: the instance of each module, by the module's id.
        unsized: layers whose sizes a dry run must find.
        tied: of each tied tensor, by its id, the module (by id) and name it comes from: the right-hand side.
    """

    root: nn.Module
    device: torch.device
    dtype: torch.dtype
    max_steps: int
    made: dict[int, nn.Module] = field(default_factory=dict)
    instances: dict[int, Instance] = field(default_factory=dict)
    unsized: list[Unsized] = field(default_factory=list)
    tied: dict[int, tuple[int, str]] = field(default_factory=dict)


class TooLargeError(Exception):
    """The tensors made so far exceed the limit; construct on meta instead."""


def construct(
    root: Instance,
    device: torch.device,
    dtype: torch.dtype,
    *,
    max_steps: int = MAX_STEPS,
    zeroed: bool = False,
    limit: float = float("inf"),
) -> Skeleton:
    """Calls every constructor once.

    Args:
        root: the resolved model.
        device: where tensors are made; on the CPU untouched memory costs nothing until it is written.
        dtype: of all floating tensors that name none.
        zeroed: make zeros, for a dry run on them.
        limit: in bytes; beyond it `TooLargeError` is raised.
    """
    builder = Builder(device, dtype, max_steps, zeroed, limit)
    with Constructing(device, dtype, zeroed):
        builder.skeleton.root = builder.module(root)
    return builder.skeleton


class Builder:
    """Constructs each instance once."""

    def __init__(self, device: torch.device, dtype: torch.dtype, max_steps: int, zeroed: bool, limit: float) -> None:
        self.skeleton = Skeleton(root=nn.Module(), device=device, dtype=dtype, max_steps=max_steps)
        self.zeroed, self.left = zeroed, limit

    def module(self, instance: Instance) -> nn.Module:
        made = self.skeleton.made.get(id(instance))
        if made is None:
            made = self.layer(instance) if instance.layer is not None else self.block(instance)
            self.skeleton.made[id(instance)] = made
            self.skeleton.instances[id(made)] = instance
            self.count(made)
        return made

    def count(self, module: nn.Module) -> None:
        own = (*module._parameters.values(), *module._buffers.values())
        if isinstance(module, nn.MultiheadAttention | nn.TransformerEncoder | nn.TransformerDecoder | nn.Transformer):
            own = (*module.parameters(), *module.buffers())
        self.left -= sum(each.nbytes for each in own if each is not None)
        if self.left < 0:
            raise TooLargeError

    def layer(self, instance: Instance) -> nn.Module:
        assert instance.layer is not None
        if instance.children or instance.layer.name in ("ModuleList", "ModuleDict"):
            return self.container(instance)
        layer = instance.layer
        missing = [
            name
            for name in sizes.inferable(layer)
            if name not in instance.arguments and layer.signature[name].default is layer.signature[name].empty
        ]
        if missing:
            unsized = Unsized(instance, lambda arguments: self.late(instance, arguments))
            self.skeleton.unsized.append(unsized)
            return unsized
        return self.call(instance, instance.arguments)

    def late(self, instance: Instance, arguments: dict[str, Any]) -> nn.Module:
        for name, what in catalog.problem_with_all(instance.layer, arguments):  # type: ignore[arg-type]
            fail(instance.key / name, f"{name} of {instance.type} {what}")
        with Constructing(self.skeleton.device, self.skeleton.dtype, self.zeroed):
            made = self.call(instance, arguments)
        instance.arguments = arguments
        self.skeleton.made[id(instance)] = made
        self.skeleton.instances[id(made)] = instance
        self.count(made)
        return made

    def call(self, instance: Instance, arguments: dict[str, Any]) -> nn.Module:
        assert instance.layer is not None
        given = {name: self.module(each) if isinstance(each, Instance) else each for name, each in arguments.items()}
        positional = [self.module(each) if isinstance(each, Instance) else each for each in instance.positional]
        try:
            if positional:
                names = [name for name in instance.layer.signature if name in given]
                return instance.layer.cls(*(given.pop(name) for name in names), *positional, **given)
            return instance.layer.cls(**given)
        except TooLargeError:
            raise
        except MemoryError as error:
            raise TooLargeError from error
        except Exception as error:
            if "allocate memory" in str(error) or "Storage size" in str(error):
                raise TooLargeError from error
            fail(instance.key, f"{instance.call()} cannot be constructed: {str(error).splitlines()[0]}", cause=error)

    def container(self, instance: Instance) -> nn.Module:
        assert instance.layer is not None
        made = instance.layer.cls()
        for name, child in instance.children.items():
            made.add_module(name, None if child is None else self.module(child))
        return made

    def block(self, instance: Instance) -> nn.Module:
        block = instance.block
        if block is None or block.forward is None:
            named = ((name, self.module(child)) for name, child in instance.children.items() if child is not None)
            return nn.Sequential(OrderedDict(named))
        made = class_of(frozen(instance, block, self.skeleton.max_steps))()
        for tensor in block.tensors:
            value = self.tensor(tensor, instance.shapes[tensor.name])
            trains = tensor.trainable and value.dtype.is_floating_point
            made.register_parameter(tensor.name, nn.Parameter(value, requires_grad=trains))
        for tensor in block.buffers:
            value = self.tensor(tensor, instance.shapes[tensor.name])
            made.register_buffer(tensor.name, value, persistent=tensor.persistent)
        for name, child in instance.children.items():
            made.add_module(name, None if child is None else self.module(child))
        return made

    def tensor(self, tensor: spec.Tensor, shape: tuple[int, ...]) -> Tensor:
        dtype = self.skeleton.dtype if tensor.dtype is None else catalog.DTYPES[tensor.dtype]
        try:
            return torch.empty(shape, dtype=dtype)
        except RuntimeError as error:
            raise TooLargeError from error


def frozen(instance: Instance, block: spec.Block, max_steps: int) -> Frozen:
    """What the class of a block is made of: its text, and the values that the text reads."""
    names = spec.names_of(block, frozenset(instance.values))
    inputs = [each.optional for each in block.inputs]
    assert block.forward is not None
    defaults = (None,) * (len(inputs) - inputs.index(True) if True in inputs else 0)
    translation = language.translate(block.forward, names, f"{block.name}.forward", defaults)
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
    names = spec.names_of(block, frozenset(translation.names))
    return Frozen(
        name=block.name, text=block.forward, names=names, values=values, defaults=defaults, max_steps=max_steps
    )


def finish(skeleton: Skeleton, problems: Problems) -> None:
    """After the dry run: puts found layers in their places, makes the ties, and checks what texts read."""
    for unsized in skeleton.unsized:
        if not unsized.layer:
            what = f"{unsized.instance.type} was left without a size, and no input reached it."
            problems.add(unsized.instance.key, what, "Write the size, or call the layer in forward.")
    problems.check()
    real = {id(each): each.layer[0] for each in skeleton.unsized}
    if real:
        skeleton.root = real.get(id(skeleton.root), skeleton.root)
        for module in list(skeleton.root.modules()):
            for name, child in module._modules.items():
                if id(child) in real:
                    module._modules[name] = real[id(child)]
    for made, instance in _blocks(skeleton):
        block = instance.block
        assert block is not None
        for left, right in block.tie:
            _tie(skeleton, made, block.key / "tie", left, right, problems)
    problems.check()


def check_reads(skeleton: Skeleton, problems: Problems) -> None:
    """`embed.weight` in a text must name a child's own tensor, never any other attribute."""
    for made, instance in _blocks(skeleton):
        block = instance.block
        if block is None or block.forward is None:
            continue
        for read in type(made).frozen.translation().reads:  # type: ignore[attr-defined]
            *owners, last = read.path
            module = _module_at(made, owners)
            if isinstance(module, Unsized):
                continue
            known = [] if module is None else [*(module._parameters if read.tensor else module._modules)]
            if read.tensor and module is not None:
                known += [*module._buffers]
            if str(last) not in known:
                kind = "tensor" if read.tensor else "layer"
                shown = ".".join(map(str, owners))
                what = f"'{shown}' has no {kind} '{last}'."
                problems.add(block.key / "forward", what, nearest(str(last), known), line=read.line, column=read.column)


def _module_at(module: nn.Module | None, path: list[str | int]) -> nn.Module | None:
    for name in path:
        if module is None:
            return None
        children = module._modules
        if isinstance(name, int) and name < 0:
            name += len(children)
        module = children.get(str(name))
    return module


def _blocks(skeleton: Skeleton) -> Iterator[tuple[nn.Module, Instance]]:
    for module in skeleton.root.modules():
        instance = skeleton.instances.get(id(module))
        if instance is not None and instance.block is not None:
            yield module, instance


def _tie(skeleton: Skeleton, block: nn.Module, key: Path, left: str, right: str, problems: Problems) -> None:
    """`left` becomes `right`: put in place with setattr, which RNNs need for their second list."""
    home, other = (_tensor_at(block, key, left, each, problems) for each in (left, right))
    if home is None or other is None:
        return
    (owner, name, old), (source, local, new) = home, other
    if old.shape != new.shape:
        what = f"'{left}' has shape {list(old.shape)} and '{right}' {list(new.shape)}: one tensor cannot have both."
        problems.add(key / left, what, "Tie tensors of equal shape.")
        return
    skeleton.tied.setdefault(id(new), (id(source), local))
    if name in owner._buffers:
        owner._buffers[name] = new
    else:
        setattr(owner, name, new)
        if getattr(owner, name) is not new:
            problems.add(key / left, f"'{left}' could not be tied.")


def _tensor_at(
    block: nn.Module, key: Path, left: str, dotted: str, problems: Problems
) -> tuple[nn.Module, str, Tensor] | None:
    *owners, name = dotted.split(".")
    module = _module_at(block, list(owners))
    tensor = None if module is None else module._parameters.get(name, module._buffers.get(name))
    if module is None or tensor is None:
        names = [
            each
            for each, _ in (
                *block.named_parameters(remove_duplicate=False),
                *block.named_buffers(remove_duplicate=False),
            )
        ]
        problems.add(key / left, f"there is no tensor '{dotted}' to tie.", nearest(dotted, names))
        return None
    return module, name, tensor


def materialise(skeleton: Skeleton, device: torch.device) -> None:
    """Gives every tensor its storage on a device, once; aliases and ties stay what they are."""
    placed: dict[int, Tensor] = {}
    keep: list[Tensor] = []
    for module in skeleton.root.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and parameter.device != device:
                new = placed.get(id(parameter))
                if new is None:
                    empty = torch.empty_like(parameter, device=device)
                    new = placed[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
                    keep.append(parameter)
                setattr(module, name, new)
        for name, buffer in list(module._buffers.items()):
            if buffer is not None and buffer.device != device:
                if id(buffer) not in placed:
                    placed[id(buffer)] = torch.empty_like(buffer, device=device)
                    keep.append(buffer)
                module._buffers[name] = placed[id(buffer)]


@contextmanager
def forwards(skeleton: Skeleton, watch: object) -> Iterator[None]:
    """While it lasts, blocks with conditions on data run the version of their text that reports them to `watch`."""
    changed = []
    for module, instance in _blocks(skeleton):
        if instance.block is None or instance.block.forward is None:
            continue
        made: Frozen = type(module).frozen  # type: ignore[attr-defined]
        code = made.translation().watched
        if code is not None:
            function = language.link(code, dict(made.values), made.max_steps, made.defaults, watch)
            module.__dict__["forward"] = function.__get__(module)
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            del module.__dict__["forward"]
