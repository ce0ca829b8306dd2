"""Options of a job: what their values mean, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from modelzoo.errors import Path, fail, in_full
from modelzoo.spelling import closest, did_you_mean

DEVICES = ("cpu", "cuda", "meta", "mps", "xpu")
FLAGS = ("traceback", "strict", "resume", "fail_fast", "backward")


def device_named(name: Any) -> torch.device:
    """The device of a name.

    Raises:
        ConfigError: there is no such device.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        message = str(error).splitlines()[0] if str(error) else ""
        reason = "" if message.startswith("Expected one of") else message
        what = f"there is no device {name!r}: {reason}".rstrip(": ") + "."
        fail(Path(("device",)), what, _device_meant(str(name)) or "Type device=cpu.", cause=error)
    return device


def _device_meant(name: str) -> str:
    kind, _, number = name.partition(":")
    meant = closest(kind, DEVICES)
    if kind in DEVICES or not meant:
        return ""
    hint = did_you_mean(meant)
    try:
        torch.empty(0, device=f"{meant}:{number}" if number else meant)
    except (RuntimeError, AssertionError, NotImplementedError):
        return f"{hint} There is none here: type device=cpu."
    return hint


def flag(options: dict[str, Any], name: str) -> bool:
    """An option that is true or false; false where it was not given.

    Raises:
        ConfigError: it is something else.
    """
    value = options.get(name, False)
    if not isinstance(value, bool):
        fail(Path((name,)), f"{name} must be true or false, not {value!r}.", f"Type {name}=true.")
    return value


def check_reporting(options: dict[str, Any]) -> None:
    """How mistakes are shown, and what is asked only later, is checked where there is no mistake yet."""
    for name in FLAGS:
        flag(options, name)
    in_full(options.get("problems", 1))


def check_values(options: dict[str, Any]) -> None:
    """What a job would refuse, where none is run: the device need not be there, but has to be one."""
    check_reporting(options)
    device = options.get("device", "cpu")
    if str(device).partition(":")[0] not in DEVICES:
        device_named(device)


@contextmanager
def with_threads(count: Any) -> Iterator[None]:
    """Torch's threads while a job runs; a sweep's next job finds the setting as it was."""
    if count is None:
        yield
        return
    if type(count) is not int or count < 1:
        fail(Path(("threads",)), f"threads must be a positive integer, not {count!r}.", "Type threads=2.")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
