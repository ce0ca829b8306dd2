"""Random bits by place: those of an element depend on the seed, the tensor's name, the draw and its index alone.

So any part of a tensor can be drawn anywhere, without the rest and in any order. All is done in whole numbers of 64
bits that wrap, which every processor and every numpy compute alike. Nothing has a state.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from hashlib import shake_128
from typing import Any

import numpy
from numpy.typing import NDArray

from modelzoo.streams import key

Array = NDArray[Any]

# The mixer of splitmix64 (Steele, Lea and Flood 2014, with Stafford's thirteenth multipliers), with a second key.
_STEP = 0x9E3779B97F4A7C15
_FIRST, _SECOND = numpy.uint64(0xBF58476D1CE4E5B9), numpy.uint64(0x94D049BB133111EB)
_WORD = numpy.dtype("<u8")
_HALF = numpy.dtype("<u4")

LONGEST = 2**17
"""How many elements are drawn at once: what they need of memory stays in a core's own cache."""


def keys(seed: int, names: Sequence[str], draw: int = 0) -> Array:
    """Two 64-bit words for each name, from a hash of what is drawn; of shape (names, 2).

    Args:
        seed: any integer; all its bits count.
        names: the tensors' canonical names.
        draw: the number of the draw for these tensors.

    >>> keys(0, ["0.weight", "1.weight"]).shape
    (2, 2)
    """
    digests = (shake_128(key(seed, name, draw)).digest(16) for name in names)
    return numpy.frombuffer(b"".join(digests), _WORD).reshape(-1, 2)


def bits(keys: Array, starts: Array, length: int, wide: bool = False) -> Array:
    """The bits of runs of elements: 32 an element, or 64 if `wide`, as unsigned integers in scratch memory.

    Element `i` of the whole flat tensor has half `i & 1`, the lower first, of word `i >> 1`; if `wide`, word `i`.

    Args:
        keys: of shape (1, 2) or (runs, 2).
        starts: the index of each run's first element, of shape (1,) or (runs,).
        length: of each run.

    Returns:
        of shape (runs, width), contiguous, with `width` at least `length`: a run begins at its own place, which is 1
        where its start is odd and the bits are not wide, else 0. The next call in this thread overwrites it.

    >>> key = keys(0, ["w"])
    >>> whole = bits(key, numpy.array([0]), 8)[0].copy()
    >>> bits(key, numpy.array([5]), 3)[0, 1:4].tolist() == whole[5:8].tolist()
    True
    """
    first, count = (starts, length) if wide else (starts >> 1, (length + int((starts & 1).max(initial=0)) + 1) // 2)
    base = keys[:, :1] + first.astype(_WORD)[:, None] * _WORD.type(_STEP)
    words = scratch("words", (len(base), count), _WORD)
    numpy.add(base, _steps(count), out=words)
    _mix(words, [(words, keys[:, 1:])])
    return words if wide else words.view(_HALF)


def together(keys: Array, lengths: Sequence[tuple[int, int]], wide: bool = False) -> tuple[Array, list[int]]:
    """The bits of whole tensors one after the other, in scratch memory, and how far those of each length reach.

    Args:
        keys: of shape (tensors, 2).
        lengths: how many elements a tensor has, and how many tensors in a row have as many.

    >>> both, (first, _) = together(keys(0, ["a", "b"]), [(3, 1), (5, 1)])
    >>> both[first:][:5].tolist() == bits(keys(0, ["b"]), numpy.array([0]), 5)[0, :5].tolist()
    True
    """
    counts = [(length if wide else (length + 1) // 2, tensors) for length, tensors in lengths]
    words = scratch("words", (sum(count * tensors for count, tensors in counts),), _WORD)
    rows: list[tuple[Array, Array]] = []
    begin = first = 0
    for count, tensors in counts:
        end, last = begin + count * tensors, first + tensors
        part = words[begin:end].reshape(tensors, count)
        numpy.add(keys[first:last, :1], _steps(count), out=part)
        rows.append((part, keys[first:last, 1:]))
        begin, first = end, last
    _mix(words, rows)
    halves = 1 if wide else 2
    return words if wide else words.view(_HALF), [halves * count * tensors for count, tensors in counts]


def _mix(words: Array, rows: Sequence[tuple[Array, Array]]) -> None:
    """In place; `rows` are all of the words, in parts, with the second key of each row."""
    shifted = scratch("spare", words.shape, _WORD)
    numpy.right_shift(words, _WORD.type(30), out=shifted)
    numpy.bitwise_xor(words, shifted, out=words)
    numpy.multiply(words, _FIRST, out=words)
    for part, second in rows:
        numpy.bitwise_xor(part, second, out=part)
    numpy.right_shift(words, _WORD.type(27), out=shifted)
    numpy.bitwise_xor(words, shifted, out=words)
    numpy.multiply(words, _SECOND, out=words)
    numpy.right_shift(words, _WORD.type(31), out=shifted)
    numpy.bitwise_xor(words, shifted, out=words)


def runs(shape: Sequence[int], offsets: Sequence[int], sizes: Sequence[int]) -> tuple[Array, int]:
    """Where a box lies in a flat tensor: the index at which each of its runs starts, in order, and the length of all.

    Args:
        shape: of the whole tensor.
        offsets, sizes: of the box, within it.

    >>> starts, length = runs((4, 6), (1, 2), (2, 3))
    >>> starts.tolist(), length
    ([8, 14], 3)
    """
    split = max((n for n, size in enumerate(sizes) if size < shape[n]), default=0)
    starts = numpy.zeros(1, numpy.int64)
    for n, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        counted = numpy.arange(size) if n < split else numpy.zeros(1, numpy.int64)
        starts = (starts[:, None] + (offset + counted) * math.prod(shape[n + 1 :])).ravel()
    return starts, math.prod(sizes[split:])


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory of this thread for one purpose, with anything in it; it is the same when it is asked for again."""
    size = math.prod(shape) * numpy.dtype(dtype).itemsize
    held: Array | None = getattr(_thread, name, None)
    if held is None or held.size < size:
        held = numpy.empty(max(size, 2**12), numpy.uint8)
        setattr(_thread, name, held)
    memory: Array = held[:size].view(dtype)
    return memory.reshape(shape)


def _steps(count: int) -> Array:
    """The first multiples of the step."""
    global _multiples
    if len(_multiples) < count:
        _multiples = numpy.arange(max(count, 2**10), dtype=_WORD) * _WORD.type(_STEP)
    return _multiples[:count]


_multiples: Array = numpy.empty(0, _WORD)
_thread = threading.local()
