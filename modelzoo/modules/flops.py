"""Floating-point operations, by torch's own formulas, on every device alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from modelzoo.modules.uncompiled import uncompiled

_FUSED = torch.ops.aten._scaled_dot_product_flash_attention
"""Attention in one operation, of which torch has no formula for the CPU's."""


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts each operation as it is done.

    Torch's own mode takes some operations apart in Python instead, and so lets pass what the CPU has no kernel for.

    Attributes:
        total: the floating-point operations so far; a multiplication and an addition are two.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.total += known(func, args, kwargs, result) or 0
        return result


def known(func: Any, args: Any, kwargs: Any, result: Any) -> int | None:
    """The floating-point operations of an operation that was done; None where torch has no formula."""
    packet = func.overloadpacket
    formula = flop_registry.get(_FUSED if packet.__name__ == f"{_FUSED.__name__}_for_cpu" else packet)
    return None if formula is None else int(formula(*args, **kwargs, out_val=result))


@contextmanager
def counted() -> Iterator[Counter]:
    """Counts while it lasts, without the fused kernels of the CPU that torch's counter takes for nothing.

    >>> with torch.no_grad(), counted() as counter:
    ...     _ = torch.nn.LSTM(3, 4)(torch.zeros(2, 1, 3))
    >>> counter.total
    448
    """
    fast, fused = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()

    def before(module: nn.Module, _: Any) -> None:
        if isinstance(module, nn.LSTM):  # convolutions are counted with oneDNN too, and much slower without it
            torch._C._set_mkldnn_enabled(False)

    def after(module: nn.Module, *_: Any) -> None:
        if isinstance(module, nn.LSTM):
            torch._C._set_mkldnn_enabled(fused)

    handles = [hooks.register_module_forward_pre_hook(before), hooks.register_module_forward_hook(after)]
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with uncompiled(), Counter() as counter:
            yield counter
    finally:
        for handle in handles:
            handle.remove()
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(fused)
