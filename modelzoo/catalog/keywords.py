"""The names of the arguments of functions and methods, to tell a misspelt one."""

from __future__ import annotations

from modelzoo.catalog.functions import Function
from modelzoo.errors import nearest
from modelzoo.known import told
from modelzoo.signatures import names_of
from modelzoo.spelling import closest, did_you_mean

_ALSO = frozenset(["axis", "keepdims", "input", "self", "other", "x1", "x2"])
"""Names that torch takes for others, and documents nowhere."""


def misspelt(function: Function | None, name: str, keyword: str) -> str | None:
    """What is meant by an argument that there is not; None where there may be one of that name.

    Args:
        function: None for a method of a tensor.
        name: its name.
        keyword: the name of the argument.

    >>> from modelzoo.catalog.functions import find_function
    >>> misspelt(find_function("softmax"), "softmax", "dmi"), misspelt(None, "sum", "keepdmi")
    ("Did you mean 'dim'?", "Did you mean 'keepdim'?")
    >>> misspelt(None, "sum", "axis") is None
    True
    """
    exact = _exact(function) if function is not None else None
    if exact is not None:
        return None if keyword in exact else nearest(keyword, exact)
    if keyword in _ALSO:
        return None
    known = told("documented", name) or ()
    return did_you_mean(closest(keyword, known)) or None if keyword not in known else None


def _exact(function: Function) -> list[str] | None:
    """The names that a function can be given; None where that is not known."""
    if function.home:
        return told("function", function.home, function.name)["names"]  # type: ignore[no-any-return]
    return names_of(function.on_numbers)
