"""A user's own layers, functions, fills and metrics, brought in from Python code, never from a config."""

from typing import Any

from modelzoo.catalog.fills import register_fill as fill
from modelzoo.catalog.functions import register_function as function
from modelzoo.catalog.layers import register_layer as layer
from modelzoo.catalog.metrics import register_metric as metric
from modelzoo.catalog.registry import REGISTRIES

__all__ = ["fill", "function", "layer", "metric"]


def registered() -> dict[str, dict[str, Any]]:
    """All that was registered so far, by its kind, for another process."""
    return {each.kind: dict(each) for each in REGISTRIES}


def restore(found: dict[str, dict[str, Any]]) -> None:
    """Registers what `registered` returned elsewhere."""
    for each in REGISTRIES:
        each.update(found[each.kind])
