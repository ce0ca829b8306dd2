"""The texts of a tensor, tried before any tensor of the model is filled."""

from __future__ import annotations

import torch
from torch import Tensor

from modelzoo.init import drawing
from modelzoo.init.computation import Computation, UnfillableError, Wrong
from modelzoo.init.copies import carried
from modelzoo.init.ledger import Entry
from modelzoo.language import runtime
from modelzoo.modules.failures import depends_on_data
from modelzoo.modules.strict import strictly

TRIED = 2**22
"""Up to so many elements a text is tried as it will be computed; beyond, on meta, where it has no values."""


def attempt(
    entry: Entry, seed: int, max_steps: int, operations: runtime.Operations | None = None, finite: bool = True
) -> list[Wrong]:
    """Computes the texts of a tensor, keeps what they give, and says what goes wrong if anything does.

    Args:
        operations: counts what they do, with what others do.
        finite: whether values that are not are wrong.
    """
    known = entry.tensor.numel() <= TRIED and entry.original is None
    device, chain = "cpu" if known else "meta", entry.chain
    if entry.original is not None:
        chain = carried(chain, torch.empty_like(entry.original.tensor, device=device))
    tensor = torch.empty(entry.tensor.shape, dtype=entry.tensor.dtype, device=device)
    try:
        operations = operations or runtime.Operations("fills")
        program = Computation(tensor, chain, entry.drawn, seed, max_steps, operations)
        with strictly(tensor.device):
            drawing.run([drawing.Task(0, program.fill)], threads=1)
    except UnfillableError as error:
        return [] if depends_on_data(error.__cause__) else [error.wrong]
    if finite and not is_finite(tensor):
        return [Wrong(place=len(entry.chain) - 1, does="fills", how=NOT_FINITE)]
    entry.computed = None if tensor.is_meta else tensor
    return []


NOT_FINITE = " with values that are not finite."


def is_finite(tensor: Tensor) -> bool:
    """Whether every value is; true where there are none."""
    return tensor.is_meta or not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
