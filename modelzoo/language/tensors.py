"""What compiled texts call for tensors and modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.catalog import functions, guards
from modelzoo.language import runtime


def device_of(owner: Any, *inputs: Any) -> torch.device:
    """The device of the first tensor among a block's inputs; without one, of its first own tensor; else the CPU.

    >>> device_of(None, 1, [torch.zeros(1, device="meta")])
    device(type='meta')
    """
    tensor = _first_tensor(inputs, owner)
    return torch.device("cpu") if tensor is None else tensor.device


def dtype_of(owner: Any, *inputs: Any) -> torch.dtype | None:
    """The dtype of the first floating tensor, looked for in the same places; None, which is torch's default.

    >>> dtype_of(None, torch.arange(3), [torch.zeros(1, dtype=torch.float16)])
    torch.float16
    """
    tensor = _first_tensor(inputs, owner, floating=True)
    return None if tensor is None else tensor.dtype


def _first_tensor(inputs: Any, owner: Any, floating: bool = False) -> Tensor | None:
    found = _tensor_in(inputs, floating)
    if found is not None or owner is None:
        return found
    for tensors in (owner.parameters, owner.buffers):
        for own in tensors():
            if not floating or own.is_floating_point():
                return own  # type: ignore[no-any-return]
    return None


def _tensor_in(value: Any, floating: bool) -> Tensor | None:
    if isinstance(value, Tensor):
        return value if not floating or value.is_floating_point() else None
    if isinstance(value, (tuple, list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            tensor = _tensor_in(each, floating)
            if tensor is not None:
                return tensor
    return None


def as_tensor(value: Any) -> Tensor:
    """A value whose elements a text assigns.

    Raises:
        TypeError: it is no tensor.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"elements of a tensor are assigned, not of {type(value).__name__}")
    return value


def own_buffer(owner: nn.Module, name: str) -> Tensor | None:
    """A buffer that a text sets in training: there a copy, which a gradient may go back through when it was set."""
    held: Tensor | None = getattr(owner, name)
    return held.clone() if held is not None and owner.training else held


def set_buffer(owner: nn.Module, name: str, value: Any) -> Tensor:
    """Gives a buffer the values that a text computed in training, and returns them; no gradient goes through.

    Raises:
        TypeError: the value is no tensor, or the block has no such buffer.
        ValueError: it has another shape.
    """
    held = getattr(owner, name)
    if not isinstance(value, Tensor) or held is None:
        raise TypeError(f"'{name}' is a buffer, and is set to a tensor, not to {type(value).__name__}")
    if value.shape != held.shape:
        raise ValueError(f"'{name}' is a buffer of shape {list(held.shape)}, and is set to one of {list(value.shape)}")
    new = value.detach().to(held.dtype)
    held.copy_(new)
    return new


HELPERS: Mapping[str, Any] = {
    **runtime.HELPERS,
    **{f"_{name}": dtype for name, dtype in functions.DTYPES.items()},
    **{f"_method_{name}": guards.method(name) for name in guards.METHODS},
    "_device_of": device_of,
    "_dtype_of": dtype_of,
    "_own": own_buffer,
    "_set": set_buffer,
    "_tensor": as_tensor,
}
"""All that compiled texts call by names of their own."""
