"""What a user adds to the catalog, and where it is looked for."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, TypeVar

from modelzoo import bounds, late
from modelzoo.names import Kind

if TYPE_CHECKING:
    import importlib.metadata

_Value = TypeVar("_Value")
_entry_points_loaded = False


class Registry(dict[str, _Value]):
    """What a user added of one kind, by name.

    Args:
        kind: as a message calls one of them.
        taken: names that are not free.

    >>> from modelzoo.catalog.layers import REGISTERED
    >>> REGISTERED.add("Linear", None)
    Traceback (most recent call last):
    ValueError: the name 'Linear' is taken by another layer: write name=...
    """

    def __init__(self, kind: str, taken: Container[str] = ()) -> None:
        super().__init__()
        self.kind, self.taken = kind, taken
        REGISTRIES.append(self)

    def add(self, name: str, value: _Value) -> None:
        """Adds something under a name that is free.

        Raises:
            ValueError: the name is taken or no name.
        """
        if not Kind.REGISTERED.fits(name):
            raise ValueError(
                f"a {self.kind} needs a name of letters, digits and '_', at most {bounds.NAME} of them, not {name!r}: "
                "write name=..."
            )
        if name in self.taken or name in self:
            raise ValueError(f"the name '{name}' is taken by another {self.kind}: write name=...")
        self[name] = value


REGISTRIES: list[Registry[Any]] = []
"""All of them; another process gets what they hold."""


def load_entry_points() -> None:
    """Lets installed packages register what they have: calls each entry point of the group `modelzoo`, once.

    Raises:
        ImportError: an entry point failed.
    """
    global _entry_points_loaded
    if _entry_points_loaded:
        return
    import importlib.metadata  # which takes a twentieth of a second

    _entry_points_loaded = True  # first, since an entry point may look a name up
    for each in importlib.metadata.entry_points(group="modelzoo"):
        _load(each)


def _load(entry_point: importlib.metadata.EntryPoint) -> None:
    late.need()
    try:
        entry_point.load()()
    except Exception as error:
        line = f"{entry_point.name} = {entry_point.value}"
        raise ImportError(f"the entry point '{line}' of the group modelzoo failed: {error}") from error
