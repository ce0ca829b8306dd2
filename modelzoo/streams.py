"""Keyed randomness: every draw has a generator of its own, whose whole state is a hash of what it is for.

Nothing here reads or moves the global random number generators.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import shake_128

import numpy
import torch

SCHEME = 3
"""The version of everything that decides which number lands where: the key, the hash, the words, how a fill draws."""

_WORDS = 624  # the state of MT19937, in 32-bit words
_WORD = numpy.dtype("<u4")
_SIZE = 5056  # torch's record of it, in bytes: each word takes eight, and four other fields stand before the first
_FIRST = 24


class Stream:
    """A generator, and the memory through which its state is set; one for each thread."""

    __slots__ = ("generator", "state", "words")

    def __init__(self) -> None:
        with torch.inference_mode(False):  # a tensor made in inference mode could not be written outside it
            self.generator = torch.Generator()
            self.state = torch.Generator().manual_seed(0).get_state()
            if self.state.dtype != torch.uint8 or self.state.numel() != _SIZE:
                raise _unknown_layout()
            self.words = self.state[_FIRST : _FIRST + 8 * _WORDS].view(torch.int64).numpy()
        check_layout(self)

    def restart(self, digest: bytes) -> torch.Generator:
        """The generator, as if new, in the state that `digest` holds: 624 words of 32 bits, lowest byte first."""
        self.words[:] = numpy.frombuffer(digest, _WORD)
        return self.generator.set_state(self.state)


def generator(seed: int, name: str, draw: int = 0) -> torch.Generator:
    """The generator of one draw for one tensor as a whole, on the CPU.

    It belongs to the calling thread and serves until this thread asks for the next one. Elements that are drawn apart
    need none: see `modelzoo.elements`.

    Args:
        seed: any integer; all its bits count.
        name: the tensor's canonical name.
        draw: the number of the draw for this tensor.

    Raises:
        RuntimeError: torch keeps the state of a generator in another way than this module knows.

    >>> torch.rand(2, generator=generator(0, "0.weight")).equal(torch.rand(2, generator=generator(0, "0.weight")))
    True
    >>> torch.rand(2, generator=generator(0, "0.weight")).equal(torch.rand(2, generator=generator(2**32, "0.weight")))
    False
    """
    try:
        stream: Stream = _thread.stream
    except AttributeError:
        stream = _thread.stream = Stream()
    return stream.restart(shake_128(key(seed, name, draw)).digest(4 * _WORDS))


_TORCHS = threading.Lock()


@contextmanager
def instead(seed: int, name: str) -> Iterator[None]:
    """While it lasts, torch's own generator on the CPU draws from a stream; after it, it is where it was.

    There is one for all threads: others wait.

    >>> with instead(0, "0.weight"):
    ...     drawn = torch.rand(2)
    >>> with instead(0, "0.weight"):
    ...     torch.rand(2).equal(drawn)
    True
    """
    with _TORCHS, torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator(seed, name).get_state())
        yield


def key(seed: int, name: str, draw: int = 0) -> bytes:
    r"""What is hashed; the name comes last, so that no two keys agree.

    >>> key(7, "0.weight")
    b'modelzoo 3 7 0 0.weight'
    """
    return f"modelzoo {SCHEME} {seed} {draw} {name}".encode()


def label(seed: int, name: str) -> str:
    """How plans and dumps write a tensor's stream.

    >>> label(7, "0.weight")
    '3:7:0.weight'
    """
    return f"{SCHEME}:{seed}:{name}"


@cache
def _expected() -> tuple[bytes, list[int]]:
    """A state, and the first 31-bit numbers that Python's own MT19937 draws from it."""
    digest = shake_128(key(0, "layout")).digest(4 * _WORDS)
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
    python = random.Random()
    python.setstate((3, (*words, _WORDS), None))
    return digest, [python.getrandbits(32) & 0x7FFFFFFF for _ in range(_WORDS + 1)]


def check_layout(stream: Stream) -> None:
    """Raises a RuntimeError unless the stream draws what MT19937 draws from the same state."""
    digest, numbers = _expected()
    drawn = torch.empty(len(numbers), dtype=torch.int32, device="cpu")
    try:
        drawn.random_(generator=stream.restart(digest))
    except RuntimeError as error:
        raise _unknown_layout() from error
    if drawn.tolist() != numbers:
        raise _unknown_layout()


def _unknown_layout() -> RuntimeError:
    return RuntimeError(
        f"torch {torch.__version__} keeps the state of its CPU generator in a way that modelzoo does not know, so no "
        "number can be drawn; install an older torch or a newer modelzoo."
    )


_thread = threading.local()
