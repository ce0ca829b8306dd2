"""What torch raises that is nobody's mistake."""

from __future__ import annotations


def depends_on_data(error: BaseException | None) -> bool:
    """Whether a text or a layer asked a tensor on meta for values, or for a shape that depends on them.

    >>> import torch
    >>> try:
    ...     torch.zeros(2, device="meta").nonzero()
    ... except Exception as error:
    ...     depends_on_data(error)
    True
    """
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("meta" in text or "data-dependent" in text)
