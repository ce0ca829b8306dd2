"""Differentiates what a model returned, and says which layer stands in the way where that fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from modelzoo.errors import ConfigError, Path, Problem, fail, first_line
from modelzoo.modules.failures import depends_on_data
from modelzoo.modules.inputs import call_with
from modelzoo.modules.skeleton import Skeleton, Unsized
from modelzoo.spec.instances import LayerInstance


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


_KINDS = ("Conv", "ConvTranspose", "BatchNorm", "InstanceNorm")
FORGETFUL = (
    nn.Linear,
    nn.GroupNorm,
    nn.LayerNorm,
    *(getattr(nn, f"{kind}{rank}d") for kind in _KINDS for rank in (1, 2, 3)),
)
"""The layers of torch whose gradient does not need what they returned."""


def is_doubtful(modules: Iterable[nn.Module]) -> bool:
    """Whether some layer works in place on what another may need for its gradient.

    >>> is_doubtful([nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))])
    False
    >>> is_doubtful([nn.Sequential(nn.Tanh(), nn.ReLU(inplace=True))])
    True
    """
    return any(
        _is_in_place(child) and not (isinstance(module, nn.Sequential) and isinstance(before, FORGETFUL))
        for module in modules
        for before, child in itertools.pairwise((None, *module._modules.values()))
    )


def _is_in_place(module: nn.Module | None) -> bool:
    return getattr(module, "inplace", False) is True


def hindrances(skeleton: Skeleton, inputs: dict[str, Tensor]) -> list[Problem]:
    """What makes a backward pass fail after a forward pass that works: layers that work in place.

    Nothing is differentiated: what is saved for the gradient and changed later is enough to know.

    Args:
        skeleton: modules on zeros or on meta, as they are once their sizes are known.
        inputs: by name, on the skeleton's device.
    """
    doing = [module for module in skeleton.root.modules() if _is_in_place(module)]
    before = [module.training for module in doing]
    try:
        for module in doing:  # as what drops does nothing in evaluation
            module.training = True
        with torch.enable_grad():
            return [] if _is_passable(skeleton, inputs) else _found(skeleton, inputs)
    finally:
        for module, training in zip(doing, before, strict=True):
            module.training = training


def _is_passable(skeleton: Skeleton, inputs: dict[str, Tensor]) -> bool:
    """Whether nothing that is saved for a gradient is changed later."""
    saved: list[tuple[Tensor, int]] = []

    def save(tensor: Tensor) -> Tensor:
        saved.append((tensor, tensor._version))
        return tensor

    with suppress(Exception), saved_tensors_hooks(save, lambda kept: kept):
        call_with(skeleton.root, inputs)
        return all(tensor._version == version for tensor, version in saved)
    return False


def _found(skeleton: Skeleton, inputs: dict[str, Tensor]) -> list[Problem]:
    watch = _Watch()
    with watch.calls(skeleton):
        try:
            call_with(skeleton.root, inputs)
        except Exception as error:  # as where a parameter itself is changed
            watch.entered = watch.running[-1:]
            return [] if depends_on_data(error) else _explained(skeleton, watch, error)
        watch.look(skeleton.root)
    return _explained(skeleton, watch, None)


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
    return _explained(skeleton, watch, error)


def _explained(skeleton: Skeleton, watch: _Watch, error: Exception | None) -> list[Problem]:
    names = {module: name for name, module in skeleton.root.named_modules()}

    def problem(module: nn.Module, why: str, hint: str = "") -> Problem:
        instance = skeleton.instances[module]
        if isinstance(instance, LayerInstance) and instance.arguments.get("inplace"):
            hint = "Write inplace=False."
        name = f"'{names[module]}'" if names.get(module) else "the model"
        shown = f" is {instance.call()}" if isinstance(instance, LayerInstance) else ""
        what = f"{name}{shown}: {why}."
        return Problem(path=str(instance.key), key=instance.key, what=what, hint=hint)

    if watch.changing or error is None:
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
        own = (module for module in skeleton.root.modules() if module in skeleton.instances)
        known = [layer for module in own for layer in (module.layer if isinstance(module, Unsized) else [module])]
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
