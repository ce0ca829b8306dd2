"""A user's own layers, functions, fills and metrics, brought in from Python code, never from a config."""

import hashlib
import inspect
import pathlib
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


def code() -> str:
    """A hash of the files that all of it is written in; empty where nothing was registered."""
    found = {_source(_own(value)) for each in REGISTRIES for value in each.values()}
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest() if found else ""


def _own(value: Any) -> Any:
    """The class or function of a user that an entry of the catalog was made from."""
    for name in ("cls", "call", "sampler"):
        value = getattr(value, name, value)
    return inspect.unwrap(value)


def _source(own: Any) -> str:
    """A hash of the file of a class or function; of one that stands in none, its name."""
    try:
        return hashlib.sha256(pathlib.Path(inspect.getsourcefile(own) or "").read_bytes()).hexdigest()
    except (OSError, TypeError):
        return f"{getattr(own, '__module__', '')}.{getattr(own, '__qualname__', '')}"


def restore(found: dict[str, dict[str, Any]]) -> None:
    """Registers what `registered` returned elsewhere."""
    for each in REGISTRIES:
        each.update(found[each.kind])
