"""What surrounds a build and is not changed by it: generators of random numbers, torch's modes, filters of warnings."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch

from modelzoo import register


def _filter(filters: list[Any]) -> None:
    if warnings.filters != filters:
        warnings.filters[:] = filters  # type: ignore[index]  # a list, whatever its type says


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


_Setting = tuple[Callable[[], Any], Callable[[Any], Any]]

_SETTINGS: tuple[_Setting, ...] = (
    (torch.default_generator.get_state, torch.default_generator.set_state),
    (random.getstate, random.setstate),  # rich draws when it is imported
    (lambda: [*warnings.filters], _filter),  # what torch imports for meta adds one
)
"""What texts, libraries and their imports may change: how it is read, and how it is put back."""

_SETTINGS_OF_OWN_CODE: tuple[_Setting, ...] = (
    (numpy.random.get_state, numpy.random.set_state),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (_deterministic, lambda modes: torch.use_deterministic_algorithms(modes[0], warn_only=modes[1])),
)
"""What only code may change that a user registered."""


@contextmanager
def kept() -> Iterator[None]:
    """Puts back what may have been changed while it lasted.

    >>> before = torch.get_rng_state()
    >>> with kept():
    ...     _ = torch.rand(2)
    >>> torch.get_rng_state().equal(before)
    True
    """
    settings = (*_SETTINGS, *(_SETTINGS_OF_OWN_CODE if any(register.registered().values()) else ()))
    before = [read() for read, _ in settings]
    try:
        yield
    finally:
        for (_, put), value in zip(settings, before, strict=True):
            put(value)
