"""Differentiates what a model returned, and says which layer stands in the way where that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from modelzoo.errors import ConfigError, Path, Problem, fail, first_line
from modelzoo.modules.skeleton import Skeleton


def backward(skeleton: Skeleton, output: Any, again: Callable[[], Any]) -> None:
    """Differentiates the sum of all floating tensors of an output.

    Args:
        skeleton: what the model was made from.
        output: of the model, with gradients.
        again: gives such an output once more, to look for what stood in the way.

    Raises:
        ConfigError: the layers that change what the gradient needs, or the one whose gradient cannot be computed.
    """
    parts = [each for each in tensors(output) if each.is_floating_point() and each.requires_grad]
    if not parts:
        what = "no output depends on a parameter, so there is nothing to differentiate."
        fail(Path(("backward",)), what, "Type backward=false.")
    try:
        _differentiate(parts)
    except Exception as error:
        raise ConfigError(_explain(skeleton, error, again)) from error


def _differentiate(parts: Sequence[Tensor]) -> None:
    torch.autograd.backward(torch.stack([each.sum() for each in parts]).sum())


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of an output."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, tuple, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from tensors(each)


# -- explaining -------------------------------------------------------------------------------------------------------


def _explain(skeleton: Skeleton, error: Exception, again: Callable[[], Any]) -> list[Problem]:
    watch = _Watch()
    with suppress(Exception), watch.calls(skeleton):
        output = again()
        watch.look(skeleton.root)
        _differentiate([each for each in tensors(output) if each.is_floating_point() and each.requires_grad])
    names = {id(module): name for name, module in skeleton.root.named_modules()}

    def problem(module: nn.Module, why: str, hint: str = "") -> Problem:
        instance = skeleton.instances[id(module)]
        if instance.layer is not None and instance.arguments.get("inplace") and not hint:
            hint = "Write inplace=False."
        name = f"'{names[id(module)]}'" if names.get(id(module)) else "the model"
        shown = "" if instance.layer is None else f" is {instance.call()}"
        what = f"{name}{shown}: {why}."
        return Problem(path=str(instance.key), key=instance.key, what=what, hint=hint)

    if watch.changing:
        return [problem(each, "it changes in place what the gradient needs as it was") for each in watch.changing]
    why = f"its gradient cannot be computed: {first_line(error).rstrip('.')}"
    if watch.entered:
        return [problem(watch.entered[-1], why, "Type backward=false.")]
    key = Path(("backward",))
    return [Problem(path=str(key), key=key, what=f"the model: {why}.", hint="Type backward=false.")]


class _Watch:
    """Sees which layers change what was saved for the gradient, and which of them a backward pass entered."""

    def __init__(self) -> None:
        self.saved: list[tuple[Tensor, int]] = []
        self.running: list[nn.Module] = []
        self.changing: dict[nn.Module, None] = {}
        self.entered: list[nn.Module] = []

    @contextmanager
    def calls(self, skeleton: Skeleton) -> Iterator[None]:
        """Watches the layers and blocks of the config; what a layer is made of counts as the layer."""
        known = [module for module in skeleton.root.modules() if id(module) in skeleton.instances]
        before = [module.register_forward_pre_hook(self.before) for module in known]
        after = [module.register_forward_hook(self.after) for module in known]
        try:
            with saved_tensors_hooks(self.save, lambda saved: saved):
                yield
        finally:
            for handle in (*before, *after):
                handle.remove()

    def save(self, tensor: Tensor) -> Tensor:
        self.saved.append((tensor, tensor._version))
        return tensor

    def before(self, module: nn.Module, _: Any) -> None:
        if self.running:
            self.look(self.running[-1])
        self.running.append(module)

    def after(self, module: nn.Module, _: Any, output: Any) -> None:
        self.look(self.running.pop())
        for each in tensors(output):
            if each.grad_fn is not None:
                each.grad_fn.register_prehook(lambda _: self.entered.append(module))

    def look(self, module: nn.Module) -> None:
        """Whether a module changed something that was saved."""
        same = [(tensor, version) for tensor, version in self.saved if tensor._version == version]
        if len(same) < len(self.saved):
            self.changing[module] = None
        self.saved = same
