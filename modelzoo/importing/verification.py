"""What was imported is built, and compared with what it was imported from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import api
from modelzoo.errors import ConfigError, ConfigWarning, Problem
from modelzoo.importing.calls import Given, gradients, outputs
from modelzoo.modules.homes import homes


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the module did, to be compared with.

    Attributes:
        first: how it was called in evaluation.
        evaluation: what it returned.
        gradients: those of the sum of that, if it has any.
        second: how it was called with other values.
        other: what it returned, in training where `training` says so.
        slopes: the gradients of the sum of that, in training, if it has any.
        buffers: what it left in its buffers then.
        parts: where the source changes a view in place, which may be a part of another tensor.
        unseen: ways of calling the module that fail.
    """

    first: Given
    evaluation: list[Tensor]
    gradients: Mapping[str, Tensor] | None
    second: Given
    other: list[Tensor]
    training: bool
    slopes: Mapping[str, Tensor] | None
    buffers: Mapping[str, Tensor]
    parts: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


SEED = 0
"""From which training draws."""


def differences(built: nn.Module, module: nn.Module, seen: Seen, again: list[Tensor] | None = None) -> Iterator[str]:
    """Each way in which a model that was built is another one.

    Args:
        built: the model; it gets the values of the module.
        module: what it was imported from.
        seen: what that did.
        again: what it returned in evaluation with the other values too.
    """
    yield from _tensors(built, module)
    built.load_state_dict(module.state_dict(), strict=False)
    try:
        yield from _returned(built, module, seen, again)
    except ConfigError:
        raise
    except Exception as error:  # whatever a model raises that was called with what the module takes
        yield f"it fails: {error}"


def other_sizes(built: nn.Module, module: nn.Module, seen: Seen) -> Iterator[str]:
    """Inputs of other sizes that the module takes, and for which the model is another one.

    What a module decides by sizes, as most do, stands in a config as it was decided for the sizes of the example.
    """
    built.load_state_dict(module.state_dict(), strict=False)
    built.eval()
    module.eval()
    for several in seen.first.sizes():
        taken = ((given, _tried(module, given, module)) for given in several)
        given, expected = next(((given, each) for given, each in taken if each is not None), (seen.first, None))
        if expected is None:
            continue
        found = _tried(built, given, module)
        if found is None or not equal(found, expected):
            shapes = given.shapes(module)
            yield f"It is the same for inputs of these sizes alone: for {shapes} the module does other things."


def _tried(model: nn.Module, given: Given, module: nn.Module) -> list[Tensor] | None:
    """What a model returns; None if it does not take these inputs."""
    try:
        return called(model, given, module)
    except Exception:  # whatever it raises then
        return None


def built_of(config: Mapping[str, Any]) -> nn.Module:
    """The model of a config.

    Raises:
        ConfigError: it cannot be built.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConfigWarning)
            return api.build(config)
    except ConfigError as error:
        what = "what was imported cannot be built, at {}: {}"
        raise ConfigError(
            Problem(path="module", what=what.format(each.path, each.what), hint=each.hint) for each in error.problems
        ) from error


def _returned(built: nn.Module, module: nn.Module, seen: Seen, again: list[Tensor] | None) -> Iterator[str]:
    found = called(built.eval(), seen.first, module)
    if not equal(found, seen.evaluation):
        yield "it returns other values"
    elif seen.gradients is not None and not _close(gradients(built, found), seen.gradients):
        yield "it has other gradients"
    if again is not None and not equal(called(built, seen.second, module), again):
        yield "with other values it returns something else"
    found = called(built.train(seen.training), seen.second, module)
    if not equal(found, seen.other):
        yield f"with other values it returns something else{', in training' if seen.training else ''}"
    elif seen.slopes is not None and not _close(gradients(built, found, large=False), seen.slopes):
        yield "it has other gradients in training"
    left = dict(built.named_buffers())
    for name, value in seen.buffers.items():
        if name in left and not _same(left[name], value):
            yield f"'{name}' has other values after a call{' in training' if seen.training else ''}"


def called(built: nn.Module, given: Given, module: nn.Module) -> list[Tensor]:
    """What a model of a config returns where the module is called so."""
    torch.manual_seed(SEED)
    if built is module:
        return outputs(module(*given.args, **given.named))
    return outputs(built(*given.by_name(module).values()))


def _tensors(built: nn.Module, module: nn.Module) -> Iterator[str]:
    ours, theirs = built.state_dict(), module.state_dict()
    if list(ours) != list(theirs):
        differing = [f"'{name}'" for name in (*(theirs.keys() - ours.keys()), *(ours.keys() - theirs.keys()))]
        yield f"its state dict has other keys: {', '.join(sorted(differing)[:5]) or 'the same in another order'}"
        return
    for name, value in theirs.items():
        if (value.shape, value.dtype) != (ours[name].shape, ours[name].dtype):
            yield f"'{name}' has another shape or dtype"
    if _shared(built) != _shared(module):
        yield "it shares other tensors"
    if [*_trained(built)] != [*_trained(module)]:
        yield "it has other parameters"
    persistent = theirs.keys()
    others = dict(built.named_buffers())
    for name, value in module.named_buffers():
        if name not in persistent and (name not in others or not torch.equal(value, others[name])):
            yield f"the buffer '{name}' has other values"


def _shared(module: nn.Module) -> list[list[str]]:
    """The names of tensors that have several."""
    found = homes(module.named_parameters(remove_duplicate=False))
    return sorted(names for names in found.values() if len(names) > 1)


def _trained(module: nn.Module) -> Iterator[tuple[str, bool]]:
    for name, each in module.named_parameters():
        yield name, each.requires_grad


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether two calls returned the same."""
    return len(first) == len(second) and all(_same(a, b) for a, b in zip(first, second, strict=True))


def _same(first: Tensor, second: Tensor) -> bool:
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        return False
    return torch.equal(first, second) or torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)


def _close(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Equal but for the order in which several gradients of one tensor are summed."""
    if first.keys() != second.keys():
        return False
    return all(_near(first[name], each) for name, each in second.items())


def _near(first: Tensor, second: Tensor) -> bool:
    if torch.equal(first, second):
        return True
    most = float(second.abs().nan_to_num(0, 0).max()) if second.numel() else 0.0
    return torch.allclose(first, second, rtol=1e-3, atol=1e-5 * most, equal_nan=True)
