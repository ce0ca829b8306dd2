"""A user's own numbers about a model and its output: lines of a run, columns of a sweep's table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from modelzoo.catalog.registry import Registry

Metric = Callable[[nn.Module, Any], Mapping[str, Any]]

REGISTERED: Registry[Metric] = Registry("metric")
METRICS: Mapping[str, Metric] = MappingProxyType(REGISTERED)
"""The registered functions, by their names."""


def register_metric(function: Metric) -> Metric:
    """Adds a function that is called after each forward pass; also a decorator.

    Args:
        function: takes the model and its output, returns values by name: numbers, texts, true or false.

    Raises:
        TypeError: it cannot be called.
        ValueError: another function has the same name.

    >>> @register_metric
    ... def example_depth(model, output):
    ...     return {"depth": len(list(model.modules()))}
    >>> measure(nn.Linear(2, 2), None)
    {'depth': 1}
    >>> del REGISTERED["example_depth"]
    """
    if not callable(function):
        raise TypeError(f"a metric is a function of a model and its output, not {function!r}")
    name = getattr(function, "__name__", repr(function))
    if REGISTERED.setdefault(name, function) is not function:
        raise ValueError(f"there is a metric '{name}' already")
    return function


def measure(model: nn.Module, output: Any) -> dict[str, Any]:
    """What all metrics say, in the order in which they were registered.

    Raises:
        TypeError: one of them returns something else than values by name.
    """
    found: dict[str, Any] = {}
    for name, metric in METRICS.items():
        result = metric(model, output)
        if not isinstance(result, Mapping):
            raise TypeError(f"the metric '{name}' must return a dict of values by name, not {result!r}")
        found.update((str(key), _plain(value, name)) for key, value in result.items())
    return found


def _plain(value: Any, name: str) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, (bool, int, float, str, type(None))):
        raise TypeError(f"the metric '{name}' must return numbers, texts, true or false, not {value!r}")
    return value
