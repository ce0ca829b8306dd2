"""The processes of one job, as `torchrun` starts them: which of them this is, and which of them speaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

PATIENCE = timedelta(seconds=10)


def started() -> bool:
    """Whether this process is one of a job, if only of one process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank() -> int:
    """The number of this process in its job, from 0."""
    return int(os.environ["RANK"]) if started() else 0


def local_rank() -> int:
    """Its number on this machine: that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) if started() else 0


def world() -> int:
    """How many processes the job has."""
    return int(os.environ["WORLD_SIZE"]) if started() else 1


@contextmanager
def telling() -> Iterator[bool]:
    """Whether this process is the first of its job that has to tell what is wrong; the others wait until it has told.

    When one process ends, `torchrun` ends the others, even while they speak.

    >>> with telling() as first:
    ...     first
    True
    """
    if world() == 1:
        yield True
        return
    from torch import distributed

    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = distributed.TCPStore(  # type: ignore[attr-defined]
            address, port, is_master=False, timeout=PATIENCE, wait_for_workers=False
        )
    except (KeyError, ValueError, RuntimeError):  # nobody keeps what all ranks know
        yield rank() == 0
        return
    attempt = f"modelzoo/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if store.add(f"{attempt}/wrong", 1) > 1:
        with suppress(RuntimeError):
            store.wait([f"{attempt}/told"], PATIENCE)
        yield False
        return
    try:
        yield True
    finally:
        store.set(f"{attempt}/told", "")
