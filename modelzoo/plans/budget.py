"""Whether a plan fits into memory, asked before any of it is allocated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelzoo.errors import Path, Problems, TextError, fail
from modelzoo.modules.memory import available, shown, size

if TYPE_CHECKING:
    from modelzoo.modules.recording import Largest
    from modelzoo.plans.plan import Plan


def check(
    needed: int,
    plan: Callable[[], Plan],
    budget: int | str | None = None,
    largest: Largest | None = None,
    who: str = "the model",
) -> None:
    """Refuses a plan whose tensors exceed the budget, with the largest of them, and a forward that makes a larger one.

    Args:
        needed: the bytes of all its tensors.
        plan: makes the plan, for the message.
        budget: in bytes, or as `size` reads it; what the machine has free by default.
        largest: the largest tensor that a forward pass makes.
        who: needs that.

    Raises:
        ConfigError: the plan does not fit.
    """
    try:
        limit = available() if budget is None else size(budget)
    except TextError as error:
        fail(Path(("memory",)), error.what, error.hint)
    there = "are there" if budget is None else "are allowed"
    if needed <= limit:
        if largest is not None and largest.bytes > limit:
            problems = Problems()
            what = f"{largest}, and {shown(limit)} {there}."
            hint = "Choose smaller sizes or inputs, or device=meta to plan only."
            problems.add(largest.key, what, hint, line=largest.line)
            problems.check()
        return
    ranked = sorted(plan().tensors, key=lambda each: -each.bytes)[:LARGEST]
    lines = [f"{each.name} {list(each.shape)} {each.dtype}: {shown(each.bytes)}" for each in ranked]
    what = f"{who} needs {shown(needed)} and {shown(limit)} {there}. The largest tensors:"
    hint = "Choose smaller sizes, dtype=bfloat16, or device=meta to plan only."
    fail(Path(("model",)), "\n".join([what, *lines, hint]))


LARGEST = 5
