"""One forward and one backward pass through a model, watched: nothing of the model changes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from modelzoo import streams
from modelzoo.measuring import numbers
from modelzoo.measuring.observed import Output, Seen, Weight
from modelzoo.modules.gradients import tensors
from modelzoo.modules.homes import homes
from modelzoo.modules.modes import measuring
from modelzoo.modules.recording import calls

Loss = Callable[[Any], Tensor]
"""Makes one number of what a model returned."""


@dataclass(slots=True)
class Pass:
    """What a pass left.

    Attributes:
        calls: in the order in which they ended.
        weights: of each parameter that is trained.
        output: what the model returned.
    """

    calls: list[Seen] = field(default_factory=list)
    weights: tuple[Weight, ...] = ()
    output: Any = None


def passed(model: nn.Module, call: Callable[[], Any], *, seed: int, loss: Loss | None = None) -> Pass:
    """Calls a model and differentiates the sum of what it returns, each value with a sign of its own.

    A plain sum would say nothing of layers before a normalisation, which keeps the sum of what it returns. Layers work
    as in evaluation, but those that normalise use the batch, as in the first step of training.

    Args:
        model: any module.
        call: calls it.
        seed: of the signs, and of what is random in the model.
        loss: what to differentiate instead.
    """
    watch, made = _Watch(model), Pass()
    with torch.random.fork_rng(devices=[]), measuring(model), torch.enable_grad():
        torch.manual_seed(seed)
        with watch.watching():
            made.output = call()
        named = {name: each for name, each in model.named_parameters() if each.requires_grad}
        total = loss(made.output) if loss is not None else _signed(made.output, seed)
        found: Sequence[Tensor | None] = [None] * len(named)
        if total is not None and total.requires_grad and named:
            found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    made.calls = watch.done
    made.weights = tuple(
        Weight(name=name, std=_std(value) or 0.0, gradient=_std(gradient))
        for (name, value), gradient in zip(named.items(), found, strict=True)
    )
    return made


def _std(values: Tensor | None) -> float | None:
    return None if values is None or values.is_meta or not values.numel() else numbers.moments(values)[1]


def _signed(output: Any, seed: int) -> Tensor | None:
    total: Tensor | None = None
    for index, each in enumerate(tensors(output)):
        if each.is_floating_point() and each.requires_grad:
            generator = streams.generator(seed, f"sign of output {index}")
            signs = torch.randint(0, 2, each.shape, generator=generator).mul_(2).sub_(1)
            part = (each * signs.to(each)).sum()
            total = part if total is None else total + part
    return total


def first(value: Any) -> Tensor | None:
    """The first tensor of real numbers in what a module takes or returns, else the first one."""
    found = list(tensors(value))
    return next((each for each in found if each.is_floating_point()), found[0] if found else None)


def version(tensor: Tensor | None) -> int:
    """How often a tensor was changed in place; one that was made in inference mode does not know."""
    return 0 if tensor is None or tensor.is_inference() else tensor._version


@dataclass(slots=True)
class _Frame:
    """A call that has not ended."""

    seen: Seen
    given: Tensor | None
    version: int
    chain: bool = True
    last: Tensor | None = None
    last_version: int = 0
    output: Output | None = None
    earlier: dict[int, weakref.ref[Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keep(self.given)

    def keep(self, tensor: Tensor | None) -> None:
        """Knows what it was given, or a child returned, again."""
        if tensor is not None:
            self.earlier[id(tensor)] = weakref.ref(tensor)

    def knows(self, tensor: Tensor) -> bool:
        found = self.earlier.get(id(tensor))
        return found is not None and found() is tensor

    def is_last(self, tensor: Tensor | None) -> bool:
        """Whether a tensor is what the last child returned, and was not changed in place since."""
        return tensor is not None and tensor is self.last and version(tensor) == self.last_version


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees the calls of the modules of a model, and the functions that they call."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names = {each: name for each, (name, *_) in homes(model.named_modules(remove_duplicate=False)).items()}
        self.thread = threading.get_ident()
        self.frames: list[_Frame] = []
        self.done: list[Seen] = []
        self.counts: dict[nn.Module, int] = {}
        self.fed, self.axis = "", -1

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = hooks.register_module_forward_pre_hook(self.before)
        try:
            with calls(self.after, named=True), self:
                yield
        finally:
            before.remove()

    def before(self, module: nn.Module, given: Any) -> None:
        if module not in self.names or threading.get_ident() != self.thread:
            return
        number = self.counts.get(module, 0)
        self.counts[module] = number + 1
        tensor, above = first(given), None
        if self.frames:
            frame = self.frames[-1]
            above = frame.seen
            frame.chain = frame.chain and (tensor is frame.given if frame.last is None else frame.is_last(tensor))
        seen = Seen(module=module, name=self.names[module], number=number, above=above)
        self.frames.append(_Frame(seen, tensor, version(tensor)))

    def after(self, module: nn.Module, given: Any, named: dict[str, Any], returned: Any) -> None:
        if all(each.seen.module is not module for each in self.frames):
            return
        frame = self.frames.pop()
        while frame.seen.module is not module:  # a call that ended with an exception, which the model met itself
            frame = self.frames.pop()
        tensor = first(returned)
        if frame.given is None and named:  # as a block of a config is called
            frame.given = first([*given, *named.values()])
            frame.version = version(frame.given)
        if tensor is not None:
            with _disable_current_modes(), torch.no_grad():
                self.finish(frame, tensor)
        self.done.append(frame.seen)
        if self.frames:
            above = self.frames[-1]
            besides = [each for each in tensors([*given, *named.values()]) if each is not frame.given]
            above.chain = above.chain and not any(map(above.knows, besides))  # as one that adds what went past
            above.last, above.output = tensor, frame.seen.output
            above.last_version = version(tensor)
            above.keep(tensor)

    def finish(self, frame: _Frame, tensor: Tensor) -> None:
        seen, given = frame.seen, frame.given
        same = frame.is_last(tensor)
        seen.pure = same and frame.chain
        seen.output = frame.output if same else measured(tensor)
        own = any(each is not None for each in seen.module._parameters.values())
        if own:
            self.fed, self.axis = seen.name, 1 if isinstance(seen.module, (_ConvNd, _NormBase, nn.GroupNorm)) else -1
        if given is None or version(given) != frame.version:
            return
        if own:
            seen.squared = given.float().square().mean().item() if given.is_floating_point() else None
        if own or seen.module._modules:
            seen.informed = numbers.varies(given, numbers.INFORMED)
        if seen.informed and given.shape == tensor.shape and given.is_floating_point() and given is not tensor:
            seen.added = ((tensor - given).norm() / given.norm().clamp(min=1e-30)).item()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        look = _LOOKS.get(func.overloadpacket)
        if look is not None and self.frames:
            look(self, self.frames[-1].seen, made, args, kwargs or {})
        return made

    def sum(self, _: Seen, made: Tensor, args: Any, *__: Any) -> None:
        """What is added to what a block was given, by itself or by a layer that does nothing else."""
        for frame in self.frames[-2:] if not self.frames[-1].seen.module._modules else self.frames[-1:]:
            frame.seen.adds = frame.seen.adds or any(each is frame.given for each in args)

    def relu(self, seen: Seen, made: Tensor, *_: Any) -> None:
        seen.acts += ("relu",)
        dead = numbers.dead(made, self.axis)
        if seen.dead is None or dead > seen.dead:
            seen.dead, seen.fed = dead, self.fed

    def bounded(self, seen: Seen, made: Tensor, *_: Any, low: float) -> None:
        seen.acts += ("tanh" if low else "sigmoid",)
        edge = 0.03 * (1 - low) / 2
        share = numbers.share((made > 1 - edge) | (made < low + edge))
        if seen.saturated is None or share > seen.saturated:
            seen.saturated, seen.fed = share, self.fed

    def softmax(self, seen: Seen, made: Tensor, *_: Any) -> None:
        if made.ndim > 2 and made.shape[-1] > 1:
            seen.entropy = min(numbers.entropy(made), 1.0 if seen.entropy is None else seen.entropy)

    def attention(self, seen: Seen, made: Any, args: Any, named: Any) -> None:
        """The weights of the first example, which the fused function does not return."""
        query, key = args[0][:1].float(), args[1][:1].float()
        key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)  # several queries may share a key
        scores = query @ key.transpose(-1, -2) * (named.get("scale") or query.shape[-1] ** -0.5)
        mask = named.get("attn_mask")
        if mask is not None:
            scores = scores.masked_fill(~mask[:1], -torch.inf) if mask.dtype == torch.bool else scores + mask[:1]
        if len(args) > 4 and args[4]:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
        self.softmax(seen, scores.softmax(-1).nan_to_num())


_ATEN = torch.ops.aten
_LOOKS: dict[Any, Callable[..., None]] = {
    **dict.fromkeys((_ATEN.relu, _ATEN.relu_, _ATEN.hardtanh, _ATEN.hardtanh_, _ATEN.threshold), _Watch.relu),
    **dict.fromkeys((_ATEN.add, _ATEN.add_, _ATEN.sub, _ATEN.sub_), _Watch.sum),
    **dict.fromkeys((_ATEN.tanh, _ATEN.tanh_), partial(_Watch.bounded, low=-1.0)),
    **dict.fromkeys((_ATEN.sigmoid, _ATEN.sigmoid_), partial(_Watch.bounded, low=0.0)),
    _ATEN._softmax: _Watch.softmax,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _Watch.attention,
}
"""What is seen of functions, wherever they are called."""


def measured(tensor: Tensor) -> Output | None:
    """What a tensor looks like; its gradient is noted when it comes. None if it has no values."""
    if tensor.is_meta or tensor.is_complex() or not tensor.numel():
        return None
    mean, std, largest = numbers.moments(tensor)
    output = Output(
        shape=tuple(tensor.shape),
        mean=mean,
        std=std,
        largest=largest,
        zeros=numbers.share(tensor == 0),
        rank=numbers.rank(tensor) if tensor.is_floating_point() and tensor.ndim > 1 else 0.0,
        varies=numbers.varies(tensor),
        signal=numbers.signal(tensor),
    )

    def arrived(gradient: Tensor) -> None:
        with torch.no_grad():
            output.gradient = numbers.moments(gradient)[1]
            output.push = gradient.float().norm().item() / max(len(gradient) if gradient.ndim else 1, 1) ** 0.5

    if tensor.requires_grad:
        tensor.register_hook(arrived)  # type: ignore[no-untyped-call]
    return output
