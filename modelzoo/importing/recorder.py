"""Calls a module once, and records what it and every block in it computes, with values at hand.

Each block has a record of its own: layers and blocks in it are called, whatever else it does is written down. Values
are real, so that conditions on sizes, flags and classes are decided as always; sizes are integers that know where they
come from.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from modelzoo.importing import buffers, observed, sources
from modelzoo.importing.assigned import is_done
from modelzoo.importing.graph import Node, Ref, Size, mapped, plain, refs, sizes, tensors, whole
from modelzoo.importing.kept import is_held
from modelzoo.importing.layers import is_extended
from modelzoo.importing.owners import Owners
from modelzoo.importing.records import Record, bound, has_values, line_of


class Recorder(TorchFunctionMode):
    """Records calls of functions of torch, and of modules while `calls` lasts.

    Args:
        owners: whose the modules and their tensors are.
        is_layer: whether a module is a layer of the catalog, which nobody looks into.
    """

    def __init__(self, owners: Owners, is_layer: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self.owners, self.is_layer = owners, is_layer
        self.records: dict[nn.Module, list[Record]] = {}
        self.stack: list[Record] = []
        self.frames: list[FrameType] = []
        self.parts: list[str] = []  # where a view is changed in place, and so the tensor that it is a part of
        self.everywhere: set[int] = set()  # tensors that some block computed
        self.layers: dict[nn.Module, int] = {}  # how often each was called
        self.extended: list[nn.Module] = []  # a layer to which a class adds, whose forward runs, and what is in it
        self.with_gradients = torch.is_grad_enabled()

    # -- calls of modules ----------------------------------------------------------------------------------------------

    @contextmanager
    def calls(self) -> Iterator[None]:
        """While it lasts, calls of modules are recorded too."""
        call, apply, assign = "__call__", "apply", "__setattr__"
        original, gradient = nn.Module.__call__, torch.autograd.Function.__dict__[apply]
        assignment = nn.Module.__setattr__

        def calls(module: nn.Module, *args: Any, **named: Any) -> Any:
            if not self.stack or self.is_paused or module not in self.owners.paths:
                return original(module, *args, **named)
            return self.called(module, args, named)

        def applied(cls: type[torch.autograd.Function], *args: Any, **named: Any) -> Any:
            self.refuse(f"{cls.__name__} is an autograd.Function, whose gradient is code")
            return gradient.__get__(None, cls)(*args, **named)

        def assigns(module: nn.Module, name: str, value: Any) -> None:
            for kind, table in (("buffer", module._buffers), ("parameter", module._parameters)):
                if not is_held(table.get(name), value) and not self.sets(module, name, value):
                    self.refuse(f"it assigns its {kind} '{name}'")
            assignment(module, name, value)

        setattr(nn.Module, call, calls)
        setattr(nn.Module, assign, assigns)
        setattr(torch.autograd.Function, apply, classmethod(applied))
        try:
            with self:
                yield
        finally:
            setattr(nn.Module, call, original)
            setattr(nn.Module, assign, assignment)
            setattr(torch.autograd.Function, apply, gradient)

    is_paused = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        before, self.is_paused = self.is_paused, True
        try:
            yield
        finally:
            self.is_paused = before

    def called(self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A layer or a block is called by the block whose forward runs."""
        self.name_locals()
        self.layers[module] = self.layers.get(module, 0) + 1
        if self.extended or (self.is_layer(module) and is_extended(module)):
            return added(self, module, args, named)
        if self.is_layer(module):
            with self.paused():
                result = module(*plain(args), **plain(named))
            return self.add(self.layer_node(module, args, named), result)
        given = bound(module, args, named)
        result = self.run(module, args, named, given)
        kept = [each for each in given.values() if has_values(each)]
        return self.add(self.layer_node(module, tuple(kept), {}), result)

    def layer_node(self, module: nn.Module, args: tuple[Any, ...], named: Mapping[str, Any]) -> Node:
        path = self.owners.below(self.stack[-1].module, module)
        if path is None:
            self.refuse(f"it calls a {type(module).__name__} that is not one of its own layers")
        return Node(
            kind="layer", path=path or (), args=self.each_known(args), named=self.known(dict(named)), line=self.line()
        )

    def run(self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], given: Mapping[str, Any]) -> Any:
        """Calls the forward of a block, with a record of its own."""
        record = Record(module=module)
        for name, value in given.items():
            if has_values(value):
                record.inputs[name] = self.input(record, name, value)
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks):
            if hooks:
                record.problems.append((line_of(type(module)), "it has hooks"))
                break
        self.stack.append(record)
        self.frames.append(sys._getframe())
        try:
            args, named = (mapped(each, lambda value: self.own_size(record, value)) for each in (args, named))
            result = module.forward(*args, **named)
            self.name_locals()
            record.result = self.returned(result)
        finally:
            self.stack.pop()
            self.frames.pop()
        self.records.setdefault(module, []).append(record)
        return plain(result)

    def input(self, record: Record, name: str, value: Any) -> Node:
        node = Node(kind="input", name=name, value=value)
        for path, tensor in tensors(value):
            record.known[id(tensor)] = Ref(node, path)
        for path, size in sizes(value):
            node.fixed = node.fixed or not path
            item = Node(kind="number", name="item", args=(Ref(node, path),), fixed=True, value=int(size))
            record.given[id(size)] = Size(int(size), item if path else node)
        return node

    def own_size(self, record: Record, value: Any) -> Any:
        """A size that a block is given is one of its own inputs."""
        return record.given.get(id(value), int(value)) if isinstance(value, Size) else value

    def returned(self, result: Any) -> Any:
        """What a block returns, as references."""
        plainly = observed.plain_output(result)
        for each in observed.leaves(plainly):
            if not isinstance(each, (Tensor, int, float, bool, str, type(None))):
                self.refuse(f"it returns a {type(each).__name__}")
        return self.known(plainly)

    def sets(self, module: nn.Module, name: str, value: Any) -> bool:
        """Takes over that the block that runs sets a buffer of its own, if a text may do so."""
        own = bool(self.stack) and module is self.stack[-1].module
        if not own or not buffers.may_become(module._buffers.get(name), value):
            return False
        args = (self.known(value),)
        self.add(Node(kind="function", form="method", name="to_", args=args, sets=name, line=self.line()), value)
        return True

    # -- functions of torch --------------------------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if self.is_paused or not self.stack:
            return func(*args, **named)
        self.name_locals()
        return call(self, func, args, named)

    def add(self, node: Node, result: Any) -> Any:
        """Remembers a node and what it computed; what it gives back as it was is told apart from what it was given."""
        record = self.stack[-1]
        record.nodes.append(node)
        if node.kind != "function" or not node.name.endswith("_"):
            result = mapped(result, lambda each: self.distinct(record, each))
        node.value = result
        for path, tensor in tensors(result):
            record.known[id(tensor)] = Ref(node, path)
            self.everywhere.add(id(tensor))
        return result

    def distinct(self, record: Record, value: Any) -> Any:
        if isinstance(value, Tensor) and (id(value) in record.known or id(value) in self.owners.tensors):
            with self.paused():
                return torch.ops.aten.alias(value)  # with its strides, which `view` may change
        return value

    def known(self, value: Any) -> Any:
        """A value with references in the place of tensors and sizes."""
        return whole(mapped(value, self.reference))

    def each_known(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arguments, each with references."""
        return tuple(self.known(each) for each in values)

    def reference(self, value: Any) -> Any:
        record = self.stack[-1]
        if isinstance(value, Size):
            return self.number(value)
        if isinstance(value, Mapping):
            return {str(name): self.known(each) for name, each in value.items()}
        if not isinstance(value, Tensor):
            return value
        if id(value) not in record.known:
            record.known[id(value)] = Ref(self.found(value))
        return record.known[id(value)]

    def number(self, value: Size) -> Any:
        """A size of this block, or an integer."""
        record = self.stack[-1]
        inside = [value.node]
        while inside:
            node = inside.pop()
            if node.kind == "input" and node not in record.inputs.values():
                return int(value)
            if node.kind == "size" and node not in (each.node for each in record.sizes.values()):
                return int(value)
            inside += [each.node for each in refs(node.args) if node.kind == "number"]
        return Ref(value.node)

    def found(self, value: Tensor) -> Node:
        """A tensor that no operation of this block made: one of its own, or a constant."""
        path = self.owners.tensor_below(self.stack[-1].module, value)
        if path is not None:
            return Node(kind="tensor", path=path, value=value)
        if id(value) in self.everywhere or id(value) in self.owners.tensors:
            self.refuse("it uses a tensor of another block that it is not given")
        return Node(kind="constant", value=value, fixed=True)

    def refuse(self, what: str) -> None:
        """Something that this block does cannot be said."""
        if self.stack:
            self.stack[-1].problems.append((self.line(), what))

    # -- the source ----------------------------------------------------------------------------------------------------

    def line(self) -> str:
        """Where the source is that runs: the innermost line of the block's own code."""
        for frame in sources.running(self.frames[-1:]):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        return line_of(type(self.stack[-1].module)) if self.stack else ""

    def name_locals(self) -> None:
        """Takes over what the author calls values."""
        if self.stack:
            sources.name(self.stack[-1], self.frames[-1:])


def call(recorder: Recorder, func: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """Calls a function of torch, and records it where a tensor comes out."""
    form, name = observed.described(func)
    if form == "attribute" and name == "shape":
        return shape(recorder, args[0])
    if name == "size" and not named:
        whole_shape = shape(recorder, args[0])
        return whole_shape[args[1]] if args[1:] else whole_shape
    if recorder.extended and name == "add_" and args[0] is recorder.extended[0]._buffers.get("num_batches_tracked"):
        return func(*args, **named)  # which the layer counts by itself
    if recorder.extended and name in observed.NORMS:
        with recorder.paused():
            normed = func(*plain(args), **plain(dict(named)))
        return recorder.add(recorder.layer_node(recorder.extended[0], args[:1], {}), normed)
    known = recorder.each_known(args), recorder.known(dict(named))
    given = refs((known[0][name in observed.NEW :], known[1]))
    fixed = name not in observed.RANDOM and all(each.node.fixed for each in given)
    if name in observed.DATA and not fixed:
        what = {"__bool__": "a condition", "__index__": "an index"}.get(name, f"{name.strip('_')}()")
        recorder.refuse(f"{what} asks for the values of a tensor")
    sets = buffers.name_of(recorder.stack[-1].module, args[0]) if observed.is_in_place(name) and args else ""
    if observed.is_in_place(name) and args and id(args[0]) in recorder.owners.tensors and not sets:
        recorder.refuse(f"{name} changes a tensor of the module")
    result = func(*plain(args), **plain(dict(named)))
    node = Node(kind="function", name=name, form=form, args=known[0], named=known[1], fixed=fixed, line=recorder.line())
    node.sets = sets
    if sets and name == "copy_":
        node.name, node.args = "to_", known[0][1:2]
    if name == "__setitem__":
        if not is_done(node):
            assigned(recorder, node, args[0])
        return None
    if next(tensors(result), None) is None:
        return result
    if not torch.is_grad_enabled() and recorder.with_gradients and not buffers.is_cut(node):
        recorder.add(node, result)
        node = Node(kind="function", name="detach", form="method", args=(recorder.known(result),), fixed=fixed)
    result = recorder.add(node, result)
    if name == "__getitem__" and isinstance(result, Tensor) and result._is_view():
        recorder.stack[-1].parts[id(result)] = args[0], known[0][1]
    if observed.is_in_place(name) and isinstance(args[0], Tensor) and args[0]._is_view():
        changed_whole(recorder, args[0])
    return result


def added(recorder: Recorder, module: nn.Module, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """What a class adds to a layer, and layers in it compute, as a part of the block that calls it."""
    recorder.extended.append(module)
    try:
        return module.forward(*args, **named)
    finally:
        recorder.extended.pop()


def assigned(recorder: Recorder, node: Node, tensor: Tensor) -> None:
    """Elements of a tensor have other values from now on."""
    record = recorder.stack[-1]
    record.nodes.append(node)
    node.value = tensor.clone() if node.fixed else tensor
    record.known[id(tensor)] = Ref(node)
    if tensor._is_view():
        changed_whole(recorder, tensor)


def changed_whole(recorder: Recorder, part: Tensor) -> None:
    """A part of a tensor was changed in place: its elements are assigned to the tensor that it is a part of."""
    record = recorder.stack[-1]
    if id(part) not in record.parts:
        recorder.parts.append(recorder.line())
        return
    whole, place = record.parts[id(part)]
    if id(whole) in recorder.owners.tensors:
        recorder.refuse("elements of a tensor of the module are changed")
    args = (recorder.known(whole), place, recorder.known(part))
    fixed = all(each.node.fixed for each in refs(args))
    node = Node(kind="function", name="__setitem__", form="method", args=args, fixed=fixed, line=recorder.line())
    assigned(recorder, node, whole)


def shape(recorder: Recorder, tensor: Tensor) -> torch.Size:
    """The shape of a tensor, of sizes that know where they come from; of a known tensor they are integers."""
    record = recorder.stack[-1]
    owner = recorder.reference(tensor)
    if owner.node.kind in ("tensor", "constant"):
        return tensor.shape
    found = []
    for dimension, size in enumerate(tensor.shape):
        if (owner, dimension) not in record.sizes:
            node = Node(kind="size", args=(owner, dimension), fixed=True, value=size)
            record.sizes[owner, dimension] = Size(size, node)
        found.append(record.sizes[owner, dimension])
    return torch.Size(found)
