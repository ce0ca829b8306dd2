"""Every layer of torch whose input does not fit, in one pass: those that fail are mended for as long as it lasts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import bounds
from modelzoo.catalog import sizes
from modelzoo.catalog.layers import Layer
from modelzoo.errors import Path, Problem
from modelzoo.modules import equal, sites
from modelzoo.modules.explain import Explaining, FailedCall, located, mended_layer
from modelzoo.modules.inputs import call_with
from modelzoo.modules.recording import recording
from modelzoo.modules.skeleton import Skeleton, Unsized, modules_of
from modelzoo.spec.instances import LayerInstance

Made = tuple[Path, str]
"""A layer by its key and its arguments: copies are one."""


class Misfits:
    """Looks for layers whose input does not fit.

    One wrong size may spoil all that comes after it: of layers that miss the same size by the same only those are told
    that take what the first of them takes, of those that one key of the config makes only the first, and nothing that
    fails for another reason. A size is offered where all calls of a layer could have it.

    Args:
        skeleton: modules on zeros or on meta.
        training: whether what is told happens in training alone.
    """

    def __init__(self, skeleton: Skeleton, training: bool) -> None:
        self.skeleton, self.training = skeleton, training
        self.calls: list[tuple[FailedCall, Made, str]] = []
        self.causes: dict[Hashable, Tensor] = {}
        self.keys: set[Path] = set()
        self.fitted: set[Made] = set()
        self.wanted: dict[tuple[Made, str], dict[int | None, None]] = {}
        """The sizes that the calls of a layer would need for an argument, in their order."""
        self.mended: dict[tuple[nn.Module, int], nn.Module | None] = {}
        self.returned: equal.Returned = []

    def found(self, inputs: dict[str, Tensor]) -> list[Problem]:
        """The problems of a pass on example inputs."""
        changed: list[nn.Module] = []
        try:
            for module, instance, layer in torch_layers(self.skeleton):
                if layer.name in sizes.SIZES and not isinstance(module, Unsized):
                    changed.append(module)
                    module.__dict__["forward"] = self.tolerating(module, instance, layer)
            with suppress(Exception), recording(self.returned), torch.no_grad():  # what fails otherwise ends it
                call_with(self.skeleton.root, inputs)
        finally:
            for module in changed:
                module.__dict__.pop("forward", None)
        explaining = Explaining(self.skeleton, inputs)
        return [
            explaining.layer(replace(call, needed=self.needed(call, made, argument)), self.returned[: call.returned])
            for call, made, argument in self.calls
        ]

    def tolerating(self, module: nn.Module, instance: LayerInstance, layer: Layer) -> Callable[..., Any]:
        """A `forward` that notes what does not fit, and answers as a layer that it fits."""
        made = instance.key, instance.call()

        def forward(*inputs: Any, **keywords: Any) -> Any:
            try:
                output = type(module).forward(module, *inputs, **keywords)
            except Exception as error:
                misfit = sizes.misfit(layer, instance.arguments, inputs, keywords)
                if misfit is None:
                    raise
                call = FailedCall(
                    module=module, inputs=inputs, keywords=keywords, error=error, returned=len(self.returned)
                )
                self.note(call, made, misfit, sizes.given_size(instance.arguments, misfit.argument))
                fitting = self.fitting(module, instance, misfit)
                if fitting is None:
                    raise
                return fitting.forward(*inputs, **keywords)
            self.fitted.add(made)
            return output

        return forward

    def note(self, call: FailedCall, made: Made, misfit: sizes.Misfit, given: tuple[int, ...]) -> None:
        """Keeps a call that failed, unless it may be the consequence of another."""
        first = self.causes.setdefault((given, misfit.size), misfit.value) is misfit.value
        if first and made[0] not in self.keys and len(self.calls) < bounds.PROBLEMS:
            frames = sites.frames_from(sys._getframe())
            self.calls.append(
                (located(self.skeleton, call, frames, self.returned, self.training), made, misfit.argument)
            )
        self.keys.add(made[0])
        self.wanted.setdefault((made, misfit.argument), {})[misfit.size] = None

    def fitting(self, module: nn.Module, instance: LayerInstance, misfit: sizes.Misfit) -> nn.Module | None:
        """The layer as it would fit, if there is such a one."""
        if misfit.size is None:
            return None
        case = module, misfit.size
        if case not in self.mended:
            self.mended[case] = mended_layer(instance, misfit, self.skeleton.device, self.skeleton.dtype)
        return self.mended[case]

    def needed(self, call: FailedCall, made: Made, argument: str) -> frozenset[int | None]:
        """The sizes that other calls of a layer need than the one that failed first; None is what it has."""
        others = [*self.wanted[made, argument]][1:]
        return call.needed | frozenset(others) | (frozenset({None}) if made in self.fitted else frozenset())


def torch_layers(skeleton: Skeleton) -> Iterator[tuple[nn.Module, LayerInstance, Layer]]:
    """The layers of torch: not those that a user's code may change, or expect to fail."""
    layers = [
        (module, instance, instance.layer)
        for module in modules_of(skeleton.root)
        if isinstance(instance := skeleton.instances.get(module), LayerInstance)
    ]
    theirs = {part for module, _, layer in layers if layer.registered for part in module.modules()}
    for module, instance, layer in layers:
        if not layer.registered and module not in theirs:
            yield module, instance, layer
