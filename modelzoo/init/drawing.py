"""One tensor filled by name: drawn in pieces, from streams of its own, in several threads."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from modelzoo.catalog.distributions import Fans, Sampler, dtype_of_draws, fans_of
from modelzoo.catalog.fill import Fill
from modelzoo.streams import BLOCK, generator


def _nothing(tensor: Tensor, generator: torch.Generator | None) -> None:
    """Fills a tensor without elements."""


class Filling:
    """A fill and its arguments, ready for tensors of one shape.

    Args:
        arguments: all of them, as from `bind`, without a `problem_with` them.
        shape: of the tensors; they may have any dtype, device and layout.
        fans: where they are not those of the shape.

    >>> weight = torch.empty(8, 4)
    >>> from modelzoo.catalog.fills import FILLS
    >>> filling = Filling(FILLS["normal"], {"mean": 0.0, "std": 0.02}, weight.shape)
    >>> run(filling.tasks(weight, seed=0, name="0.weight"))
    """

    def __init__(
        self, fill: Fill, arguments: Mapping[str, Any], shape: Sequence[int], fans: Fans | None = None
    ) -> None:
        self.fill, self.constant, self.elements = fill, fill.constant, math.prod(shape)
        self.sample: Sampler = _nothing
        if self.elements:
            self.sample = fill.sampler((fans or fans_of(shape)) if fill.scaled else None, **arguments)
        self.zeroed = fill.zeroed and fill.zeroed(shape, arguments)
        self.cost = self.elements // 16 if fill.constant else self.elements if fill.elementwise else 8 * self.elements
        self.whole = self.elements <= BLOCK or not fill.elementwise
        self.small = self.whole and self.cost < LARGE
        self.numbers = sys.maxsize if fill.spare is None else self.elements + fill.spare

    def begin(self, tensor: Tensor, seed: int, name: str) -> list[Task]:
        """Fills a small tensor, for an iterator that `run` goes through; gives the calls that fill a large one."""
        if not self.small or tensor.is_meta:
            return self.tasks(tensor, seed, name)
        self.fill_block(tensor, seed, name, 0, 0)
        return []

    def tasks(self, tensor: Tensor, seed: int, name: str, number: int = 0) -> list[Task]:
        """The calls that together fill a tensor, for `run`; with no elements or on meta there is nothing to do.

        Args:
            seed, name, number: decide the streams; `number` counts the draws for this tensor.
        """
        if not self.elements or tensor.is_meta:
            return []
        if self.whole:
            return [Task(self.cost, partial(self.fill_block, tensor, seed, name, number, 0))]
        tensor = tensor.detach()  # a view made where gradients are recorded could not be filled
        if not tensor.is_contiguous():
            return [Task(self.elements, partial(self.fill_through_copy, tensor, seed, name, number))]
        parts = torch.split(tensor.view(-1), BLOCK)
        cost = self.cost // len(parts)
        return [Task(cost, partial(self.fill_block, part, seed, name, number, at)) for at, part in enumerate(parts)]

    def fill_block(self, tensor: Tensor, seed: int, name: str, number: int, block: int) -> None:
        if self.constant or not self.elements:
            self.sample(tensor, None)
            return
        if self.fill.spare is None:
            tensor = tensor.detach()  # a user's code may record gradients
        drawn = tensor
        if not (tensor.is_cpu and tensor.dtype in _DRAWN and tensor.is_contiguous()):
            drawn = torch.empty(tensor.shape, dtype=dtype_of_draws(tensor.dtype), device="cpu")
        numbers = self.numbers if drawn.dtype is torch.float32 else sys.maxsize
        self.sample(drawn, generator(seed, name, number, block, numbers) if self.fill.draws else None)
        if self.zeroed:
            first, stop = (max(each - block * BLOCK, 0) for each in self.zeroed)
            drawn.view(-1)[first:stop] = 0
        if drawn is not tensor:
            _round(drawn, tensor)

    def fill_through_copy(self, tensor: Tensor, seed: int, name: str, number: int) -> None:
        drawn = torch.empty(tensor.shape, dtype=dtype_of_draws(tensor.dtype), device="cpu")
        run(self.tasks(drawn, seed, name, number), threads=1)
        _round(drawn, tensor)


def tasks(
    tensor: Tensor,
    fill: Fill,
    arguments: Mapping[str, Any],
    *,
    seed: int,
    name: str,
    number: int = 0,
    fans: Fans | None = None,
) -> list[Task]:
    """`Filling.tasks` of a single tensor."""
    return Filling(fill, arguments, tensor.shape, fans).tasks(tensor, seed, name, number)


def draw(
    fill: Fill,
    arguments: Mapping[str, Any],
    shape: Sequence[int],
    dtype: torch.dtype,
    *,
    seed: int,
    name: str,
    number: int = 0,
    fans: Fans | None = None,
) -> Tensor:
    """A new tensor on the CPU, before it is rounded to `dtype`: float64 for float64 and integers, else float32.

    >>> from modelzoo.catalog.fills import FILLS
    >>> draw(FILLS["ones"], {}, (2, 3), torch.bfloat16, seed=0, name="mask").dtype
    torch.float32
    """
    drawn = torch.empty(tuple(shape), dtype=dtype_of_draws(dtype), device="cpu")
    run(tasks(drawn, fill, arguments, seed=seed, name=name, number=number, fans=fans), threads=1)
    return drawn


_DRAWN = (torch.float32, torch.float64)


def _round(drawn: Tensor, tensor: Tensor) -> None:
    if not tensor.dtype.is_floating_point and not tensor.dtype.is_complex:
        drawn.floor_()
    tensor.copy_(drawn)


def run(tasks: Iterable[Task], threads: int | None = None) -> None:
    """Does all tasks, without gradients, in several threads where there is enough to do.

    Small tasks are done as they come, so that an iterator over many need not be kept, and may itself do some.
    Each operation of torch runs in a single thread meanwhile, since the result of some, such as the decomposition
    behind `orthogonal`, depends on their number.

    Args:
        threads: how many; torch's own setting by default.

    Raises:
        ValueError: `threads` is less than 1.
        Exception: whatever a task raises; what has not begun then stays undone.
    """
    setting = torch.get_num_threads()
    threads = setting if threads is None else threads
    if threads < 1:
        raise ValueError(f"threads must be a positive integer, not {threads}")
    large: list[Task] = []
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for task in tasks:
                if threads == 1 or task.cost < LARGE:
                    task.call()
                else:
                    large.append(task)
            large.sort(key=lambda task: task.cost)
            if sum(task.cost for task in large) < ENOUGH:
                threads = 1
            _run_in_threads(deque(large), threads)
    finally:
        torch.set_num_threads(setting)


def _run_in_threads(tasks: deque[Task], threads: int) -> None:
    """The calling thread is one of them; the largest tasks come first."""
    inference = torch.is_inference_mode_enabled()  # such modes belong to one thread

    def work() -> None:
        with torch.inference_mode(inference), torch.no_grad():
            try:
                while (task := _next(tasks)) is not None:
                    task.call()
            except BaseException:
                tasks.clear()
                raise

    if threads == 1 or len(tasks) < 2:
        work()
        return
    with ThreadPoolExecutor(min(threads, len(tasks)) - 1) as pool:
        helpers = [pool.submit(work) for _ in range(min(threads, len(tasks)) - 1)]
        work()
        for helper in helpers:
            helper.result()


def _next(tasks: deque[Task]) -> Task | None:
    try:
        return tasks.pop()
    except IndexError:  # another thread may have taken the last one since any look
        return None


class Task(NamedTuple):
    """A call that does its part of the work independently of all others."""

    cost: int
    """About as much work as so many uniform draws."""
    call: Callable[[], object]

    def __call__(self) -> None:
        """Does the work; `run` does it without gradients, and with the same result whatever torch's threads are."""
        self.call()


LARGE = 2**14
"""A task that costs less is done by the calling thread: elsewhere it would mostly wait for Python's lock."""


ENOUGH = 2**18
"""With less to do in large tasks, a pool of threads does not pay."""
