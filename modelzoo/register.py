"""A user's own layers, functions, fills and metrics, brought in from Python code, never from a config."""

from typing import Any

from modelzoo.catalog import catalog, fills, metrics
from modelzoo.catalog.catalog import register_function as function
from modelzoo.catalog.catalog import register_layer as layer
from modelzoo.catalog.fills import register_fill as fill
from modelzoo.catalog.metrics import register_metric as metric

__all__ = ["fill", "function", "layer", "metric"]


def registered() -> list[dict[str, Any]]:
    """All that was registered so far, for another process."""
    return [{name: each for name, each in known.items() if name not in fills.TORCHS} for known in _registries()]


def restore(found: list[dict[str, Any]]) -> None:
    """Registers what `registered` returned elsewhere."""
    for known, each in zip(_registries(), found, strict=True):
        known.update(each)


def _registries() -> tuple[dict[str, Any], ...]:
    return catalog._registered, catalog._registered_functions, fills._fills, metrics._registered
