"""Evaluation and training: what tells the two apart in a dry run, and what torch's layers take in evaluation alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from modelzoo.catalog.layers import Layer
from modelzoo.modules.blocks import Generated
from modelzoo.modules.skeleton import Skeleton, Unsized
from modelzoo.modules.states import State
from modelzoo.spec.instances import LayerInstance

LAYERS = frozenset(
    {
        *(f"{kind}{rank}d" for kind in ("BatchNorm", "InstanceNorm", "Dropout") for rank in (1, 2, 3)),
        *("Dropout", "AlphaDropout", "FeatureAlphaDropout", "RReLU"),
    }
)
"""The layers of torch that refuse in training what they let pass in evaluation: one value per channel, or a dtype."""

Refused = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Exception], None]


def modes(skeleton: Skeleton) -> tuple[bool, ...]:
    """The modes to look at, as `training` says them: evaluation, and training if a text asks which of the two it is."""
    kinds = {type(module) for module, _ in skeleton.blocks}
    told = any(issubclass(each, Generated) and each.__translation__.training for each in kinds)
    return (False, True) if told else (False,)


def enter(modules: Iterable[nn.Module], training: bool) -> None:
    """Sets the mode of blocks; layers stay in evaluation.

    Those of torch would draw numbers and move statistics in training, and return what has the same shape; what a user's
    own layer would change is not known.
    """
    for module in modules:
        module.__dict__["training"] = training and isinstance(module, Generated)


class Trials:
    """Tries layers of torch in training: each once for every shape and dtype that it takes in evaluation.

    Args:
        layers: of a model; those of `LAYERS` are tried.
    """

    def __init__(self, layers: Iterable[tuple[nn.Module, LayerInstance, Layer]]) -> None:
        self.layers = [(module, instance) for module, instance, layer in layers if layer.name in LAYERS]
        self.known: set[tuple[str, torch.Size, torch.dtype]] = set()

    @contextmanager
    def made(self, refused: Refused) -> Iterator[None]:
        """While it lasts layers are tried with what they are called with; `refused` is told what fails."""
        for module, instance in self.layers:
            module.__dict__["forward"] = self.trying(module, instance, refused)
        try:
            yield
        finally:
            for module, _ in self.layers:
                module.__dict__.pop("forward", None)

    def trying(self, module: nn.Module, instance: LayerInstance, refused: Refused) -> Callable[..., Any]:
        evaluated = module.forward

        def forward(*inputs: Any, **keywords: Any) -> Any:
            output = evaluated(*inputs, **keywords)
            taken = next(iter((*inputs, *keywords.values())), None)
            if isinstance(taken, Tensor) and not _is_ample(taken):
                key = instance.call(), taken.shape, taken.dtype
                error = None if key in self.known else _failure(module, taken)
                if error is not None:
                    refused(module, inputs, keywords, error)
                self.known.add(key)
            return output

        return forward


def _is_ample(taken: Tensor) -> bool:
    """Whether an input has several values for each channel, of a dtype that everything is for: no layer refuses it."""
    several = min(taken.shape) if taken.ndim == 2 else math.prod(taken.shape[2:])
    return taken.dtype in (torch.float32, torch.float64) and taken.ndim > 1 and several > 1


def _failure(module: nn.Module, taken: Tensor) -> Exception | None:
    """What a layer raises in training that it did not raise in evaluation; it is a copy that is tried, on a piece."""
    made = copy.deepcopy(module.layer[0] if isinstance(module, Unsized) else module)
    made.training = True
    if isinstance(made, _NormBase) and made.momentum is None:  # it is one over a count, which has no value on meta
        made.momentum = 0.0
    shape = [size if index < 2 else min(size, 2) for index, size in enumerate(taken.shape)]
    try:
        type(made).forward(made, torch.zeros(shape, dtype=taken.dtype, device=taken.device))
    except Exception as error:
        return error
    return None


@contextmanager
def measuring(model: nn.Module, scaled: Iterable[Tensor] = ()) -> Iterator[None]:
    """Every layer as in evaluation, but those that normalise by the batch, which forget it at once.

    What a user's own modules do to themselves is undone, and so nothing has changed after it but what was `scaled`.
    """
    addresses = {each.data_ptr() for each in scaled}
    own = [State(each, addresses) for each in model.modules() if _is_own(each)]
    before = [(module, module.training) for module in model.modules()]
    tracking = [each for each in model.modules() if isinstance(each, _NormBase) and each.track_running_stats]
    model.eval()
    for each in tracking:
        each.training, each.track_running_stats = True, False
    try:
        yield
    finally:
        for each in tracking:
            each.track_running_stats = True
        for module, mode in before:
            module.training = mode
        for state in own:
            state.give_back()


def _is_own(module: nn.Module) -> bool:
    """Whether a user's code runs when a module is called."""
    return type(module).__module__.partition(".")[0] not in ("torch", "modelzoo")
