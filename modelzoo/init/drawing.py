"""One tensor filled by name: drawn in pieces, in several threads."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor

from modelzoo.catalog.distributions import Fans, dtype_of_draws, fans_of
from modelzoo.catalog.fill import Fill
from modelzoo.catalog.laws import place_together
from modelzoo.elements import LONGEST, Array, bits, keys, runs, scratch, together
from modelzoo.streams import generator


class Filling:
    """A fill and its arguments, ready for tensors of one shape.

    Args:
        arguments: all of them, as from `bind`, without a `problem_with` them.
        shape: of the tensors; they may have any device and layout.
        dtype: of the tensors.
        fans: where they are not those of the shape.

    >>> weight = torch.empty(8, 4)
    >>> from modelzoo.catalog.fills import FILLS
    >>> filling = Filling(FILLS["normal"], {"mean": 0.0, "std": 0.02}, weight.shape, weight.dtype)
    >>> run(filling.tasks(weight, seed=0, name="0.weight"))
    """

    def __init__(
        self,
        fill: Fill,
        arguments: Mapping[str, Any],
        shape: Sequence[int],
        dtype: torch.dtype,
        fans: Fans | None = None,
    ) -> None:
        self.fill, self.shape, self.elements = fill, tuple(shape), math.prod(shape)
        self.drawn = dtype_of_draws(dtype)
        self.how: Any = None  # a law where elements are drawn apart, else a sampler
        if self.elements:
            self.how = fill.sampler((fans or fans_of(shape)) if fill.scaled else None, **arguments)
        self.zeroed = slice(*fill.zeroed(shape, arguments)) if fill.zeroed else None
        self.cost = self.elements // 16 if fill.constant else self.elements if fill.elementwise else 8 * self.elements

    def rows(self, keys: Array, starts: Array, length: int) -> Tensor:
        """The numbers of some runs of elements, of shape (runs, length), in scratch memory."""
        wide = self.drawn is torch.float64
        found = bits(keys, starts, length, wide)
        out = scratch("wide" if wide else "narrow", found.shape, "f8" if wide else "f4")
        self.how(found, out)
        odd = (starts & 1).astype(bool)
        if not wide and odd.any():
            out[odd, :length] = out[odd, 1 : length + 1]
        if self.zeroed:
            begins, ends = ((each - starts).clip(0, length) for each in (self.zeroed.start, self.zeroed.stop))
            for row in numpy.nonzero(begins < ends)[0]:
                out[row, begins[row] : ends[row]] = 0
        return torch.from_numpy(out)[:, :length]

    def whole(self, drawn: Tensor, count: int) -> Sequence[Tensor]:
        """Whole tensors, of which one stands after the other with its numbers on the line of the law."""
        even = self.elements * count == len(drawn)  # else there is one number between them
        if self.how.place is not None or self.zeroed or not even:
            rows = drawn.view(count, -1)
            if self.how.place is not None:
                self.how.place(rows.numpy())
            if self.zeroed:
                rows[:, self.zeroed] = 0
            drawn = rows[:, : self.elements]
        return drawn.reshape(count, *self.shape).unbind()

    def is_small(self, tensor: Tensor) -> bool:
        """Whether the calls that fill a tensor take longer than the filling."""
        return self.cost < LARGE and self.elements > 0 and not tensor.is_meta

    def tasks(self, tensor: Tensor, seed: int, name: str, number: int = 0, piece: int = LONGEST) -> list[Task]:
        """The calls that together fill a tensor, for `run`; with no elements or on meta there is nothing to do.

        Args:
            seed, name, number: decide the values; `number` counts the draws for this tensor.
            piece: how many elements a call fills.
        """
        if not self.elements or tensor.is_meta:
            return []
        tensor = tensor.detach()  # a view made where gradients are recorded could not be filled
        if not self.fill.apart and (not self.fill.constant or self.elements <= LONGEST):
            return [Task(self.cost, partial(self.fill_whole, tensor, seed, name, number))]
        if not tensor.is_contiguous():
            return [Task(self.elements, partial(self.fill_through_copy, tensor, seed, name, number))]
        flat, key = tensor.view(-1), keys(seed, [name], number)
        return [
            Task(min(piece, self.cost), partial(self.fill_piece, flat[start : start + piece], key, start))
            for start in range(0, self.elements, piece)
        ]

    def fill_whole(self, tensor: Tensor, seed: int, name: str, number: int) -> None:
        if self.fill.constant:
            self.how(tensor, None)
            return
        tensor = tensor.detach()  # a user's code may record gradients
        drawn = tensor if _is_drawn(tensor) else torch.empty(tensor.shape, dtype=self.drawn, device="cpu")
        self.how(drawn, generator(seed, name, number) if self.fill.draws else None)
        if drawn is not tensor:
            _round([drawn], [tensor])

    def fill_piece(self, piece: Tensor, key: Array, start: int) -> None:
        """Elements of a flat tensor from `start` on."""
        if self.fill.constant:
            self.how(piece, None)
            return
        drawn = piece if _is_drawn(piece) else torch.empty(piece.shape, dtype=self.drawn, device="cpu")
        out = drawn.numpy()
        wide = self.drawn is torch.float64
        place = 0 if wide else start & 1
        self.how(bits(key, numpy.array([start]), len(out), wide)[0, place : place + len(out)], out)
        if self.zeroed:
            out[max(self.zeroed.start - start, 0) : max(self.zeroed.stop - start, 0)] = 0
        if drawn is not piece:
            _round([drawn], [piece])

    def fill_box(self, box: Tensor, offsets: Sequence[int], seed: int, name: str, number: int = 0) -> None:
        """A part of a tensor of this shape: what the whole has there, of which no more is drawn than is needed.

        Args:
            box: contiguous, of the part's own shape.
            offsets: where it begins, in each dimension.
        """
        if not box.numel():
            return
        if self.fill.constant:
            self.fill_whole(box, seed, name, number)
        elif not self.fill.apart:
            whole = torch.empty(self.shape, dtype=self.drawn, device="cpu")
            self.fill_whole(whole, seed, name, number)
            place = tuple(slice(at, at + size) for at, size in zip(offsets, box.shape, strict=True))
            _round([whole[place]], [box.detach()])
        else:
            key, (starts, length) = keys(seed, [name], number), runs(self.shape, offsets, box.shape)
            rows, several = box.detach().view(len(starts), length), max(LONGEST // length, 1)
            for first in range(0, len(starts), several):
                self.fill_rows(rows[first : first + several], key, starts[first : first + several])

    def fill_rows(self, rows: Tensor, key: Array, starts: Array) -> None:
        """Some runs of elements, of one length."""
        length = rows.shape[1]
        if len(rows) == 1:
            for at in range(0, length, LONGEST):
                self.fill_piece(rows[0, at : at + LONGEST], key, int(starts[0]) + at)
            return
        _round([self.rows(key, starts, length)], [rows])

    def fill_through_copy(self, tensor: Tensor, seed: int, name: str, number: int) -> None:
        drawn = torch.empty(tensor.shape, dtype=self.drawn, device="cpu")
        run(self.tasks(drawn, seed, name, number), threads=1)
        _round([drawn], [tensor])


class Batch:
    """Small tensors that wait until they are drawn together, each with the values that it has alone.

    Of one alone nearly all of the time would be calls. Those come together whose laws differ in the second step only.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.waiting: dict[tuple[Any, torch.dtype], dict[Filling, list[tuple[Tensor, str]]]] = {}
        self.elements: Counter[tuple[Any, torch.dtype]] = Counter()

    def add(self, filling: Filling, tensor: Tensor, name: str) -> None:
        """Fills a small tensor, now or later."""
        if not filling.fill.apart:
            filling.fill_whole(tensor, self.seed, name, 0)
            return
        kind = filling.how.standard, filling.drawn
        self.waiting.setdefault(kind, {}).setdefault(filling, []).append((tensor, name))
        self.elements[kind] += filling.elements
        if self.elements[kind] >= LONGEST:
            self.draw(kind)

    def finish(self) -> None:
        """Fills those that still wait."""
        for kind in [*self.waiting]:
            self.draw(kind)

    def draw(self, kind: tuple[Any, torch.dtype]) -> None:
        waiting = self.waiting.pop(kind)
        del self.elements[kind]
        standard, dtype = kind
        wide = dtype is torch.float64
        names = [name for some in waiting.values() for _, name in some]
        lengths = [(filling.elements, len(some)) for filling, some in waiting.items()]
        found, counts = together(keys(self.seed, names), lengths, wide)
        out = scratch("wide" if wide else "narrow", found.shape, "f8" if wide else "f4")
        standard(found, out)
        place_together([filling.how.line(out.dtype) for filling in waiting], counts, out)
        drawn: list[Tensor] = []
        for (filling, some), part in zip(waiting.items(), torch.split(torch.from_numpy(out), counts), strict=True):
            drawn += filling.whole(part, len(some))
        _round(drawn, [tensor for some in waiting.values() for tensor, _ in some])


def piece_for(threads: int) -> int:
    """How many elements a call fills: threads meet at Python's lock after each operation, the more the more often."""
    return LONGEST << min(max(threads.bit_length() - 2, 0), 3)


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
    return Filling(fill, arguments, tensor.shape, tensor.dtype, fans).tasks(tensor, seed, name, number)


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


def _is_drawn(tensor: Tensor) -> bool:
    """Whether a fill can write into the tensor itself."""
    return tensor.is_cpu and tensor.dtype in _DRAWN and tensor.is_contiguous()


def _round(drawn: list[Tensor], tensors: list[Tensor]) -> None:
    for one, tensor in zip(drawn, tensors, strict=True):
        if not tensor.dtype.is_floating_point and not tensor.dtype.is_complex:
            one.floor_()
    torch._foreach_copy_(tensors, drawn)


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
