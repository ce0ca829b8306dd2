"""What a pickle holds, looked at without carrying it out: tuples inside tuples without end would end the process."""

from __future__ import annotations

import pickletools
from typing import IO

DEPTH = 100
"""Tuples inside tuples; a checkpoint has three."""


def check_depth(file: IO[bytes]) -> None:
    """Reads one pickle, up to its end.

    Raises:
        ValueError: it is none, or nests tuples more deeply than any checkpoint: hashing them needs a stack as deep.

    >>> import io, pickle
    >>> check_depth(io.BytesIO(pickle.dumps({("a", (1, 2)): [3]})))
    """
    stack: list[int | None] = []  # how deep a tuple is, 0 for anything else, None for a mark
    memo: dict[int, int | None] = {}
    for operation, argument, _ in pickletools.genops(file):
        match operation.name:
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                assert isinstance(argument, int)
                memo[argument] = _top(stack)
            case "MEMOIZE":
                memo[len(memo)] = _top(stack)
            case "GET" | "BINGET" | "LONG_BINGET":
                assert isinstance(argument, int)
                stack.append(memo.get(argument, 0))
            case "DUP":
                stack.append(_top(stack))
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = _popped(stack, operation.stack_before)
                depth = 1 + max((each or 0 for each in items), default=0)
                if depth > DEPTH:
                    raise ValueError(f"it has tuples inside tuples, more than {DEPTH} of them")
                stack.append(depth)
            case _:
                _popped(stack, operation.stack_before)
                stack += [None if each is pickletools.markobject else 0 for each in operation.stack_after]


def _top(stack: list[int | None]) -> int | None:
    if not stack:
        raise ValueError("it takes what is not there")
    return stack[-1]


def _popped(stack: list[int | None], before: list[pickletools.StackObject]) -> list[int | None]:
    """What an operation takes from the stack: some values, or all down to a mark and some below it."""
    found: list[int | None] = []
    count = len(before)
    if pickletools.markobject in before:
        count = before.index(pickletools.markobject)
        while (each := _pop(stack)) is not None:
            found.append(each)
    return [*found, *(_pop(stack) for _ in range(count))]


def _pop(stack: list[int | None]) -> int | None:
    if not stack:
        raise ValueError("it takes what is not there")
    return stack.pop()
